"""supervisord's configuration: its own section, one section per program, and the path of its socket.

In a value of this format a space, a percent sign, a quote or a comment character may mean something. Paths are therefore relative, for
supervisord runs in the folder of its configuration and so do its programs, or they come from its environment (`environment`).
"""

import hashlib
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ftassets.errors import ConfigurationError

_SOCKET_MAX = 90  # sun_path holds 104 to 108 bytes, and supervisor first binds a longer name
_SOCKET = "supervisor.sock"
# schedules, trainings and evaluations yield to gateway and model servers, on whose answers users wait
_BACKGROUND = "nice -n 10 "
PYTHON, CODE_SERVER, DIRECTORY = "FTASSETS_PYTHON", "FTASSETS_CODE_SERVER", "FTASSETS_DIRECTORY"


def environment(code_server: Sequence[str], directory: str) -> dict[str, str]:
    """What the configuration takes from supervisord's environment: our interpreter, the code server's command and working directory."""
    return {PYTHON: shlex.quote(sys.executable), CODE_SERVER: shlex.join(code_server), DIRECTORY: directory}


def supervisor_socket(processes: Path) -> Path:
    """Path of supervisord's Unix socket: in the home, or in a short folder of this user where the home is too deep."""
    path = processes / _SOCKET
    if len(os.fsencode(path)) < _SOCKET_MAX:
        return path
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    return runtime / f"ftassets-{os.getuid()}-{hashlib.sha256(os.fsencode(processes)).hexdigest()[:12]}" / "s"


def path_problem(processes: Path) -> str | None:
    """Why supervisord cannot work in this folder: it reads the path of its programs' files as a pattern."""
    if bad := sorted(set(re.findall(r"[*?\[\x00-\x1f\x7f]", str(processes)))):
        return f"the path of the home {str(processes.parent)!r} has {' '.join(map(repr, bad))} in it: set FTASSETS_HOME to a folder without"
    return None


def supervisord(processes: Path) -> str:
    """Main file: no TCP port, programs from `programs/*.conf`. Raises ConfigurationError."""
    if problem := path_problem(processes):
        raise ConfigurationError(problem)
    socket = supervisor_socket(processes)
    return _sections(
        {
            "supervisord": {
                "nodaemon": "true",
                "silent": "true",
                "logfile": "logs/supervisord.log",
                "logfile_maxbytes": "5MB",
                "logfile_backups": 1,
                "pidfile": "supervisord.pid",
                "childlogdir": "logs",
            },
            "unix_http_server": {"file": _SOCKET if socket.parent == processes else socket, "chmod": "0700"},
            "rpcinterface:supervisor": {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
            "include": {"files": "programs/*.conf"},
        }
    )


def program(name: str, arguments: Sequence[str], *, background: bool = False, **options: object) -> str:
    """Section of a Python program that is restarted when it ends and is killed by the system when supervisord dies.

    A program in the background, and what it starts, leaves the cores to the others when they are short.
    Raises ConfigurationError for an argument that supervisord would read otherwise.
    """
    return _program(name, f"{_BACKGROUND * background}%(ENV_{PYTHON})s -P {_value(shlex.join(arguments))}", options)


def code_server(name: str) -> str:
    """Section of the code server, which starts the runs; its command and working directory are in the environment."""
    return _program(name, f"{_BACKGROUND}%(ENV_{CODE_SERVER})s", {"directory": _Expanded(f"%(ENV_{DIRECTORY})s")})


def _program(name: str, command: str, options: Mapping[str, object]) -> str:
    guard = "setpriv --pdeathsig KILL " if shutil.which("setpriv") else ""
    defaults = {
        "command": _Expanded(guard + command),
        "autorestart": "true",
        "startsecs": 1,
        "startretries": 20,
        "stopwaitsecs": 10,
        "stopasgroup": "true",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": f"logs/{name}.log",
        "stdout_logfile_maxbytes": "5MB",
        "stdout_logfile_backups": 1,
    }
    return _sections({f"program:{name}": {**defaults, **options}})


def group(name: str, programs: Sequence[str]) -> str:
    """Programs that are stopped together instead of one after another."""
    return _sections({f"group:{name}": {"programs": ",".join(programs)}})


class _Expanded(str):
    """A value that supervisord replaces."""


def _sections(sections: Mapping[str, Mapping[str, object]]) -> str:
    lines = []
    for name, options in sections.items():
        lines += [f"[{name}]", *(f"{key}={_value(value)}" for key, value in options.items()), ""]
    return "\n".join(lines)


def _value(value: object) -> str:
    text = str(value)
    if re.search(r"\s[#;]|[\n\r\0]", text):
        message = f"supervisord would cut off {text!r}: move what it names to a path without ' #', ' ;' and line breaks"
        raise ConfigurationError(message)
    return text if isinstance(value, _Expanded) else text.replace("%", "%%")
