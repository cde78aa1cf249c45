"""What the demo shows in the terminal while the loop works: one line per thing that happened, one line for now."""

import time
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from ftassets.config.loop import LoopConfig


class Screen:
    """Lines with the time since the start; a status line for what is going on."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self.told: list[tuple[int, str]] = []  # seconds since the start, and the line
        self._begin = time.monotonic()
        self._status = self.console.status("")

    def __enter__(self) -> "Screen":
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def line(self, text: str, style: str = "") -> None:
        """Something happened."""
        seconds = int(time.monotonic() - self._begin)
        self.told.append((seconds, text))
        self.console.print(
            f"[dim]{seconds // 60:2d}:{seconds % 60:02d}[/dim]  [{style}]{text}[/{style}]"
            if style
            else f"[dim]{seconds // 60:2d}:{seconds % 60:02d}[/dim]  {text}"
        )

    def now(self, text: str) -> None:
        """Something is going on."""
        self._status.update(f"[dim]{text}[/dim]")

    def settings(self, loop: LoopConfig) -> None:
        """The demo's clock and sizes: every setting that differs from its default."""
        changed = [f"{name} {value} (default {default})" for name, value, default in differences(loop)]
        self.line(f"the demo's own settings: {'; '.join(changed)}", "dim")


def differences(settings: BaseModel, prefix: str = "") -> Iterator[tuple[str, object, object]]:
    """(name, value, default) of every field below that has a default and another value."""
    for name, info in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            yield from differences(value, f"{prefix}{name}.")
        elif not info.is_required() and value != info.default and name not in ("description", "owners", "command_folder"):
            yield f"{prefix}{name}", _as_written(value), _as_written(info.default)


def _as_written(value: object) -> object:
    """As a loop file has it: of a list of sections only the fields that are given."""
    parts = value if isinstance(value, list | tuple) else ()
    sections = [part.model_dump(mode="json", exclude_defaults=True) for part in parts if isinstance(part, BaseModel)]
    return sections or value


def final_tables(console: Console, summary: dict[str, Any], answers: list[tuple[str, str, dict[str, str]]]) -> None:
    """Accuracy, gates and raw answers side by side."""
    accuracy = Table("exact match", "untuned base", "production", "candidate", title="Sentences from templates no model was trained on")
    for name in ("established", "drifted"):
        shares = [summary["accuracy"][role][name] for role in ("base", "production", "candidate")]
        accuracy.add_row(f"{name} (n = {shares[0]['n']})", *(f"{s['share']:.2f}  ({s['low']:.2f} to {s['high']:.2f})" for s in shares))
    console.print(accuracy)
    gates = Table("gate", "value", "bound", "needs", "verdict", title="Promotion gates")
    for gate in summary["gates"]:
        gates.add_row(
            gate["name"], *(f"{gate[k]:.3g}" if gate[k] is not None else "-" for k in ("value", "bound", "threshold")), gate["verdict"]
        )
    console.print(gates)
    raw = Table("request", "expected", "untuned base", "production", "candidate", title="Ten raw answers", show_lines=True)
    for prompt, expected, said in answers:
        raw.add_row(
            prompt, expected, *((said[role][:90] + ("..." if len(said[role]) > 90 else "")) for role in ("base", "production", "candidate"))
        )
    console.print(raw, markup=False)
