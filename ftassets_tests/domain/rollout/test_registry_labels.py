"""Labels in the registry that are not where the endpoint set them."""

import pytest

from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.registry_labels import SYNCED, Label, moved, wanted_aliases

P, C, X = "a" * 64, "c" * 64, "e" * 64
KNOWN = {P, C}
SERVING = EndpointState(production=P, since=0.0)
CANARY = EndpointState(production=P, candidate=C, weight=5, since=0.0)


@pytest.mark.parametrize(
    ("state", "labels", "words"),
    [
        (SERVING, [Label("production", "1", P)], []),
        (SERVING, [Label("production", "2", C)], [f"alias production is on version 2 ({C[:12]}), and belongs on {P[:12]}"]),
        (SERVING, [Label("production", "3", None)], [f"on version 3 (not registered by ftassets), and belongs on {P[:12]}"]),
        (SERVING, [], [f"alias production was taken from version {P[:12]}"]),
        (EndpointState(), [Label("production", "1", P)], ["and belongs on no version"]),
        (EndpointState(production=X), [], []),  # not registered: there is nothing to have the alias
        (SERVING, [Label("production", "1", P), Label("staging", "2", C), Label("candidate", "2", C), Label("best", "2", C)], []),
        (SERVING, [Label("production", "1", P), Label("staging", "3", None)], ["alias staging is on version 3"]),
        (SERVING, [Label("production", "1", P), Label("candidate", "3", None)], ["alias candidate is on version 3"]),
        (CANARY, [Label("production", "1", P), Label("staging", "2", C)], []),
        (CANARY, [Label("production", "1", P), Label("staging", "1", P)], [f"alias staging is on version 1 ({P[:12]}), and belongs on"]),
        (CANARY, [Label("production", "1", P)], [f"alias staging was taken from version {C[:12]}"]),
        (
            SERVING, [Label("production", "1", P), Label("Production", "2", C, stage=True)],
            [f"version 2 ({C[:12]}) is in stage Production"],
        ),
    ],
)  # fmt: skip
def test_each_way_to_move_a_label(state: EndpointState, labels: list[Label], words: list[str]) -> None:
    found = moved(labels, state, KNOWN, SYNCED)
    assert len(found) == len(words), found
    assert all(word in sentence for word, sentence in zip(words, found, strict=True)), found


def test_a_change_of_traffic_has_some_time_to_set_its_labels() -> None:
    state = SERVING.model_copy(update={"since": 1000.0})
    assert moved([], state, KNOWN, 1000.0 + SYNCED - 1) == []
    assert len(moved([], state, KNOWN, 1000.0 + SYNCED)) == 1


def test_what_the_endpoint_sets_is_not_moved() -> None:
    for state in (SERVING, CANARY, SERVING.model_copy(update={"staged": {C: 9.0}})):
        aliases = {name: digest for name, digest in wanted_aliases(state, KNOWN).items() if digest}
        assert moved([Label(name, "1", digest) for name, digest in aliases.items()], state, KNOWN, SYNCED) == []
