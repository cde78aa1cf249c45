import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from ftassets import metering
from ftassets.domain.spending.usage import Usage
from ftassets.metering import count, metered, metered_worker, usage_file, worker
from ftassets_tests import ROOT

BURN = "import time\nend = time.process_time() + {seconds}\nwhile time.process_time() < end: pass\n"


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def python(code: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)})


def until(condition, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_own_time_and_that_of_a_child_that_was_waited_for_are_counted_and_nothing_from_before() -> None:
    burn(0.3)
    kept: list[Usage] = []
    with metered(kept.append):
        burn(0.4)
        python(BURN.format(seconds=0.5)).wait()
    assert kept[0].cpu_seconds < 0.1
    assert 0.9 <= kept[-1].cpu_seconds < 1.4  # a Python process takes a while to start
    assert kept[-1].wall_seconds >= 0.9


def test_a_grandchild_that_nobody_waited_for_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metering, "EVERY", 0.1)
    kept: list[Usage] = []
    # the child is killed, as by the kernel when memory runs out, and so its own child, which worked, is waited for by nobody
    child = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {(BURN.format(seconds=1.0) + 'time.sleep(60)')!r}]).wait()"
    with metered(kept.append):
        process = python(child)
        until(lambda: kept[-1].cpu_seconds >= 1.0)
        [grandchild] = metering.psutil.Process(process.pid).children()
        process.send_signal(signal.SIGKILL)
        process.wait()
        grandchild.kill()
    assert 1.0 <= kept[-1].cpu_seconds < 1.6


def test_what_a_killed_process_used_was_kept_shortly_before(tmp_path: Path) -> None:
    job = tmp_path / "job.json"
    code = f"""
from pathlib import Path
from ftassets import metering
metering.EVERY = 0.1
with metering.metered_worker(Path({str(job)!r})):
    metering.count(tokens_trained=7)
    {BURN.format(seconds=0.6).replace(chr(10), chr(10) + "    ")}
    time.sleep(60)
"""
    process = python(code)
    until(lambda: usage_file(job).exists() and Usage.model_validate_json(usage_file(job).read_bytes()).cpu_seconds >= 0.6)
    process.kill()
    process.wait()
    found = Usage.model_validate_json(usage_file(job).read_bytes())
    assert 0.6 <= found.cpu_seconds < 1.0
    assert found.tokens_trained == 7


def test_short_work_is_measured_soon_and_long_work_seldom() -> None:
    times: list[float] = []
    begun = time.monotonic()
    with metered(lambda usage: times.append(time.monotonic() - begun)):
        time.sleep(3.5)
    assert times[0] < 0.2
    assert 0.5 <= times[1] < 1.2
    assert 4 <= len(times) <= 8  # the first, then 0.5, 1.0, 1.5, 2.0, 2.5 and 3.1 s, and the end


def test_a_worker_s_tokens_count_for_whoever_started_it_and_its_time_once(tmp_path: Path) -> None:
    job = tmp_path / "job.json"
    code = f"""
from pathlib import Path
from ftassets.metering import count, metered_worker
with metered_worker(Path({str(job)!r})):
    count(tokens_read=5, tokens_written=2)
    {BURN.format(seconds=0.5).replace(chr(10), chr(10) + "    ")}
"""
    for elsewhere, most in ((False, 1.5), (True, 2.2)):
        kept: list[Usage] = []
        with metered(kept.append):
            with worker(job, elsewhere):
                python(code).wait()
            count(tokens_read=1)
        assert (kept[-1].tokens_read, kept[-1].tokens_written) == (6, 2)
        assert 0.5 <= kept[-1].cpu_seconds < most
    # of one elsewhere nothing is known but its word: here it is a child too, and so it counts twice
    assert kept[-1].cpu_seconds >= 1.0


def test_a_second_attempt_at_a_job_adds_to_the_first_and_one_that_never_begins_adds_nothing(tmp_path: Path) -> None:
    job, kept = tmp_path / "job.json", list[Usage]()
    with metered(kept.append):
        for tokens in (3, 4):
            with worker(job):
                usage_file(job).write_text(Usage(tokens_trained=tokens, gpu_seconds=1.5).model_dump_json())
        with worker(job):
            pass
    assert (kept[-1].tokens_trained, kept[-1].gpu_seconds) == (7, 3.0)


def test_a_gpu_counts_for_as_long_as_it_is_held_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, held = [1000.0], [2]
    monkeypatch.setattr(metering, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(metering, "FIRST", 60.0)  # nobody else measures
    monkeypatch.setattr(metering, "EVERY", 60.0)
    monkeypatch.setattr(metering, "_gpus", lambda: held[0])
    kept: list[Usage] = []
    with metered(kept.append) as meter:
        for seconds, after in ((10.0, 0), (7.0, 1)):
            clock[0] += seconds
            meter.usage()
            held[0] = after
        with worker(tmp_path / "job.json"):
            clock[0] += 5.0
            meter.usage()  # the worker says what it holds itself
        clock[0] += 3.0
    assert kept[-1].gpu_seconds == 2 * 10.0 + 3.0
    assert kept[-1].wall_seconds == 25.0


def test_a_process_that_is_forked_off_writes_nothing_and_does_not_wait_for_a_lock(tmp_path: Path) -> None:
    with metered_worker(tmp_path / "job.json"):
        metering._meters[-1]._lock.acquire()  # as if the other thread were measuring
        if (pid := os.fork()) == 0:
            try:
                count(tokens_trained=1)
                with metered_worker(tmp_path / "fork.json"):
                    count(tokens_trained=2)
            finally:
                os._exit(0)
        metering._meters[-1]._lock.release()
        assert os.waitpid(pid, 0)[1] == 0
        count(tokens_trained=4)
    assert Usage.model_validate_json(usage_file(tmp_path / "job.json").read_bytes()).tokens_trained == 4
    assert Usage.model_validate_json(usage_file(tmp_path / "fork.json").read_bytes()).tokens_trained == 2


def test_an_error_at_the_beginning_is_passed_on_and_later_ones_change_nothing() -> None:
    def full(usage: Usage) -> None:
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"), metered(full):
        pytest.fail("it must not begin")
    kept: list[Usage] = []

    def full_later(usage: Usage) -> None:
        if kept:
            raise OSError("no space")
        kept.append(usage)

    with metered(full_later):
        pass
    assert not metering._meters
