"""A judge's choices between candidate and production on a sample of golden rows, and its calibration against people."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Event
from typing import cast

from ftassets.backends.control.base import Control
from ftassets.backends.control.llm_judge_choices import add_choices, drop_choices, read_choices
from ftassets.backends.llm_judge.base import JudgeUnreachable, NotJudged
from ftassets.config.loop import LoopConfig, PairwiseJudgeSettings
from ftassets.config.profiles import pairwise_llm_judge
from ftassets.domain.canonical import digest_of
from ftassets.domain.chat import Asked, identity, request_body
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.judge_drift import REJUDGED, Rejudged, changed
from ftassets.domain.evaluation.llm_judge import (
    BothOrders,
    Calibration,
    JudgedPair,
    LabelledPair,
    PairwiseScore,
    Points,
    calibrate,
    contradictions,
    not_calibrated,
    pairwise_score,
    parse_labels,
    side,
    too_many_missing,
)
from ftassets.domain.evaluation.sampling import fixed_sample
from ftassets.domain.evaluation.scored_turns import last_answers
from ftassets.domain.gates.llm_judge import llm_judge_sample
from ftassets.wording import amount

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
    row is judged. Earlier choices of this judge on the same answers are reused, but some labelled pairs are judged again each time: once
    they show that the judge has changed, its choices are dropped and nothing is decided.
    """
    gates = [gate for each in loop.gates for gate in (each, *each.any_of) if gate.metric == "llm_judge"]
    if loop.llm_judge is None or not gates:
        return [], None
    try:
        panel = _Panel(control, loop, loop.llm_judge, say)
    except JudgeUnreachable as error:
        return [], not_calibrated(loop.llm_judge.min_kappa, str(error))
    of_gates = [(gate, [row for row in rows if gate.slice in (None, row.slice or "golden")]) for gate in gates]
    wanted = {name for gate, found in of_gates for name in llm_judge_sample(gate, [row.id for row in last_answers(found)])}
    sample = [row for row in rows if row.id in wanted]
    asked = {row.id: Asked(messages=row.messages, tools=row.tools) for row in sample}
    pairs = {name: _Pair(request, answers_candidate[name], answers_production[name]) for name, request in asked.items()}
    labels = _Labels.read(loop.llm_judge.labels, pairs.values(), say)
    calibration = _calibrate(panel, loop.llm_judge, labels, say)
    if not any(calibration.trusted(gate.confidence) for gate in gates):
        return [], calibration
    judged = panel.judge([pair for pair in pairs.values() if pair.a != pair.b])
    return [_pairwise_score(row, pairs[row.id], judged, labels.of(pairs[row.id])) for row in sample], calibration


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
            self._say(f"{amount(len(judged), 'pair was', 'pairs were')} judged before, asking the judge about {len(new)}")
        with ThreadPoolExecutor(CLIENTS) as pool:
            for begin in range(0, len(new), BATCH):
                batch = new[begin : begin + BATCH]
                said = dict(zip(batch, pool.map(self._ask, batch), strict=True))
                made = {keys[pair]: choices for pair, choices in said.items() if not isinstance(choices, str)}
                add_choices(self._control, self._judge.identity, made)
                judged |= said
                self._say(f"{min(begin + BATCH, len(new))} of {amount(len(new), 'pair')} asked")
        for why in sorted({choices for choices in judged.values() if isinstance(choices, str)})[:5]:
            self._say(f"not judged: {why}")
        return judged

    def repeated(self, pairs: Sequence[_Pair]) -> dict[_Pair, list[BothOrders]]:
        """What the judge chose when it was asked about pairs a second time at once, of those of which it was."""
        known = read_choices(self._control, self._judge.identity)
        return {pair: known[key] for pair in pairs if (key := self._key(pair, "repeated")) in known}

    def repeat(self, pairs: Sequence[_Pair]) -> None:
        """Ask about pairs a second time, and keep the choices."""
        made = {self._key(pair, "repeated"): choices for pair, choices in self.ask_again(pairs).items()}
        add_choices(self._control, self._judge.identity, made)

    def ask_again(self, pairs: Sequence[_Pair]) -> dict[_Pair, list[BothOrders]]:
        """What the judge chooses now, of the pairs that it answers."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            said = zip(pairs, pool.map(self._ask, pairs), strict=True)
            return {pair: choices for pair, choices in said if not isinstance(choices, str)}

    def begin_check(self) -> int:
        """The number of this check of the judge, from 1 on: no two have the same one, whatever becomes of them."""
        known = read_choices(self._control, self._judge.identity)
        number = next(number for number in count(1) if digest_of(["check", number]) not in known)
        add_choices(self._control, self._judge.identity, {digest_of(["check", number]): []})
        return number

    def forget(self) -> None:
        """Drop all choices of the judge."""
        drop_choices(self._control, self._judge.identity)

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

    def _key(self, pair: _Pair, *more: str) -> str:
        return digest_of([self._system, identity(pair.asked), pair.a, pair.b, self._repeats, *more])


@dataclass(frozen=True)
class _Labels:
    """What people prefer: labelled pairs, the number of lines that are refused, and the points of each pair of this report's answers."""

    pairs: Sequence[LabelledPair]
    refused: int
    ours: Mapping[str, Points]  # by `_side` of a pair
    own: Collection[str]  # ids of labelled pairs that are answers of this report
    problem: str | None = None

    @classmethod
    def read(cls, path: Path, compared: Iterable[_Pair], say: Say) -> "_Labels":
        try:
            pairs, bad = parse_labels(path.read_text(encoding="utf-8"), path.name)
        except (OSError, ValueError) as error:
            return cls([], 0, {}, (), f"the pairs people judged cannot be read: {error}")
        for line in bad[:20]:
            say(f"no labelled pair, {line.where}: {line.reason}")
        known = {_side(pair) for pair in compared}
        points: dict[str, Points] = {}
        own = set()
        for each in pairs:
            sides = [_side(_Pair(each.asked, *answers)) for answers in ((each.first, each.second), (each.second, each.first))]
            if not known.isdisjoint(sides):
                own.add(each.id)
                points |= {sides[0]: each.points, sides[1]: cast(Points, -each.points)}
        return cls(pairs, len(bad), points, own)

    def of(self, pair: _Pair) -> Points | None:
        """1 where people prefer the candidate's answer, -1 for production's, 0 for neither; None without a label."""
        return 0 if pair.a == pair.b else self.ours.get(_side(pair))


def _side(pair: _Pair) -> str:
    return digest_of([identity(pair.asked), pair.a, pair.b])


def _calibrate(panel: _Panel, settings: PairwiseJudgeSettings, labels: _Labels, say: Say) -> Calibration:
    if labels.problem:
        return not_calibrated(settings.min_kappa, labels.problem)
    texts = {each.id: _Pair(each.asked, each.first, each.second) for each in labels.pairs}
    judged = panel.judge(list(texts.values()))
    done: list[JudgedPair] = []
    reasons: list[str] = []
    for each in labels.pairs:
        choices = judged[texts[each.id]]
        if isinstance(choices, str):
            reasons.append(choices)
        else:
            done.append(JudgedPair(each, choices))
    calibration = calibrate(done, settings.min_kappa, len(reasons), labels.refused, labels.own)
    if calibration.problem and reasons:
        return calibration.model_copy(update={"problem": f"{calibration.problem}: {reasons[0]}"})
    if calibration.problem:
        return calibration
    problem = _problem_of_today(panel, done, texts, say)
    return calibration.model_copy(update={"problem": problem}) if problem else calibration


def _problem_of_today(panel: _Panel, judged: Sequence[JudgedPair], texts: Mapping[str, _Pair], say: Say) -> str | None:
    """Why it is not sure that the judge is the one that made the first choices; None if it is. Asks it about some labelled pairs again.

    The first choices stay those that others are compared with. A pair is asked about a second time at once when it is new.
    """
    chosen = set(fixed_sample([each.pair.id for each in judged], REJUDGED))
    anchors = {texts[each.pair.id]: each for each in judged if each.pair.id in chosen}
    repeated = panel.repeated(list(anchors))
    panel.repeat([pair for pair in anchors if pair not in repeated])
    if not repeated:
        return None
    check, now = panel.begin_check(), panel.ask_again(list(repeated))
    if too_many_missing(len(repeated) - len(now), len(repeated)):
        return (
            f"{len(repeated) - len(now)} of {len(repeated)} labelled pairs could not be judged again, so that it is open if the judge is "
            "still the same: see the log, then materialize eval_report again"
        )
    seen = [
        Rejudged(anchors[pair].pair.points, side(anchors[pair].choices), side(repeated[pair]), side(choices))
        for pair, choices in now.items()
    ]
    if why := changed(seen, check):
        panel.forget()
        say(f"the judge has changed: {why}")
        return f"the judge has changed since it was compared with people: {why}. Its choices were dropped: materialize eval_report again"
    return None


def _pairwise_score(row: Example, pair: _Pair, judged: Mapping[_Pair, list[BothOrders] | str], people: Points | None) -> PairwiseScore:
    name = row.slice or "golden"
    if pair.a == pair.b:  # nobody needs to be asked
        return PairwiseScore(id=row.id, slice=name, value=0.0, people=people, same=True)
    choices = judged[pair]
    if isinstance(choices, str):
        return PairwiseScore(id=row.id, slice=name, value=None, reason=choices, people=people)
    return PairwiseScore(id=row.id, slice=name, value=pairwise_score(choices), contradictions=contradictions(choices), people=people)
