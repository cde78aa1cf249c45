"""A tiny loop that trains on preferences, and users who give it some."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ftassets.config.profiles import embedded
from ftassets.domain.traffic.exchange import Exchange
from ftassets.domain.traffic.feedback import Feedback
from ftassets.testing.tiny_loop import COLOURS, LOOP, ROOMS, TinyLoop, right_answer, tiny_loop

SETTINGS = {"min_rows": 20, "margin": 0.9, "confidence": 0.6, "learning_rate": 0.01, "epochs": 3, "held_out": 0.3}


@contextmanager
def aligned_loop(folder: Path, **align: Any) -> Iterator[TinyLoop]:
    """A loop whose gates ask no server, and that trains on preferences."""
    gates = [{"metric": "exact_match", "slice": "established", "no_worse_than": "production", "margin": 0.9}]
    tracking = {"tracking": align.pop("tracking")} if "tracking" in align else {}
    with tiny_loop(folder, gates=gates, align={**SETTINGS, "method": "dpo", **align}, **tracking) as tiny:
        yield tiny


def correct(tiny: TinyLoop, verb: str = "open") -> None:
    """Users of this verb get a wrong room, and correct it."""
    log, now = embedded(tiny.home)["traffic_log"](), time.time()
    for number, (colour, room) in enumerate((colour, room) for colour in COLOURS for room in ROOMS):
        name, prompt = f"{verb}-{number}", f"{verb} the {colour} lamp in the {room} kindly"
        wrong = right_answer(verb, ROOMS[(number + 3) % len(ROOMS)])
        messages = json.dumps([{"role": "user", "content": prompt}])
        log.append([Exchange(name, LOOP, "a" * 64, f"user-{number}", prompt, messages, wrong, 200, now - 60, 1.0, 1.0, 9, 9, 100.0)])
        log.add_feedback(Feedback(name, now - 30, "down", right_answer(verb, room)))
