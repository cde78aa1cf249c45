"""What the registry says follows from what the gateway's journal says."""

import json
from pathlib import Path

import pytest

from ftassets.assets._shared.shadow_pairs import newest_shadow
from ftassets.assets.endpoint import history, newest_rollout, sync_registry
from ftassets.backends.registry.base import RegisteredVersion
from ftassets.backends.registry.mlflow import MlflowRegistry
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.transition import Transition
from ftassets.testing.made_once import mlflow_tables
from ftassets.testing.releases import loop_config

A, B, C = "a" * 64, "b" * 64, "c" * 64
LOOP = loop_config("support")


class Story:
    """A journal written by the state machine the gateway uses."""

    def __init__(self) -> None:
        self.state, self.journal = EndpointState(), [Transition(1, 1.0, "other", "start", "cli", "", EndpointState(production=B))]

    def then(self, action: str, by: str, reason: str, state: EndpointState) -> None:
        self.state = state
        self.journal.append(Transition(len(self.journal) + 1, 1e9 + len(self.journal), LOOP.name, action, by, reason, state))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> MlflowRegistry:
    folder: Path = tmp_path_factory.mktemp("mlflow")
    registry = MlflowRegistry(mlflow_tables(folder), folder / "artifacts")
    for digest in (A, B, C):
        registry.register(LOOP.name, f"smol-{digest[:4]}", digest, None, {"base_model": "smol"})
    return registry


def test_history_tells_each_part_with_who_when_and_why() -> None:
    story = Story()
    story.then("start", "run:1", "first", story.state.start(A, 5, 60, 0))
    story.then("stage", "admin", "for 900 s", story.state.stage(B, 900))
    story.then("start", "run:2", "passed", story.state.start(B, 5, 60, 0))
    story.then("ramp", "run:3", "healthy", story.state.ramp(50, 60, 0))
    story.then("promote", "anna", "checks passed", story.state.ramp(100, 60, 0))
    told = history(LOOP.name, B, story.journal)
    assert [(part["part"], part["by"], part["reason"]) for part in told] == [
        ("canary", "run:2", "passed"), ("production", "anna", "checks passed")
    ]  # fmt: skip
    assert told[0]["at"] == "2001-09-09T01:46:43+00:00"
    assert [part["part"] for part in history(LOOP.name, A, story.journal)] == ["production", "standby"]
    assert history(LOOP.name, C, story.journal) == []


def shares(story: Story) -> list[int]:
    found = newest_rollout(story.journal[1:])
    assert found is not None
    return [weight for _, weight in found[1]]


def test_a_rollout_begins_with_its_shadow_and_the_pairs_are_those_since_then() -> None:
    story = Story()
    story.then("start", "run:1", "first", story.state.start(A, 5, 60, 0))
    assert newest_shadow(story.journal[1:]) is None
    story.then("shadow", "run:2", "passed", story.state.start(B, 0, 60, 1))
    began = story.state
    assert newest_shadow(story.journal[1:]) == began
    story.then("start", "run:3", "as good", story.state.ramp(20, 60, 2))
    story.then("ramp", "run:4", "healthy", story.state.ramp(50, 60, 3))
    assert [part["part"] for part in history(LOOP.name, B, story.journal)] == ["shadow", "canary"]
    assert newest_shadow(story.journal[1:]) == began
    assert shares(story) == [0, 20, 50]
    story.then("rollback", "cli", "wrong rooms", story.state.rollback(0))
    assert newest_shadow(story.journal[1:]) == began
    story.then("start", "cli", "at once", story.state.start(C, 20, 60, 4))
    assert newest_shadow(story.journal[1:]) is None
    assert shares(story) == [20]


def test_aliases_and_tags_follow_a_version_through_its_life(registry: MlflowRegistry) -> None:
    story = Story()

    def synced() -> dict[str, RegisteredVersion]:
        sync_registry(LOOP, registry, story.state, story.journal)
        return {version.digest: version for version in registry.versions(LOOP.name)}

    registry.set_alias(LOOP.name, "candidate", A)
    assert synced()[A].aliases == ("candidate",), "released, waits for its start"
    story.then("start", "run:1", "first", story.state.start(A, 5, 60, 0))
    assert synced()[A].aliases == ("production",)
    registry.set_alias(LOOP.name, "candidate", B)
    story.then("stage", "admin", "for 900 s", story.state.stage(B, 900))
    assert synced()[B].aliases == ("candidate", "staging")
    story.then("start", "run:2", "passed", story.state.start(B, 5, 60, 0))
    assert synced()[B].aliases == ("candidate", "staging")
    story.then("promote", "run:3", "healthy", story.state.ramp(100, 60, 0))
    found = synced()
    assert (found[B].aliases, found[A].aliases) == (("production",), ())
    assert found[A].tags["deprecated"] == "replaced, kept as standby"

    story.then("rollback", "cli", "wrong rooms", story.state.rollback(0))
    found = synced()
    assert (found[A].aliases, "deprecated" in found[A].tags) == (("production",), False), "it serves again"
    assert found[B].tags["deprecated"] == "rolled back: wrong rooms"
    assert [part["part"] for part in json.loads(found[B].tags["history"])] == ["canary", "production", "none"]
    assert found[B].tags["base_model"] == "smol"

    story.then("start", "run:4", "passed", story.state.start(C, 5, 60, 0))
    story.then("promote", "run:5", "healthy", story.state.ramp(100, 60, 0))
    story.then("start", "run:6", "again, mended", story.state.start(B, 5, 60, 0))
    found = synced()
    assert ("deprecated" in found[B].tags, found[B].aliases) == (False, ("staging",)), "no longer refused while it has traffic"
    story.then("promote", "run:7", "healthy", story.state.ramp(100, 60, 0))
    found = synced()
    assert found[A].tags["deprecated"] == "replaced"
    assert found[C].tags["deprecated"] == "replaced, kept as standby"
    assert synced() == found, "doing it again changes nothing"


def test_an_alias_leaves_when_its_place_goes_to_a_version_nobody_registered(registry: MlflowRegistry) -> None:
    registry.set_alias(LOOP.name, "production", A)
    sync_registry(LOOP, registry, EndpointState(production="d" * 64), [])
    assert all("production" not in version.aliases for version in registry.versions(LOOP.name))
