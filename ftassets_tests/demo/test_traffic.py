import json
from collections import Counter

import pytest

from ftassets.demo.traffic import CORRECTED, DRIFTED_REQUESTS, Chapters, Sender, chapters
from ftassets.demo.voice_commands import DATA, DRIFTED, ESTABLISHED, templates
from ftassets.domain.dataset.rows import parse_jsonl


@pytest.fixture(scope="module")
def said() -> Chapters:
    return chapters(60)


def test_a_seed_tells_one_story(said: Chapters) -> None:
    assert chapters(60) == said
    other = chapters(60, seed=1)
    assert len({u.text for u in other.drifted} & {u.text for u in said.drifted}) < len(said.drifted) / 2


def test_no_user_says_what_the_golden_set_asks(said: Chapters) -> None:
    golden, _ = parse_jsonl((DATA / "golden.jsonl").read_text(), "golden")
    withheld = {template.id for intent in ESTABLISHED + DRIFTED for template in templates(intent, True)}
    assert {row.group for row in golden} <= withheld
    everything = [*said.first, *(each for window in said.quiet for each in window), *said.mixed, *said.drifted, *said.everyday]
    assert not {utterance.template for utterance in everything} & withheld


def test_new_commands_come_in_the_drifted_windows_only(said: Chapters) -> None:
    before = [*said.first, *(each for window in said.quiet for each in window), *said.mixed]
    assert {utterance.intent for utterance in before} <= set(ESTABLISHED)
    assert len(said.drifted) == DRIFTED_REQUESTS
    counts = Counter(utterance.intent in DRIFTED for utterance in said.drifted)
    assert counts[True] == int(0.9 * DRIFTED_REQUESTS)


def test_users_rate_and_correct_and_some_corrections_are_wrong(said: Chapters) -> None:
    wrong, right = [], []
    for number, utterance in enumerate(said.drifted):
        wrong.append(Sender(0, number).react(utterance, "no call", CORRECTED, said.others))
        right.append(Sender(0, number).react(utterance, utterance.answer, CORRECTED, said.others))
    corrections = [reaction for reaction in wrong if reaction]
    assert 0.9 < len(corrections) / len(wrong) < 0.99
    assert 0.04 < sum(reaction.mistaken for reaction in corrections) / len(corrections) < 0.12
    for utterance, reaction in zip(said.drifted, wrong, strict=True):
        if reaction:
            assert (reaction.correction != utterance.answer) is reaction.mistaken
            assert "intent" in json.loads(reaction.correction or "")
    ups = [reaction for reaction in right if reaction]
    assert {reaction.rating for reaction in ups} == {"up"}
    assert 0.1 < len(ups) / len(right) < 0.3


def test_without_corrections_a_wrong_answer_gets_none(said: Chapters) -> None:
    assert Sender(0, 1).react(said.first[0], "no call") is None
