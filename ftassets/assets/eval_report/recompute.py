"""A stored report computed again from the answers it was made of."""

import dagster as dg

from ftassets.assets._shared.stored_reports import read_report, verdicts
from ftassets.assets.eval_report.rows import read_rows, scores_of
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.domain.canonical import file_digest
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult


def recompute(home: Home, loop: LoopConfig, store: DatasetStore, digest: str) -> tuple[EvalReport, list[GateResult]]:
    """A stored report with its scores computed again from the stored answers and row scores, and its verdicts.

    Raises dg.Failure when a file is missing or not the one the report was made of, or when a score comes out differently.
    """
    stored = read_report(home, loop, digest)
    for name, wanted in stored.answers_digests.items():
        path = home.answers / name
        if not path.exists() or file_digest(path) != wanted:
            what = "was changed after" if path.exists() else "is missing, which was there when"
            raise dg.Failure(f"{path} {what} the report {digest[:12]} was made: it cannot be computed again", allow_retries=False)
    rows = read_rows(store, loop, stored.golden_commit, stored.dataset_commit)
    paths = {
        field: {role: [home.answers / name for name in names] for role, names in found.items()}
        for field, found in (("answers", stored.answers), ("row_scores", stored.row_scores))
    }
    scores = {role: scores_of(loop, rows, paths["answers"][role], paths["row_scores"].get(role, [])) for role in stored.scores}
    if different := [role for role, each in scores.items() if each != stored.scores[role]]:
        raise dg.Failure(f"the scores of {different[0]} in the report {digest[:12]} come out differently now", allow_retries=False)
    made = stored.model_copy(update={"scores": scores})
    return made, verdicts(home, loop, made, digest)


def find_report(home: Home, loop: str, beginning: str = "") -> str:
    """Digest of the one stored report that begins so; with nothing given, of the newest. Raises ValueError naming what there is."""
    files = sorted((home.reports / loop).glob("eval-*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    digests = [path.stem.removeprefix("eval-") for path in files]
    found = [digest for digest in digests if digest.startswith(beginning)]
    if not found or (beginning and len(found) > 1):
        there = ", ".join(digest[:12] for digest in digests) or "none: materialize eval_report first"
        raise ValueError(f"loop {loop} has {len(found) or 'no'} reports that begin with {beginning!r}; there is {there}")
    return found[0]
