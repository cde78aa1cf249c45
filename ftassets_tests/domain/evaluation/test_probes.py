from ftassets.domain.chat import Asked
from ftassets.domain.evaluation.probes import COUNT, choose, not_applied

ROWS = {str(n): Asked.model_validate({"messages": [{"role": "user", "content": f"q{n}"}]}) for n in range(40)}
BASE = {name: f"base {name}" for name in ROWS}
MERGED = {name: f"tuned {name}" if int(name) % 2 else BASE[name] for name in ROWS}
PROBES = choose(ROWS, MERGED, BASE)


def test_probes_are_rows_on_which_version_and_base_differ() -> None:
    assert len(PROBES) == COUNT
    assert all(probe.merged != probe.base for probe in PROBES)
    assert len({probe.merged for probe in PROBES}) == COUNT
    assert len(choose(ROWS, BASE, BASE)) == COUNT, "without such rows any: they still show another model"
    assert choose({}, {}, {}) == []


def test_answers_of_the_base_are_an_adapter_that_was_not_applied() -> None:
    why = not_applied(PROBES, [probe.base for probe in PROBES], [0.1] * COUNT, 0.98)
    assert why is not None
    assert "8 of 8 probe prompts as the untuned base does" in why


def test_other_answers_are_a_part_that_was_dropped_and_one_flipped_token_is_not() -> None:
    why = not_applied(PROBES, ["half"] * COUNT, [0.4] * COUNT, 0.98)
    assert why is not None
    assert "share 0.400 of their tokens" in why
    same = [probe.merged for probe in PROBES]
    assert not_applied(PROBES, same, [1.0] * COUNT, 0.98) is None
    assert not_applied(PROBES, same, [1.0] * (COUNT - 1) + [0.2], 0.98) is None
    assert not_applied([], [], [], 0.98) is None
