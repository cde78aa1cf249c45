"""The demo's retrain for several seeds, without its waiting: is the new version good on commands no training saw, whatever the seed?

A seed draws other sentences, other corrections (some of them wrong), other users and other request ids, and with these another split
and another order of the training rows. Templates of the golden rows stay withheld. The first version is trained once, for all seeds.
The peer is that first version, on the same golden rows.
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.rows import CannotMeasure, Row, Size, parse, parser, write
from ftassets.config.home import Home
from ftassets.config.loop_files import LOOPS, read_loops
from ftassets.demo.rehearsal import RehearsalFailed, Rehearsed, first_version, rehearse, rehearsed
from ftassets.demo.story import LOOP

PEER = "version in production"
BAR = 0.60  # exact match on new commands
FALL = 0.02  # points that known commands may lose
SIZES = {"seeds": Size(2, 5, "seeds, counted from 0, which is the demo's own")}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows; returns the exit code."""
    return write("demo_seeds", measure(parse(parser("demo_seeds", __doc__), SIZES, arguments)))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """Each seed's figures as soon as it is trained, then the worst seed's."""
    logging.getLogger("dagster").setLevel(logging.ERROR)
    loop = rehearsed(read_loops(LOOPS)[LOOP])
    with tempfile.TemporaryDirectory() as folder:
        first = Home(Path(folder) / "first")
        try:
            production = first_version(first, loop)
            done = []
            for seed in range(options.seeds):
                home = Home(Path(folder) / f"seed-{seed}")
                done.append(rehearse(seed, first, production, home, loop))
                yield from rows(done[-1])
        except RehearsalFailed as error:
            raise CannotMeasure(str(error)) from None
    worst = min(each.accuracy["candidate"]["drifted"] for each in done)
    yield Row(f"exact match on new commands, worst of {len(done)} seeds", worst, "share", f">= {BAR:g}", worst >= BAR)


def rows(found: Rehearsed) -> Iterator[Row]:
    """The figures of one seed."""
    before, after = found.accuracy["production"], found.accuracy["candidate"]
    new, known, was = after["drifted"], after["established"], before["established"]
    name = f"seed {found.seed}"
    yield Row(f"{name}: exact match on new commands", new, "share", f">= {BAR:g}", new >= BAR, before["drifted"], PEER)
    yield Row(f"{name}: exact match on known commands", known, "share", f">= the peer's less {FALL:g}", known >= was - FALL, was, PEER)
    yield Row(f"{name}: gates passed", sum(v == "PASS" for v in found.verdicts.values()), "gates")
    yield Row(f"{name}: rows of the dataset", found.rows, "rows")
    yield Row(f"{name}: rows quarantined", found.quarantined, "rows")
    yield Row(f"{name}: corrections", found.corrections, "corrections")
    yield Row(f"{name}: corrections that are wrong", found.wrong, "corrections")
    yield Row(f"{name}: training", found.train_seconds, "s")
    yield Row(f"{name}: curation, training and evaluation", found.seconds, "s")


if __name__ == "__main__":
    sys.exit(main())
