"""Reading what earlier runs recorded: newest materializations and the verdicts on them."""

from collections.abc import Iterable, Iterator

import dagster as dg

DATA_VERSION = "dagster/data_version"
PAGE = 20  # events read at once
SIGNED = "signed"  # metadata of a release: the statement that was signed


def node(loop: str, name: str) -> dg.AssetKey:
    """Key of one node of a loop."""
    return dg.AssetKey([loop, name])


def history(instance: dg.DagsterInstance, key: dg.AssetKey, limit: int | None = None) -> Iterator[tuple[float, dg.AssetMaterialization]]:
    """Newest materializations first, each with its time in epoch seconds: as many as are asked for, or `limit` of them."""
    cursor, left = None, limit
    while left is None or left > 0:
        page = instance.fetch_materializations(key, limit=PAGE if left is None else min(left, PAGE), cursor=cursor)
        for record in page.records:
            if record.asset_materialization:
                yield record.timestamp, record.asset_materialization
        cursor, left = page.cursor, None if left is None else left - len(page.records)
        if not page.has_more:
            return


def newest(instance: dg.DagsterInstance, key: dg.AssetKey) -> dg.AssetMaterialization | None:
    """The newest materialization, if there is one."""
    return next((event for _, event in history(instance, key, limit=1)), None)


def data_version(event: dg.AssetMaterialization) -> str:
    """The commit or digest a materialization stands for. Raises KeyError when it names none."""
    return (event.tags or {})[DATA_VERSION]


def required(instance: dg.DagsterInstance, key: dg.AssetKey) -> str:
    """Data version of the newest materialization. Raises dg.Failure saying what to materialize first."""
    event = newest(instance, key)
    if event is None:
        raise dg.Failure(f"{key.to_user_string()} has never been materialized: materialize it first", allow_retries=False)
    return data_version(event)


def made_by(instance: dg.DagsterInstance, key: dg.AssetKey) -> str | None:
    """Id of the run that made the newest materialization; None if it was reported by hand, or before the first one."""
    records = instance.fetch_materializations(key, limit=1).records
    return (records[0].run_id or None) if records else None


def metadata_value(event: dg.AssetMaterialization, name: str) -> object:
    """Plain value of one metadata entry, None when it is not there."""
    entry = event.metadata.get(name)
    return None if entry is None else entry.value


def names(event: dg.AssetMaterialization, entry: str, digest: str | None) -> bool:
    """Whether a metadata entry names this digest: entries have its first 12 characters, those of earlier releases all of it.

    An empty entry names no digest, which is what None asks for.
    """
    value = str(metadata_value(event, entry) or "")
    return (digest or "").startswith(value) if value else not digest


def report_digest(release: dg.AssetMaterialization) -> str:
    """Digest of the eval report that a release rests on."""
    signed = metadata_value(release, SIGNED)
    return str(signed["report_digest"] if isinstance(signed, dict) else metadata_value(release, "report_digest"))


def refused_gates(instance: dg.DagsterInstance, report: dg.AssetKey, names: Iterable[str]) -> dict[str, str]:
    """Why each named gate does not count for the newest report; empty means all passed on exactly that report.

    A verdict counts only if a run produced it for the newest materialization: this holds when only `release` is
    materialized, when checks were left out of a job, and against verdicts reported by hand.
    """
    records = instance.fetch_materializations(report, limit=1).records
    if not records:
        return dict.fromkeys(names, "the report was never materialized")
    why = {}
    for name in names:
        record = instance.get_latest_asset_check_evaluation_record(dg.AssetCheckKey(report, name))
        event = record.event.dagster_event if record and record.event else None
        found = event.event_specific_data if event else None
        if not isinstance(found, dg.AssetCheckEvaluation):
            why[name] = "not evaluated"
        elif found.target_materialization_data is None or record is None or not record.run_id:
            why[name] = "the verdict was not produced by a run"
        elif found.target_materialization_data.storage_id != records[0].storage_id:
            why[name] = "the verdict belongs to an older report"
        elif not found.passed:
            why[name] = "failed"
    return why
