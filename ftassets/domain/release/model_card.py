"""The card of a released version, in the form of Hugging Face's hub, and whether its numbers are those of the report.

https://huggingface.co/docs/hub/model-cards: YAML in front with the candidate's results as `model-index`, then Markdown. It is made of the
attestation, the manifest and the report alone, so the same release has the same bytes, and holds no user's text.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

import yaml

from ftassets.config.loop import LoopConfig
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.release.attestation import override_of
from ftassets.domain.release.results import CANDIDATE, PRODUCTION, Result, results
from ftassets.domain.release.version import ADAPTER, VersionManifest
from ftassets.wording import utc

NAME = "README.md"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")  # others are folders and packages, which the hub does not know
_BAR = re.compile(r"(?<!\\)\|")
_SCORES, _VERDICTS = "## Scores", "## Gates"
_LIMITS = (
    "The scores are those of the golden set and of held-out rows of its own dataset. They say nothing of other tasks, languages or users, "
    "and the loop measures live quality again every day."
)


class Table(NamedTuple):
    """A table of the card; the first `keys` cells of a row name it."""

    head: list[str]
    rows: list[list[str]]
    keys: int


def model_card(loop: LoopConfig, manifest: VersionManifest, report: EvalReport, attested: Mapping[str, Any], attestation: str) -> str:
    """The card of a version; `attested` is the predicate of its attestation, which has this digest."""
    kind = "LoRA adapter" if manifest.kind == ADAPTER else "fully tuned model"
    made_from = [
        ("base model", manifest.base_model),
        ("version", report.candidate),
        ("compared with", "the untuned base" if report.production_is_base else report.production),
        ("dataset commit", report.dataset_commit),
        ("golden-set commit", report.golden_commit),
        ("eval report", attested["report_digest"]),
        ("attestation", attestation),
        ("run", report.run_id),
        ("code", f"ftassets {attested.get('code_version')}, commit {attested.get('code_commit') or 'not known'}"),
        ("released", f"{utc(attested['issued_at'])}, on evidence that counts until {utc(attested['expires_at'])}"),
    ]
    settings = [(name, f"`{value}`") for name, value in sorted(manifest.training.items())]
    generation = [(name, f"`{value}`") for name, value in sorted(manifest.generation.items())]
    sections = [
        f"# {loop.name}",
        " ".join(loop.description.split()),
        f"A {kind} of `{manifest.base_model}` for the task `{loop.task.type}`. {_lineage(manifest)}".rstrip(),
        f"{_VERDICTS}\n\n" + _table(*_verdicts(attested["verdicts"])[:2]),
        _overridden(attested),
        f"{_SCORES}\n\n" + _table(*_scores(report)[:2]),
        "Shares with their 95 % intervals. The models answered the same rows.",
        f"## Limits\n\n{_LIMITS}",
        "## Made from\n\n" + _table(["what", "which"], made_from),
        "## Generation\n\n" + _table(["setting", "value"], generation),
        "## Training\n\n" + _table(["setting", "value"], settings) if settings else "",
    ]
    front = yaml.safe_dump(_front(loop, manifest, report), sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n" + "\n\n".join(section for section in sections if section) + "\n"


def card_objections(card: str, report: EvalReport, verdicts: Mapping[str, str]) -> list[str]:
    """Each number and verdict of a card that is not that of its report and attestation; empty means all are."""
    try:
        front = yaml.safe_load(card.split("---\n", 2)[1])
        said = {
            (each["dataset"]["config"], metric["type"]): metric["value"]
            for index in front["model-index"]
            for each in index["results"]
            for metric in each["metrics"]
        }
    except (yaml.YAMLError, LookupError, TypeError, AttributeError) as error:
        return [f"{NAME} has no results in the form of Hugging Face's model-index ({type(error).__name__})"]
    found = {(each.slice, each.metric): each.value for each in results(report) if each.role == CANDIDATE}
    why = [
        f"{NAME}, model-index: {metric} on {name} is {_or_missing(said.get((name, metric)))}, in the report {_or_missing(number)}"
        for (name, metric), number in _union(found, said)
        if said.get((name, metric)) != number
    ]
    return [*why, *_differences(card, _SCORES, _scores(report)), *_differences(card, _VERDICTS, _verdicts(verdicts))]


def _front(loop: LoopConfig, manifest: VersionManifest, report: EvalReport) -> dict[str, Any]:
    task = "text-classification" if loop.task.type == "classification" else "text-generation"
    hub_id = manifest.base_model if _HUB_ID.fullmatch(manifest.base_model) else None
    by_slice: dict[str, list[Result]] = {}
    for each in results(report):
        if each.role == CANDIDATE:
            by_slice.setdefault(each.slice, []).append(each)
    index = [
        {
            "task": {"type": task},
            "dataset": {"name": f"{loop.name} {name}", "type": loop.name, "config": name, "revision": report.golden_commit},
            "metrics": [{"type": each.metric, "value": each.value, "name": each.metric} for each in found],
        }
        for name, found in by_slice.items()
    ]
    head = {
        "base_model": hub_id,
        "base_model_relation": ("adapter" if manifest.kind == ADAPTER else "finetune") if hub_id else None,
        "library_name": "peft" if manifest.kind == ADAPTER else "transformers",
        "pipeline_tag": task,
        "tags": ["ftassets", "fine-tuning", loop.task.type],
        "model-index": [{"name": f"{loop.name}-{report.candidate[:12]}", "results": index}],
    }
    return {name: value for name, value in head.items() if value}


def _lineage(manifest: VersionManifest) -> str:
    return f"Its training {manifest.lineage}." if manifest.lineage else ""


def _overridden(attested: Mapping[str, Any]) -> str:
    override = override_of(attested)
    if override is None:
        return ""
    gates = ", ".join(override.gates)
    return f"**Overridden until {utc(override.expires_at)}**: {gates}. Who decided it, and why, is in the attestation."


def _scores(report: EvalReport) -> Table:
    """The scores, a column per model."""
    found = results(report)
    roles = [role for role in (CANDIDATE, PRODUCTION, "base") if role in report.scores]
    roles += [role for role in report.scores if role not in roles]
    of = {(each.slice, each.metric, each.role): each for each in found}
    lines = []
    for name, metric in dict.fromkeys((each.slice, each.metric) for each in found):
        cells = [of.get((name, metric, role)) for role in roles]
        rows = next((each.rows for each in cells if each is not None and each.rows is not None), "")
        lines.append([name, metric, str(rows), *("" if each is None else _cell(each) for each in cells)])
    return Table(["slice", "metric", "rows", *roles], lines, 2)


def _verdicts(verdicts: Mapping[str, str]) -> Table:
    return Table(["gate", "verdict"], [list(each) for each in sorted(verdicts.items())], 1)


def _cell(each: Result) -> str:
    interval = "" if each.low is None or each.high is None else f" ({each.low:.4f} to {each.high:.4f})"
    return f"{each.value:.4f}{interval}"


def _differences(card: str, heading: str, wanted: Table) -> list[str]:
    """Cells of a table of the card that are not as they must be."""
    section = card.partition(f"\n{heading}\n")[2].lstrip("\n").split("\n\n", 1)[0].splitlines()
    rows = [[cell.strip() for cell in _BAR.split(line.strip().removeprefix("|").removesuffix("|"))] for line in section]
    said = {tuple(row[: wanted.keys]): row for row in rows[2:]}
    title, why = heading.removeprefix("## "), []
    for line in (_escaped(row) for row in wanted.rows):
        key = tuple(line[: wanted.keys])
        there = said.pop(key, None)
        if there is None:
            why.append(f"{NAME}, {title}: the line of {', '.join(key)} is missing")
            continue
        why += [
            f"{NAME}, {title}: {name} of {', '.join(key)} is {mine or 'missing'}, recorded is {cell or 'nothing'}"
            for name, mine, cell in zip_longest(wanted.head, there, line, fillvalue="")
            if mine != cell
        ]
    return [*why, *(f"{NAME}, {title}: {', '.join(key)} is not recorded" for key in said)]


def _union(found: Mapping[Any, float], said: Mapping[Any, Any]) -> Iterable[tuple[Any, float | None]]:
    return ((key, found.get(key)) for key in [*found, *(key for key in said if key not in found)])


def _or_missing(value: Any) -> str:
    return "missing" if value is None else str(value)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_escaped(line)) + " |" for line in lines)


def _escaped(row: Sequence[object]) -> list[str]:
    return [str(cell).replace("|", "\\|") for cell in row]
