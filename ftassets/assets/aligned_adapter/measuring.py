"""What a training on preferences brought, measured of both versions as they are served: scores, and likelihoods of answers."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ftassets.assets.eval_report.answering import answer_all, answer_file
from ftassets.assets.eval_report.row_metrics import measure_metrics
from ftassets.assets.eval_report.rows import Rows, RowSet, by_id, scores_of
from ftassets.backends.artifacts.answers import answers_file, keep_answers
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.versions import version_folder
from ftassets.backends.evaluator.base import Evaluator
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.domain.canonical import digest_of
from ftassets.domain.chat import identity
from ftassets.domain.dataset.curation.text import request_key
from ftassets.domain.dataset.preference_rules import Preference
from ftassets.domain.dataset.rated import Rated
from ftassets.domain.dataset.rows import Example, to_jsonl
from ftassets.domain.evaluation.conversations import linked
from ftassets.domain.evaluation.jobs import AnsweredPrompt, Likelihood, PerplexityJob
from ftassets.domain.gates.alignment import Measured
from ftassets.domain.release.version import MERGED

EXACT, OVERLAP = "exact_match", "rouge.rougeL"
_TUNED, _ALIGNED = "tuned", "aligned"


def measure_scores(
    context: Any,
    home: Home,
    artifacts: Artifacts,
    loop: LoopConfig,
    evaluator: Evaluator,
    validation: Sequence[Example],
    versions: Mapping[str, str],
) -> tuple[str, list[Measured]]:
    """The metric, and both versions' values of it on each row: exact match, for texts the overlap of ROUGE-L.

    `versions` are the digests of `tuned`, `aligned` and their `base`. Raises EvaluationFailed.
    """
    rows = Rows([RowSet(linked(list(validation)))], [])
    roles = (_TUNED, _ALIGNED)
    answers = {role: [answer_file(artifacts, loop, versions[role], each, versions["base"]) for each in rows.sets] for role in roles}
    answer_all(context, home, artifacts, loop, evaluator, rows, answers, versions)
    metric, of_rows = (OVERLAP, ["rouge"]) if loop.task.type == "text" else (EXACT, [])
    files = measure_metrics(context, home, artifacts, loop, evaluator, of_rows, rows.sets, answers, {})[1] if of_rows else {}
    scores = {role: scores_of(loop, rows, answers[role], files.get(role, [])) for role in roles}
    values = {role: [each.values[metric] if of_rows else float(each.exact) for each in scores[role]] for role in roles}
    units = [each.conversation or each.id for each in scores[_TUNED]]
    return metric, [
        Measured(unit=unit, tuned=tuned, aligned=aligned)
        for unit, tuned, aligned in zip(units, values[_TUNED], values[_ALIGNED], strict=True)
    ]


def measure_preferences(
    context: Any,
    home: Home,
    artifacts: Artifacts,
    loop: LoopConfig,
    evaluator: Evaluator,
    held_out: Sequence[Preference],
    versions: Mapping[str, str],
) -> list[Measured]:
    """Both versions' margins of held-out pairs, or log-probabilities of held-out rated answers, in nats.

    Rows that the chat template does not take are left out. Raises EvaluationFailed.
    """
    fields = list(held_out[0].ANSWERS)
    work = home.work / f"{context.run_id}-preferences"
    work.mkdir(parents=True, exist_ok=True)
    files: dict[tuple[str, str], Path] = {}
    wanted: dict[Path, Likelihood] = {}
    try:
        for role in (_TUNED, _ALIGNED):
            for field in fields:
                said = [[identity(row), getattr(row, field)] for row in held_out]
                key = digest_of({"model": versions[role], "preferences": said, "system": loop.task.system_prompt})
                output = files[role, field] = answers_file(artifacts, f"{key}.likelihoods.parquet")
                if output.exists():
                    continue
                asked = work / f"{field}.jsonl"
                asked.write_text(to_jsonl(_asked(held_out, field)))
                model = version_folder(artifacts, versions[role]) / MERGED
                wanted[output] = Likelihood(model=model, rows_file=asked, output=output, system_prompt=loop.task.system_prompt)
        if wanted:
            evaluator.perplexity(PerplexityJob(likelihoods=list(wanted.values()), work=work), context)
            for output in wanted:
                keep_answers(artifacts, output)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    found = {of: by_id(path) for of, path in files.items()}

    def log_prob(role: str, field: str, place: int) -> float | None:
        nll = found[role, field][str(place)]["nll"]
        return None if nll is None else -nll

    measured = []
    for place, row in enumerate(held_out):
        values = {role: [log_prob(role, field, place) for field in fields] for role in (_TUNED, _ALIGNED)}
        known = {role: [each for each in of if each is not None] for role, of in values.items()}
        if any(len(each) < len(fields) for each in known.values()):
            continue
        # of a pair chosen less rejected, in the order of ANSWERS
        margins = {role: each[0] - each[1] if len(each) > 1 else each[0] for role, each in known.items()}
        up = row.rating == "up" if isinstance(row, Rated) else None
        measured.append(Measured(unit=unit_of(row), tuned=margins[_TUNED], aligned=margins[_ALIGNED], up=up))
    return measured


def unit_of(row: Preference) -> str:
    """What rows of one request have in common, without its words."""
    return digest_of(request_key(row))[:16]


def _asked(held_out: Sequence[Preference], field: str) -> list[AnsweredPrompt]:
    return [
        AnsweredPrompt(id=str(place), messages=row.messages, tools=row.tools, expected=getattr(row, field), slice="preferences")
        for place, row in enumerate(held_out)
    ]
