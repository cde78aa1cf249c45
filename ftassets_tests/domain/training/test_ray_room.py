from typing import Any

import pytest

from ftassets.config.loop import RayCluster
from ftassets.domain.training.ray_room import room, room_in_words

NODES = [{"CPU": 8.0, "GPU": 2.0, "memory": 1e9}, {"CPU": 4.0, "GPU": 1.0}, {"CPU": 2.0}]


def cluster(**settings: Any) -> RayCluster:
    return RayCluster(address="ray://head:10001", **settings)


@pytest.mark.parametrize(
    ("settings", "nodes", "found"),
    [
        ({"workers": 14}, NODES, 14),
        ({"workers": 20}, NODES, 14),
        ({"workers": 9, "resources_per_worker": {"CPU": 3}}, NODES, 3),
        ({"workers": 9, "resources_per_worker": {"CPU": 1, "GPU": 1}}, NODES, 3),
        ({"workers": 9, "resources_per_worker": {"CPU": 3, "GPU": 1}, "placement": "SPREAD"}, NODES, 3),
        ({"workers": 9, "placement": "STRICT_PACK"}, NODES, 8),
        ({"workers": 9, "placement": "STRICT_SPREAD"}, NODES, 3),
        ({"workers": 2, "resources_per_worker": {"CPU": 1, "TPU": 1}}, NODES, 0),
        ({"workers": 30, "resources_per_worker": {"CPU": 0.1, "GPU": 0}}, [{"CPU": 3.0}], 30),
        ({"workers": 2}, [], 0),
    ],
)
def test_each_worker_needs_all_its_resources_on_one_node(settings: dict[str, Any], nodes: list[dict[str, float]], found: int) -> None:
    asked = cluster(**settings)
    assert room(asked, nodes) == found
    said = room_in_words(asked, nodes)
    assert ("or add nodes" in said) == (found < asked.workers)
    if found < asked.workers:
        assert said.startswith(f"room for {found} of {asked.workers} workers with ")


def test_it_is_said_what_was_asked_for() -> None:
    said = room_in_words(cluster(workers=2, resources_per_worker={"CPU": 4, "GPU": 1}), NODES)
    assert said == "room for 2 workers with CPU 4, GPU 1 each (PACK) on 3 nodes"
