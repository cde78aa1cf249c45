import json
import logging
from pathlib import Path

import pytest

from ftassets.backends.control.files import FilesControl
from ftassets.backends.control.rollout_looks import read_looks, record_look
from ftassets.domain.formats import NewerFormat
from ftassets.domain.rollout.canary import Move
from ftassets.domain.rollout.look import RolloutLook

B = "b" * 64
LOOK = RolloutLook(at=1000.0, candidate=B, production="a" * 64, weight=20, move=Move.HOLD, next_weight=20, reason="it lasts", guardrails=())


def at(seconds: float, move: Move = Move.HOLD) -> RolloutLook:
    return LOOK.model_copy(update={"at": seconds, "move": move})


def test_looks_that_say_something_new_are_kept(tmp_path: Path) -> None:
    control = FilesControl(tmp_path)
    assert read_looks(control, "support", B) == []
    for look in (at(1000), at(2000), at(2010), at(2015, Move.RAMP), at(2020, Move.RAMP), at(2600)):
        record_look(control, "support", look)
    assert [(look.at, look.move) for look in read_looks(control, "support", B)] == [
        (1000.0, "HOLD"), (2000.0, "HOLD"), (2015.0, "RAMP"), (2600.0, "HOLD")
    ]  # fmt: skip


def test_a_damaged_line_is_left_out_and_one_of_a_newer_release_is_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    control = FilesControl(tmp_path)
    record_look(control, "support", LOOK)
    control.append(f"rollouts/support/{B}.jsonl", b'{"at": "yesterday"}')
    with caplog.at_level(logging.ERROR):
        assert read_looks(control, "support", B) == [LOOK]
    assert "line 2 cannot be read and is left out" in caplog.text
    control.append(f"rollouts/support/{B}.jsonl", json.dumps(LOOK.document() | {"format": 99}).encode())
    with pytest.raises(NewerFormat, match="newer release"):
        read_looks(control, "support", B)
