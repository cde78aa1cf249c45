"""A shell in which `ftassets` runs in this process and other tools are only parsed, so that commands can be tried as written."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

# tools that do what they always do; everything else a page names must be one of `Shell.tools`
REAL = (
    "cat",
    "cp",
    "date",
    "env",
    "grep",
    "head",
    "jq",
    "ls",
    "mkdir",
    "mktemp",
    "mv",
    "openssl",
    "rm",
    "sed",
    "sort",
    "tail",
    "tee",
    "wc",
)

_SHIM = """#!{python} -SE
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as there:
    there.connect({address!r})
    asked = {{"argv": [os.path.basename(sys.argv[0]), *sys.argv[1:]], "cwd": os.getcwd(), "env": dict(os.environ)}}
    there.sendall(json.dumps(asked).encode() + b"\\n")
    answer = json.loads(there.makefile().readline())
sys.stdout.write(answer["out"])
sys.stderr.write(answer["err"])
sys.exit(answer["code"])
"""


@dataclass
class Answer:
    """What a command wrote and its exit code."""

    code: int = 0
    out: str = ""
    err: str = ""


@dataclass
class Call:
    """One command as the shell understood it: words, folder and environment."""

    argv: list[str]
    cwd: str
    env: dict[str, str] = field(default_factory=dict)


Tool = Callable[[Call], Answer]


class Shell:
    """bash with a PATH of its own; `tools` are answered by functions here, one at a time."""

    def __init__(self, folder: Path, tools: dict[str, Tool]) -> None:
        self.folder = folder
        self._tools = tools
        self._bin = folder / "bin"
        self._bin.mkdir(parents=True)
        self._address = str(folder / "shell")
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(self._address)
        self._server.listen()
        for name in REAL:
            if found := shutil.which(name):
                (self._bin / name).symlink_to(found)
        if curl := shutil.which("curl"):  # an HTTP error is an error here
            self._script("curl", f'#!/bin/sh\nexec {curl} --fail-with-body --silent --show-error --max-time 60 "$@"\n')
        for name in tools:
            self._script(name, _SHIM.format(python=sys.executable, address=self._address))
        threading.Thread(target=self._listen, name="shell", daemon=True).start()

    def has(self, tool: str) -> bool:
        """Whether a command of that name can be called."""
        return (self._bin / tool).exists()

    def run(self, script: str, cwd: Path, env: dict[str, str]) -> Answer:
        """Run a script; the first command that fails ends it."""
        done = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", script],
            cwd=cwd,
            env={**env, "PATH": str(self._bin)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def link(self, folder: Path) -> None:
        """Make the folder a second place of all commands, such as `.venv/bin`."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.symlink_to(self._bin, target_is_directory=True)

    def close(self) -> None:
        """Answer nothing any more."""
        self._server.close()

    def _script(self, name: str, text: str) -> None:
        path = self._bin / name
        path.write_text(text)
        path.chmod(0o755)

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection, connection.makefile("rw") as file:
                call = Call(**json.loads(file.readline()))
                try:
                    answer = self._tools[call.argv[0]](call)
                except Exception as error:  # the snippet fails, not this thread
                    answer = Answer(1, "", f"{type(error).__name__}: {error}\n")
                file.write(json.dumps(vars(answer)) + "\n")


def in_place_of(call: Call) -> Callable[[], None]:
    """Put this process into the folder and environment of a call; returns what undoes it."""
    before, folder = dict(os.environ), os.getcwd()
    os.environ.clear()
    os.environ.update({**call.env, "PATH": before.get("PATH", "")})
    os.chdir(call.cwd)

    def undo() -> None:
        os.environ.clear()
        os.environ.update(before)
        os.chdir(folder)

    return undo
