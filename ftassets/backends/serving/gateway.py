"""Serving through our own gateway: the verbs go to its admin API on this machine."""

from typing import TYPE_CHECKING, Any

from ftassets.backends.serving.base import ADMIN_PATH, Refused, Serving, ServingError
from ftassets.backends.serving.gateway_address import Address, read_address, read_admin_token
from ftassets.config.home import Home
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.transition import Transition

if TYPE_CHECKING:
    import requests

_QUICK = 10.0  # seconds; a verb that only moves traffic
_WITH_START = 300.0  # a verb that may hash a version and wait for its server


class GatewayServing(Serving):
    """Client of the gateway of a home; needs no Dagster process."""

    def __init__(self, home: Home, admin_url: str | None = None) -> None:
        """The URL defaults to the one the running gateway wrote into the home."""
        self._home = home
        self._admin_url = admin_url

    def state(self, loop: str) -> EndpointState:
        return EndpointState.model_validate(self._call("GET", f"/loops/{loop}"))

    def stage(self, loop: str, digest: str, seconds: float) -> str:
        return self._call("POST", f"/loops/{loop}/stage", _WITH_START, digest=digest, seconds=seconds)["url"]

    def unstage(self, loop: str, digest: str) -> None:
        self._call("POST", f"/loops/{loop}/unstage", digest=digest)

    def start(self, loop: str, digest: str, weight: int, lease: float, by: str, reason: str) -> EndpointState:
        body = {"digest": digest, "weight": weight, "lease": lease, "by": by, "reason": reason}
        return EndpointState.model_validate(self._call("POST", f"/loops/{loop}/start", _WITH_START, **body))

    def ramp(self, loop: str, weight: int, lease: float, by: str, reason: str) -> EndpointState:
        body = {"weight": weight, "lease": lease, "by": by, "reason": reason}
        return EndpointState.model_validate(self._call("POST", f"/loops/{loop}/ramp", _WITH_START, **body))

    def renew(self, loop: str, lease: float) -> EndpointState:
        return EndpointState.model_validate(self._call("POST", f"/loops/{loop}/renew", lease=lease))

    def rollback(self, loop: str, by: str, reason: str) -> EndpointState:
        return EndpointState.model_validate(self._call("POST", f"/loops/{loop}/rollback", by=by, reason=reason))

    def journal(self, after: int = 0) -> list[Transition]:
        return [Transition.from_json(entry) for entry in self._call("GET", f"/journal?after={after}")]

    def health(self) -> dict[str, Any]:
        return self._call("GET", "/health")

    @property
    def public_url(self) -> str:
        """Base URL clients use, without /v1. Raises ServingError."""
        return self._address().public

    def _call(self, method: str, path: str, timeout: float = _QUICK, **body: Any) -> Any:
        import requests  # 0.2 s that only callers should pay

        url = self._admin_url or self._address().admin
        try:
            with requests.Session() as session:
                session.trust_env = False  # ignore proxy settings for loopback
                session.headers["authorization"] = f"Bearer {read_admin_token(self._home)}"
                answer = session.request(method, url + ADMIN_PATH + path, json=body or None, timeout=(2.0, timeout))
        except requests.ReadTimeout as error:
            raise ServingError(f"the gateway at {url} did not answer {path} within {timeout:.0f} s: read its log") from error
        except OSError as error:  # requests' errors are OSErrors
            raise ServingError(f"gateway not reachable at {url} ({error}): start it with `ftassets up`") from error
        if answer.status_code != 200:
            raise _error(answer)
        return answer.json()

    def _address(self) -> Address:
        try:
            return read_address(self._home)
        except (OSError, ValueError, TypeError) as error:
            raise ServingError(f"no gateway has run in {self._home.root} yet: start it with `ftassets up`") from error


def _error(answer: "requests.Response") -> ServingError:
    try:
        error = answer.json()["error"]
        kind = Refused if error["code"] == "refused" else ServingError
        return kind(error["message"])
    except (ValueError, KeyError, TypeError):
        return ServingError(f"the gateway answered {answer.status_code}: {answer.text[:200]}")
