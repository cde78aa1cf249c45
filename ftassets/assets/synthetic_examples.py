"""Requests for rare classes, written by a larger model and marked as synthetic."""

from collections.abc import Sequence

import dagster as dg

from ftassets.assets._shared.accepted import seed_commit
from ftassets.assets._shared.dataset_files import readable, seed_path, synthetic_path, to_parquet
from ftassets.assets._shared.node import asset
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.backends.teacher.base import Teacher, TeacherError, TeacherRefused
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import teacher
from ftassets.domain.dataset import synthesis
from ftassets.domain.dataset.curation.text import request_key
from ftassets.domain.dataset.rows import Example, Quarantined, left_out
from ftassets.reporting.tables import answer_cell, request_cell, table


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset of a loop with `dataset.teacher`."""

    @asset(loop, __doc__, {"openai"}, deps=["seed_examples"])
    def synthetic_examples(context: dg.AssetExecutionContext, dataset_store: dg.ResourceParam[DatasetStore]) -> dg.MaterializeResult:
        assert loop.dataset.teacher is not None
        seed, unreadable = readable(dataset_store.read(seed_commit(context.instance, dataset_store, loop), seed_path(loop.name)))
        if unreadable:  # curation quarantines them
            context.log.warning(left_out(unreadable, "the seed"))
        try:
            rows, bad = synthesise(teacher(loop.dataset.teacher), seed, loop)
        except TeacherError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        publication = dataset_store.publish(
            f"{context.run_id}-synthetic",
            {synthetic_path(loop.name): to_parquet(rows)},
            f"{loop.name}: {len(rows)} synthetic rows",
            {"loop": loop.name, "rows": str(len(rows)), "teacher": loop.dataset.teacher.model},
        )
        return dg.MaterializeResult(
            data_version=dg.DataVersion(publication.commit),
            metadata={
                "commit": publication.commit[:12],
                "rows": len(rows),
                "quarantined": len(bad),
                "teacher": loop.dataset.teacher.model,
                "examples": table(["request", "answer"], [(request_cell(r), answer_cell(r.completion)) for r in rows[:20]]),
                "refused": table(["where", "reason"], [(b.where, answer_cell(b.reason)) for b in bad[:20]]),
            },
        )

    return synthetic_examples


def synthesise(teacher: Teacher, rows: Sequence[Example], loop: LoopConfig) -> tuple[list[Example], list[Quarantined]]:
    """Rows a teacher writes for the rare classes of curated rows, and everything of its replies that is not usable.

    A class it refuses is quarantined. When it cannot be asked any more, what it has written is kept and the classes left are
    quarantined. Raises TeacherError when it wrote nothing at all for that reason, ValueError when the loop names no teacher.
    """
    known = {request_key(row) for row in rows}
    written: list[Example] = []
    bad: list[Quarantined] = []
    if none := loop.task.form.no_classes([row.completion for row in rows]):
        bad.append(Quarantined("teacher", f"not asked: {none}", ""))
    asked = synthesis.requests(rows, loop)
    assert loop.dataset.teacher is not None
    left_out = set(synthesis.rare_classes(rows, loop.task.form, loop.dataset.teacher.rare_below)) - {request.label for request in asked}
    reason = "not asked: all its rows are conversations, and a teacher writes requests of one message"
    bad += [Quarantined(f"teacher:{label}", reason, "") for label in sorted(left_out)]
    for number, request in enumerate(asked):
        try:
            reply = teacher.ask(synthesis.prompt_for(request, loop))
        except TeacherRefused as error:
            bad.append(Quarantined(f"teacher:{request.label}", str(error), ""))
            continue
        except TeacherError as error:
            if not written:
                raise
            bad += [Quarantined(f"teacher:{left.label}", f"not asked: {error}", "") for left in asked[number:]]
            break
        usable, rest = synthesis.parse_reply(reply, request, loop, known)
        known |= {request_key(row) for row in usable}
        written += usable
        bad += rest
    return written, bad
