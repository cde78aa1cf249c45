"""supervisord's configuration: its own section, one section per program, and the path of its socket."""

import hashlib
import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_SOCKET_MAX = 90  # sun_path holds 104 to 108 bytes, and supervisor first binds a longer name


def supervisor_socket(processes: Path) -> Path:
    """Path of supervisord's Unix socket: in the home, or in a short folder of this user where the home is too deep."""
    path = processes / "supervisor.sock"
    if len(os.fsencode(path)) < _SOCKET_MAX:
        return path
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    return runtime / f"ftassets-{os.getuid()}-{hashlib.sha256(os.fsencode(processes)).hexdigest()[:12]}" / "s"


def supervisord(processes: Path) -> str:
    """Main file: no TCP port, everything below `processes`, programs from `programs/*.conf`."""
    return _sections(
        {
            "supervisord": {
                "nodaemon": "true",
                "silent": "true",
                "logfile": processes / "logs" / "supervisord.log",
                "logfile_maxbytes": "5MB",
                "logfile_backups": 1,
                "pidfile": processes / "supervisord.pid",
                "childlogdir": processes / "logs",
            },
            "unix_http_server": {"file": supervisor_socket(processes), "chmod": "0700"},
            "rpcinterface:supervisor": {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
            "include": {"files": processes / "programs" / "*.conf"},
        }
    )


def program(name: str, command: Sequence[str], processes: Path, **options: object) -> str:
    """Section of a program that is restarted when it ends and is killed by the system when supervisord dies."""
    guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    defaults = {
        "command": shlex.join([*guard, *command]),
        "autorestart": "true",
        "startsecs": 1,
        "startretries": 20,
        "stopwaitsecs": 10,
        "stopasgroup": "true",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": processes / "logs" / f"{name}.log",
        "stdout_logfile_maxbytes": "5MB",
        "stdout_logfile_backups": 1,
    }
    return _sections({f"program:{name}": {**defaults, **options}})


def group(name: str, programs: Sequence[str]) -> str:
    """Programs that are stopped together instead of one after another."""
    return _sections({f"group:{name}": {"programs": ",".join(programs)}})


def _sections(sections: Mapping[str, Mapping[str, object]]) -> str:
    lines = []
    for name, options in sections.items():
        lines += [f"[{name}]", *(f"{key}={str(value).replace('%', '%%')}" for key, value in options.items()), ""]
    return "\n".join(lines)
