"""From a row, a person, a commit or a base model forward to what was made with it: datasets, versions, reports, releases, answers."""

import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ftassets.assets._shared.dataset_files import (
    golden_path,
    labels_folder,
    names_in_dataset,
    pairs_path,
    rated_path,
    row_names,
    seed_path,
    sets_folder,
    synthetic_path,
)
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.reports import report_digests, report_key
from ftassets.backends.artifacts.version_folder import VersionDamaged
from ftassets.backends.artifacts.versions import digests, load_manifest
from ftassets.backends.control.base import Control
from ftassets.backends.control.journal import read_transitions
from ftassets.backends.control.releases import Releases
from ftassets.backends.control.served import count_for
from ftassets.backends.dataset_store.base import Commit, DatasetError, DatasetStore, RefNotFound
from ftassets.backends.signer.base import SignatureInvalid, Signer
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.backends.traffic_log.day_files import DayFiles
from ftassets.domain.release.statement import read_statement
from ftassets.domain.release.version import VersionManifest
from ftassets.errors import InvalidInput, StateDamaged
from ftassets.wording import amount, utc

_COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_SHORTEST = 8  # characters of a digest that name a version or a base
# in canonical JSON a quote inside of a text has a backslash before it, so that none of these can be part of one
_NAMED = re.compile(rb'"(candidate|dataset_commit|golden_commit)":"([0-9a-f]+)"')
_ALL = 100_000  # commits
COUNT_SECONDS = 0.5  # for answers that nobody counted yet: a first count of a long log takes minutes


@dataclass
class Impact:
    """What a thing reached. `kind` says what it was taken for; `unknown` what could not be followed, and why.

    A version of `versions` says `how`: it was trained on such rows, continued from such a version, or has this base.
    """

    subject: str
    kind: str
    requests: int = 0
    forgotten: int = 0
    datasets: list[dict[str, Any]] = field(default_factory=list)
    versions: list[dict[str, Any]] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)
    releases: list[dict[str, Any]] = field(default_factory=list)
    endpoints: list[dict[str, Any]] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Stores:
    """What is followed; `loops` are the names of all loops."""

    artifacts: Artifacts
    control: Control
    signer: Signer
    datasets: DatasetStore
    log: TrafficLog
    days: Sequence[DayFiles]
    loops: Collection[str]


def impact(of: Stores, subject: str) -> Impact:
    """What was made with a version or base model, a commit of the dataset store, a request, a dataset row or a user (as hashed in the log).

    Raises InvalidInput if nothing here is called so, and what the stores raise.
    """
    with of.datasets.opened():
        return _impact(of, subject)


def _impact(of: Stores, subject: str) -> Impact:
    made = Impact(subject, "")
    manifests = _manifests(of, made)
    history = of.datasets.log("main", limit=_ALL)
    if found := _of_base(manifests, subject):
        made.kind = "version or base model"
    elif commit := _commit(of, subject):
        made.kind = "commit"
        _follow_commit(made, history, commit)
    else:
        _follow_rows(of, made, history, subject)
    commits = {each["commit"] for each in made.datasets}
    found |= {digest: f"trained on {rows[:12]}" for digest, each in manifests.items() if (rows := _learnt_from(each, commits))}
    found |= _descendants(manifests, found)
    made.versions = [{"version": digest, "loop": manifests[digest].loop, "how": how} for digest, how in found.items()]
    _follow_versions(of, made, found, commits)
    return made


def as_text(made: Impact) -> str:
    """Lines for a terminal."""
    lines = [f"{made.subject} is taken for a {made.kind}"]
    if made.requests or made.forgotten:
        lines.append(f"{amount(made.requests, 'request')} in the traffic log, {made.forgotten:,} forgotten")
    for each in made.datasets:
        rows = f" has {amount(each['rows'], 'row')}" if each["rows"] is not None else ""
        lines.append(f"  dataset   {each['loop']} commit {each['commit'][:12]}{rows} ({each['part']})")
    lines += [f"  version   {each['version'][:12]} of {each['loop']}: {each['how']}" for each in made.versions]
    lines += [f"  report    {each['report'][:12]} of {each['loop']}: {each['how']}" for each in made.reports]
    lines += [
        f"  release   {each['version'][:12]} of {each['loop']}, signed {utc(each['issued_at'])}{each['note']}" for each in made.releases
    ]
    for each in made.endpoints:
        end = utc(each["until"]) if each["until"] else "now"
        lines.append(f"  endpoint  {each['loop']}: {each['version'][:12]} had traffic from {utc(each['since'])} to {end}")
    lines += [f"  answers   {each['answers']:,} of {each['loop']} by {each['version'][:12]}" for each in made.answers]
    lines += [f"  UNKNOWN   {why}" for why in made.unknown]
    if len(lines) == 1:
        lines.append("nothing was made with it")
    return "\n".join(lines)


def _manifests(of: Stores, made: Impact) -> dict[str, VersionManifest]:
    found = {}
    for digest in digests(of.artifacts):
        try:
            found[digest] = load_manifest(of.artifacts, digest)
        except VersionDamaged as error:
            made.unknown.append(f"version {digest[:12]} may be among them: {error}")
    return found


def _of_base(manifests: Mapping[str, VersionManifest], subject: str) -> dict[str, str]:
    """Versions that are the subject or have it as their base."""
    found = {}
    for digest, manifest in manifests.items():
        if len(subject) >= _SHORTEST and digest.startswith(subject):
            found[digest] = "itself"
        elif subject == manifest.base_model or (len(subject) >= _SHORTEST and (manifest.base_digest or "").startswith(subject)):
            found[digest] = f"its base is {manifest.base_model}"
    return found


def _commit(of: Stores, subject: str) -> Commit | None:
    try:
        return of.datasets.get_commit(subject) if _COMMIT.fullmatch(subject) else None
    except RefNotFound:
        return None


def _follow_commit(made: Impact, history: Sequence[Commit], commit: Commit) -> None:
    """The commit itself, and datasets that were made with it."""
    loop, place = commit.metadata.get("loop", ""), {each.id: number for number, each in enumerate(history)}
    made.datasets.append({"loop": loop, "commit": commit.id, "part": commit.message, "rows": None})
    for each in history:
        if "content_hash" not in each.metadata or each.metadata.get("loop") != loop or each.id == commit.id or len(each.parents) < 2:
            continue
        labels = place.get(each.metadata.get("labels_commit", ""))  # it has all batches up to this one
        if each.metadata.get("seed_commit") == commit.id:
            made.datasets.append({"loop": loop, "commit": each.id, "part": "made with this seed", "rows": None})
        elif "batch" in commit.metadata and labels is not None and labels <= place.get(commit.id, -1):
            made.datasets.append({"loop": loop, "commit": each.id, "part": "made with these labels", "rows": None})


def _follow_rows(of: Stores, made: Impact, history: Sequence[Commit], subject: str) -> None:
    """Commits with rows of the request, the user or the row that is called so."""
    named = of.log.named(None, [subject]) or [row for files in of.days for loop in files.loops() for row in files.find(loop, ids=[subject])]
    theirs = [] if named else list(of.log.of_user(subject))
    gone = of.log.forgotten(subject) or of.log.forgotten() & {subject}
    ids = {subject, *gone, *(row.id for row in (*named, *theirs))}

    def wanted(row: Mapping[str, Any]) -> bool:
        return row.get("request_id") in ids or row.get("id") == subject or row.get("user") == subject

    made.requests, made.forgotten = len(named) + len(theirs), len(gone)
    loops = sorted({*of.loops, *(path.partition("/")[0] for path in of.datasets.list("main", ""))})
    known: dict[str, list[dict[str, Any]]] = {}
    users = False
    for commit in history:
        loop = commit.metadata.get("loop")
        if loop not in loops or len(commit.parents) < 2:  # a merge repeats what it merges
            continue
        try:
            for part, rows in _rows_of(of.datasets, commit, loop, wanted, known):
                made.datasets.append({"loop": loop, "commit": commit.id, "part": part, "rows": len(rows)})
                users = users or any(row.get("user") == subject for row in rows)
        except (DatasetError, ValueError) as error:
            made.unknown.append(f"commit {commit.id[:12]} of {loop} may have it: {error}")
    if not (named or theirs or gone or made.datasets):
        raise InvalidInput(
            f"nothing here is called {subject!r}: give a request, a dataset row, the hash of a user (ftassets user-hash), a commit of the "
            "dataset store, a base model, or the beginning of a version's digest"
        )
    made.kind = "request" if named else "user" if theirs or users or of.log.forgotten(subject) else "request" if gone else "row"


def _rows_of(
    store: DatasetStore, commit: Commit, loop: str, wanted: Callable[[Mapping[str, Any]], bool], known: dict[str, list[dict[str, Any]]]
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """What a commit brought of the wanted rows, by part."""
    if "content_hash" in commit.metadata:
        rows = list(names_in_dataset(store, commit.id, loop, wanted, known))
        for split in sorted({row["split"] for row in rows}):
            yield split, [row for row in rows if row["split"] == split]
        return
    kinds = {pairs_path(loop): "preference_pairs", rated_path(loop): "rated_answers"}
    kinds |= dict.fromkeys((seed_path(loop), golden_path(loop), synthetic_path(loop)), "dataset_rows")
    for change in store.diff(commit.parents[0], commit.id):
        batch = "dataset_rows" if change.path.startswith((labels_folder(loop), sets_folder(loop))) else None
        kind = kinds.get(change.path, batch)
        if kind is None or change.kind == "removed":
            continue
        if rows := [row for row in row_names(store.read(commit.id, change.path), kind) if wanted(row)]:
            yield change.path.removeprefix(f"{loop}/").removesuffix(".parquet"), rows


def _learnt_from(manifest: VersionManifest, commits: Collection[str]) -> str | None:
    """Which of the commits a version was trained on, as rows or as preferences; None for another one."""
    align = manifest.recipe.get("align") or {}
    return next((commit for commit in (manifest.dataset_commit, align.get("preferences_commit")) if commit in commits), None)


def _descendants(manifests: Mapping[str, VersionManifest], found: Mapping[str, str]) -> dict[str, str]:
    """Versions whose training continued from one of these, or from one that did."""
    more: dict[str, str] = {}
    while new := {
        digest: f"training continued from {manifest.parent[:12]}"
        for digest, manifest in manifests.items()
        if manifest.parent and manifest.parent in {*found, *more} and digest not in {*found, *more}
    }:
        more |= new
    return more


def _follow_versions(of: Stores, made: Impact, versions: Collection[str], commits: Collection[str]) -> None:
    releases, now, deadline = Releases(of.control, of.signer), time.time(), time.monotonic() + COUNT_SECONDS
    loops = sorted({*of.loops, *(each["loop"] for each in made.versions if each["loop"]), *(each["loop"] for each in made.datasets)} - {""})
    for loop in loops:
        for digest in report_digests(of.artifacts, loop, "eval"):
            says = dict(reversed(_NAMED.findall(of.artifacts.get(report_key(loop, "eval", digest)))))
            candidate, golden, dataset = (says.get(name, b"").decode() for name in (b"candidate", b"golden_commit", b"dataset_commit"))
            if candidate in versions:
                made.reports.append({"loop": loop, "report": digest, "how": f"evaluated {candidate[:12]}"})
            elif golden in commits or dataset in commits:
                rows = golden if golden in commits else dataset
                made.reports.append({"loop": loop, "report": digest, "how": f"evaluated {candidate[:12]} on rows of {rows[:12]}"})
        for version in releases.versions(loop):
            if version in versions:
                made.releases.append({"loop": loop, "version": version, **_released(releases, loop, version)})
        try:
            made.endpoints += [{"loop": loop, **each} for each in _served(of.control, loop, versions)]
        except StateDamaged as error:
            made.unknown.append(str(error))
        if not versions:
            continue
        served, behind = count_for(of.control, of.log, loop, now, deadline - time.monotonic())
        if behind is not None:
            made.unknown.append(f"answers of {loop} that came after {utc(behind)} are not counted yet: ftassets cost {loop} counts them")
        sums = served.since(0.0)
        made.answers += [{"loop": loop, "version": v, "answers": sums[v].answers} for v in sorted(versions) if v in sums]


def _released(releases: Releases, loop: str, version: str) -> dict[str, Any]:
    try:
        signed = releases.read(loop, version)
        said = read_statement(signed.payload)[2]
    except (SignatureInvalid, ValueError) as error:
        return {"issued_at": 0, "note": f", but {error}"}
    note = f", key revoked: {signed.revoked}" if signed.revoked else ""
    return {"issued_at": said.get("issued_at", 0), "note": note}


def _served(control: Control, loop: str, versions: Collection[str]) -> Iterator[dict[str, Any]]:
    """Spans in which one of the versions had traffic; `until` is None for one that has it now."""
    since: dict[str, float] = {}
    for move in read_transitions(control, loop):
        having = {version for version in move.state.weights if version in versions}
        for version in having - since.keys():
            since[version] = move.at
        for version in since.keys() - having:
            yield {"version": version, "since": since.pop(version), "until": move.at}
    yield from ({"version": version, "since": at, "until": None} for version, at in since.items())
