"""Stores that are gone while the gateway serves, and a disk that is full."""

import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from ftassets.backends.serving.base import ServingError
from ftassets.config.profiles import traffic_log
from ftassets.drill.copied_loop import CopiedLoop, Running
from ftassets.drill.faulty_server import Behaviour
from ftassets.drill.killable_gateway import GatewayProcess, until

ROWS = 20


def artifacts_down(copy: CopiedLoop) -> tuple[bool, str]:
    """The versions are gone: production answers from its server, a candidate does not start."""
    return _no_start(copy, lambda running: running.home.versions)


def control_down(copy: CopiedLoop) -> tuple[bool, str]:
    """The journal cannot be written: no traffic moves, and production answers."""
    return _no_start(copy, lambda running: running.home.gateway / "journal.jsonl")


def keys_down(copy: CopiedLoop) -> tuple[bool, str]:
    """The keys are gone: no signature can be checked, so nothing gains traffic."""
    return _no_start(copy, lambda running: next(running.home.keys.glob("*.pub.pem")))


def full_disk(copy: CopiedLoop) -> tuple[bool, str]:
    """The gateway cannot write: it gives no answer that it cannot record, reports that, and answers again when it can write."""
    with GatewayProcess.started(copy) as gateway:
        before = [each.json()["id"] for each in gateway.ask(ROWS)]
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        try:
            until(lambda: gateway.health() == 503, "the gateway did not notice that it cannot write")
            refused = gateway.ask(1)[0]
        finally:
            resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, unlimited)
        until(lambda: gateway.health() == 200, "the gateway did not go on when the disk had room again")
        after = [each.json()["id"] for each in gateway.ask(ROWS)]
        lost = {*before, *after} - {each.id for each in traffic_log(gateway.home).exchanges(gateway.loop)}
        code = refused.json().get("error", {}).get("code")
        return not lost and code == "not_recorded", f"{refused.status_code} {code}; {len(lost)} of {2 * ROWS} recorded answers lost"


def traffic_log_down(copy: CopiedLoop) -> tuple[bool, str]:
    """The traffic log cannot be opened: the gateway gives no answer that it cannot record, and what was recorded stays."""
    with GatewayProcess.started(copy) as gateway:
        gateway.ask(ROWS)
        with away(gateway.home.traffic_db):
            gateway.kill()
            gateway.start(wait=False)
            until(gateway.refuses, "the gateway answered without a traffic log, or did not say why not")
        gateway.kill()
        gateway.start()
        found = len(traffic_log(gateway.home).exchanges(gateway.loop))
        return found == ROWS and gateway.ask(1)[
            0
        ].status_code == 200, f"no answer without it; {found} of {ROWS} answers are there afterwards"


def _no_start(copy: CopiedLoop, store: Callable[[Running], Path]) -> tuple[bool, str]:
    with copy.serving() as running:
        candidate = running.released("candidate", Behaviour())
        running.ask(ROWS)
        with away(store(running)):
            try:
                running.start(candidate, copy.loop.rollout.steps[0])
                why = ""
            except (ServingError, requests.RequestException) as error:
                why = str(error)
            served = {(reply.status_code, reply.headers.get("x-ftassets-version")) for reply in running.ask(ROWS)}
        held = bool(why) and running.state().candidate is None and served == {(200, running.production)}
        if held:
            running.start(candidate, copy.loop.rollout.steps[0])  # once it is back
            held = running.state().candidate == candidate
        return held, why or "the candidate took traffic"


@contextmanager
def away(path: Path) -> Iterator[None]:
    """A file or folder is replaced by what it cannot be for a while: a folder by a file, a file by a folder; also for root."""
    kept = path.with_name(f"{path.name}.drill")
    shutil.move(path, kept)
    if kept.is_dir():
        path.touch()
    else:
        path.mkdir()
    try:
        yield
    finally:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        shutil.move(kept, path)
