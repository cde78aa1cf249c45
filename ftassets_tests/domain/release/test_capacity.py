from ftassets.domain.release.capacity import crowded


def test_three_versions_of_each_loop_on_a_server_count() -> None:
    assert crowded({"a": ("one", 6), "b": ("one", 6), "c": ("another", 3)}) == {}
    found = crowded({"a": ("one", 6), "b": ("one", 6), "c": ("one", 6), "d": ("another", 4)})
    assert set(found) == {"a", "b", "c"}
    assert "a, b, c share one vLLM server with serving.vllm.max_loras: 6, and need 9" in found["a"]
