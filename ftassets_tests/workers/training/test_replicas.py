import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ftassets.domain.spending.usage import Usage
from ftassets.domain.training.job import TrainingResult
from ftassets.workers.process import KILLED
from ftassets.workers.training.replicas import Share
from ftassets_tests import ROOT

ENDLESS = """
import sys, time
from pathlib import Path
from ftassets.workers.training.replicas import fork, joined, total
rank = fork(2, Path(sys.argv[1]))
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
if rank := fork(2, Path(sys.argv[1])):
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


@pytest.mark.parametrize(("rows", "batch_size", "count"), [(16, 4, 2), (19, 4, 2), (3, 8, 2), (21, 6, 3)])
def test_the_shares_of_all_replicas_are_the_batches_of_one_process(rows: int, batch_size: int, count: int) -> None:
    alone, shares = Share(rows, batch_size, 0, 1, seed=5), [Share(rows, batch_size, rank, count, seed=5) for rank in range(count)]
    first, second = list(alone), list(alone)
    assert sorted(first) == sorted(second) == list(range(rows))
    assert first != second
    for epoch in (first, second):
        parts = [list(share) for share in shares]
        assert {len(part) for part in parts} == {len(shares[0])}
        mine = batch_size // count
        for batch in range(-(-len(shares[0]) // mine)):
            together = {row for part in parts for row in part[batch * mine : (batch + 1) * mine]}
            assert together <= {*epoch[batch * batch_size : (batch + 1) * batch_size]}
        left = rows - count * len(shares[0])
        assert 0 <= left < count


@pytest.mark.slow
@pytest.mark.models
def test_two_cores_train_what_one_trains(tmp_path: Path) -> None:
    from ftassets.testing.tiny_job import tiny_job
    from ftassets.testing.tiny_model import make_tiny_model

    base = make_tiny_model(tmp_path / "base")
    code = (
        "import sys; from pathlib import Path; from ftassets.workers.training.sft import train; "
        "from ftassets.domain.training.job import TrainingJob; from ftassets.metering import metered; "
        "meter = metered(lambda usage: print(usage.model_dump_json(), flush=True)); meter.__enter__(); "
        "print(train(TrainingJob.model_validate_json(Path(sys.argv[1]).read_text()), lambda _: None, int(sys.argv[2])).model_dump_json()); "
        "meter.__exit__(None, None, None)"
    )
    losses, tokens = [], []
    for cores in (1, 2):
        job = tiny_job(tmp_path / f"cores{cores}" / "job", base, epochs=3, batch_size=4, max_grad_norm=0.05, learning_rate=1e-3)
        file = tmp_path / f"job{cores}.json"
        file.write_text(job.model_dump_json())
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "FTASSETS_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", code, str(file), str(cores)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        *_, said, used = done.stdout.splitlines()
        result = TrainingResult.model_validate_json(said)
        losses.append([loss for _, loss in result.losses])
        tokens.append(Usage.model_validate_json(used).tokens_trained)
    assert losses[1] == pytest.approx(losses[0], rel=2e-3)  # bf16 rounds sums of other parts otherwise
    assert tokens[1] == tokens[0] > 0, "rows have different lengths, and each is counted"
