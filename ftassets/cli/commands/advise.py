"""`ftassets advise`: examples from files, and the advice on them as lines for a terminal."""

from dataclasses import replace
from pathlib import Path

from ftassets.config.text_lines import lines_of
from ftassets.domain.dataset.advice import Advice, Circumstances, Evidence, advise
from ftassets.domain.dataset.rows import Example, Quarantined, apart, read_jsonl
from ftassets.errors import InvalidInput


def run(path: Path, circumstances: Circumstances | None = None, label: str | None = None) -> Advice:
    """Advice on a JSONL file, or on all of a folder; lines that are no example are a finding of their own.

    Needs neither network nor model. Raises FileNotFoundError when there is no such file, InvalidInput when no line is an example.
    """
    given = circumstances or Circumstances()
    for option, number in (("--changes", given.days_between_changes), ("--requests", given.requests_per_day)):
        if number is not None and not 0 <= number < float("inf"):
            raise InvalidInput(f"{option} must be a number from 0")
    files = sorted([*path.rglob("*.jsonl"), *path.rglob("*.jsonl.gz")]) if path.is_dir() else [path]
    rows: list[Example] = []
    bad: list[Quarantined] = []
    for file in files:
        read, refused = apart(read_jsonl(lines_of(file), str(file.relative_to(path)) if path.is_dir() else file.name))
        rows += read
        bad += refused
    if not rows:
        first = f", first {bad[0].where}: {bad[0].reason}" if bad else ""
        raise InvalidInput(f"{path} has no example (.jsonl files: {len(files)}, other lines: {len(bad)}{first})")
    advice = advise(rows, circumstances, label)
    shown = "; ".join(f"{item.where}: {item.reason}" for item in bad[:3])
    text = f"Examples read: {len(rows):,}; files: {len(files)}; lines that are no example: {len(bad):,}" + (f" ({shown})." if bad else ".")
    return replace(advice, findings=(Evidence("unusable_lines", len(bad), text), *advice.findings))


def describe(advice: Advice) -> str:
    """The advice as lines for a terminal."""
    parts = [
        (f"Verdict: {advice.verdict.value}", advice.reasons),
        ("What the examples show", [finding.text for finding in advice.findings]),
        ("What they cannot show", advice.not_seen),
    ]
    return "\n\n".join("\n".join([title, *(f"  - {line}" for line in lines)]) for title, lines in parts)
