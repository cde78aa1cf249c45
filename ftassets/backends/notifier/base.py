"""Short messages to people."""

import json
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass

from ftassets.domain.health.subjects import Severity


@dataclass(frozen=True)
class Alert:
    """What to tell: alerts with the same `key` (LOOP:SUBJECT[:DETAIL]) are about the same thing; `runbook` is a link to what to do.

    A `resolved` one says that what the alert with this key told of is over.
    """

    loop: str
    title: str
    text: str
    severity: Severity
    runbook: str | None
    key: str
    resolved: bool = False

    @property
    def subject(self) -> str:
        """Section of the runbook; the whole key where it names none."""
        return self.key.split(":")[1] if ":" in self.key else self.key

    @property
    def concern(self) -> str:
        """SUBJECT[:DETAIL], as `ftassets status` names it."""
        return self.key.partition(":")[2]

    @property
    def detail(self) -> str:
        """What tells two alerts of the same subject apart, empty where there is only one."""
        return ":".join(self.key.split(":")[2:])

    def to_json(self) -> str:
        """One line of JSON; half a surrogate pair becomes a question mark, since no receiver could read it."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False).encode(errors="replace").decode()


class Notifier(ABC):
    """One way to tell people something."""

    @abstractmethod
    def notify(self, alert: Alert) -> bool:
        """Whether it was told. Never raises: what cannot be told is logged, without the address it was for."""
