"""Faults of a release: its attestation is edited, or has expired."""

import json
import time
from base64 import b64decode, b64encode
from collections.abc import Callable

from ftassets.backends.serving.base import Refused
from ftassets.drill.copied_loop import CopiedLoop, Running
from ftassets.drill.faulty_server import Behaviour
from ftassets.testing.releases import attest


def edited_attestation(copy: CopiedLoop) -> tuple[bool, str]:
    """A verdict is changed in the signed file."""

    def edit(running: Running, digest: str) -> None:
        path = attest(running.home, copy.loop.name, digest, verdict="FAIL")
        envelope = json.loads(path.read_bytes())
        said = b64decode(envelope["payload"]).replace(b'"FAIL"', b'"PASS"')
        path.write_text(json.dumps({**envelope, "payload": b64encode(said).decode()}))

    return _refused(copy, edit)


def expired_attestation(copy: CopiedLoop) -> tuple[bool, str]:
    """The evidence of a release is older than it may be."""
    return _refused(copy, lambda running, digest: attest(running.home, copy.loop.name, digest, expires_at=int(time.time()) - 1))


def _refused(copy: CopiedLoop, fault: Callable[[Running, str], object]) -> tuple[bool, str]:
    with copy.serving() as running:
        digest = running.released("candidate", Behaviour())
        fault(running, digest)
        try:
            running.start(digest, copy.loop.rollout.steps[0])
        except Refused as error:
            served = {reply.headers.get("x-ftassets-version") for reply in running.ask(20)}
            return running.state().candidate is None and served == {running.production}, str(error)
        return False, "the version took traffic"
