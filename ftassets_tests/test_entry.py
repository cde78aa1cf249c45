"""How the programs of the package start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ftassets.entry import INTERRUPTED
from ftassets_tests import ROOT

PROGRAMS = {
    "ftassets.cli": ["status"],
    "ftassets.gateway": ["--port", "0", "--admin-port", "0"],
    "ftassets.processes.up": [],
    "ftassets.gate_service": ["job.json"],
    "ftassets.workers.evaluation": ["job.json"],
    "ftassets.workers.training": ["job.json"],
    "ftassets.workers.training.adopt": ["job.json"],
}


def run(module: str, *arguments: str, first: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The program, with the modules of the folder `first` in place of installed ones."""
    path = os.pathsep.join(str(folder) for folder in (first, ROOT) if folder)
    environment = {**os.environ, "PYTHONPATH": path, "FTASSETS_HOME": str(first or ROOT / "nonesuch")}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)


@pytest.mark.parametrize(("module", "imported"), [*((module, "pydantic") for module in PROGRAMS), ("ftassets.gateway", "uvicorn")])
def test_ctrl_c_while_modules_load_is_one_word(module: str, imported: str, tmp_path: Path) -> None:
    (tmp_path / f"{imported}.py").write_text("raise KeyboardInterrupt")
    done = run(module, *PROGRAMS[module], first=tmp_path)
    assert (done.returncode, done.stderr) == (INTERRUPTED, "interrupted\n")


def test_a_package_that_is_not_installed_is_named_with_its_command(tmp_path: Path) -> None:
    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError(\"No module named 'uvicorn'\", name='uvicorn')")
    done = run("ftassets.gateway", "--port", "0", "--admin-port", "0", first=tmp_path)
    assert (done.returncode, done.stderr) == (1, "the package uvicorn is not installed: pip install --force-reinstall ftassets\n")


@pytest.mark.parametrize("module", ["ftassets.gate_service", "ftassets.workers.evaluation", "ftassets.workers.training"])
def test_a_missing_job_file_is_one_sentence_and_makes_nothing(module: str, tmp_path: Path) -> None:
    done = run(module, str(tmp_path / "none" / "job.json"))
    assert (done.returncode, done.stderr.splitlines()) == (
        1,
        [f"failed: {tmp_path}/none/job.json: No such file or directory"],
    )
    done = run(module, str(tmp_path))
    assert (done.returncode, done.stderr.splitlines()) == (1, [f"failed: {tmp_path}: Is a directory"])
    assert list(tmp_path.parent.glob(f"{tmp_path.name}.*")) == list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", [module for module, arguments in PROGRAMS.items() if arguments == ["job.json"]])
def test_a_bad_job_file_is_one_sentence_without_its_texts(module: str, tmp_path: Path) -> None:
    job, failed = tmp_path / "job.json", tmp_path / "job.failed"
    for content in ('{"loop": 1, "rows": "s3cr3t"}', "s3cr3t"):
        job.write_text(content)
        done = run(module, str(job))
        assert done.returncode in (1, 2)
        assert done.stderr == f"failed: {failed.read_text()}\n"
        assert "s3cr3t" not in done.stderr
        assert str(job) in done.stderr
