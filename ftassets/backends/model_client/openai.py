"""Calls to an endpoint that speaks OpenAI's API: key from the environment, patient with a busy server."""

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

BUSY = (408, 429, 500, 502, 503, 504, 529)


class OpenAIEndpoint:
    """One endpoint, called `who` in messages; what cannot be asked raises `error`, never with the key. Thread-safe."""

    def __init__(
        self,
        who: str,
        url: str,
        api_key_env: str | None,
        error: type[Exception],
        tries: int,
        backoff: float,
        longest_wait: int,
        timeout: tuple[float, float],
        path: str = "/chat/completions",
    ) -> None:
        """`backoff` is the first pause in seconds, doubled each time, `longest_wait` seconds whatever Retry-After says, `timeout`
        seconds to connect and between two reads; `path` follows the URL. Raises `error` on a missing key or a bad URL.
        """
        self._who, self._error = who, error
        self._tries, self._backoff, self._longest_wait, self._timeout = tries, backoff, longest_wait, timeout
        self._key = self._key_of(api_key_env)
        parts = urlsplit(url)
        # credentials in the URL would show in every message
        if parts.username or parts.password or parts.scheme not in ("http", "https"):
            raise error(f"the {who}'s url must be http(s)://host/..., without user or password: put the key into api_key_env")
        self.url = urlunsplit(parts._replace(path=parts.path.rstrip("/") + path, query="", fragment=""))

    def post(self, body: Mapping[str, Any]) -> Any:
        """The response, whatever its status; a busy endpoint is asked again first. Raises `error` without a response."""
        import requests  # 0.2 s that only callers should pay
        from urllib3.exceptions import HTTPError

        try:
            with self._session() as session:
                return session.post(self.url, json=body, timeout=self._timeout, auth=self._sign, allow_redirects=False)
        except (requests.RequestException, HTTPError, UnicodeError) as error:
            raise self._error(self.clean(f"the {self._who} at {self.url} does not answer: {error}")) from None

    def clean(self, text: str) -> str:
        """The text without the key."""
        return text.replace(self._key, "***") if self._key else text

    def _session(self) -> Any:
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry

        retry = Retry(
            total=self._tries - 1,
            read=1,  # a read that timed out has cost its minutes already
            status_forcelist=BUSY,
            allowed_methods=None,  # POST too: an answer too many costs cents
            backoff_factor=self._backoff,
            retry_after_max=self._longest_wait,
            raise_on_status=False,
        )
        session = requests.Session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=retry))
        return session

    def _sign(self, request: Any) -> Any:
        """As `auth`, so that a .netrc entry for the host does not replace the key."""
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request

    def _key_of(self, name: str | None) -> str:
        if name is None:
            return ""
        key = os.environ.get(name, "").strip()
        if not key:
            raise self._error(f"the {self._who}'s key is expected in the environment variable {name}, which is not set")
        if not key.isascii() or not key.isprintable():
            raise self._error(f"the environment variable {name} holds characters that no key has")
        return key
