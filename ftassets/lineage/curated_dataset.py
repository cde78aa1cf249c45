"""Seed examples, corrections and liked answers, cleaned, split without leaks, and committed."""

import json
import time
from collections import Counter

import dagster as dg

from ftassets.domain.curation import Curated, curate
from ftassets.domain.loop import LoopConfig
from ftassets.domain.rows import Example
from ftassets.domain.scoring import label_of
from ftassets.lineage.dataset_files import from_parquet, golden_path, quarantine_path, read_splits, seed_path, split_path, to_parquet
from ftassets.lineage.events import node, required
from ftassets.lineage.node import describe
from ftassets.reporting.plots import funnel
from ftassets.reporting.tables import markdown_table
from ftassets.resources.dataset_store.base import DatasetStore, ObjectNotFound
from ftassets.resources.embedder.base import Embedder
from ftassets.resources.traffic_log.base import Reviewed, TrafficLog

SIZE, SUM = "enough_rows", "rows_add_up"


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset: a branch of its own, one commit, a merge; the commit is its data version."""
    key = node(loop.name, "curated_dataset")

    @dg.asset(
        key=key,
        deps=[node(loop.name, name) for name in ("seed_examples", "golden_set", "traffic", "drift_report")],
        check_specs=[dg.AssetCheckSpec(SIZE, asset=key), dg.AssetCheckSpec(SUM, asset=key)],
        **describe(loop, __doc__, {"lakefs"}),
    )
    def curated_dataset(
        context: dg.AssetExecutionContext,
        traffic_log: dg.ResourceParam[TrafficLog],
        dataset_store: dg.ResourceParam[DatasetStore],
        embedder: dg.ResourceParam[Embedder],
    ) -> dg.MaterializeResult:
        seed_commit = required(context.instance, node(loop.name, "seed_examples"))
        golden_commit = required(context.instance, node(loop.name, "golden_set"))
        golden = from_parquet(dataset_store.read(golden_commit, golden_path(loop.name)))
        since = time.time() - loop.dataset.production_window
        rows = from_parquet(dataset_store.read(seed_commit, seed_path(loop.name)))
        rows += from_feedback(traffic_log.reviewed(loop.name, since))
        try:
            previous = {row.id: split for split, members in read_splits(dataset_store, "main", loop.name).items() for row in members}
        except ObjectNotFound:
            previous = {}
        vectors = embedder.embed([row.prompt for row in [*rows, *golden]])
        curated = curate(rows, vectors[: len(rows)], golden, vectors[len(rows) :], previous, loop)
        if not curated.splits["train"]:
            raise dg.Failure(
                f"no row is left to train on of {len(rows)} collected",
                metadata={"dropped": dg.MetadataValue.md(_dropped_table(curated))},
                allow_retries=False,
            )
        files = {split_path(loop.name, split): to_parquet(members) for split, members in curated.splits.items()}
        files[quarantine_path(loop.name)] = json.dumps([vars(row) for row in curated.dropped], indent=1).encode()
        publication = dataset_store.publish(
            context.run_id,
            files,
            f"{loop.name}: dataset of {curated.rows} rows",
            {
                "loop": loop.name,
                "seed_commit": seed_commit,
                "golden_commit": golden_commit,
                **{split: str(len(members)) for split, members in curated.splits.items()},
                "dropped": str(len(curated.dropped)),
            },
        )
        return dg.MaterializeResult(
            data_version=dg.DataVersion(publication.commit),
            metadata=_metadata(loop, curated, publication.commit, previous),
            check_results=[
                dg.AssetCheckResult(
                    check_name=SIZE,
                    passed=curated.rows >= loop.dataset.min_rows,
                    severity=dg.AssetCheckSeverity.WARN,
                    description=f"{curated.rows} rows, {loop.dataset.min_rows} are asked for; such a task usually needs 1,000 to 5,000",
                ),
                dg.AssetCheckResult(
                    check_name=SUM,
                    passed=len(rows) == curated.rows + len(curated.dropped),
                    description=f"{len(rows)} collected = {curated.rows} kept + {len(curated.dropped)} quarantined",
                ),
            ],
        )

    return curated_dataset


def from_feedback(reviewed: list[Reviewed]) -> list[Example]:
    """Corrections and liked answers as examples; a thumb down without a correction teaches nothing here."""
    rows = []
    for item in reviewed:
        exchange, feedback = item.exchange, item.feedback
        if feedback.correction:
            completion, source = feedback.correction, "correction"
        elif feedback.rating == "up":
            completion, source = exchange.answer, "liked"
        else:
            continue
        rows.append(
            Example(
                id=exchange.id, prompt=exchange.prompt, completion=completion, source=source, user=exchange.user,
                request_id=exchange.id, version=exchange.version, at=exchange.at,
            )
        )  # fmt: skip
    return rows


def _metadata(loop: LoopConfig, curated: Curated, commit: str, previous: dict[str, str]) -> dict:
    rows = [row for members in curated.splits.values() for row in members]
    by_label = markdown_table(["class", "rows"], Counter(label_of(row.completion, loop.task.label) for row in rows).most_common())
    return {
        "commit": commit,
        "rows": len(rows),
        "new_rows": sum(row.id not in previous for row in rows),
        "splits": {split: len(members) for split, members in curated.splits.items()},
        "sources": dict(Counter(row.source for row in rows)),
        "quarantined": len(curated.dropped),
        "funnel": dg.MetadataValue.md(funnel(curated.funnel)),
        "classes": dg.MetadataValue.md(by_label),
        "dropped": dg.MetadataValue.md(_dropped_table(curated)),
    }


def _dropped_table(curated: Curated) -> str:
    return markdown_table(["step and row", "reason", "request"], [(d.where, d.reason, d.content) for d in curated.dropped[:30]])
