"""Seed, labels, corrections, answers rated up and synthetic rows, curated, split without leaks, and committed."""

import itertools
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import dagster as dg
import numpy as np

from ftassets.assets._shared.accepted import golden_commit, seed_commit
from ftassets.assets._shared.dataset_files import (
    card_objects,
    dataset_objects,
    labels_folder,
    read_evaluation_rows,
    read_rejected,
    read_written,
    readable,
    refused_branch,
    rows_of_splits,
    seed_path,
    synthetic_path,
)
from ftassets.assets._shared.events import node
from ftassets.assets._shared.node import asset
from ftassets.assets._shared.tokenizers import known_control_tokens, production_tokenizer
from ftassets.assets.curated_dataset.checks import results, specs
from ftassets.assets.curated_dataset.golden_vectors import golden_vectors
from ftassets.assets.curated_dataset.refused import forget_old
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.dataset_store.base import DatasetStore, MergeConflict, ObjectNotFound
from ftassets.backends.embedder.base import Embedder, EmbedderOf
from ftassets.backends.serving.base import Serving
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.backends.vector_store.base import VectorStore
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import dataset_kind, name_finder
from ftassets.domain.acceptance import in_words, refusals
from ftassets.domain.canonical import digest_of
from ftassets.domain.chat import embedded_text, newest_generation, vector_space
from ftassets.domain.dataset.acceptance import BLOCKING, dataset_checks
from ftassets.domain.dataset.curation import Curated, StepReport, curate, splits_of
from ftassets.domain.dataset.feedback import from_feedback
from ftassets.domain.dataset.rows import Example, Quarantined, shown
from ftassets.domain.dataset.shards import content_hash
from ftassets.reporting.plots import bars, funnel, histogram
from ftassets.reporting.tables import table, without_quotes
from ftassets.wording import amount

_BATCH = 8192  # rows that are embedded or tokenised at a time


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset: a branch of its own, one commit, and a merge unless it is refused; the commit is its data version."""
    key = node(loop.name, "curated_dataset")
    upstream = ["seed_examples", "golden_set", "traffic", "drift_report", *(["synthetic_examples"] if loop.dataset.teacher else [])]

    @asset(loop, __doc__, {dataset_kind()}, deps=upstream, check_specs=specs(key))
    def curated_dataset(
        context: dg.AssetExecutionContext,
        artifacts: dg.ResourceParam[Artifacts],
        serving: dg.ResourceParam[Serving],
        traffic_log: dg.ResourceParam[TrafficLog],
        vector_store: dg.ResourceParam[VectorStore],
        dataset_store: dg.ResourceParam[DatasetStore],
        embedder_of: dg.ResourceParam[EmbedderOf],
    ) -> dg.MaterializeResult:
        embedder = embedder_of(loop.embedder)
        seeded = seed_commit(context.instance, dataset_store, loop)
        golden_of = golden_commit(context.instance, dataset_store, loop)
        golden = read_evaluation_rows(dataset_store, golden_of, loop)
        rows, rejected = readable(dataset_store.read(seeded, seed_path(loop.name)))
        rejected += read_rejected(dataset_store, seeded, loop.name)
        main = dataset_store.resolve("main")
        stored, unreadable = read_written(dataset_store, main, [labels_folder(loop.name), synthetic_path(loop.name)])
        forgotten = traffic_log.forgotten()
        rows += [row for row in stored if row.request_id not in forgotten]
        rejected += unreadable
        read_at = time.time()
        reviewed = traffic_log.reviewed(loop.name, read_at - loop.dataset.production_window)
        liked, unusable = from_feedback(reviewed, loop.task.form, loop.dataset.exclude_tags)
        rows += liked
        rejected += unusable
        production = serving.state(loop.name).production
        known_rows: dict[str, int] = {}  # a number for each row of the last dataset by its id, which is another one for another row
        before = splits_of(_noted(_previous(dataset_store, main, loop), known_rows))
        space = newest_generation(vector_space(embedder.id, loop.dataset.context), vector_store.embedders(loop.name))
        embedded = vector_store.find(loop.name, space, [row.request_id for row in rows if row.request_id])
        known = {point.request_id: point.vector for point in embedded}
        kept_out = golden_vectors(artifacts, embedder, space, [(row.id, embedded_text(row, loop.dataset.context)) for row in golden])
        rows, vectors, unembedded = _vectors(embedder, rows, known, kept_out.shape[1], loop.dataset.context)
        rejected += unembedded
        curated = curate(
            rows,
            vectors,
            golden,
            kept_out,
            before,
            loop,
            rejected,
            tokens=_tokens(artifacts, production, rows),
            control_tokens=known_control_tokens(artifacts, production, loop),
            names=name_finder() if loop.dataset.pii_names else None,
            progress=lambda step, number, of: context.log.info(f"curation step {number} of {of}: {step}"),
        )
        if not curated.splits["train"]:
            raise dg.Failure(
                f"no row is left to train on of {len(rows)} collected",
                metadata={"funnel": _funnel_table(curated), "dropped": _dropped_table(curated)},
                allow_retries=False,
            )
        checks = dataset_checks(loop, curated, len(rows) + len(rejected), vectors, _places(rows, curated.renamed), golden, kept_out)
        refused = refusals(checks, BLOCKING)
        shard = f"{int(time.time())}-{context.run_id[:8]}"
        recipe = loop.dataset.model_dump(mode="json", exclude={"seed", "teacher", "license", "exclude_tags"})
        recipe |= {"min_chars": loop.min_chars, "embedder": embedder.id}
        recipe |= {"license": loop.dataset.license} if loop.dataset.license else {}  # datasets of earlier releases stay as they are
        recipe |= {"exclude_tags": loop.dataset.exclude_tags} if loop.dataset.exclude_tags else {}
        files = dataset_objects(dataset_store, loop.name, curated.splits, curated.dropped, curated.balance, recipe, shard, main, checks)
        made_from = {"seed rows": seeded, "golden rows, kept out": golden_of}
        files = {**files, **card_objects(dataset_store, loop, curated, files, made_from, main)}
        message = f"{loop.name}: dataset of {amount(curated.rows, 'row')}"
        facts = {
            "loop": loop.name,
            "seed_commit": seeded,
            "golden_commit": golden_of,
            "labels_until": repr(read_at),
            "labels_commit": main,
            "content_hash": content_hash(curated.splits),
            "recipe": digest_of(recipe),
            **{split: str(len(members)) for split, members in curated.splits.items()},
            "dropped": str(len(curated.dropped)),
        }
        if refused:  # its rows can be looked at, but nothing is trained on them: main holds accepted datasets only
            branch = refused_branch(loop.name, context.run_id)
            facts["refused"] = ", ".join(sorted(refused))
            commit = dataset_store.set_aside(branch, context.run_id, files, f"{message}, refused", facts, since=main)
            context.log.warning(f"refused, and not merged to main: {in_words(refused)}. Its rows are on the branch {branch}")
            if old := forget_old(dataset_store, loop.name):
                context.log.info(f"branches of older refused datasets deleted: {', '.join(old)}")
        else:
            try:
                commit = dataset_store.publish(context.run_id, files, message, facts, since=main).commit
            except MergeConflict as conflict:  # another run landed a dataset since we looked, started by hand for example
                context.log.warning(f"{conflict}: curating once more, on top of it")
                raise dg.RetryRequested(max_retries=2) from conflict
        return dg.MaterializeResult(
            data_version=dg.DataVersion(commit),
            metadata={
                **_metadata(loop, curated, commit, known_rows, _previous(dataset_store, main, loop), refused),
                "labels_until": dg.MetadataValue.timestamp(read_at),
                "labels_commit": main,
            },
            check_results=results(loop, curated, checks),
        )

    return curated_dataset


def _previous(store: DatasetStore, commit: str, loop: LoopConfig) -> Iterator[tuple[str, Example]]:
    """Split and row of each row of the last dataset; nothing before the first."""
    with suppress(ObjectNotFound):
        yield from rows_of_splits(store, commit, loop.name)


def _noted(rows: Iterable[tuple[str, Example]], numbers: dict[str, int]) -> Iterator[tuple[str, Example]]:
    for split, row in rows:
        numbers[row.id] = hash(row)
        yield split, row


def _vectors(
    embedder: Embedder, rows: Sequence[Example], known: dict[str, np.ndarray], dimensions: int, context: str
) -> tuple[list[Example], np.ndarray, list[Quarantined]]:
    """The rows with unit vectors of their prompts (n, dimensions), and those that the embedder cannot embed.

    A prompt that the embedder cannot read has a vector of zeros. Vectors of requests that were embedded as traffic are not computed again.
    """
    missing = [i for i, row in enumerate(rows) if row.request_id not in known]
    vectors = _large(len(rows), dimensions)
    failed: dict[int, str] = {}
    for start in range(0, len(missing), _BATCH):
        part = missing[start : start + _BATCH]
        vectors[part], bad = embedder.embed_each([embedded_text(rows[i], context) for i in part])
        failed |= {part[place]: reason for place, reason in bad.items()}
    for i, row in enumerate(rows):
        if row.request_id in known:
            vectors[i] = known[row.request_id]
    kept = [i for i in range(len(rows)) if i not in failed]
    for place, i in enumerate(kept):
        if place != i:
            vectors[place] = vectors[i]
    for start in range(0, len(kept), _BATCH):
        part = kept[start : start + _BATCH]
        read = embedder.reads([embedded_text(rows[i], context) for i in part])
        vectors[start : start + len(part)][~read] = 0
    without = [Quarantined(f"{rows[i].source}:{rows[i].id}", reason, shown(rows[i].prompt)) for i, reason in failed.items()]
    return [rows[i] for i in kept], vectors[: len(kept)], without


def _large(rows: int, columns: int) -> np.ndarray:
    """An array of float32 in a file without a name, so that a million vectors do not have to fit into memory."""
    cache = Home.from_env().cache
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=cache) as file:
        return np.memmap(file, np.float32, "w+", shape=(max(1, rows), columns))[:rows]


def _tokens(artifacts: Artifacts, production: str | None, rows: Sequence[Example]) -> list[int] | None:
    """Tokens of request and answer, counted as production's tokenizer does; None without a version, or when its tokenizer is not here."""
    file = production_tokenizer(artifacts, production)
    if file is None:
        return None
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    counts: list[int] = []
    for start in range(0, len(rows), _BATCH):
        texts = [f"{row.prompt}\n{row.completion}" for row in rows[start : start + _BATCH]]
        counts += [len(found) for found in tokenizer.encode_batch(texts, add_special_tokens=False)]
    return counts


def _places(rows: Sequence[Example], renamed: Mapping[str, str]) -> dict[str, int]:
    found = {row.id: place for place, row in enumerate(rows)}
    return found | {new: found[old] for new, old in renamed.items()}


def _metadata(
    loop: LoopConfig,
    curated: Curated,
    commit: str,
    old: Mapping[str, int],
    before: Iterator[tuple[str, Example]],
    refused: Mapping[str, str],
) -> dict[str, Any]:
    rows = [row for members in curated.splits.values() for row in members]
    new = [row for row in rows if row.id not in old]
    gone = old.keys() - {row.id for row in rows}
    changed = [row for row in rows if row.id in old and old[row.id] != hash(row)]
    left = itertools.islice((row for _, row in before if row.id in gone), 5) if gone else ()
    by_source = Counter(row.source for row in rows)
    sources = [(name, count, f"{count / len(rows):.0%}") for name, count in by_source.most_common()]
    lengths = [len(row.prompt) + len(row.completion) for row in rows]
    listed = (("new", new[:10]), ("changed", changed[:5]), ("gone", left))
    diff = [(what, row.id, row.source, len(row.completion)) for what, some in listed for row in some]
    return {
        "verdict": f"REFUSED: {in_words(refused)}" if refused else f"{curated.preflight.verdict.value}: {curated.preflight.sentence}",
        "commit": commit[:12],
        "rows": len(rows),
        "new_rows": len(new),
        "changed_rows": len(changed),
        "gone_rows": len(gone),
        "splits": {split: len(members) for split, members in curated.splits.items()},
        "sources": dict(by_source),
        "quarantined": len(curated.dropped),
        "steps": _funnel_table(curated),
        "provenance": table(["source", "rows", "share"], sources),
        "conflicts": _conflicts_table(curated),
        "dropped": _dropped_table(curated),
        "diff": table(["since the last dataset", "row", "source", "characters of the answer"], diff),
        "funnel": dg.MetadataValue.md(funnel([(step.name, step.kept) for step in curated.funnel])),
        "classes": _classes(loop, rows),
        "lengths": dg.MetadataValue.md(histogram("characters of request and answer", lengths)),
    }


def _classes(loop: LoopConfig, rows: Sequence[Example]) -> dg.MetadataValue:
    form = loop.task.form
    if none := form.no_classes([row.completion for row in rows]):
        return dg.MetadataValue.text(none)
    return dg.MetadataValue.md(bars("rows per class", Counter(form.label(row.completion) for row in rows).most_common(30)))


def _funnel_table(curated: Curated) -> dg.MetadataValue:
    head = ["step", "rows left", "quarantined", "changed", "counted"]
    lines = [(step.name, step.kept, step.dropped, step.changed, step.skipped or ", ".join(_counted(step))) for step in curated.funnel]
    return table(head, lines)


def _counted(step: StepReport) -> list[str]:
    return [f"{name} {n}" + (f" ({step.examples[name]})" if name in step.examples else "") for name, n in step.counts.items()]


def _conflicts_table(curated: Curated) -> dg.MetadataValue:
    """Up to 50 requests that rows answer differently, by the ids of the rows: the answer kept first."""
    lines = [
        (
            each.decided_by,
            "; ".join(f"{answer.source} of {answer.voices}: {', '.join(answer.rows[:5])}" for answer in each.answers),
        )
        for each in curated.conflicts[:50]
    ]
    return table(["decided by", "answers: source, voices and rows of each"], lines)


def _dropped_table(curated: Curated) -> dg.MetadataValue:
    """Up to five rows of each step that dropped some: their texts are in the quarantine, which `forget` can change."""
    shown: Counter[str] = Counter()
    lines = []
    for item in curated.dropped:
        step = item.where.split(":")[0]
        shown[step] += 1
        if shown[step] <= 5:
            lines.append((item.where, without_quotes(item.reason)))
    return table(["step and row", "reason"], lines)
