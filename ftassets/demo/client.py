"""Users of the demo: they send commands to the gateway and correct some of the answers."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import requests

from ftassets.demo.traffic import Sender
from ftassets.demo.voice_commands import Utterance

CLIENTS = 24  # a small model on a CPU takes as long for one token of 24 answers as for one of one


@dataclass
class Users:
    """Some people with one account each. `sent` and `answered` count requests over the demo's life."""

    url: str
    loop: str
    seed: int = 0
    sent: int = 0
    answered: int = 0
    corrected: int = 0
    wrong: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def say(self, utterances: Sequence[Utterance], correct: float = 0.0, others: Sequence[str] = ()) -> None:
        """Send all utterances with a few at a time; users correct `correct` of the wrong answers, a few of them wrongly.

        A wrong correction is the answer to something else, taken from `others`.
        """
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(lambda pair: self._say(pair[0], pair[1], correct, others), enumerate(utterances, start=self.sent)))

    def trickle(self, utterances: Sequence[Utterance], until: threading.Event, every: float) -> None:
        """Send one utterance after the other until told to stop; `every` is the least time between two in seconds."""
        number = 0
        while not until.is_set():
            begin = time.monotonic()
            self._say(self.sent, utterances[number % len(utterances)], 0.0, ())
            number += 1
            until.wait(max(0.0, every - (time.monotonic() - begin)))

    def _say(self, number: int, utterance: Utterance, correct: float, others: Sequence[str]) -> None:
        sender = Sender(self.seed, number)
        body: Any = {
            "model": self.loop,
            "messages": [{"role": "user", "content": utterance.text}],
            "user": sender.user,
        }
        with self._lock:
            self.sent += 1
        response = requests.post(f"{self.url}/v1/chat/completions", json=body, timeout=120)
        if response.status_code != 200:
            return
        answer = response.json()
        with self._lock:
            self.answered += 1
        reaction = sender.react(utterance, answer["choices"][0]["message"]["content"], correct, others)
        if reaction is None:
            return
        feedback = {"id": answer["id"], "rating": reaction.rating}
        if reaction.correction is not None:
            with self._lock:
                self.corrected += 1
                self.wrong += reaction.mistaken
            feedback["correction"] = reaction.correction
        self._feedback(feedback)

    def _feedback(self, body: dict) -> None:
        requests.post(f"{self.url}/v1/feedback", json=body, timeout=30).raise_for_status()
