"""`ftassets up`: every process of a home under one supervisord, which restarts what dies and leaves nothing behind."""

if __name__ == "__main__":
    from ftassets.entry import start

    start("ftassets.processes.up")

import argparse
import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from xmlrpc.client import Fault

import psutil
from filelock import FileLock, Timeout

from ftassets.backends.control.kept_loops import kept_loops
from ftassets.config import profiles
from ftassets.config.home import Home
from ftassets.config.loop_files import read_loop_files
from ftassets.config.loops_folder import VARIABLE, record
from ftassets.domain.canonical import parse_json
from ftassets.domain.formats import read, stamp
from ftassets.durable import write_durably
from ftassets.errors import ConfigurationError, FtassetsError
from ftassets.processes.code_location import CodeLocation, loading, need_packages, runs_under_way, silent_daemons, without_working_directory
from ftassets.processes.dagster_home import dagster_home, make_storage
from ftassets.processes.supervisor_client import call
from ftassets.processes.supervisord_conf import code_server, group, program, supervisor_socket, supervisord
from ftassets.processes.supervisord_conf import environment as conf_environment
from ftassets.wording import amount

MARK = "FTASSETS_SUPERVISED"  # in the environment of every process below supervisord: its home
READY_SECONDS = 120.0
STOP_SECONDS = 30.0
GATEWAY_SECONDS = 28  # its requests have 20 s to end, and the rows of those that do not are written
HAND_BACK_SECONDS = 60.0
CHECK_SECONDS = 15.0  # between two looks at what runs
LOST_SECONDS = 40.0  # for which Dagster must not reach the code server before it is started again
PATHS = (
    "FTASSETS_CACHE",
    "FTASSETS_TRAINER_POD",
    "FTASSETS_SIGNING_KEY_FILE",
    "FTASSETS_TLS_CERT",
    "FTASSETS_TLS_KEY",
)  # the processes work in other folders


class UpFailed(FtassetsError):
    """The processes cannot run; the message says what to change."""


@dataclass(frozen=True)
class Ports:
    """TCP ports of one home; all but the gateway's are on loopback."""

    gateway: int = 8100
    admin: int = 8101
    ui: int = 3000
    code: int = 4266


OPTIONS = {"gateway": "--gateway-port", "admin": "--admin-port", "ui": "--port", "code": "--code-port"}


@dataclass(frozen=True)
class Running:
    """A live `up`: its process and its ports."""

    pid: int
    created: float
    ports: Ports


def up(
    home: Home,
    ports: Ports = Ports(),
    *,
    loops: Path,
    code: CodeLocation | None = CodeLocation(),
    bind: str = "127.0.0.1",
    foreground: bool = True,
    say: Callable[[str], None] = functools.partial(print, flush=True),  # at once also where the output is a file
) -> None:
    """Run all processes of a home. Raises UpFailed: it runs already, a port is taken, a process does not come up.

    In the foreground it returns after SIGINT, SIGTERM or SIGHUP, when every process has ended (call it from the main thread). In the
    background it returns when all processes answer; `down` ends them. `loops` is the folder of the loop files, which every process gets
    as FTASSETS_LOOPS. `code` is what Dagster's code server loads; None leaves Dagster out.
    """
    if foreground:
        _foreground(home, ports, code, loops, bind, say)
    else:
        _background(home, ports, code, loops, bind)


def running(home: Home) -> Running | None:
    """The `up` that serves this home now."""
    try:
        content = read("up", parse_json((home.processes / "up.json").read_bytes()))
        found = Running(content["pid"], content["created"], Ports(**content["ports"]))
        process = psutil.Process(found.pid)
        alive = abs(process.create_time() - found.created) < 0.05 and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, KeyError, TypeError, psutil.NoSuchProcess):
        return None
    return found if alive else None


def down(home: Home) -> bool:
    """End every process of a home; whether an `up` was running."""
    found = running(home)
    if found:
        process = psutil.Process(found.pid)
        process.terminate()
        try:
            process.wait(HAND_BACK_SECONDS + GATEWAY_SECONDS + STOP_SECONDS + 10)
        except psutil.TimeoutExpired:
            process.kill()
    end_strays(home)
    return found is not None


def end_strays(home: Home) -> list[int]:
    """End what an earlier life of this home left: trainers, run workers, model servers. Returns their process ids."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    strays = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid not in own and process.environ().get(MARK) == str(home.root.resolve()):
                strays.append(process)
    for process in strays:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(strays, timeout=5)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
    return [process.pid for process in strays]


def _foreground(home: Home, ports: Ports, code: CodeLocation | None, loops: Path, bind: str, say: Callable[[str], None]) -> None:
    names = _names(home, loops, say)
    home.processes.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home.processes / "up.lock")  # the system lets go of it however we end
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UpFailed(_runs_already(home, running(home))) from error
    state = home.processes / "up.json"
    try:
        if strays := end_strays(home):
            say(f"ended {len(strays)} process(es) an earlier run left behind")
        _need_free(ports, bind, code is not None)
        if code:
            need_packages(code)
        environment = _environment(home, ports, loops, code)
        if code:
            home.dagster_storage.mkdir(parents=True, exist_ok=True)
            if not make_storage(environment):
                file = Path(environment["DAGSTER_HOME"], "dagster.yaml")
                say(
                    f"Dagster has no queue for runs: {file} names another run coordinator. A run under way when this stops counts as dead, "
                    "and is tried again from its checkpoint; remove run_coordinator there to have runs continue"
                )
        record(home, loops)
        _write_conf(home, ports, code, bind)
        me = Running(os.getpid(), psutil.Process().create_time(), ports)
        write_durably(state, json.dumps(stamp("up", asdict(me))).encode())
        _supervise(home, ports, code, names, environment, say)
    finally:
        end_strays(home)
        state.unlink(missing_ok=True)
        lock.release()


def _names(home: Home, folder: Path, say: Callable[[str], None]) -> list[str]:
    """The loops whose files can be used; says what is wrong with the others. Raises ConfigurationError when there is nothing to run."""
    files = read_loop_files(folder)
    served = kept_loops(profiles.control(home), files.broken, files.loops)
    if files.broken and not files.loops and not served:
        raise ConfigurationError(files.broken[0].problem)
    for file in files.broken:
        as_before = [name for name, kept in served.items() if kept.problem == file.problem]
        rest = (
            f"{', '.join(as_before)} is served as before, without reports, retrains and rollouts" if as_before else "its loops do not run"
        )
        say(f"{file.problem}; {rest}. Correct it and start `ftassets up` again")
    return list(files.loops)


def _supervise(
    home: Home, ports: Ports, code: CodeLocation | None, loops: list[str], environment: dict[str, str], say: Callable[[str], None]
) -> None:
    """Run supervisord until a signal says stop; one that dies takes its children along and is started again."""
    if find_spec("supervisor") is None:
        raise UpFailed("the package supervisor is not installed: pip install supervisor")
    guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    command = [*guard, sys.executable, "-m", "supervisor.supervisord", "-c", "supervisord.conf"]
    with _signals() as stop:
        while not stop:
            began = time.monotonic()
            child = subprocess.Popen(command, cwd=home.processes, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
            try:
                _watch(child, stop, home, ports, code, loops, say)
                if stop and child.poll() is None:
                    if code:
                        _hand_back(home, ports, environment, stop, say)
                    _drain(home, stop, say)
            finally:
                _end(child, at_once=len(stop) > 1)
            if not stop and time.monotonic() - began < 5:
                raise UpFailed(f"supervisord ended at once (code {child.returncode}): see {home.processes / 'logs' / 'supervisord.log'}")
            end_strays(home)


def _watch(
    child: subprocess.Popen,
    stop: list[int],
    home: Home,
    ports: Ports,
    code: CodeLocation | None,
    loops: list[str],
    say: Callable[[str], None],
) -> None:
    """Wait for the end of supervisord or a signal; say what runs where once it does, and what does not run."""
    silent = _addresses(ports, code is not None)
    told = _Told(home, ports, code, loops, say)
    give_up = time.monotonic() + READY_SECONDS
    while child.poll() is None and not stop:
        if silent:
            silent = {name: url for name, url in silent.items() if not _answers(url)}
            if not silent:
                write_durably(home.processes / "ready.json", json.dumps({"pid": os.getpid()}).encode())
            elif time.monotonic() > give_up:
                say(f"{' and '.join(silent)} did not answer within {READY_SECONDS:.0f} s: see {home.processes / 'logs'}")
                silent = {}
        else:
            told.look(time.monotonic(), give_up)
        time.sleep(0.2)


def _hand_back(home: Home, ports: Ports, environment: Mapping[str, str], stop: list[int], say: Callable[[str], None]) -> None:
    """End the runs before what they ask and what would start others; a second signal ends them without ceremony."""
    ui, signals = f"http://127.0.0.1:{ports.ui}", len(stop)
    if not (number := runs_under_way(ui)):
        return
    say(f"{amount(number, 'run')} under way: waiting up to {HAND_BACK_SECONDS:.0f} s for a checkpoint; Ctrl-C again waits no longer")
    with contextlib.suppress(OSError, Fault):
        call(home.processes, "stopProcess", "ftassets:daemon")
    command = [sys.executable, "-P", "-m", "ftassets.automation.hand_back", ui]
    with (home.processes / "logs" / "hand_back.log").open("wb") as log:
        child = subprocess.Popen(command, env=dict(environment), stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
        until = time.monotonic() + HAND_BACK_SECONDS
        while child.poll() is None and time.monotonic() < until and len(stop) == signals:
            time.sleep(0.1)
        child.kill()
        out = child.communicate()[0]
    try:
        done = json.loads(out)
    except ValueError:
        say(f"the runs were not handed back: see {home.processes / 'logs' / 'hand_back.log'}. They count as dead, and are tried again")
        return
    if not done["queue"]:
        say("Dagster's run coordinator has no queue, so the runs cannot be handed back: they count as dead, and are tried again")
    if done["again"]:
        say(f"{amount(len(done['again']), 'run goes', 'runs go')} on when `ftassets up` runs again")
    if done["lost"]:
        say(f"could not be queued again, start it in the UI: {', '.join(run[:8] for run in done['lost'])}")


def _drain(home: Home, stop: list[int], say: Callable[[str], None]) -> None:
    """Stop the gateway while the model servers still run that answer its requests; a second signal waits no longer."""
    began, told = time.monotonic(), False
    try:
        call(home.processes, "stopProcess", "ftassets:gateway", False)
        while len(stop) == 1 and call(home.processes, "getProcessInfo", "ftassets:gateway")["statename"] == "STOPPING":  # type: ignore[index]
            if not told and time.monotonic() - began > 1.0:
                say(f"requests under way: waiting up to {GATEWAY_SECONDS} s for their answers; Ctrl-C again waits no longer")
                told = True
            time.sleep(0.1)
    except (OSError, Fault):  # it does not run
        return


class _Told:
    """What `up` says of its processes while they run: each thing once, and once more when it is over."""

    def __init__(self, home: Home, ports: Ports, code: CodeLocation | None, loops: list[str], say: Callable[[str], None]) -> None:
        self._home, self._ports, self._code, self._loops, self._say = home, ports, code, loops, say
        self._loaded = code is None
        self._daemon_started = False
        self._problem: str | None = None
        self._silent: list[str] = []
        self._given_up: set[str] = set()
        self._lost: float | None = None
        self._next = self._next_check = self._restarted = 0.0
        self._began: float | None = None

    def look(self, now: float, give_up: float) -> None:
        """Ask Dagster and supervisord from time to time; `give_up` is when the definitions have taken too long."""
        if self._began is None:
            self._began = now
            if self._code is None:
                self._say(f"gateway {_gateway_url(self._ports)}/v1; Ctrl-C ends all processes")
        if self._code and now > self._next:
            self._definitions(self._code, now, max(give_up, self._restarted + READY_SECONDS))
            self._next = now + (1.0 if not self._loaded and self._problem is None else CHECK_SECONDS)
        if now > max(self._next_check, self._began + READY_SECONDS):
            self._next_check = now + CHECK_SECONDS
            self._programs()
            if self._code:
                self._daemon()

    def _definitions(self, code: CodeLocation, now: float, give_up: float) -> None:
        late = now > give_up
        ui = f"http://127.0.0.1:{self._ports.ui}"
        gateway = f"gateway {_gateway_url(self._ports)}/v1"
        found = loading(ui, code.name, self._loops)
        if self._loaded and not found.known:
            self._unreachable(code, now)
            return
        self._lost = None
        if (found.known or late) and not self._daemon_started:
            with contextlib.suppress(OSError, Fault):  # one that runs already is a Fault
                call(self._home.processes, "startProcess", "ftassets:daemon", False)
            self._daemon_started = True
        if found.whole and self._loaded and self._problem is None:
            return
        if found.whole:
            again = "" if self._problem is None else f"the definitions {code.target} are loaded now; "
            self._say(f"{again}{gateway}, Dagster {ui}; Ctrl-C ends all processes")
            self._loaded, self._problem = True, None
            return
        of = ""
        if found.problem is not None:
            why = f"the definitions {code.target} cannot be used: {found.problem}. Correct them and reload the code location at {ui}"
        elif found.absent:
            of, self._loaded = f" of {', '.join(found.absent)}", True
            why = f"{code.target} has no asset of it: `ftassets check` says what is wrong. Correct it and reload the code location at {ui}"
        elif late:
            why = f"{code.target} was not loaded within {READY_SECONDS:.0f} s: see {self._home.processes / 'logs' / 'code.log'}"
        else:
            return
        if why != self._problem:
            self._problem = why
            self._say(f"no report, retrain or rollout{of} can start: {why}. {gateway} answers requests; Ctrl-C ends all processes")

    def _unreachable(self, code: CodeLocation, now: float) -> None:
        """Start the code server again: supervisord watches a parent that outlives the process with the definitions."""
        self._lost = now if self._lost is None else self._lost
        if now - self._lost < LOST_SECONDS:
            return
        self._say(
            f"Dagster does not reach the code server of {code.target}, which is started again; no sensor, schedule or run starts until "
            f"then: see {self._home.processes / 'logs' / 'code.log'}"
        )
        with contextlib.suppress(OSError, Fault):
            call(self._home.processes, "stopProcess", "ftassets:code")
        with contextlib.suppress(OSError, Fault):
            call(self._home.processes, "startProcess", "ftassets:code", False)
        self._loaded, self._lost, self._restarted = False, None, now
        self._problem = "it was not reached"

    def _daemon(self) -> None:
        silent = silent_daemons(f"http://127.0.0.1:{self._ports.ui}")
        if silent is None or silent == self._silent:
            return
        if silent:
            log = self._home.processes / "logs" / "daemon.log"
            self._say(f"Dagster's daemon shows no sign of life ({', '.join(silent)}): no sensor, schedule or run starts; see {log}")
        else:
            self._say("Dagster's daemon works again")
        self._silent = silent

    def _programs(self) -> None:
        try:
            processes = call(self._home.processes, "getAllProcessInfo")
        except (OSError, Fault):
            return
        given_up = {each["name"] for each in processes if each["statename"] == "FATAL"}  # type: ignore[attr-defined]
        for name in sorted(given_up - self._given_up):
            self._say(f"{name} ended again and again and is not started any more: see {self._home.processes / 'logs' / f'{name}.log'}")
        self._given_up = given_up


def _background(home: Home, ports: Ports, code: CodeLocation | None, loops: Path, bind: str) -> None:
    if found := running(home):
        raise UpFailed(_runs_already(home, found))
    logs = home.processes / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    (home.processes / "ready.json").unlink(missing_ok=True)
    command = [sys.executable, "-m", "ftassets.processes.up", "--loops", str(loops), "--bind", bind]
    command += [argument for name, port in asdict(ports).items() for argument in (OPTIONS[name], str(port))]
    command += ["--location", json.dumps(asdict(code))] if code else []
    with (logs / "up.log").open("wb") as log:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "FTASSETS_HOME": str(home.root), "PYTHONSAFEPATH": "1"},
        )
    give_up = time.monotonic() + READY_SECONDS
    while not _ready(home, child.pid):
        if child.poll() is not None:
            lines = (logs / "up.log").read_text(errors="replace").strip().splitlines()
            raise UpFailed(lines[-1] if lines else f"the processes of {home.root} ended at once (code {child.returncode})")
        if time.monotonic() > give_up:
            _end(child)
            raise UpFailed(f"the processes of {home.root} did not come up within {READY_SECONDS:.0f} s: see {logs}")
        time.sleep(0.1)


def _runs_already(home: Home, found: Running | None) -> str:
    return f"ftassets already runs in {home.root}{f' (pid {found.pid})' if found else ''}: stop that one first"


def _ready(home: Home, pid: int) -> bool:
    try:
        return parse_json((home.processes / "ready.json").read_bytes())["pid"] == pid
    except (OSError, ValueError):
        return False


def _write_conf(home: Home, ports: Ports, code: CodeLocation | None, bind: str) -> None:
    processes = home.processes
    shutil.rmtree(processes / "programs", ignore_errors=True)  # model servers of an earlier life: the gateway asks for what it needs
    for folder in (processes / "programs", processes / "logs", home.dagster_storage):
        folder.mkdir(parents=True, exist_ok=True)
    socket_folder = supervisor_socket(processes).parent
    socket_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if socket_folder.stat().st_uid != os.getuid():
        raise UpFailed(f"{socket_folder} belongs to another user: remove it or set XDG_RUNTIME_DIR")
    serve = ["-m", "ftassets.gateway", "--host", bind, "--port", str(ports.gateway), "--admin-port", str(ports.admin)]
    programs = {"gateway": program("gateway", serve, stopwaitsecs=GATEWAY_SECONDS)}
    if code:
        location = {"host": "127.0.0.1", "port": ports.code, "location_name": code.name}
        (processes / "workspace.yaml").write_text(json.dumps({"load_from": [{"grpc_server": location}]}))  # JSON is YAML
        show = ["-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(ports.ui), "-w", "workspace.yaml"]
        tick = ["-m", "dagster._daemon", "run", "-w", "workspace.yaml"]
        programs |= {
            "code": code_server("code"),
            "ui": program("ui", show),
            # started once the code server has answered: a run in the queue fails when its definitions are not there yet
            "daemon": program("daemon", tick, background=True, autostart="false"),
        }
    text = "\n".join([supervisord(processes), *programs.values(), group("ftassets", list(programs))])
    (processes / "supervisord.conf").write_text(text, encoding="utf-8")


def _environment(home: Home, ports: Ports, loops: Path, code: CodeLocation | None) -> dict[str, str]:
    """Environment of supervisord and of every process below it. Raises UpFailed."""
    folder = dagster_home(home).resolve() if code else None
    if folder and not (folder / "dagster.yaml").exists():
        raise UpFailed(f"there is no dagster.yaml in {folder}: unset DAGSTER_HOME, or set it to the folder that has one")
    return {
        **({"FTASSETS_DAGSTER_URL": f"http://127.0.0.1:{ports.ui}"} if code else {}),  # unless people reach it by another name
        "OMP_WAIT_POLICY": "PASSIVE",  # runs, servers and trainers share the cores: a thread that waits must not hold one
        **os.environ,
        **{name: os.path.abspath(os.environ[name]) for name in PATHS if os.environ.get(name)},
        # a module of the working directory must not take the place of a library
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": without_working_directory(os.environ.get("PYTHONPATH", "")),
        "FTASSETS_HOME": str(home.root),
        VARIABLE: str(loops.resolve()),
        **({"DAGSTER_HOME": str(folder)} if folder else {}),
        "PYTHONUNBUFFERED": "1",
        "FTASSETS_DAGSTER_STORAGE": str(home.dagster_storage),
        **(conf_environment(code.command(ports.code) if code else [], code.directory if code else os.getcwd())),
        MARK: str(home.root.resolve()),
    }


def _need_free(ports: Ports, bind: str, dagster: bool) -> None:
    used: dict[int, str] = {}
    for name, port in asdict(ports).items():
        if name in ("ui", "code") and not dagster:
            continue
        if port in used:
            raise UpFailed(f"port {port} is given twice ({used[port]} and {OPTIONS[name]}): choose another one for either")
        used[port] = OPTIONS[name]
        if why := port_problem(bind if name == "gateway" else "127.0.0.1", port):
            raise UpFailed(f"port {port} ({name}) cannot be used ({why}): stop what uses it, or choose another with {OPTIONS[name]}")


def free_ports() -> Ports:
    """Ports of loopback that nothing listens on now."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in OPTIONS]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return Ports(*(each.getsockname()[1] for each in sockets))


def port_problem(host: str, port: int) -> str | None:
    """Why nothing can listen there now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            return (isinstance(error, OSError) and error.strerror) or str(error)
    return None


def _gateway_url(ports: Ports) -> str:
    scheme = "https" if os.environ.get("FTASSETS_TLS_CERT") else "http"
    return f"{scheme}://127.0.0.1:{ports.gateway}"


def _addresses(ports: Ports, dagster: bool) -> dict[str, str]:
    found = {"gateway": f"{_gateway_url(ports)}/health"}
    return found | ({"webserver": f"http://127.0.0.1:{ports.ui}/server_info"} if dagster else {})


def _answers(url: str) -> bool:
    try:
        # only whether our own process answers: its certificate names the host that clients use
        handlers = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=ssl._create_unverified_context())
        urllib.request.build_opener(*handlers).open(url, timeout=2).close()
    except urllib.error.HTTPError:
        return True  # a version that is still starting makes the gateway's health 503
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Signals that asked to stop, as they come."""
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    old = {number: signal.signal(number, lambda number, _: came.append(number)) for number in numbers}
    try:
        yield came
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _end(child: subprocess.Popen, at_once: bool = False) -> None:
    if at_once:  # the system ends what it started
        child.kill()
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def main() -> int:
    """`up` in this process, for `foreground=False`."""
    parser = argparse.ArgumentParser(prog="python -m ftassets.processes.up")
    parser.add_argument("--loops", type=Path, required=True)
    parser.add_argument("--bind", default="127.0.0.1")
    parser.add_argument("--location", help="a code location as JSON")
    for name, option in OPTIONS.items():
        parser.add_argument(option, type=int, default=getattr(Ports, name), dest=name)
    args = parser.parse_args()
    ports = Ports(**{name: getattr(args, name) for name in OPTIONS})
    code = CodeLocation(**json.loads(args.location)) if args.location else None
    up(Home.from_env(), ports, loops=args.loops, code=code, bind=args.bind)
    return 0
