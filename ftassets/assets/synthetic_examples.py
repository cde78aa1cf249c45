"""Requests for rare classes, written by a larger model and marked as synthetic."""

import dagster as dg

from ftassets.assets._shared.dataset_files import from_parquet, seed_path, synthetic_path, to_parquet
from ftassets.assets._shared.events import node, required
from ftassets.assets._shared.node import asset
from ftassets.assets._shared.synthesise import synthesise
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.backends.teacher.base import TeacherError
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import teacher
from ftassets.reporting.tables import markdown_table


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset of a loop with `dataset.teacher`."""

    @asset(loop, __doc__, {"openai"}, deps=["seed_examples"])
    def synthetic_examples(context: dg.AssetExecutionContext, dataset_store: dg.ResourceParam[DatasetStore]) -> dg.MaterializeResult:
        assert loop.dataset.teacher is not None
        seed = from_parquet(dataset_store.read(required(context.instance, node(loop.name, "seed_examples")), seed_path(loop.name)))
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
                "commit": publication.commit,
                "rows": len(rows),
                "quarantined": len(bad),
                "teacher": loop.dataset.teacher.model,
                "examples": dg.MetadataValue.md(markdown_table(["request", "answer"], [(r.prompt, r.completion) for r in rows[:20]])),
                "refused": dg.MetadataValue.md(markdown_table(["where", "reason"], [(b.where, b.reason) for b in bad[:20]])),
            },
        )

    return synthetic_examples
