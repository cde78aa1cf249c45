"""Faults of a candidate that has traffic: it fails, or it is worse."""

from ftassets.drill.copied_loop import CopiedLoop
from ftassets.drill.faulty_server import Behaviour
from ftassets.wording import amount

BATCH, MOST = 250, 6000  # requests between two ticks of the rollout sensor, and in all


def failing_canary(copy: CopiedLoop) -> tuple[bool, str]:
    """Each request to the candidate fails."""
    return _rolled_back(copy, Behaviour(fails=1))


def worse_canary(copy: CopiedLoop) -> tuple[bool, str]:
    """Every second answer of the candidate lacks the form of the task; where any text has it, every third request fails."""
    return _rolled_back(copy, Behaviour(fails=3) if copy.loop.task.form.well_formed("{ no") else Behaviour(malformed=2))


def _rolled_back(copy: CopiedLoop, behaviour: Behaviour) -> tuple[bool, str]:
    """Requests of new users until the rollout sensor takes the candidate out."""
    with copy.serving() as running:
        candidate = running.released("candidate", behaviour)
        running.ask(BATCH)  # what is usual for production
        running.start(candidate, copy.loop.rollout.steps[0])
        asked, said = 0, ""
        while asked < MOST:
            running.ask(BATCH, begin=BATCH + asked)
            asked += BATCH
            said = running.tick()
            if running.state().candidate is None:
                after = {reply.headers.get("x-ftassets-version") for reply in running.ask(50)}
                held = after == {running.production}
                return held, f"{said}, after {amount(asked, 'request')} with {copy.loop.rollout.steps[0]} % of traffic"
        return False, f"the candidate still has traffic after {amount(asked, 'request')}: {said}"
