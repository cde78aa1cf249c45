"""Serving through our own gateway: the verbs go to its admin API on this machine."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from ftassets.backends.serving.base import ADMIN_PATH, UNCONFIRMED, Refused, Serving, ServingError
from ftassets.backends.serving.gateway_address import ADDRESS, Address, read_address, read_admin_token
from ftassets.config.home import Home
from ftassets.domain.formats import NewerFormat
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.transition import Transition
from ftassets.errors import InvalidInput, no_answer
from ftassets.exits import ending

if TYPE_CHECKING:
    import requests

log = logging.getLogger(__name__)

_NO_TOKEN = "no_token"  # the admin API's error code for a request without token
_QUICK = 10.0  # seconds; a verb that only moves traffic
_WITH_START = 300.0  # a verb that may hash a version and wait for its server

_Result = TypeVar("_Result")


def _as_it_is(answer: Any) -> Any:
    return answer


def _transitions(answer: Any) -> list[Transition]:
    return [Transition.from_json(entry) for entry in answer]


class GatewayServing(Serving):
    """Client of the gateway of a home; needs no Dagster process."""

    def __init__(self, home: Home, admin_url: str | None = None) -> None:
        """The URL defaults to the one the running gateway wrote into the home."""
        self._home = home
        self._admin_url = admin_url

    def state(self, loop: str) -> EndpointState:
        return self._call("GET", f"/loops/{_in_path(loop)}", EndpointState.model_validate)

    def stage(self, loop: str, digest: str, seconds: float) -> str:
        return self._call(
            "POST", f"/loops/{_in_path(loop)}/stage", lambda answer: str(answer["url"]), _WITH_START, digest=digest, seconds=seconds
        )

    def unstage(self, loop: str, digest: str) -> None:
        self._call("POST", f"/loops/{_in_path(loop)}/unstage", digest=digest)

    def start(self, loop: str, digest: str, weight: int, lease: float, by: str, reason: str) -> EndpointState:
        body = {"digest": digest, "weight": weight, "lease": lease, "by": by, "reason": reason}
        return self._call("POST", f"/loops/{_in_path(loop)}/start", EndpointState.model_validate, _WITH_START, **body)

    def ramp(self, loop: str, weight: int, lease: float, by: str, reason: str, candidate: str | None = None) -> EndpointState:
        body = {"weight": weight, "lease": lease, "by": by, "reason": reason, "candidate": candidate}
        return self._call("POST", f"/loops/{_in_path(loop)}/ramp", EndpointState.model_validate, _WITH_START, **body)

    def renew(self, loop: str, lease: float) -> EndpointState:
        return self._call("POST", f"/loops/{_in_path(loop)}/renew", EndpointState.model_validate, lease=lease)

    def rollback(self, loop: str, by: str, reason: str) -> EndpointState:
        return self._call("POST", f"/loops/{_in_path(loop)}/rollback", EndpointState.model_validate, by=by, reason=reason)

    def journal(self, after: int = 0) -> list[Transition]:
        return self._call("GET", f"/journal?after={after}", _transitions)

    def newest(self, loop: str, limit: int, before: int | None = None) -> list[Transition]:
        until = "" if before is None else f"&before={before}"
        found = self._call("GET", f"/journal?loop={quote(loop)}&newest={limit}{until}", _transitions)
        return found[::-1]

    def health(self, loop: str | None = None) -> dict[str, Any]:
        return self._call("GET", "/health" if loop is None else f"/health?loop={_in_path(loop)}", dict)

    @property
    def public_url(self) -> str:
        """Base URL clients use, without /v1. Raises ServingError."""
        return self._address().public

    def _call(self, method: str, path: str, parse: Callable[[Any], _Result] = _as_it_is, timeout: float = _QUICK, **body: Any) -> _Result:
        import requests  # 0.2 s that only callers should pay

        url = self._admin_url or self._address().admin
        token = self._token()
        try:
            with requests.Session() as session:
                session.trust_env = False  # ignore proxy settings for loopback
                if not _is_gateway(session.get(f"{url}{ADMIN_PATH}/health", timeout=(2.0, _QUICK))):
                    raise ServingError(f"what answers at {url} is not the gateway of this home: start it with `ftassets up`")
                session.headers["authorization"] = f"Bearer {token}"
                answer = session.request(method, url + ADMIN_PATH + path, json=body or None, timeout=(2.0, timeout))
        except requests.ReadTimeout as error:
            raise ServingError(f"the gateway at {url} did not answer {path} within {timeout:.0f} s: read its log") from error
        except (OSError, ValueError) as error:  # requests' errors are OSErrors, urllib3's about a URL are ValueErrors
            raise ServingError(f"gateway not reachable at {url} ({no_answer(error)}): start it with `ftassets up`") from error
        if answer.status_code != 200:
            raise _error(answer)
        if behind := answer.headers.get(UNCONFIRMED):
            log.warning("the change is in force, but not confirmed by %s: see whether that gateway still runs", behind)
        try:
            return parse(answer.json())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ServingError(f"the answer of {url} to {path} cannot be read: see that the gateway there is of this release") from error

    def _address(self) -> Address:
        place = self._home.gateway / ADDRESS
        try:
            return read_address(self._home)
        except FileNotFoundError as error:
            raise ServingError(f"no gateway has run in {self._home.root} yet: start it with `ftassets up`") from error
        except NewerFormat as error:
            raise ServingError(f"{place}: {error}") from error
        except (OSError, ValueError, TypeError) as error:
            raise ServingError(f"{place} cannot be read: start the gateway again with `ftassets up`") from error

    def _token(self) -> str:
        try:
            return read_admin_token(self._home)
        except FileNotFoundError as error:
            raise ServingError(f"no gateway has run in {self._home.root} yet: start it with `ftassets up`") from error
        except (OSError, InvalidInput) as error:
            raise ServingError(ending(error).sentence) from error


def _in_path(loop: str) -> str:
    """A name in a URL, whatever a person typed."""
    return quote(loop, safe="", errors="surrogateescape")


def _is_gateway(answer: "requests.Response") -> bool:
    """Whether a request without token was refused as a gateway refuses it: another program shall not get the token."""
    try:
        return answer.status_code == 401 and answer.json()["error"]["code"] == _NO_TOKEN
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _error(answer: "requests.Response") -> ServingError:
    try:
        error = answer.json()["error"]
        kind = Refused if error["code"] == "refused" else ServingError
        return kind(error["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ServingError(f"the gateway answered {answer.status_code}: {answer.text[:200]}")
