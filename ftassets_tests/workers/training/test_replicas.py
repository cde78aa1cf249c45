import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ftassets.workers.process import KILLED
from ftassets_tests import ROOT

ENDLESS = """
import sys, time
from pathlib import Path
from ftassets.workers.training.replicas import fork, joined, total
rank = fork(2)
with joined(rank, 2, Path(sys.argv[1])):
    total(1.0)
    if rank:
        print(__import__("os").getpid(), flush=True)
    while True:
        total(1.0)
        time.sleep(0.01)
"""
UNMET = """
import sys, time
from pathlib import Path
from ftassets.workers.training.replicas import fork, joined
if rank := fork(2):
    print(__import__("os").getpid(), flush=True)
    time.sleep(60)
with joined(rank, 2, Path(sys.argv[1])):
    pass
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("program", [ENDLESS, UNMET], ids=["at a step", "before they met"])
def test_a_training_whose_copy_is_killed_ends_as_if_it_had_been_killed(tmp_path: Path, program: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment) as process:
        assert process.stdout is not None
        os.kill(int(process.stdout.readline()), signal.SIGKILL)
        assert process.wait(30) == KILLED
