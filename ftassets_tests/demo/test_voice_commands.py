import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.demo.voice_commands import DATA, DRIFTED, ESTABLISHED, draw, golden_lines, parse, seed_lines, stream, templates
from ftassets.domain.dataset.rows import parse_jsonl


def lines(name: str) -> list[str]:
    return (DATA / name).read_text(encoding="utf-8").splitlines(keepends=True)


def test_the_generator_still_writes_the_files_of_the_loop():
    # the first rows of a draw do not depend on how many follow
    assert seed_lines(48) == lines("seed.jsonl")[:48]
    taken = {json.loads(line)["messages"][0]["content"] for line in lines("seed.jsonl")}
    golden = golden_lines(taken, established=24, drifted=20)
    assert golden[:24] == lines("golden.jsonl")[:24]
    assert golden[24:] == lines("golden.jsonl")[200:220]


def test_golden_and_seed_share_neither_sentence_nor_template():
    seed, no_bad_seed = parse_jsonl("".join(lines("seed.jsonl")), "seed")
    golden, no_bad_golden = parse_jsonl("".join(lines("golden.jsonl")), "golden")
    assert no_bad_seed == no_bad_golden == []
    assert not {row.prompt for row in seed} & {row.prompt for row in golden}
    assert not {row.group for row in seed} & {row.group for row in golden}
    assert Counter(row.slice for row in golden) == {"established": 200, "drifted": 100}
    assert len({row.id for row in seed + golden}) == len(seed) + len(golden)
    assert {json.loads(row.completion)["intent"] for row in seed} == set(ESTABLISHED)


def test_a_draw_is_balanced_distinct_and_repeatable():
    drawn = draw(DRIFTED, 60, 5, withheld=False)
    assert drawn == draw(DRIFTED, 60, 5, withheld=False)
    assert drawn != draw(DRIFTED, 60, 6, withheld=False)
    assert len({utterance.text for utterance in drawn}) == 60
    assert set(Counter(utterance.intent for utterance in drawn).values()) == {6}


@pytest.mark.parametrize("intent", ESTABLISHED + DRIFTED)
def test_a_fifth_of_the_templates_is_withheld(intent):
    kept, withheld = {t.id for t in templates(intent, False)}, {t.id for t in templates(intent, True)}
    assert kept
    assert withheld
    assert not kept & withheld
    assert abs(len(withheld) - 0.2 * (len(kept) + len(withheld))) <= 0.6


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(ESTABLISHED + DRIFTED), st.integers(0, 10_000), st.booleans())
def test_every_sentence_parses_back_to_its_answer(intent, seed, withheld):
    utterance = next(stream(intent, seed, withheld))
    assert parse(utterance.text) == (intent, utterance.answer)
    call = json.loads(utterance.answer)
    assert list(call)[0] == "intent"
    assert call["intent"] == intent == utterance.intent


def test_what_cannot_be_drawn_is_said():
    with pytest.raises(ValueError, match="unknown intent 'Sing'"):
        draw(("Sing",), 1, 0, withheld=False)
    with pytest.raises(ValueError, match="distinct sentences"):
        draw(("VacuumCleanArea",), 5000, 0, withheld=True)
    assert parse("what is the meaning of life") is None
