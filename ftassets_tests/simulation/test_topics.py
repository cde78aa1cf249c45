"""Simulated requests lie near their topic, and the vectors in memory are those of a store."""

import numpy as np

from ftassets.backends.vector_store.base import QueryVector
from ftassets.simulation.topics import RecentVectors, TopicEmbedder, text


def test_requests_of_a_topic_are_near_each_other_and_far_from_another_one() -> None:
    vectors = TopicEmbedder().embed([text("lights", "1"), text("lights", "2"), text("timers", "1")])
    assert vectors[0] @ vectors[1] > 0.4 > vectors[0] @ vectors[2]
    assert np.array_equal(vectors[0], TopicEmbedder().embed([text("lights", "1")])[0])


def test_a_window_is_a_sample_in_time_order_and_old_vectors_go() -> None:
    store = RecentVectors()
    store.add("a", "e", [QueryVector(f"{at}", float(at), "v", "t", np.ones(2)) for at in range(10)])
    assert [point.at for point in store.window("a", "e", 2, 8, 100)] == [2, 3, 4, 5, 6, 7]
    sample = [point.at for point in store.window("a", "e", 0, 10, 4, seed=1)]
    assert sample == sorted(sample)
    assert len(set(sample)) == 4
    store.expire("a", "e", 5)
    store.remove("a", ["7"])
    assert (store.count("a", "e"), store.watermark("a", "e"), store.find("a", "e", ["3", "9"])[0].at) == (4, 9.0, 9.0)
