"""Calls to an endpoint that speaks OpenAI's API: key from the environment, patient with a busy server, with bounds on its answers."""

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ftassets.errors import no_answer
from ftassets.metering import count

BUSY = (408, 429, 500, 502, 503, 504, 529)
MOST_BYTES = 64_000_000  # of one answer: 32 vectors of 8000 numbers as text take about 6 MB
_SLOWEST = 2  # a body may take this many times the read timeout
_LONGEST_QUOTE = 8  # letters and digits in a row that a message may share with what was sent


@dataclass(frozen=True)
class Reply:
    """What an endpoint answered to `asked`, read to its end."""

    status_code: int
    body: bytes
    asked: Mapping[str, Any]

    def json(self) -> Any:
        """The body as JSON. Raises ValueError."""
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("nested too deep") from None


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

    def post(self, body: Mapping[str, Any]) -> Reply:
        """The answer, whatever its status; a busy endpoint is asked again first. Raises `error` without one, or when it has no end."""
        import requests  # 0.2 s that only callers should pay
        from urllib3.exceptions import HTTPError

        try:
            with (
                self._session() as session,
                session.post(self.url, json=body, timeout=self._timeout, auth=self._sign, allow_redirects=False, stream=True) as response,
            ):
                reply = Reply(response.status_code, self._read(response.raw), body)
        except (requests.RequestException, HTTPError, UnicodeError) as error:
            raise self._error(self.clean(f"the {self._who} at {self.url} does not answer: {no_answer(error)}")) from None

        if reply.status_code == 200:
            count(**_used(reply))
        return reply

    def clean(self, text: str) -> str:
        """The text without the key, also where it is broken by spaces or escaped. Cut a text only after this."""
        if not self._key:
            return text
        return re.sub(r"(?:\s|\\[nrt]?)*".join(map(re.escape, self._key)), "***", text)

    def said(self, reply: Reply) -> str:
        """ ": " with code and message of an error as OpenAI writes it; "" for one that quotes what was sent, and for all other bodies."""
        try:
            error = reply.json()["error"]
            error = {"message": error} if isinstance(error, str) else error
            parts = [str(error[name]) for name in ("code", "message") if isinstance(error.get(name), (str, int))]
        except (ValueError, LookupError, TypeError, AttributeError):
            return ""
        said = " ".join(self.clean(": ".join(parts)).split())[:300]
        return f": {said}" if said and not _quotes(said, reply.asked) else ""

    def _read(self, raw: Any) -> bytes:
        """The body of a response. Raises `error` when it is too long or too slow."""
        until = time.monotonic() + _SLOWEST * self._timeout[1]
        parts, size = [], 0
        # read1: `read` waits for all it was asked for, however slowly that comes
        while part := raw.read1(65536, decode_content=True):
            parts.append(part)
            size += len(part)
            if size > MOST_BYTES:
                raise self._error(f"the {self._who} at {self.url} answered more than {MOST_BYTES // 1_000_000} MB: check url")
            if time.monotonic() > until:
                seconds = _SLOWEST * self._timeout[1]
                raise self._error(f"the {self._who} at {self.url} did not finish its answer within {seconds:.0f} s")
        return b"".join(parts)

    def _session(self) -> Any:
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry

        class Closing(Retry):
            def increment(self, *args: Any, **options: Any) -> Retry:  # type: ignore[override]
                left = super().increment(*args, **options)  # raises when this was the last try, whose body is shown
                if response := options.get("response"):
                    response.close()  # else urllib3 reads the body to its end, and it may have none
                return left

        retry = Closing(
            total=self._tries - 1,
            read=1,  # a read that timed out has cost its minutes already
            status_forcelist=BUSY,
            allowed_methods=None,  # POST too: an answer too many costs cents
            backoff_factor=self._backoff,
            retry_after_max=self._longest_wait,
            raise_on_status=False,
        )
        session: Any = requests.Session()
        session.get_redirect_target = lambda response: None  # else requests reads the whole body of a redirect
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


def _used(reply: Reply) -> dict[str, int]:
    """The tokens that an answer took, as the endpoint counts them."""
    try:
        usage = reply.json()["usage"]
        read, written = int(usage["prompt_tokens"]), int(usage.get("completion_tokens") or 0)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
        return {"api_answers_uncounted": 1}
    return {"api_tokens_in": read, "api_tokens_out": written} if read >= 0 and written >= 0 else {"api_answers_uncounted": 1}


def _quotes(said: str, asked: Mapping[str, Any]) -> bool:
    """Whether a message has one of the texts that were sent, or a part of one."""
    plain = _plain(said)
    for text in map(_plain, _texts(asked)):
        long = min(_LONGEST_QUOTE + 1, len(text))
        if long and any(plain[start : start + long] in text for start in range(len(plain) - long + 1)):
            return True
    return False


def _texts(asked: Mapping[str, Any]) -> Iterator[str]:
    """The texts of users in a request."""
    yield from asked.get("input", ())
    for message in asked.get("messages", ()):
        if message.get("role") != "system":
            yield from (message["content"], json.dumps(message)) if isinstance(message.get("content"), str) else (json.dumps(message),)


def _plain(text: str) -> str:
    """A text without what escaping changes."""
    return re.sub(r"\\[nrt]|[\W_]", "", text).casefold()
