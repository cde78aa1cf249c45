"""Which version of its inputs an asset takes: the newest accepted one.

What people wrote and what was curated is taken from `main`, where nothing refused gets; datasets and versions are accepted by the
verdicts that are stored with them. Dagster's events say only which versions there are: a verdict among them counts for nothing,
because checks can be left out of a run and events can be reported by hand.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import dagster as dg

from ftassets.assets._shared.dataset_files import golden_path, index_path, read_index, seed_path, set_path
from ftassets.assets._shared.events import data_version, history, metadata_value, newest, node, required
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.reports import ReportDamaged, find_report, read_report
from ftassets.backends.artifacts.version_folder import VersionDamaged
from ftassets.backends.artifacts.versions import load_manifest
from ftassets.backends.dataset_store.base import DatasetError, DatasetStore, ObjectNotFound
from ftassets.config.loop import LoopConfig
from ftassets.domain.acceptance import in_words, refusals
from ftassets.domain.dataset.acceptance import BLOCKING as OF_DATASET
from ftassets.domain.gates.alignment import Alignment, decide
from ftassets.domain.gates.result import Verdict
from ftassets.domain.release.version import TRAINED, VersionManifest
from ftassets.domain.training.acceptance import BLOCKING as OF_VERSION
from ftassets.domain.training.acceptance import version_checks
from ftassets.errors import InvalidInput

PAST = 200  # adapters looked through for an accepted one
ALIGNMENT = "alignment"  # metadata of an aligned_adapter: what was measured of it


@dataclass(frozen=True)
class Input:
    """The commit or digest to use, and a sentence about a newer one that was refused, if there is one."""

    id: str
    passed_over: str | None = None


def seed_commit(instance: dg.DagsterInstance, store: DatasetStore, loop: LoopConfig) -> str:
    """The commit of the seed rows on main. Raises dg.Failure before the first one."""
    return _on_main(instance, store, loop.name, "seed_examples", [seed_path(loop.name)])


def golden_commit(instance: dg.DagsterInstance, store: DatasetStore, loop: LoopConfig) -> str:
    """The commit of the golden set and the further sets on main. Raises dg.Failure before the first one, or while a set is not there."""
    paths = [golden_path(loop.name), *(set_path(loop.name, each.name) for each in loop.sets)]
    return _on_main(instance, store, loop.name, "golden_set", paths)


def accepted_dataset(instance: dg.DagsterInstance, store: DatasetStore, loop: str) -> Input:
    """The newest accepted dataset. Raises dg.Failure without one."""
    event = newest(instance, node(loop, "curated_dataset"))
    made = data_version(event) if event else None
    try:
        commit = store.last_change("main", index_path(loop))
    except ObjectNotFound:
        commit = None
    refused = {each: in_words(found) for each in (made, commit) if each and (found := dataset_refusals(store, each, loop))}
    if commit is None or commit in refused:
        if (name := next(iter(refused), made)) is None:
            raise _failure(f"{loop}/curated_dataset has never been materialized: materialize it first")
        why = refused.get(name, "it is not on main")
        text = f"no dataset of {loop} is accepted. The newest, {name[:12]}, was refused: {why}"
        raise _failure(f"{text}. Mend what it names and materialize curated_dataset again")
    if made in refused:
        return Input(commit, f"dataset {made[:12]} is newer and was refused: {refused[made]}. {commit[:12]} is used")
    return Input(commit)


def accepted_adapter(instance: dg.DagsterInstance, artifacts: Artifacts, store: DatasetStore, loop: str) -> Input:
    """The newest accepted adapter. Raises dg.Failure without one."""
    return _newest_accepted(instance, loop, "adapter", lambda event: adapter_refusals(artifacts, store, data_version(event), loop))


def accepted_candidate(instance: dg.DagsterInstance, artifacts: Artifacts, store: DatasetStore, loop: LoopConfig) -> Input:
    """The newest accepted version that a report is made of: the adapter, or what `aligned_adapter` decided for. Raises dg.Failure."""
    if loop.align is None:
        return accepted_adapter(instance, artifacts, store, loop.name)

    def refused(event: dg.AssetMaterialization) -> dict[str, str]:
        digest = data_version(event)
        return adapter_refusals(artifacts, store, digest, loop.name) or alignment_refusals(artifacts, loop, digest, event)

    return _newest_accepted(instance, loop.name, "aligned_adapter", refused)


def _newest_accepted(
    instance: dg.DagsterInstance, loop: str, name: str, refused_of: Callable[[dg.AssetMaterialization], dict[str, str]]
) -> Input:
    key = node(loop, name)
    newer: tuple[str, str] | None = None
    seen: set[str] = set()
    for _, event in history(instance, key, PAST):
        if (digest := data_version(event)) in seen:
            continue
        seen.add(digest)
        refused = refused_of(event)
        if not refused:
            said = f"{name} {newer[0][:12]} is newer and was refused: {newer[1]}. {digest[:12]} is used" if newer else None
            return Input(digest, said)
        newer = newer or (digest, in_words(refused))
    if newer is None:
        return Input(required(instance, key))
    text = f"no {name} of {loop} is accepted. The newest, {newer[0][:12]}, was refused: {newer[1]}"
    raise _failure(f"{text}. Mend what it names and materialize {name} again")


def alignment_refusals(artifacts: Artifacts, loop: LoopConfig, digest: str, event: dg.AssetMaterialization) -> dict[str, str]:
    """Why a version may be no candidate though its training is accepted: trained on preferences, it must have proved to be better.

    That is decided again from the stored measurements that its event names, by the settings of today; of other versions nothing is asked.
    """
    assert loop.align is not None
    manifest = load_manifest(artifacts, digest)
    if not (trained := manifest.recipe.get("align")):
        return {}
    try:
        named = find_report(artifacts, loop.name, "alignment", str(metadata_value(event, ALIGNMENT) or digest))
        report = Alignment.parse(read_report(artifacts, loop.name, "alignment", named))
    except (InvalidInput, ReportDamaged, ValueError) as error:
        return {ALIGNMENT: str(error)}
    if (report.aligned, report.tuned, report.method) != (digest, manifest.parent, trained["method"]):
        return {ALIGNMENT: f"the measurements {named[:12]} are of another version"}
    decision = decide(report, loop.align)
    return {} if decision.verdict is Verdict.PASS else {ALIGNMENT: f"{decision.verdict.value}: {decision.sentence}"}


def dataset_refusals(store: DatasetStore, commit: str, loop: str) -> dict[str, str]:
    """Why the dataset of a commit is refused, by check; empty means that it is accepted."""
    try:
        checks = read_index(store, commit, loop).checks
    except (DatasetError, InvalidInput, ValueError) as error:
        return {"index": str(error)}
    return refusals(checks, OF_DATASET) if checks else {"checks": "an earlier release published it without its verdicts"}


def adapter_refusals(artifacts: Artifacts, store: DatasetStore, digest: str, loop: str) -> dict[str, str]:
    """Why a version may be no candidate, by check: its training, its parts, and its dataset. Its files are not read."""
    try:
        manifest = load_manifest(artifacts, digest)
    except VersionDamaged as error:
        return {"manifest": str(error)}
    if manifest.kind not in TRAINED or manifest.loop != loop:
        return {"manifest": f"it was not trained for {loop}"}
    return refusals(version_checks(manifest), OF_VERSION) | trained_on_refusals(store, manifest, loop)


def trained_on_refusals(store: DatasetStore, manifest: VersionManifest, loop: str) -> dict[str, str]:
    """Why the dataset that a version was trained on is refused; it must also hold the rows that the manifest names."""
    commit = manifest.dataset_commit
    if commit is None:
        return {"dataset": "the manifest names no dataset"}
    if refused := dataset_refusals(store, commit, loop):
        return {f"dataset {commit[:12]}": in_words(refused)}
    if manifest.dataset_hash not in (None, read_index(store, commit, loop).content_hash):
        return {f"dataset {commit[:12]}": "its rows are not those that the manifest names"}
    return {}


def _on_main(instance: dg.DagsterInstance, store: DatasetStore, loop: str, name: str, paths: Iterable[str]) -> str:
    try:
        return store.last_change("main", *paths)
    except ObjectNotFound as error:
        if newest(instance, node(loop, name)) is None:
            raise _failure(f"{loop}/{name} has never been materialized: materialize it first") from error
        raise _failure(f"{error} on main, which the loop file asks for: materialize {name} again") from error


def _failure(text: str) -> dg.Failure:
    return dg.Failure(text, allow_retries=False)
