"""A machine of somebody who has the wheel and no checkout: a fresh environment, commands as they are typed, Dagster over its API."""

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from ftassets.processes.up import OPTIONS, Ports, free_ports
from ftassets.testing.external_endpoint import KEY, VARIABLE
from ftassets_tests import ROOT

PIP = (sys.executable, "-m", "pip")
DG = "import sys; from dagster_dg_cli.cli import main; sys.argv[0] = 'dg'; main()"  # the script that `pip install dagster-dg-cli` writes
LAUNCH = """
mutation ($location: String!, $job: String!, $config: RunConfigData!) {
  launchRun(executionParams: {
    selector: {repositoryLocationName: $location, repositoryName: "__repository__", jobName: $job}, runConfigData: $config
  }) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
}
"""
RUN = """
query ($id: ID!) { runOrError(runId: $id) { ... on Run {
  status stepStats { stepKey status } tags { key value }
} } }
"""


def build(folder: Path) -> tuple[Path, Path]:
    """Source distribution and wheel, built from a copy: a build leaves files behind, and takes along those that an earlier one left."""
    source = folder / "source"
    ignore = shutil.ignore_patterns("__pycache__", ".ftassets", ".venv", "*.egg-info")
    for name in ("ftassets", "examples", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md"):
        there = ROOT / name
        shutil.copytree(there, source / name, ignore=ignore) if there.is_dir() else shutil.copy(there, source / name)
    script = "from setuptools import build_meta; build_meta.build_sdist('..')"
    _run([sys.executable, "-c", script], source)
    _run([*PIP, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", "..", "."], source)
    [archive], [wheel] = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return archive, wheel


@dataclass(frozen=True)
class Machine:
    """A fresh virtual environment with the wheel in it; `base` is a folder with a tiny model."""

    venv: Path
    base: Path
    archive: Path
    wheel: Path

    @classmethod
    def make(cls, folder: Path, base: Path) -> "Machine":
        """Install the wheel without an index; what ftassets needs comes from the environment that runs the tests."""
        machine = cls(folder / "venv", base, *build(folder))
        _run([sys.executable, "-m", "venv", "--without-pip", str(machine.venv)], folder)
        _run([*PIP, "--python", str(machine.python), "install", "--no-deps", "--no-index", str(machine.wheel)], folder)
        # after the install: pip would take the ftassets of the tests for an installed one
        machine.sees(Path(sysconfig.get_path("purelib")))
        return machine

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    def sees(self, folder: Path) -> None:
        """Let the environment import what a folder holds, after what is installed: as `pip install --editable` does."""
        [packages] = self.venv.glob("lib/python*/site-packages")
        with (packages / "shared.pth").open("a") as file:
            file.write(f"{folder}\n")


@dataclass
class Shell:
    """A terminal of that machine in one folder, with a home of its own."""

    machine: Machine
    folder: Path
    ports: Ports

    @classmethod
    def open(cls, machine: Machine, folder: Path) -> "Shell":
        folder.mkdir(parents=True, exist_ok=True)
        return cls(machine, folder, free_ports())

    @property
    def environment(self) -> dict[str, str]:
        """No variable of the tests, so that nothing of the checkout is found."""
        return {
            "PATH": f"{self.machine.venv / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "COLUMNS": "200",
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "BASE_MODEL": str(self.machine.base),
            VARIABLE: KEY,
        }

    def run(self, *words: str, code: int = 0) -> str:
        """What a command writes; it must end with that exit code, and no traceback is for a user."""
        command = (
            [str(self.machine.python), "-c", DG, *words[1:]]
            if words[0] == "dg"
            else [str(self.machine.venv / "bin" / words[0]), *words[1:]]
        )
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == code, f"{' '.join(words)} ended with {done.returncode}:\n{said}"
        assert "Traceback" not in said, said
        return said

    @contextmanager
    def up(self, *words: str) -> Iterator["Dagster"]:
        """`ftassets up` on free ports until Ctrl-C."""
        ports = [word for name, port in asdict(self.ports).items() for word in (OPTIONS[name], str(port))]
        out = self.folder / "up.log"
        with out.open("wb") as file:
            command = [str(self.machine.venv / "bin" / "ftassets"), "up", *words, *ports]
            process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=file, stderr=subprocess.STDOUT)
        try:
            _until(lambda: "Ctrl-C ends all processes" in out.read_text() or process.poll() is not None)
            assert process.poll() is None, out.read_text()
            dagster = Dagster(f"http://127.0.0.1:{self.ports.ui}/graphql")
            _until(dagster.location)
            yield dagster
        finally:
            process.terminate()
            process.wait(60)
        assert process.returncode == 0, out.read_text()
        assert "cannot be used" not in out.read_text(), out.read_text()

    def ask(self, loop: str, text: str, correction: str | None = None) -> httpx.Response:
        """A client's request, and its feedback if it has any."""
        with httpx.Client(base_url=f"http://127.0.0.1:{self.ports.gateway}", timeout=60, trust_env=False) as client:
            body = {"model": loop, "messages": [{"role": "user", "content": text}], "user": text}
            answer = client.post("/v1/chat/completions", json=body)
            assert answer.status_code == 200, answer.text
            if correction is not None:
                feedback = client.post("/v1/feedback", json={"id": answer.json()["id"], "rating": "down", "correction": correction})
                assert feedback.status_code == 200, feedback.text
            return answer


@dataclass
class Dagster:
    """The buttons of the UI, pressed over its API."""

    url: str

    def location(self) -> str | None:
        """Name of the one code location, as soon as it is loaded."""
        query = "{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus locationOrLoadError { __typename } } } } }"
        found = self._ask(query)["workspaceOrError"]["locationEntries"]
        return found[0]["name"] if found and (found[0]["locationOrLoadError"] or {}).get("__typename") == "RepositoryLocation" else None

    def run(self, job: str, config: dict[str, Any] | None = None, seconds: float = 420.0) -> list[str]:
        """Launch a job and wait for its end, which must be a success; the steps that ran."""
        asked = {"location": self.location(), "job": job, "config": config or {}}
        launched = self._ask(LAUNCH, asked)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run_id = launched["run"]["runId"]
        run = _until(
            lambda: (r := self._ask(RUN, {"id": run_id})["runOrError"])["status"] in ("SUCCESS", "FAILURE", "CANCELED") and r, seconds
        )
        assert run["status"] == "SUCCESS", (job, run)
        return [step["stepKey"] for step in run["stepStats"]]

    def _ask(self, query: str, variables: dict[str, Any] | None = None) -> Any:
        try:
            answer = httpx.post(self.url, json={"query": query, "variables": variables or {}}, timeout=60, trust_env=False).json()
        except httpx.TransportError:
            return {"workspaceOrError": {"locationEntries": []}}
        assert "errors" not in answer, answer
        return answer["data"]


def _until(look: Any, seconds: float = 120.0) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.2)
    raise TimeoutError("waited in vain")


def _run(command: list[str], folder: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
