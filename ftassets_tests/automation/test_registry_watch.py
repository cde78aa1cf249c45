"""A label that somebody moved is told once, and once more when it is right again."""

from ftassets.assets._shared.events import node
from ftassets.automation.registry_watch import EVERY, RegistryWatch
from ftassets.backends.registry.base import Registry
from ftassets.config.profiles import control
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.testing.doubles.registry import MemoryRegistry
from ftassets_tests.automation.conftest import AUTO, NAME, Bench, C, P


class Unread(MemoryRegistry):
    """Fails if anybody asks it: MLflow takes seconds to load."""

    def labels(self, loop: str) -> list:  # type: ignore[override]
        raise AssertionError("the registry was read")


def observed(bench: Bench) -> list[str]:
    records = bench.instance.fetch_observations(node(NAME, "endpoint"), limit=10).records
    return [str(record.asset_observation.description) for record in reversed(records)]


def test_a_moved_alias_is_told_once_and_once_when_it_is_back(bench: Bench) -> None:
    registry, watch, state = MemoryRegistry(), RegistryWatch(AUTO), EndpointState(production=P, since=0.0)
    for digest in (P, C):
        registry.register(NAME, "n", digest, None, {})
    registry.set_alias(NAME, "production", P)
    at = 1e9

    def look(of: Registry = registry, after: float = EVERY, state: EndpointState = state) -> None:
        nonlocal at
        at += after
        watch.look(bench.instance, of, control(bench.home), bench.told, state, at)

    look(Unread())
    look(Unread(), EVERY - 1)
    look(Unread(), 2, EndpointState())
    look()
    assert observed(bench) == []
    registry.set_alias(NAME, "production", C)
    look(Unread(), EVERY / 2)
    for _ in range(3):
        look()
    [said] = observed(bench)
    assert f"alias production is on version 2 ({C[:12]}), and belongs on {P[:12]}" in said
    registry.set_alias(NAME, "production", P)
    look()
    look()
    assert observed(bench)[1:] == ["the labels in the registry are right again"]
    assert [(alert.key, alert.severity, alert.resolved) for alert in bench.told.alerts] == [
        (f"{NAME}:registry-moved", "ticket", False), (f"{NAME}:registry-moved", "ticket", True),
    ]  # fmt: skip
    assert said == bench.told.alerts[0].text
