"""Two versions side by side: what they were made of, what they scored, how they came into production."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ftassets.assets._shared.dataset_files import read_splits
from ftassets.assets._shared.stored_reports import same_policy, verdicts
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.reports import report_digests, report_key
from ftassets.backends.artifacts.versions import digests, load_manifest, version_folder
from ftassets.backends.control.base import Control
from ftassets.backends.control.releases import Releases, StatementMissing
from ftassets.backends.dataset_store.base import DatasetError, DatasetStore
from ftassets.backends.registry.base import RegisteredVersion, Registry
from ftassets.backends.signer.base import SignatureInvalid, Signer
from ftassets.config.loop import LoopConfig
from ftassets.domain.beginnings import the_one
from ftassets.domain.gates.report import EvalReport, in_slice
from ftassets.domain.release.statement import read_statement
from ftassets.domain.release.version import VersionManifest
from ftassets.errors import InvalidInput, StateDamaged, in_one_line
from ftassets.wording import amount

_ATTRIBUTES = (
    "kind",
    "base_model",
    "base_digest",
    "tokenizer_digest",
    "dataset_commit",
    "dataset_hash",
    "parent",
    "lineage",
    "code_commit",
)


@dataclass(frozen=True)
class Version:
    """A version here, the loop it is of, and its entry in the registry."""

    manifest: VersionManifest
    loop: str | None
    registered: RegisteredVersion | None


def run(
    artifacts: Artifacts,
    control: Control,
    loops: Mapping[str, LoopConfig],
    registry: Registry,
    store: DatasetStore,
    signer: Signer,
    first: str,
    second: str,
) -> dict[str, Any]:
    """Everything that is known of two versions and where they differ, as plain JSON.

    `first` and `second` are beginnings of digests or names in the registry. Scores come from a report that measured both on the same
    rows where there is one, else from each version's newest report. Raises InvalidInput for a text that names no version, or several.
    """
    a, b = (find(artifacts, registry, loops, text) for text in (first, second))
    measured = {side: _reports(artifacts, version) for side, version in (("a", a), ("b", b))}
    scores, note = _scores(a, b, measured["a"], measured["b"])
    return {
        "a": _describe(artifacts, control, a, loops, signer, measured["a"]),
        "b": _describe(artifacts, control, b, loops, signer, measured["b"]),
        "training": _differing(a.manifest.training, b.manifest.training),
        "dataset": _dataset(store, a, b),
        "scores": scores,
        "scores_note": note,
    }


def table(found: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(what, first, second) of every line a person reads."""
    a, b = found["a"], found["b"]
    rows = [("version", a["digest"][:12], b["digest"][:12]), ("name", a["name"] or "-", b["name"] or "-")]
    rows += [(name, _short(a[name]), _short(b[name])) for name in ("labels", *_ATTRIBUTES, "made_at", "adapter_bytes", "merged_bytes")]
    rows += [(f"training: {name}", str(x), str(y)) for name, (x, y) in found["training"].items()]
    rows += [(name, _short(a["metrics"].get(name)), _short(b["metrics"].get(name))) for name in sorted({*a["metrics"], *b["metrics"]})]
    if found["dataset"].get("rows"):
        rows += [
            (f"rows: {split}", str(counts["a"]), f"{counts['b']} (+{counts['added']} -{counts['removed']})")
            for split, counts in found["dataset"]["rows"].items()
        ]
    rows += [
        (f"exact match: {name}", f"{s['a']:.3f}", f"{s['b']:.3f} of {amount(s['rows'], 'row')}") for name, s in found["scores"].items()
    ]
    rows += [(f"gate: {name}", a["gates"].get(name, "-"), b["gates"].get(name, "-")) for name in sorted({*a["gates"], *b["gates"]})]
    for number in range(max(len(a["history"]), len(b["history"]))):
        rows.append(("history" if not number else "", _event(a["history"], number), _event(b["history"], number)))
    return rows


def find(artifacts: Artifacts, registry: Registry, loops: Iterable[str], text: str) -> Version:
    """The version that the beginning of a digest or a name in the registry names. Raises InvalidInput."""
    registered = [version for loop in loops for version in registry.versions(loop)]
    by_name = {version.digest for version in registered if version.name == text}
    if len(by_name) > 1:
        raise InvalidInput(f"{text!r} is the name of {amount(len(by_name), 'version')}: give the beginning of a digest instead")
    digest = by_name.pop() if by_name else the_one(text, digests(artifacts), "version")
    entry = next((version for version in registered if version.digest == digest), None)
    manifest = load_manifest(artifacts, digest)
    return Version(manifest, manifest.loop or (entry.loop if entry else None), entry)


def _reports(artifacts: Artifacts, version: Version) -> dict[str, EvalReport]:
    """Reports that measured the version by their digest, newest first."""
    digest, found = version.manifest.digest, {}
    for name in report_digests(artifacts, version.loop, "eval") if version.loop else ():
        key = report_key(str(version.loop), "eval", name)
        content = artifacts.get(key)
        if digest.encode() in content:  # a report is long: parse those about this version
            try:
                found[name] = EvalReport.parse(content)
            except ValueError as error:
                where = artifacts.uri(key)
                raise StateDamaged(f"{where} is not an eval report of this release ({in_one_line(error)}): move it away") from error
    return {name: report for name, report in found.items() if digest in _roles(report)}


def _roles(report: EvalReport) -> dict[str, str]:
    return {report.base: "base", report.production: "production", report.candidate: "candidate"}


def _scores(a: Version, b: Version, of_a: Mapping[str, EvalReport], of_b: Mapping[str, EvalReport]) -> tuple[dict[str, Any], str]:
    left, right = a.manifest.digest, b.manifest.digest
    both = next((report for report in of_a.values() if right in _roles(report)), None)
    if both is None and not (of_a and of_b):
        return {}, f"no report measured {left[:12] if not of_a else right[:12]}"
    x, y = (both, both) if both else (next(iter(of_a.values())), next(iter(of_b.values())))
    if both or (x.golden_commit == y.golden_commit and x.dataset_commit == y.dataset_commit):
        note = "both on the same rows" + (", in one report" if both else "")
    elif x.golden_commit == y.golden_commit:
        note = "the golden rows are the same, the held-out rows are each version's own"
    else:
        note = "measured on different golden sets: compare with care"
    mine, other = x.scores[_roles(x)[left]], y.scores[_roles(y)[right]]
    table = {}
    for name in sorted({s.slice for s in mine} & {s.slice for s in other}):
        one, two = in_slice(mine, name), in_slice(other, name)
        table[name] = {
            "a": sum(s.exact for s in one) / len(one),
            "b": sum(s.exact for s in two) / len(two),
            "rows": len(one) if len(one) == len(two) else f"{len(one)} and {len(two)}",
        }
    return table, note


def _describe(
    artifacts: Artifacts,
    control: Control,
    version: Version,
    loops: Mapping[str, LoopConfig],
    signer: Signer,
    reports: Mapping[str, EvalReport],
) -> dict[str, Any]:
    manifest, entry = version.manifest, version.registered
    folder = version_folder(artifacts, manifest.digest)
    tags = entry.tags if entry else {}
    sizes = {part: sum(p.stat().st_size for p in folder.glob(f"{part}/**/*") if p.is_file()) for part in ("adapter", "merged")}
    return {
        "digest": manifest.digest,
        "loop": version.loop,
        "name": entry.name if entry else None,
        "labels": [*(entry.aliases if entry else ()), *(["deprecated"] if "deprecated" in tags else [])],
        **{name: getattr(manifest, name) for name in _ATTRIBUTES},
        "made_at": datetime.fromtimestamp(manifest.made_at, UTC).isoformat(timespec="seconds") if manifest.made_at else None,
        "adapter_bytes": sizes["adapter"],
        "merged_bytes": sizes["merged"],
        "metrics": manifest.metrics,
        "gates": _gates(control, version, loops, signer, reports),
        "history": json.loads(tags.get("history", "[]")),
    }


def _gates(
    control: Control, version: Version, loops: Mapping[str, LoopConfig], signer: Signer, reports: Mapping[str, EvalReport]
) -> dict[str, str]:
    """Attested verdicts; of a version that was not released, those its newest report as a candidate gives with today's gates."""
    digest = version.manifest.digest
    if version.loop is None:
        return {}
    try:
        return dict(read_statement(Releases(control, signer).read(version.loop, digest).payload)[2]["verdicts"])
    except (StatementMissing, OSError, SignatureInvalid):
        pass
    name, report = next(((name, report) for name, report in reports.items() if report.candidate == digest), ("", None))
    loop = loops.get(version.loop)
    if report is None or loop is None or not same_policy(loop, report):
        return {}
    return {result.name: result.verdict.value for result in verdicts(control, loop, report, name)}


def _dataset(store: DatasetStore, a: Version, b: Version) -> dict[str, Any]:
    """Rows of each split, and how many the second version's dataset has more and less than the first's."""
    commits = (a.manifest.dataset_commit, b.manifest.dataset_commit)
    if not (a.loop and b.loop and all(commits)):
        return {"note": "not both versions name a dataset"}
    try:
        left, right = (
            {split: {row.id for row in rows} for split, rows in read_splits(store, str(commit), str(loop), bad=[]).items()}
            for commit, loop in zip(commits, (a.loop, b.loop), strict=True)
        )
    except DatasetError as error:
        return {"note": f"a dataset cannot be read: {error}"}
    counts = {}
    for split in [*left, *(split for split in right if split not in left)]:
        x, y = left.get(split, set()), right.get(split, set())
        counts[split] = {"a": len(x), "b": len(y), "added": len(y - x), "removed": len(x - y)}
    return {"rows": counts}


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {name: (a.get(name), b.get(name)) for name in sorted({*a, *b}) if a.get(name) != b.get(name)}


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    text = "-" if value is None else str(value)
    return text[:12] if len(text) in (40, 64) and text.isalnum() else text


def _event(history: Sequence[Mapping[str, str]], number: int) -> str:
    if number >= len(history):
        return ""
    event = history[number]
    return f"{event['at']} {event['part']} by {event['by']}: {event['reason']}"
