"""What every registry must do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ftassets.backends.registry.base import Registry, UnknownVersion
from ftassets.domain.rollout.registry_labels import Label
from ftassets.domain.training.points import Point

MakeRegistry = Callable[[], Registry]
A, B = "a" * 64, "b" * 64


def log(registry: Registry, digest: str = A, artifacts: Path | None = None) -> str:
    curve = [(step, 2.0 / step) for step in range(1, 1201)]
    tags = {"digest": digest, "commit": "c1"}
    return registry.log_training("voice", "run 1", {"lr": 2e-4, "lora_r": 16}, {"rows": 800}, curve, tags, artifacts)


class RegistryContract:
    """Subclass it with a fixture `make`: a function that opens one registry, new to the test, the same at each call."""

    @pytest.fixture
    def make(self) -> MakeRegistry:
        raise NotImplementedError("a contract is run by a subclass with a fixture `make`")

    @pytest.fixture
    def registry(self, make: MakeRegistry) -> Registry:
        return make()

    def test_an_empty_registry_answers(self, registry: Registry) -> None:
        assert registry.versions("voice") == []

    def test_versions_newest_first_with_what_was_registered(self, make: MakeRegistry) -> None:
        registry = make()
        run = log(registry)
        first = registry.register("voice", "smol-c1-20261122-aaaa", A, run, {"dataset_commit": "c1"})
        second = registry.register("voice", "smol-c2-20261123-bbbb", B, None, {})
        assert (first.name, first.digest, first.tags["dataset_commit"]) == ("smol-c1-20261122-aaaa", A, "c1")
        assert first.number != second.number
        assert make().versions("voice") == [second, first]

    def test_more_than_nine_versions_stay_in_order(self, registry: Registry) -> None:
        digests = [f"{n:064x}" for n in range(11)]
        for digest in digests:
            registry.register("voice", "n", digest, None, {})
        assert [version.digest for version in registry.versions("voice")] == digests[::-1]

    def test_a_dead_run_that_left_nothing_is_no_error_and_what_was_recorded_stays(self, registry: Registry) -> None:
        registry.end_runs("voice", "died")
        version = registry.register("voice", "n", A, log(registry), {})
        registry.end_runs("voice", "died")
        assert registry.versions("voice") == [version]

    def test_a_digest_is_registered_once(self, registry: Registry) -> None:
        first = registry.register("voice", "n", A, None, {"k": "1"})
        assert registry.register("voice", "another name", A, None, {"k": "2"}) == first
        assert registry.versions("voice") == [first]

    def test_loops_are_apart(self, registry: Registry) -> None:
        registry.register("voice", "n", A, None, {})
        registry.register("triage", "n", A, None, {})
        assert [version.loop for version in registry.versions("triage")] == ["triage"]

    def test_aliases_move(self, registry: Registry) -> None:
        for digest in (A, B):
            registry.register("voice", "n", digest, None, {})
        registry.set_alias("voice", "production", A)
        registry.set_alias("voice", "candidate", B)
        assert [version.aliases for version in registry.versions("voice")] == [("candidate",), ("production",)]
        assert sorted(registry.labels("voice"), key=lambda label: label.name) == [Label("candidate", "2", B), Label("production", "1", A)]
        assert registry.labels("triage") == []
        registry.set_alias("voice", "production", B)
        assert [version.aliases for version in registry.versions("voice")] == [("candidate", "production"), ()]

    def test_an_alias_is_taken_away_and_may_be_gone_already(self, registry: Registry) -> None:
        registry.register("voice", "n", A, None, {})
        registry.set_alias("voice", "candidate", A)
        for _ in range(2):
            registry.remove_alias("voice", "candidate")
            assert registry.versions("voice")[0].aliases == ()

    def test_tags_are_set_changed_and_taken_away(self, registry: Registry) -> None:
        registry.register("voice", "n", A, None, {"base_model": "smol"})
        registry.tag("voice", A, {"deprecated": "replaced by b", "history": "[]"})
        registry.tag("voice", A, {"deprecated": None, "history": "[1]", "never_there": None})
        tags = registry.versions("voice")[0].tags
        assert (tags["base_model"], tags["history"]) == ("smol", "[1]")
        assert not {"deprecated", "never_there"} & tags.keys()

    @pytest.mark.parametrize("known", [True, False])
    def test_unknown_digests(self, registry: Registry, known: bool) -> None:
        if known:
            registry.register("voice", "n", A, None, {})
        with pytest.raises(UnknownVersion, match="bbbb"):
            registry.set_alias("voice", "production", B)
        with pytest.raises(UnknownVersion, match="bbbb"):
            registry.tag("voice", B, {"deprecated": "old"})

    def test_a_training_is_recorded_once(self, registry: Registry) -> None:
        run = log(registry)
        assert log(registry) == run
        assert log(registry, B) != run

    def test_an_unfinished_training_is_taken_up_by_its_key(self, make: MakeRegistry) -> None:
        registry = make()
        first = registry.begin_training("voice", "run", "key", {"lr": 1}, {"dagster_run_id": "d1"}, goes_on=False)
        assert dict(first.recorded) == {}
        registry.log_points(first.run_id, [Point(1, {"loss": 2.0}, 1.0), Point(2, {"loss": 1.0, "validation_loss": 1.5}, 2.0)])
        for status in ("KILLED", "FAILED"):
            registry.end_training(first.run_id, status, "why")
            again = make().begin_training("voice", "run", "key", {"lr": 1}, {"dagster_run_id": "d2"}, goes_on=True)
            assert (again.run_id, dict(again.recorded)) == (first.run_id, {"loss": 2, "validation_loss": 2})
        assert registry.begin_training("voice", "run", "key", {}, {"dagster_run_id": "d2"}, goes_on=False).run_id == first.run_id
        for loop, key, dagster_run, goes_on in (
            ("voice", "key", "d3", False),
            ("voice", "another", "d2", True),
            ("triage", "key", "d2", True),
        ):
            other = registry.begin_training(loop, "run", key, {}, {"dagster_run_id": dagster_run}, goes_on)
            assert other.run_id != first.run_id
            registry.end_training(other.run_id, "KILLED", "why")

    def test_a_finished_training_is_found_by_its_version_and_takes_scores(self, make: MakeRegistry) -> None:
        registry = make()
        assert registry.training_of("voice", A) is None
        assert registry.log_scores("voice", A, {"candidate/golden/exact_match": 0.5}, {}) is None
        run = registry.begin_training("voice", "run", "key", {}, {}, goes_on=False)
        assert registry.training_of("voice", A) is None
        registry.finish_training("voice", run.run_id, "adapter", {"rows": 8}, {"digest": A}, None)
        assert make().training_of("voice", A) == run.run_id
        assert registry.log_scores("voice", A, {"candidate/golden/exact_match": 0.5}, {"report": "r"}) == run.run_id
        assert registry.begin_training("voice", "run", "key", {}, {}, goes_on=True).run_id != run.run_id
