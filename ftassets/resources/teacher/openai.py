"""A teacher behind any endpoint that speaks OpenAI's chat completions."""

import os
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ftassets.domain.loop import Teacher as Settings
from ftassets.resources.teacher.base import Teacher, TeacherError, TeacherRefused

TIMEOUT = (10.0, 180.0)  # seconds to connect, and between two reads: a large model thinks before its first byte
TRIES = 5
BUSY = (408, 429, 500, 502, 503, 504, 529)
LONGEST_WAIT = 60  # seconds, whatever Retry-After says


class OpenAITeacher(Teacher):
    """Asks one question a call; a busy endpoint is asked again, slower each time or as it says."""

    def __init__(self, settings: Settings, backoff: float = 1.0, timeout: tuple[float, float] = TIMEOUT) -> None:
        """`backoff` is the first pause in seconds, doubled each time. Raises TeacherError when the key is not in the environment."""
        self._settings = settings
        self._backoff = backoff
        self._timeout = timeout
        self._key = _key(settings.api_key_env)
        parts = urlsplit(settings.url)
        # credentials in the URL would show in every message
        if parts.username or parts.password or parts.scheme not in ("http", "https"):
            raise TeacherError("the teacher's url must be http(s)://host/..., without user or password: put the key into api_key_env")
        self._url = urlunsplit(parts._replace(path=parts.path.rstrip("/") + "/chat/completions", query="", fragment=""))

    def ask(self, prompt: str) -> str:
        import requests  # 0.2 s that only callers should pay
        from urllib3.exceptions import HTTPError

        body = {"model": self._settings.model, "messages": [{"role": "user", "content": prompt}]}
        try:
            with self._session() as session:
                response = session.post(self._url, json=body, timeout=self._timeout, auth=self._sign, allow_redirects=False)
        except (requests.RequestException, HTTPError, UnicodeError) as error:
            raise self._failed(f"does not answer: {error}") from None
        if response.status_code != 200:
            said = " ".join(response.text[:300].split())
            raise self._failed(f"answered {response.status_code}: {said}{_ADVICE.get(response.status_code, '')}")
        try:
            choice = response.json()["choices"][0]
            text, refusal = choice["message"].get("content"), choice["message"].get("refusal")
            filtered = choice.get("finish_reason") == "content_filter"
        except (ValueError, LookupError, TypeError, AttributeError):
            raise self._failed(f"did not answer with a chat completion: {response.text[:200]!r}") from None
        if refusal or filtered or not isinstance(text, str) or not text.strip():
            why = refusal or ("its content filter held the answer back" if filtered else "its answer is empty")
            raise TeacherRefused(self._clean(f"the teacher refused: {str(why)[:300]}"))
        return text

    def _failed(self, what: str) -> TeacherError:
        return TeacherError(self._clean(f"the teacher at {self._url} {what}"))

    def _session(self) -> Any:
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry

        retry = Retry(
            total=TRIES - 1,
            read=1,  # a read that timed out has cost its minutes already
            status_forcelist=BUSY,
            allowed_methods=None,  # POST too: an example too many costs cents, and duplicates are dropped
            backoff_factor=self._backoff,
            retry_after_max=LONGEST_WAIT,
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

    def _clean(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


_ADVICE = {
    401: " (is the key the right one?)",
    403: " (may this key use the model?)",
    404: " (are url and model right? the url ends before /chat/completions)",
    429: f" (asked {TRIES} times: try later, or lower rows_per_class)",
}


def _key(name: str | None) -> str:
    """The key from the environment. Raises TeacherError, without the key, when it is missing or cannot be a header's value."""
    if name is None:
        return ""
    key = os.environ.get(name, "").strip()
    if not key:
        raise TeacherError(f"the teacher's key is expected in the environment variable {name}, which is not set")
    if not key.isascii() or not key.isprintable():
        raise TeacherError(f"the environment variable {name} holds characters that no key has")
    return key
