"""Alerts as JSON over HTTP: what Slack, a webhook and Alertmanager have in common."""

import json
import logging
import time
from abc import abstractmethod
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from ftassets.backends.notifier.base import Alert, Notifier

_LOG = logging.getLogger("ftassets.notices")
TRIES = 3
TIMEOUT = 5.0  # seconds a try: all of them fit into one tick of a sensor


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None  # a POST would become a GET, or go to a host nobody named


class HttpNotifier(Notifier):
    """Posts one JSON document an alert; a busy or silent receiver is asked again.

    urllib, since requests and urllib3 write addresses into their messages and logs, and here the address is the secret.
    """

    name: str

    def __init__(self, url: str, pause: float = 1.0) -> None:
        """`pause` in seconds before the second try, doubled each time."""
        self._url = url
        self._pause = pause
        self._opener = build_opener(_NoRedirects)

    @abstractmethod
    def body(self, alert: Alert) -> Any:
        """What the receiver wants to read."""

    def notify(self, alert: Alert) -> bool:
        problem = ""
        try:
            if urlsplit(self._url).scheme not in ("http", "https"):
                raise ValueError
            content = json.dumps(self.body(alert), ensure_ascii=False).encode(errors="replace")
            for number in range(TRIES):
                if number:
                    time.sleep(self._pause * 2 ** (number - 1))
                problem, again = self._post(content)
                if not problem:
                    return True
                if not again:
                    break
        except Exception as error:  # the contract; the error's own words may hold the address
            problem = f"{type(error).__name__}: is the address http(s)://host/...?"
        _LOG.error("an alert could not be sent to %s (%s): %s", self.name, problem, alert.to_json())
        return False

    def _post(self, content: bytes) -> tuple[str, bool]:
        """What went wrong, empty when it was taken; and whether another try may help."""
        request = Request(self._url, data=content, headers={"Content-Type": "application/json"}, method="POST")
        try:
            with self._opener.open(request, timeout=TIMEOUT) as answer:
                answer.read(1000)
        except HTTPError as error:
            error.close()
            return f"HTTP {error.code}", error.code in (408, 429) or error.code >= 500
        except OSError as error:
            return f"{type(error).__name__}: it does not answer", True
        return "", False
