"""A lock as a row of the database, which whoever holds it signs each second: it outlives connections and restarts of the server."""

import logging
import threading
import time
import uuid

from ftassets.backends.postgres.pool import Connections

log = logging.getLogger(__name__)

SIGNED_EVERY = 1.0  # seconds
FREE_AFTER = 4.0  # seconds without a signature, as seen by whoever waits: the holder's process has ended
_TRY_EVERY = 0.1
_TAKE = """INSERT INTO control_document VALUES (:key, :count, CAST(:holder AS uuid))
    ON CONFLICT (key) DO UPDATE SET content = excluded.content, change = excluded.change
    WHERE control_document.change = CAST(:dead AS uuid) AND control_document.content = :seen
    RETURNING 1"""
_SEE = "SELECT CAST(change AS text), content FROM control_document WHERE key = :key"
_SIGN = "UPDATE control_document SET content = :count WHERE key = :key AND change = CAST(:holder AS uuid) RETURNING 1"
_FREE = "DELETE FROM control_document WHERE key = :key AND change = CAST(:holder AS uuid)"


class RowLock:
    """One attempt to hold a lock. Clocks of machines are not compared: who waits sees whether the row changes."""

    def __init__(self, server: Connections, key: str) -> None:
        self._server = server
        self._key = f".lock/{key}"  # no document's name begins with a dot
        self._holder = str(uuid.uuid4())
        self._lost = False
        self._stop = threading.Event()
        self._signing = threading.Thread(target=self._sign, name=f"lock {key}", daemon=True)

    def acquire(self, timeout: float | None) -> bool:
        """Wait for it, for so many seconds at most; whether it is held now. Raises what the server's use names."""
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        seen, since = (self._holder, b""), time.monotonic()
        while True:
            abandoned = time.monotonic() - since >= FREE_AFTER
            dead, content = seen if abandoned else (self._holder, b"")
            query = {"key": self._key, "count": b"0", "holder": self._holder, "dead": dead, "seen": content}
            taken = self._server.do(lambda link, query=query: link.run(_TAKE, **query))  # type: ignore[misc]
            found = self._server.do(lambda link: link.run(_SEE, key=self._key))
            if taken or (found and found[0][0] == self._holder):  # taken, though the server's word for it was lost
                self._signing.start()
                return True
            if found and (now := (str(found[0][0]), bytes(found[0][1]))) != seen:
                seen, since = now, time.monotonic()
            if time.monotonic() >= deadline:
                return False
            time.sleep(min(_TRY_EVERY, max(0.0, deadline - time.monotonic())))

    def release(self) -> bool:
        """Let go of it; False if another one got it meanwhile."""
        self._stop.set()
        self._signing.join()
        try:
            self._server.do(lambda link: link.run(_FREE, key=self._key, holder=self._holder))
        except OSError as error:
            log.warning("%s is free in %g s: %s", self._key, FREE_AFTER, error)
        return not self._lost

    def _sign(self) -> None:
        number = 0
        while not self._stop.wait(SIGNED_EVERY):
            number += 1
            count = b"%d" % number
            try:
                signed = self._server.do(lambda link, count=count: link.run(_SIGN, key=self._key, holder=self._holder, count=count))  # type: ignore[misc]
            except OSError:  # while the server is away nobody else gets it
                continue
            if not signed:
                self._lost = True
                return log.error("%s was lost: it was not signed for %g s", self._key, FREE_AFTER)
