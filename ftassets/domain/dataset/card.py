"""What a dataset's commit says about itself: a card for Hugging Face's hub and metadata in the vocabulary Croissant 1.1.

Both are made of facts of the commit alone, so the same dataset has the same bytes. They hold numbers and names of settings, no user's
text: what `forget` takes out of a dataset must not stay in a description of it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import yaml

from ftassets.domain.dataset.curation import Curated
from ftassets.domain.dataset.curation.language import shares
from ftassets.domain.dataset.curation.pipeline import StepReport
from ftassets.domain.dataset.rows import Example
from ftassets.domain.dataset.shards import Index
from ftassets.wording import amount

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

CROISSANT = "http://mlcommons.org/croissant/1.1"
SOURCES = {
    "seed": "written by people, before there was traffic",
    "label": "answers of annotators",
    "correction": "requests of users, with the answer a user gave instead of the model's",
    "thumbs_up": "requests of users, with an answer of the model that a user rated up",
    "synthetic": "written by a teacher model",
}
LIMITS = "No tool finds every piece of personal data: a redacted dataset may still hold some."
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"))
_LARGEST = "10M<n<100M"
_LANGUAGE_SHARE = 0.01  # of the rows whose language was detected; less may be a mistake of the detector
SAMPLE = 2000  # rows whose language is detected, evenly spread
_KINDS = {"pii", "language"}  # steps whose counts are names of kinds; others count by words that users may have written
# the context of the specification, https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html
_PREFIXED = (
    "arrayShape citeAs column containedIn equivalentProperty extract field fileProperty fileObject fileSet format includes isArray "
    "isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated replace samplingRate separator source subField "
    "transform"
)
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{name: f"cr:{name}" for name in _PREFIXED.split()},
}
_PARQUET = "application/x-parquet"
_MESSAGE = {
    "role": "system, user, assistant or tool",
    "content": "text of the message",
    "tool_call_id": "call that a tool's result answers",
}
_FLOATS = ("at", "quality")
_FIELDS = {
    "id": "unique in the dataset",
    "tools": "JSON list of the tools that the request offered",
    "completion": "the answer that the row teaches",
    "slice": "slice of a golden row; empty here",
    "group": "rows of one group never straddle a split",
    "source": ", ".join(SOURCES),
    "user": "hash of the user who sent the request",
    "request_id": "id of the request in the traffic log",
    "version": "model version that answered the request",
    "at": "time of the request, epoch seconds",
    "quality": "quality score that came with the row, 0 to 1",
}


@dataclass(frozen=True)
class Card:
    """The two descriptions: Markdown with YAML in front, and a JSON-LD document."""

    readme: str
    croissant: dict[str, Any]


def card(loop: "LoopConfig", curated: Curated, index: Index, parents: Mapping[str, str]) -> Card:
    """The descriptions of a dataset that was curated for a loop; `index` lists its files.

    `parents` are commits that it was made from, by what they are.
    """
    rows = [row for members in curated.splits.values() for row in members]
    step = -(-len(rows) // SAMPLE) or 1
    told = shares([row.user_text for row in sorted(rows, key=lambda row: row.id)[::step]])
    languages = [name for name, share in told.items() if share >= _LANGUAGE_SHARE]
    return Card(_readme(loop, curated, index, parents, rows, told, languages), _croissant(loop, curated, index, parents, languages))


def _readme(
    loop: "LoopConfig",
    curated: Curated,
    index: Index,
    parents: Mapping[str, str],
    rows: Sequence[Example],
    told: Mapping[str, float],
    languages: Sequence[str],
) -> str:
    head: dict[str, Any] = {
        "pretty_name": loop.name,
        "license": loop.dataset.license,
        "language": languages,
        "task_categories": ["text-classification" if loop.task.type == "classification" else "text-generation"],
        "size_categories": [next((name for limit, name in _SIZES if len(rows) < limit), _LARGEST)],
        "tags": ["fine-tuning", "ftassets", loop.task.type],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"{split}/*.parquet"} for split, shards in index.shards.items() if shards],
            }
        ],
    }
    sources = [(name, count, f"{count / len(rows):.0%}", SOURCES.get(name, "")) for name, count in _by_count(_sources(curated))]
    files = [(split, sum(shard.rows for shard in shards), len(shards)) for split, shards in index.shards.items()]
    steps = [(step.name, step.kept, step.dropped, step.changed, _counted(step)) for step in curated.funnel]
    checks = [(name, "passed" if check.passed else "failed") for name, check in sorted(index.checks.items())]
    settings = [(name, f"`{value}`") for name, value in sorted(index.recipe.items())]
    sections = [
        f"# {loop.name}",
        " ".join(loop.description.split()),
        "" if all(check.passed for check in index.checks.values()) else "**Refused**: a check failed, and no model is trained on it.",
        "Conversations and the answer that each should get. `messages` is what the model reads, `completion` what it learns to answer.",
        '```python\nfrom datasets import load_dataset\n\nload_dataset("FOLDER_OF_THIS_FILE")\n```',
        "## Rows\n\n" + _table(["split", "rows", "files"], files),
        "## Sources\n\n" + _table(["source", "rows", "share", "what it is"], sources),
        _times(rows),
        "## Languages\n\n" + _languages(told),
        f"## Licence\n\n{loop.dataset.license or 'Not stated: ask the owners of the loop before you pass the rows on.'}",
        "## Personal data\n\n" + _personal_data(loop, curated, rows),
        "## Curation\n\n" + _table(["step", "rows left", "dropped", "changed", "counted"], steps),
        "Dropped rows are in `quarantine.parquet`, each with step and reason.",
        _table(["check", "verdict"], checks) if checks else "",
        "## Made from\n\n" + _table(["what", "commit or digest"], [*parents.items(), ("rows of this dataset", index.content_hash)]),
        _table(["setting", "value"], settings) if settings else "",
    ]
    front = yaml.safe_dump({name: value for name, value in head.items() if value}, sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n" + "\n\n".join(section for section in sections if section) + "\n"


def _croissant(loop: "LoopConfig", curated: Curated, index: Index, parents: Mapping[str, str], languages: Sequence[str]) -> dict[str, Any]:
    splits = {split: shards for split, shards in index.shards.items() if shards}
    steps = "; ".join(f"{step.name}: {step.dropped} dropped, {step.changed} changed" for step in curated.funnel)
    document: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CROISSANT,
        "name": loop.name,
        "description": " ".join(loop.description.split()) or f"Conversations and answers of the loop {loop.name}.",
        "license": loop.dataset.license,
        "inLanguage": list(languages),
        "version": f"1.0.0+{index.content_hash[:12]}",  # this release's layout, and which rows
        "isBasedOn": [f"{what}: {commit}" for what, commit in parents.items()],
        "rai:dataCollection": "; ".join(
            f"{name}: {amount(count, 'row')}, {SOURCES.get(name, '')}" for name, count in _by_count(_sources(curated))
        ),
        "rai:dataPreprocessingProtocol": [steps],
        "rai:personalSensitiveInformation": [_personal_data(loop, curated, [row for rows in curated.splits.values() for row in rows])],
        "distribution": [_files(split) for split in splits]
        + [_file(shard.path, shard.digest) for shards in splits.values() for shard in shards],
        "recordSet": [_records(split) for split in splits],
    }
    return {name: value for name, value in document.items() if value not in (None, [])}


def _files(split: str) -> dict[str, Any]:
    """All files of a split, which its records are read from."""
    return {
        "@type": "cr:FileSet",
        "@id": f"{split}-files",
        "name": f"{split}-files",
        "encodingFormat": _PARQUET,
        "includes": f"{split}/*.parquet",
    }


def _file(path: str, digest: str) -> dict[str, Any]:
    return {"@type": "cr:FileObject", "@id": path, "name": path, "contentUrl": path, "encodingFormat": _PARQUET, "sha256": digest}


def _records(split: str) -> dict[str, Any]:
    def extracted(column: str, path: str | None = None) -> dict[str, Any]:
        source: dict[str, Any] = {"fileSet": {"@id": f"{split}-files"}, "extract": {"column": column}}
        return source | ({"transform": {"jsonPath": path}} if path else {})

    def field(name: str, description: str, **more: Any) -> dict[str, Any]:
        full = f"{split}/{name}"
        return {"@type": "cr:Field", "@id": full, "name": full, "description": description, **more}

    message = [field(f"messages/{name}", text, dataType="sc:Text", source=extracted("messages", name)) for name, text in _MESSAGE.items()]
    about = "the conversation up to the answer; the Parquet column has the calls of tools as well"
    fields = [
        field("messages", about, repeated=True, subField=message),
        *(
            field(name, text, dataType="sc:Float" if name in _FLOATS else "sc:Text", source=extracted(name))
            for name, text in _FIELDS.items()
        ),
    ]
    return {"@type": "cr:RecordSet", "@id": split, "name": split, "key": {"@id": f"{split}/id"}, "field": fields}


def _sources(curated: Curated) -> Counter[str]:
    return Counter(row.source for rows in curated.splits.values() for row in rows)


def _by_count(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Largest first, then by name: the order in which rows were read must not show."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _times(rows: Sequence[Example]) -> str:
    times = [row.at for row in rows if row.at is not None]
    users = len({row.user for row in rows if row.user})
    if not times:
        return "No row is of a request in production."
    first, last = (f"{datetime.fromtimestamp(at, UTC):%F}" for at in (min(times), max(times)))
    return f"{amount(len(times), 'row is', 'rows are')} of requests in production, from {first} to {last} (UTC), by {users} known users."


def _languages(told: Mapping[str, float]) -> str:
    if not told:
        return "No request is long enough to tell its language."
    shown = ", ".join(f"{name} {share:.0%}" for name, share in told.items() if share >= _LANGUAGE_SHARE)
    return f"As detected in requests of at least 20 characters: {shown}."


def _personal_data(loop: "LoopConfig", curated: Curated, rows: Iterable[Example]) -> str:
    hashed = " Users are hashes." if any(row.user for row in rows) else ""
    step = next((step for step in curated.funnel if step.name == "pii"), None)
    if step is None:
        return f"Personal data was not looked for.{hashed}"
    done = "replaced by its kind" if loop.dataset.pii == "redact" else "dropped with its row"
    names = "people's names included" if loop.dataset.pii_names else "people's names were not looked for"
    return f"What the patterns found was {done} ({names}). Found: {_counted(step) or 'nothing'}.{hashed} {LIMITS}"


def _counted(step: StepReport) -> str:
    if step.skipped:
        return step.skipped
    return ", ".join(f"{name} {count}" for name, count in _by_count(step.counts)) if step.name in _KINDS else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
