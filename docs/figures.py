"""The figures of the README, from what a demo and its seeds leave: `python docs/figures.py [SUMMARY.json] [--seeds LINES] [--write]`.

The lines are those that `python -m bench.demo_seeds --full` prints. Without `--write` the blocks are printed; with it they replace those
in README.md, between `<!-- figures: NAME -->` and `<!-- end -->`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SUMMARY = ROOT / ".ftassets" / "demo" / "summary.json"
SEEDS = ROOT / ".bench" / "demo_seeds.jsonl"

# the lines of a run that tell its story; others repeat them
_TOLD = ("drift report", "timers, media", "run retrain", "dataset committed", "adapter", "release", "traffic")

_WIDEST = 112  # characters


def blocks(summary: dict[str, Any], seeds: list[dict[str, Any]]) -> dict[str, str]:
    """Name of a block -> its Markdown, from a summary and the rows of the seeds. Raises KeyError when a figure is missing."""
    return {"timeline": _timeline(summary), "accuracy": _accuracy(summary), "run": _run(summary, seeds)}


def replaced(readme: str, made: dict[str, str]) -> str:
    """The README with these blocks. Raises ValueError when it has no place for one."""
    for name, text in made.items():
        begin, end = f"<!-- figures: {name} -->", "<!-- end -->"
        before, found, rest = readme.partition(f"{begin}\n")
        _, closed, after = rest.partition(f"\n{end}")
        if not found or not closed:
            raise ValueError(f"README.md has no place for the figures {name!r}: {begin} ... {end}")
        readme = before + found + text + closed + after
    return readme


def _timeline(summary: dict[str, Any]) -> str:
    """What the demo printed from the last quiet windows to the promotion, as it printed it, but for the ends of long lines."""
    lines = [(seconds, text) for seconds, text in summary["timeline"] if text.startswith(_TOLD)]
    alarm = next(number for number, (_, text) in enumerate(lines) if "ALARM" in text)
    reports = [number for number, (_, text) in enumerate(lines[: alarm + 1]) if text.startswith("drift report")]
    begin = reports[-min(3, len(reports))]
    shown = lines[begin : alarm + 1] + [line for line in lines[alarm + 1 :] if not line[1].startswith("drift report")]
    return "\n".join(["```text", *(f"{seconds // 60:2d}:{seconds % 60:02d}  {_shortened(text)}" for seconds, text in shown), "```"])


def _shortened(text: str) -> str:
    """A line that fits the page: of a drift report the first statistics."""
    return text if len(text) <= _WIDEST else f"{text[: text.rindex(';', 0, _WIDEST)]}; ..."


def _accuracy(summary: dict[str, Any]) -> str:
    rows = ["| exact match | untuned base | production | candidate |", "|---|---|---|---|"]
    for name, title in (("established", "known commands"), ("drifted", "new commands")):
        shares = [summary["accuracy"][role][name] for role in ("base", "production", "candidate")]
        cells = " | ".join(f"{each['share']:.2f} ({each['low']:.2f} to {each['high']:.2f})" for each in shares)
        rows.append(f"| {title} (n = {shares[0]['n']}) | {cells} |")
    return "\n".join(rows)


def _run(summary: dict[str, Any], seeds: list[dict[str, Any]]) -> str:
    known, new = _seeds(seeds)
    drift, requests, corrections = summary["drift"], summary["requests"], summary["corrections"]
    minutes = summary["stages"]["total"] / 60
    better, established, latency = (_bound(summary, part) for part in ("exact_match_better", "established_no_worse", "latency_p95"))
    figures = {
        "drift statistic in quiet windows": ", ".join(f"{window['value']:.3f}" for window in summary["quiet_windows"]),
        "drift statistic after the change; threshold": f"{drift['value']:.3f}; {drift['threshold']:.3f}",
        "from the alarm to the retrain run": f"{drift['seconds_to_retrain']:.1f} s",
        "training of the candidate": f"{summary['adapter']['train_seconds']:.0f} s, {summary['adapter']['tokens_per_second']:.0f} tokens/s",
        "gain over production, 95 % lower bounds: all; known commands": f"{better:+.3f}; {established:+.3f}",
        f"other sentences, {len(known)} seeds: new commands; known": f"{_shares(new)}; {_shares(known)}",
        "p95 latency against production, 95 % upper bound": f"{latency:.2f} times",
        "corrections sent; of them wrong": f"{corrections['sent']}; {corrections['wrong']}",
        "requests sent / answered / logged": f"{requests['sent']} / {requests['answered']} / {requests['logged']}",
        "whole run; peak memory of all processes": f"{minutes:.1f} minutes; {summary['peak_memory_mb'] / 1000:.1f} GB",
    }
    return "\n".join(["| figure | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in figures.items())])


def _shares(values: list[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _seeds(rows: list[dict[str, Any]]) -> tuple[list[float], list[float]]:
    """Exact match of each seed's candidate, lowest first, on known and on new commands. Raises KeyError when there is none."""
    found: dict[str, list[float]] = {"known": [], "new": []}
    for row in rows:
        seed, _, what = row["what"].partition(": exact match on ")
        if what:
            found[what.removesuffix(" commands")].append(row["ours"])
    if not all(found.values()):
        raise KeyError("exact match of each seed")
    return sorted(found["known"]), sorted(found["new"])


def _bound(summary: dict[str, Any], part: str) -> float:
    return float(next(gate["bound"] for gate in summary["gates"] if part in gate["name"]))


def main() -> None:
    """Print the blocks, or write them into the README."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("summary", type=Path, nargs="?", default=SUMMARY, help="the demo's summary.json")
    parser.add_argument("--seeds", type=Path, default=SEEDS, help="rows that bench.demo_seeds printed")
    parser.add_argument("--write", action="store_true", help="replace the blocks in README.md")
    asked = parser.parse_args()
    seeds = [json.loads(line) for line in asked.seeds.read_text().splitlines()]
    made = blocks(json.loads(asked.summary.read_text()), seeds)
    if asked.write:
        readme = ROOT / "README.md"
        readme.write_text(replaced(readme.read_text(), made))
    else:
        print("\n\n".join(f"<!-- figures: {name} -->\n{text}\n<!-- end -->" for name, text in made.items()))


if __name__ == "__main__":
    main()
