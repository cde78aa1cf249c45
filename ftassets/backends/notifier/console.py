"""Alerts as one log line each."""

import logging

from ftassets.backends.notifier.base import Alert, Notifier

_LOG = logging.getLogger("ftassets.notices")
_LEVELS = {"info": logging.INFO, "ticket": logging.WARNING, "page": logging.ERROR}


class ConsoleNotifier(Notifier):
    """Writes `notice {"key": ..., "loop": ..., "severity": ..., ...}` to the logger `ftassets.notices`."""

    def notify(self, alert: Alert) -> bool:
        try:
            # an unknown severity is a mistake of the caller: shown, not lost
            level = logging.INFO if alert.resolved else _LEVELS.get(alert.severity, logging.WARNING)
            _LOG.log(level, "notice %s", alert.to_json())
        except Exception:  # the contract: a notice that fails never fails what it is about
            _LOG.exception("a notice could not be written")
            return False
        return True
