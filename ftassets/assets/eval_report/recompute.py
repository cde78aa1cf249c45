"""A stored report computed again from the answers it was made of."""

from ftassets.assets._shared.dataset_files import table_rows
from ftassets.assets._shared.stored_reports import verdicts
from ftassets.assets.eval_report.forgetting import general_prompts
from ftassets.assets.eval_report.rows import Rows, as_pooled, read_rows, scores_of, without_unasked
from ftassets.assets.eval_report.sampled_answers import add_sampled
from ftassets.assets.eval_report.second_answers import sampled
from ftassets.backends.artifacts.answers import answers_file, answers_key
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.reports import read_eval_report
from ftassets.backends.control.base import Control
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.config.loop import LoopConfig
from ftassets.domain.evaluation.forgetting import divergences
from ftassets.domain.gates.policy import POOLED
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult
from ftassets.durable import file_digest
from ftassets.errors import FtassetsError


class NotReproduced(FtassetsError):
    """A report cannot be recomputed, or the recomputed one differs."""


def recompute(
    artifacts: Artifacts, control: Control, loop: LoopConfig, store: DatasetStore, digest: str
) -> tuple[EvalReport, list[GateResult]]:
    """A stored report with its scores computed again from the stored answers and row scores, and its verdicts by the rule of this release.

    One by a rule before `POOLED`, whose scores come out the same row by row, is then counted as this release counts.
    Raises ReportDamaged, and NotReproduced when a file is missing or not the one the report was made of, or when a score differs.
    """
    stored = read_eval_report(artifacts, loop.name, digest)
    for name, wanted in stored.answers_digests.items():
        key = answers_key(name)
        if not artifacts.exists(key) or file_digest(artifacts.local(key)) != wanted:
            what = "was changed after" if artifacts.exists(key) else "is missing, which was there when"
            raise NotReproduced(f"{artifacts.uri(key)} {what} the report {digest[:12]} was made: it cannot be computed again")
    rows = read_rows(store, loop, stored.golden_commit, stored.dataset_commit)
    try:
        made = _again(artifacts, loop, stored, rows, digest)
    except NotReproduced:
        if stored.gate_rule >= POOLED:
            raise
        each_by_itself = read_rows(store, loop, stored.golden_commit, stored.dataset_commit, pooled=False)
        made = as_pooled(_again(artifacts, loop, stored, each_by_itself, digest), rows)
    return made, verdicts(control, loop, made, digest)


def _again(artifacts: Artifacts, loop: LoopConfig, stored: EvalReport, rows: Rows, digest: str) -> EvalReport:
    """The report made of these rows. Raises NotReproduced if that is another one."""
    paths = {
        field: {role: [answers_file(artifacts, name) for name in names] for role, names in found.items()}
        for field, found in (("answers", stored.answers), ("row_scores", stored.row_scores))
    }
    scores = {
        role: add_sampled(
            artifacts, loop, rows, stored.sampled, role, scores_of(loop, rows, paths["answers"][role], paths["row_scores"].get(role, []))
        )
        for role in stored.scores
    }
    scores = without_unasked(loop, scores)
    if different := [role for role, each in scores.items() if each != stored.scores[role]]:
        raise NotReproduced(f"the scores of {different[0]} in the report {digest[:12]} come out differently now")
    second = stored.second_answers
    if second:
        values = [answers_file(artifacts, name) for name in second.row_scores]
        again = scores_of(loop, Rows([sampled(rows)], []), [answers_file(artifacts, second.answers)], values)
        if again != second.scores:
            raise NotReproduced(f"the scores of production's second answers in the report {digest[:12]} come out differently now")
        second = second.model_copy(update={"scores": again})
    general = stored.forgetting
    if general and divergences(table_rows(answers_file(artifacts, general.file), "answers"), general_prompts()) != general.kl:
        raise NotReproduced(f"the divergences on general prompts in the report {digest[:12]} come out differently now")
    return stored.model_copy(update={"scores": scores, "second_answers": second})
