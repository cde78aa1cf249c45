"""Processes that are killed: the gateway while it serves, and the server of a candidate."""

import threading

import requests

from ftassets.config.profiles import serving, traffic_log
from ftassets.drill.copied_loop import CLIENTS, CopiedLoop
from ftassets.drill.faulty_server import Behaviour
from ftassets.drill.killable_gateway import GatewayProcess
from ftassets.wording import amount

ROWS = 50


def gateway_killed(copy: CopiedLoop) -> tuple[bool, str]:
    """The gateway is killed under load: every answer that a client had is in the traffic log, and traffic goes where it went."""
    with GatewayProcess.started(copy) as gateway:
        had, before = list[str](), serving(gateway.home).state(gateway.loop)

        def load() -> None:
            try:
                while len(had) < 10 * ROWS:
                    had.extend(each.json()["id"] for each in gateway.ask(1) if each.status_code == 200)
            except requests.RequestException:
                return

        asking = threading.Thread(target=load, daemon=True)
        asking.start()
        while len(had) < ROWS and asking.is_alive():
            asking.join(0.02)
        gateway.kill()
        asking.join()
        gateway.start()
        there = {each.id for each in traffic_log(gateway.home).exchanges(gateway.loop)}
        lost, after = [each for each in had if each not in there], serving(gateway.home).state(gateway.loop)
        held = not lost and after.production == before.production and gateway.ask(1)[0].status_code == 200
        return held, f"{len(lost)} of {amount(len(had), 'answer')} lost; it serves the same version again"


def model_server_killed(copy: CopiedLoop) -> tuple[bool, str]:
    """The server of a candidate is killed: requests under way may fail, then its users get production's answers."""
    with copy.serving() as running:
        candidate = running.released("candidate", Behaviour())
        running.start(candidate, copy.loop.rollout.steps[0])
        running.host.kill(candidate)
        first, later = (sum(reply.status_code != 200 for reply in running.ask(users)) for users in (CLIENTS, 200))
        return not later, f"{first} of {CLIENTS} requests failed as it was noticed, {later} of 200 after that"
