from ftassets.domain.chat import Asked
from ftassets.domain.evaluation.probes import AT_LEAST, COUNT, TOKENS, choose, not_applied

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


def cut(*texts: str) -> list[list[str]]:
    return [text.split()[:TOKENS] for text in texts]


SAID = cut(*(probe.merged for probe in PROBES))
UNTUNED = cut(*(probe.base for probe in PROBES))


def test_answers_of_the_base_are_an_adapter_that_was_not_applied() -> None:
    why = not_applied(UNTUNED, SAID, UNTUNED, AT_LEAST)
    assert why is not None
    assert "8 of 8 probe prompts as the untuned base does" in why


def test_other_answers_are_a_part_that_was_dropped_and_an_answer_that_forks_is_not() -> None:
    long = [[f"w{n}" for n in range(TOKENS)]] * COUNT
    half = [[*one[: TOKENS // 4], *["x"] * (TOKENS * 3 // 4)] for one in long]
    why = not_applied(half, long, UNTUNED, AT_LEAST)
    assert why is not None
    assert "agree with the merged copy's in 0.250 of places" in why
    assert "{metric: parity, at_least: ...}" in why
    assert not_applied(long, long, UNTUNED, AT_LEAST) is None
    assert not_applied([*half[:3], *long[3:]], long, UNTUNED, AT_LEAST) is None
    assert not_applied([], [], [], AT_LEAST) is None


def test_rows_with_tools_are_not_asked() -> None:
    tools = '[{"type": "function", "function": {"name": "f", "parameters": {}}}]'
    with_tools = {name: asked.model_copy(update={"tools": tools}) if int(name) < 39 else asked for name, asked in ROWS.items()}
    assert [probe.merged for probe in choose(with_tools, MERGED, BASE)] == ["tuned 39"]
