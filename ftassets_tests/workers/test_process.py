import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import psutil
import pytest
from pydantic import BaseModel

from ftassets.workers.process import KILLED, Ended, Report, import_libraries, last_words, work_off, write_job
from ftassets_tests import ROOT


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_process_ends_when_its_parent_is_killed():
    child = "import time; from ftassets.workers.process import die_with_parent; die_with_parent(); print('up', flush=True); time.sleep(60)"
    parent = (
        f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE, text=True);"
        "p.stdout.readline(); print(p.pid, flush=True); p.wait()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        grandchild = psutil.Process(int(process.stdout.readline()))
        process.send_signal(signal.SIGKILL)
        process.wait()
    deadline = time.monotonic() + 5
    while grandchild.is_running() and grandchild.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE


class Nothing(BaseModel):
    """A job that asks for nothing."""


def test_a_process_whose_fork_was_killed_ends_as_if_it_had_been_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("ftassets.workers.process.die_with_parent", lambda: None)

    def do(job: Nothing, report: Report) -> dict:
        with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
            return {"never": pool.submit(os._exit, 9).result()}

    code = work_off(write_job(Nothing(), tmp_path / "job.json"), Nothing, do)
    assert Ended((), code, last_words(tmp_path / "job.json")) == Ended((), KILLED, None)
    assert Ended((), code, None).killed


def test_libraries_say_nothing_about_packages_that_nobody_here_needs():
    imports = "from ftassets.workers.process import set_up_libraries; set_up_libraries(); import bitsandbytes, peft"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", imports], stderr=subprocess.PIPE, text=True, env=environment, check=True).stderr == ""


def test_libraries_come_in_without_a_search_for_garbage_and_one_that_is_not_there_stops_nothing(tmp_path, monkeypatch):
    (tmp_path / "large_library.py").write_text("import gc\nsearched = gc.isenabled()\n")
    monkeypatch.syspath_prepend(tmp_path)
    frozen = gc.get_freeze_count()
    import_libraries("no_such_library", "large_library")
    assert sys.modules["large_library"].searched is False
    assert gc.isenabled()
    assert gc.get_freeze_count() > frozen
