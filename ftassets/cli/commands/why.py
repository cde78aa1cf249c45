"""From an answer back to the rows it was learnt from: version, release, gates, approval, run, dataset, nearest training rows."""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ftassets.assets._shared.dataset_files import read_index, shards_of, table_rows
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.reports import ReportDamaged, read_report
from ftassets.backends.artifacts.version_folder import VersionDamaged
from ftassets.backends.artifacts.versions import load_manifest
from ftassets.backends.control.base import Control
from ftassets.backends.control.journal import read_transitions
from ftassets.backends.control.releases import Kind, Releases, StatementMissing
from ftassets.backends.dataset_store.base import DatasetError, DatasetStore
from ftassets.backends.embedder.base import Embedder, EmbedderError
from ftassets.backends.signer.base import SignatureInvalid, Signer
from ftassets.backends.traffic_log.base import Exchange, TrafficLog
from ftassets.backends.traffic_log.day_files import DayFiles
from ftassets.domain.dataset.nearest import nearest
from ftassets.domain.release.statement import read_statement
from ftassets.domain.release.version import VersionManifest
from ftassets.errors import InvalidInput, StateDamaged, in_one_line
from ftassets.wording import amount, utc

State = Literal["known", "erased", "unknown", "none"]
CANDIDATES = 200  # rows with most words in common, of which the embedder finds the nearest
SHOWN = 100  # characters of a row's text


@dataclass(frozen=True)
class Link:
    """One link of the chain. `facts` are plain JSON.

    erased: somebody had it forgotten. unknown: nothing here tells, and the sentence says why. none: there is nothing of the kind.
    """

    name: str
    state: State
    sentence: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stores:
    """Where the links are; `embedder` gives that of a loop, None where rows are compared by their words alone."""

    artifacts: Artifacts
    control: Control
    signer: Signer
    datasets: DatasetStore
    log: TrafficLog
    days: Sequence[DayFiles]
    embedder: Callable[[str], Embedder | None]


def why(of: Stores, answer: str, most: int = 5, texts: bool = False) -> list[Link]:
    """The links of an answer, named by its id, with at most so many training rows; with `texts` the beginnings of their requests.

    Raises InvalidInput if nothing here ever had the answer, and what the stores raise.
    """
    found = _exchange(of, answer)
    if found is None:
        if answer not in of.log.forgotten():
            raise InvalidInput(
                f"there is no answer {answer!r}: give the id that the gateway returned, as chatcmpl-...; days that retention deleted "
                "without a copy cannot be looked up"
            )
        return [Link("answer", "erased", f"{answer} was forgotten, and with it which version answered")]
    links = [_answer(of, found), _traffic(of, found)]
    manifest, version = _version(of, found)
    links.append(version)
    releases = Releases(of.control, of.signer)
    release = _in_force(releases, found, "release")
    links.append(_release(releases, found, release))
    if release is not None and not release.get("adopted"):
        links += [_gates(release), _approval(releases, found, release), _report(of, found.loop, release), _run(release)]
    links += _dataset(of, found, manifest, most, texts)
    return links


def as_text(links: Iterable[Link]) -> str:
    """Lines for a terminal."""
    lines = []
    for link in links:
        state = "" if link.state in ("known", "none") else f"{link.state.upper()}: "
        lines.append(f"{link.name:<10} {state}{link.sentence}")
        for row in link.facts.get("rows", ()):
            text = f"  {row['text']}" if row.get("text") else ""
            lines.append(f"{'':<10} {row['similarity']:.3f} {row['source']} {row['id']}{' (erased)' if row['erased'] else ''}{text}")
    return "\n".join(lines)


def _exchange(of: Stores, answer: str) -> Exchange | None:
    if found := of.log.named(None, [answer]):
        return found[0]
    return next((row for files in of.days for loop in files.loops() for row in files.find(loop, ids=[answer])), None)


def _answer(of: Stores, found: Exchange) -> Link:
    said = of.log.feedback_on([found.id]).get(found.id)
    facts = {
        "id": found.id, "loop": found.loop, "at": found.at, "user": found.user or None, "status": found.status, "weight": found.weight,
        "rating": said.rating if said else None, "corrected": bool(said and said.correction),
    }  # fmt: skip
    opinion = f", rated {said.rating}" if said and said.rating else ""
    opinion += ", corrected by a user" if said and said.correction else ""
    return Link("answer", "known", f"{found.id} of {found.loop}, {utc(found.at)}, status {found.status}{opinion}", facts)


def _traffic(of: Stores, found: Exchange) -> Link:
    """The transition by which the version had traffic then."""
    try:
        moves = read_transitions(of.control, found.loop)
    except StateDamaged as error:
        return Link("traffic", "unknown", str(error))
    before = [move for move in moves if move.at <= found.at and move.moves_traffic]
    if not before or found.version not in before[-1].state.weights:
        return Link(
            "traffic", "unknown", f"the journal gives {found.version[:12]} no traffic at that time: it was imported, or went another way"
        )
    # the first of the moves since which the version has this weight
    weight, move = before[-1].state.weights[found.version], before[-1]
    for each in reversed(before):
        if each.state.weights.get(found.version) != weight:
            break
        move = each
    facts = {"number": move.number, "action": move.action, "by": move.by, "reason": move.reason, "at": move.at, "weight": weight}
    return Link("traffic", "known", f"{weight} % by {move.action} {move.number}, {utc(move.at)}, {move.by}: {move.reason}", facts)


def _version(of: Stores, found: Exchange) -> tuple[VersionManifest | None, Link]:
    if not found.version:
        return None, Link("version", "none", "no version answered")
    try:
        manifest = load_manifest(of.artifacts, found.version)
    except (VersionDamaged, InvalidInput) as error:
        return None, Link("version", "unknown", f"{found.version[:80]!r}: {in_one_line(error)}", {"digest": found.version})
    facts = {
        "digest": found.version, "kind": manifest.kind, "base_model": manifest.base_model, "base_digest": manifest.base_digest,
        "parent": manifest.parent, "made_at": manifest.made_at, "lineage": manifest.lineage, "training": manifest.training,
        "dataset_commit": manifest.dataset_commit, "code_commit": manifest.code_commit,
    }  # fmt: skip
    made = f", made {utc(manifest.made_at)}" if manifest.made_at else ""
    lineage = f"; {manifest.lineage}" if manifest.lineage else ""
    return manifest, Link("version", "known", f"{found.version[:12]}, {manifest.kind} of {manifest.base_model}{made}{lineage}", facts)


def _in_force(releases: Releases, found: Exchange, kind: Kind, **same: object) -> dict[str, Any] | None:
    """What the newest statement of the version says that was signed before the answer; that of its first one if all came later."""
    said = []
    try:
        statements = list(releases.statements(found.loop, found.version, kind)) if found.version else []
    except InvalidInput:  # an imported version may have a name that nothing can be stored under
        return None
    for signed in statements:
        try:
            predicate = read_statement(signed.payload)[2]
        except ValueError:
            continue
        if all(predicate.get(name) == value for name, value in same.items()):
            said.append({**predicate, "signed_by": signed.key_id, "revoked": signed.revoked})
    said.sort(key=lambda each: each.get("issued_at", 0))
    before = [each for each in said if each.get("issued_at", 0) <= found.at]
    return before[-1] if before else said[0] if said else None


def _release(releases: Releases, found: Exchange, said: Mapping[str, Any] | None) -> Link:
    if said is None:
        try:
            releases.read(found.loop, found.version)
        except (StatementMissing, SignatureInvalid, InvalidInput) as error:
            return Link("release", "unknown", str(error))
        return Link("release", "unknown", "its statement cannot be read")
    facts = {name: value for name, value in said.items() if name != "generation"}
    revoked = f"; the key was revoked since: {said['revoked']}" if said["revoked"] else ""
    late = "; signed only after the answer" if said.get("issued_at", 0) > found.at else ""
    key = f"key {said['signed_by'][:12]}"
    if said.get("adopted"):
        text = f"adopted by {said.get('by')}, nothing was evaluated: {said.get('reason')}; {key}"
    else:
        text = f"signed {utc(said.get('issued_at', 0))} with {key}, compared with {str(said.get('compared_with'))[:12]}"
    return Link("release", "known", f"{text}{revoked}{late}", facts)


def _gates(said: Mapping[str, Any]) -> Link:
    verdicts, override = said.get("verdicts") or {}, said.get("override")
    words = ", ".join(f"{name} {verdict}" for name, verdict in verdicts.items()) or "none"
    by = f"; {', '.join(override['gates'])} overridden by {override['name']} ({override['role']}): {override['reason']}" if override else ""
    return Link("gates", "known", f"{words}{by}", {"verdicts": verdicts, "override": override})


def _approval(releases: Releases, found: Exchange, release: Mapping[str, Any]) -> Link:
    said = _in_force(releases, found, "approval", report_digest=release.get("report_digest"))
    if said is not None:
        return Link("approval", "known", f"{said['name']} ({said['role']}), {utc(said['issued_at'])}: {said['reason']}", said)
    if release.get("needs_approval") is False:
        return Link("approval", "none", "the loop was in mode auto: no person was asked")
    return Link("approval", "unknown", "no approval of this report is stored: the version went out by command, or the file is gone")


def _report(of: Stores, loop: str, release: Mapping[str, Any]) -> Link:
    digest, golden = str(release.get("report_digest")), release.get("golden_commit")
    facts = {"digest": digest, "golden_commit": golden, "policy_digest": release.get("policy_digest")}
    try:
        read_report(of.artifacts, loop, "eval", digest)
    except (ReportDamaged, InvalidInput) as error:
        return Link("report", "unknown", in_one_line(error), facts)
    return Link("report", "known", f"eval report {digest[:12]} on golden set {str(golden)[:12]}", facts)


def _run(release: Mapping[str, Any]) -> Link:
    run = release.get("run_id")
    if run is None:
        return Link("run", "unknown", "the release does not name it")
    return Link("run", "known", f"Dagster run {run}", {"run_id": run, "code_commit": release.get("code_commit")})


def _dataset(of: Stores, found: Exchange, manifest: VersionManifest | None, most: int, texts: bool) -> list[Link]:
    if manifest is None:
        return [Link("dataset", "unknown", "what the version was trained on is in its manifest alone")]
    commit, loop = manifest.dataset_commit, manifest.loop or found.loop
    if commit is None:
        return [Link("dataset", "none", f"a version of kind {manifest.kind} was not trained here")]
    align = manifest.recipe.get("align") or {}
    facts: dict[str, Any] = {"commit": commit, "preferences_commit": align.get("preferences_commit"), "content_hash": manifest.dataset_hash}
    try:
        made = of.datasets.get_commit(commit)
        rows = sum(shard.rows for shard in read_index(of.datasets, commit, loop).shards.get("train", ()))
        known = Link(
            "dataset",
            "known",
            f"commit {commit[:12]}, {utc(made.created_at)}, {amount(rows, 'training row')}",
            {**facts, "created_at": made.created_at, "train": rows, **{f"commit_{name}": value for name, value in made.metadata.items()}},
        )
        return [known, _nearest(of, found, loop, commit, most, texts)]
    except (DatasetError, ValueError) as error:
        return [Link("dataset", "unknown", f"commit {commit[:12]}: {in_one_line(error)}", facts)]


def _nearest(of: Stores, found: Exchange, loop: str, commit: str, most: int, texts: bool) -> Link:
    """Training rows whose last message of a user is most like that of the request."""
    index = read_index(of.datasets, commit, loop)
    train = (content for split, _, content in shards_of(of.datasets, commit, loop, index) if split == "train")
    rows = [row for content in train for row in table_rows(io.BytesIO(content), "dataset_rows")]
    asked = [_last_asked(row) for row in rows]
    by_words = nearest(found.prompt, asked, CANDIDATES)
    embedder, measure, note = of.embedder(found.loop), "words", ""
    if embedder is not None and by_words:
        try:
            vectors = embedder.embed([found.prompt, *(asked[place] for place, _ in by_words)])
            cosines, measure = vectors[1:] @ vectors[0], embedder.id
            by_words = [(by_words[number][0], float(cosines[number])) for number in np.argsort(-cosines, kind="stable")]
        except EmbedderError as error:
            note = f" ({in_one_line(error)})"
    near = [(rows[place], asked[place], similarity) for place, similarity in by_words[:most]]
    gone = of.log.forgotten() if any(row.get("request_id") for row, _, _ in near) else set()
    listed = []
    for row, text, similarity in near:
        erased = row.get("request_id") in gone
        facts = {"id": row["id"], "similarity": round(similarity, 4), "source": row["source"], "request_id": row.get("request_id")}
        listed.append({**facts, "erased": erased, **({"text": text[:SHOWN]} if texts and not erased else {})})
    if not listed:
        return Link("rows", "none", "no training row has a word in common with the request", {"rows": [], "measure": measure})
    by = "TF-IDF vectors of words" if measure == "words" else f"vectors of {measure.split(':')[0]}"
    sentence = f"the nearest of {amount(len(rows), 'training row')}, by the cosine of {by}{note}"
    return Link("rows", "known", sentence, {"rows": listed, "measure": measure})


def _last_asked(row: Mapping[str, Any]) -> str:
    said = [message.get("content") for message in row.get("messages") or () if message.get("role") == "user" and message.get("content")]
    return str(said[-1]) if said else ""
