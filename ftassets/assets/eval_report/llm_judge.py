"""A judge's choices between candidate and production on a sample of golden rows, and its calibration against people."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event

from ftassets.backends.control.base import Control
from ftassets.backends.control.llm_judge_choices import add_choices, read_choices
from ftassets.backends.llm_judge.base import JudgeUnreachable, NotJudged
from ftassets.config.loop import LoopConfig, PairwiseJudgeSettings
from ftassets.config.profiles import pairwise_llm_judge
from ftassets.domain.canonical import digest_of
from ftassets.domain.chat import Asked, identity, request_body
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.llm_judge import (
    BothOrders,
    Calibration,
    JudgedPair,
    PairwiseScore,
    calibrate,
    contradictions,
    not_calibrated,
    pairwise_score,
    parse_labels,
)
from ftassets.domain.gates.llm_judge import llm_judge_sample

CLIENTS = 4  # pairs judged at once
BATCH = 20  # pairs whose judgements are stored at once

Say = Callable[[str], None]


@dataclass(frozen=True)
class _Pair:
    """Two different answers to one request."""

    asked: Asked
    a: str
    b: str


def ask_judge(
    control: Control,
    loop: LoopConfig,
    rows: Sequence[Example],
    answers_candidate: Mapping[str, str],
    answers_production: Mapping[str, str],
    say: Say,
) -> tuple[list[PairwiseScore], Calibration | None]:
    """A pairwise_score, or the reason why it is missing, for each golden row that a judge gate uses; nothing without such a gate.

    Answers are by row id. The judge is calibrated first; while its agreement with people is too low or unknown, no
    row is judged. Earlier choices of this judge on the same answers are reused.
    """
    gates = [gate for each in loop.gates for gate in (each, *each.any_of) if gate.metric == "llm_judge"]
    if loop.llm_judge is None or not gates:
        return [], None
    try:
        panel = _Panel(control, loop, loop.llm_judge, say)
    except JudgeUnreachable as error:
        return [], not_calibrated(loop.llm_judge.min_kappa, str(error))
    calibration = _calibrate(panel, loop.llm_judge, say)
    if not calibration.trusted:
        return [], calibration
    wanted = {
        name for gate in gates for name in llm_judge_sample(gate, [row.id for row in rows if gate.slice in (None, row.slice or "golden")])
    }
    sample = [row for row in rows if row.id in wanted]
    asked = {row.id: Asked(messages=row.messages, tools=row.tools) for row in sample}
    pairs = {name: _Pair(request, answers_candidate[name], answers_production[name]) for name, request in asked.items()}
    judged = panel.judge([pair for pair in pairs.values() if pair.a != pair.b])
    return [_pairwise_score(row, pairs[row.id], judged) for row in sample], calibration


class _Panel:
    """The judge and its earlier choices; asks a few pairs at once, and stops when the judge cannot be reached."""

    def __init__(self, control: Control, loop: LoopConfig, settings: PairwiseJudgeSettings, say: Say) -> None:
        self._judge = pairwise_llm_judge(settings)
        self._system, self._repeats, self._say = loop.task.system_prompt, settings.repeats, say
        self._control = control
        self._gone = Event()

    def judge(self, pairs: Sequence[_Pair]) -> dict[_Pair, list[BothOrders] | str]:
        """The choices for each pair, one entry a repeat, or why they are missing."""
        keys = {pair: self._key(pair) for pair in pairs}
        known = read_choices(self._control, self._judge.identity)
        judged: dict[_Pair, list[BothOrders] | str] = {pair: known[key] for pair, key in keys.items() if key in known}
        new = [pair for pair in keys if pair not in judged]
        if new:
            self._say(f"{len(judged)} pairs were judged before, asking the judge about {len(new)}")
        with ThreadPoolExecutor(CLIENTS) as pool:
            for begin in range(0, len(new), BATCH):
                batch = new[begin : begin + BATCH]
                said = dict(zip(batch, pool.map(self._ask, batch), strict=True))
                made = {keys[pair]: choices for pair, choices in said.items() if not isinstance(choices, str)}
                add_choices(self._control, self._judge.identity, made)
                judged |= said
                self._say(f"{min(begin + BATCH, len(new))} of {len(new)} pairs asked")
        for why in sorted({choices for choices in judged.values() if isinstance(choices, str)})[:5]:
            self._say(f"not judged: {why}")
        return judged

    def _ask(self, pair: _Pair) -> list[BothOrders] | str:
        messages = request_body(self._system, pair.asked)["messages"]
        choices: list[BothOrders] = []
        try:
            for _ in range(self._repeats):
                if self._gone.is_set():
                    return "not asked, the judge could not be reached"
                a_first = self._judge.compare(messages, pair.a, pair.b)
                choices.append((a_first, self._judge.compare(messages, pair.b, pair.a)))
        except NotJudged as error:
            if isinstance(error, JudgeUnreachable):
                self._gone.set()
            return str(error)
        return choices

    def _key(self, pair: _Pair) -> str:
        return digest_of([self._system, identity(pair.asked), pair.a, pair.b, self._repeats])


def _calibrate(panel: _Panel, settings: PairwiseJudgeSettings, say: Say) -> Calibration:
    try:
        pairs, bad = parse_labels(settings.labels.read_text(encoding="utf-8"), settings.labels.name)
    except (OSError, ValueError) as error:
        return not_calibrated(settings.min_kappa, f"the pairs people judged cannot be read: {error}")
    for line in bad[:20]:
        say(f"no labelled pair, {line.where}: {line.reason}")
    texts = {each.id: _Pair(each.asked, each.first, each.second) for each in pairs}
    judged = panel.judge(list(texts.values()))
    done: list[JudgedPair] = []
    reasons: list[str] = []
    for each in pairs:
        choices = judged[texts[each.id]]
        if isinstance(choices, str):
            reasons.append(choices)
        else:
            done.append(JudgedPair(each, choices))
    calibration = calibrate(done, settings.min_kappa, len(reasons), len(bad))
    if calibration.problem and reasons:
        return calibration.model_copy(update={"problem": f"{calibration.problem}: {reasons[0]}"})
    return calibration


def _pairwise_score(row: Example, pair: _Pair, judged: Mapping[_Pair, list[BothOrders] | str]) -> PairwiseScore:
    name = row.slice or "golden"
    if pair.a == pair.b:  # nobody needs to be asked
        return PairwiseScore(id=row.id, slice=name, value=0.0)
    choices = judged[pair]
    if isinstance(choices, str):
        return PairwiseScore(id=row.id, slice=name, value=None, reason=choices)
    return PairwiseScore(id=row.id, slice=name, value=pairwise_score(choices), contradictions=contradictions(choices))
