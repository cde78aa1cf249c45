"""Subjects of messages: each is a section of the runbook, with its severity and who sends it. No other place says either."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from ftassets.errors import InvalidInput

Severity = Literal["info", "ticket", "page"]
RANK: dict[str, int] = {"info": 0, "ticket": 1, "page": 2}


class Sender(StrEnum):
    """Who sends a message about a subject: one event has one way."""

    HEALTH = "health sensor"  # once it has lasted
    FINDER = "asset or sensor that finds it"  # at once
    PROMETHEUS = "Prometheus"  # what the gateway itself sees


@dataclass(frozen=True)
class Subject:
    """How urgent it is, and who sends it."""

    severity: Severity
    sender: Sender


SUBJECTS: dict[str, Subject] = {
    "automation-fails": Subject("ticket", Sender.HEALTH),
    "automation-stopped": Subject("page", Sender.HEALTH),
    "behaviour-changed": Subject("info", Sender.HEALTH),
    "canary-stuck": Subject("ticket", Sender.HEALTH),
    "drift-alarm": Subject("ticket", Sender.HEALTH),
    "gateway-absent": Subject("page", Sender.PROMETHEUS),
    "gateway-cut-off": Subject("ticket", Sender.PROMETHEUS),
    "golden-below-floor": Subject("page", Sender.FINDER),
    "golden-floor-too-high": Subject("ticket", Sender.FINDER),
    "golden-regression": Subject("ticket", Sender.FINDER),
    "judge-changed": Subject("ticket", Sender.FINDER),
    "loop-paused": Subject("info", Sender.HEALTH),
    "many-errors": Subject("page", Sender.PROMETHEUS),
    "many-rejected": Subject("info", Sender.PROMETHEUS),
    "monitor-without-data": Subject("ticket", Sender.HEALTH),
    "not-recorded": Subject("page", Sender.PROMETHEUS),
    "promotion-refused": Subject("ticket", Sender.FINDER),
    "quality-drop": Subject("ticket", Sender.FINDER),
    "registry-moved": Subject("ticket", Sender.FINDER),
    "release-rolled-back": Subject("info", Sender.HEALTH),
    "release-waits": Subject("ticket", Sender.HEALTH),
    "report-missing": Subject("ticket", Sender.HEALTH),
    "retrain-waits": Subject("ticket", Sender.FINDER),
    "run-failed": Subject("page", Sender.FINDER),
    "sensor-fails": Subject("ticket", Sender.HEALTH),
    "slow-answers": Subject("ticket", Sender.PROMETHEUS),
    "traffic-stopped": Subject("ticket", Sender.HEALTH),
    "version-silent": Subject("page", Sender.HEALTH),
}


def check_silenced(key: str) -> None:
    """Raises InvalidInput unless it is a subject that this package sends, or a concern of one."""
    subject = key.partition(":")[0]
    if subject not in SUBJECTS:
        sent = ", ".join(sorted(name for name, each in SUBJECTS.items() if each.sender is not Sender.PROMETHEUS))
        raise InvalidInput(f"there is no concern {key!r}; there are: {sent}, each also with what follows it in status")
    if SUBJECTS[subject].sender is Sender.PROMETHEUS:
        raise InvalidInput(f"messages about {subject} come from Prometheus: silence it in Alertmanager")
