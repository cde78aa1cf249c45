"""Notices as one log line each."""

import logging

from ftassets.domain.canonical import canonical_json
from ftassets.resources.notifier.base import Notifier

_LOG = logging.getLogger("ftassets.notices")
_LEVELS = {"info": logging.INFO, "ticket": logging.WARNING, "page": logging.ERROR}


class ConsoleNotifier(Notifier):
    """Writes `notice {"loop": ..., "severity": ..., "text": ..., "title": ...}` to the logger `ftassets.notices`."""

    def notify(self, loop: str, title: str, text: str, severity: str = "info") -> None:
        try:
            line = canonical_json({"loop": loop, "title": title, "text": text, "severity": severity}).decode()
            # an unknown severity is a mistake of the caller: shown, not lost
            _LOG.log(_LEVELS.get(severity, logging.WARNING), "notice %s", line)
        except Exception:  # the contract: a notice that fails never fails what it is about
            _LOG.exception("a notice could not be written")
