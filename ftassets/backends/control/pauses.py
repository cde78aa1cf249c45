"""Loops that a person holds: neither retrains nor rollouts start until the pause ends."""

from ftassets.backends.control.base import Control

FOLDER = "pauses"


def pause(control: Control, loop: str, reason: str) -> None:
    """Hold a loop; another reason replaces the one before."""
    control.write(_key(loop), reason.encode())


def resume(control: Control, loop: str) -> None:
    """End a pause; nothing happens without one."""
    control.delete(_key(loop))


def pause_reason(control: Control, loop: str) -> str | None:
    """Why a loop is paused, None when it is not."""
    content = control.read(_key(loop))
    return None if content is None else content.decode(errors="replace").strip()


def _key(loop: str) -> str:
    return f"{FOLDER}/{loop}.txt"
