import json
from collections import Counter

from ftassets.demo.traffic import CORRECTED, DRIFTED_REQUESTS, Sender, chapters
from ftassets.demo.voice_commands import DATA, DRIFTED, ESTABLISHED, templates
from ftassets.domain.dataset.rows import parse_jsonl

SAID = chapters(60)
ALL = [*SAID.first, *(each for window in SAID.quiet for each in window), *SAID.mixed, *SAID.drifted, *SAID.everyday]


def test_a_seed_tells_one_story() -> None:
    assert chapters(60) == SAID
    other = chapters(60, seed=1)
    assert len({u.text for u in other.drifted} & {u.text for u in SAID.drifted}) < len(SAID.drifted) / 2


def test_no_user_says_what_the_golden_set_asks() -> None:
    golden, _ = parse_jsonl((DATA / "golden.jsonl").read_text(), "golden")
    withheld = {template.id for intent in ESTABLISHED + DRIFTED for template in templates(intent, True)}
    assert {row.group for row in golden} <= withheld
    assert not {utterance.template for utterance in ALL} & withheld


def test_new_commands_come_in_the_drifted_windows_only() -> None:
    before = [*SAID.first, *(each for window in SAID.quiet for each in window), *SAID.mixed]
    assert {utterance.intent for utterance in before} <= set(ESTABLISHED)
    assert len(SAID.drifted) == DRIFTED_REQUESTS
    counts = Counter(utterance.intent in DRIFTED for utterance in SAID.drifted)
    assert counts[True] == int(0.9 * DRIFTED_REQUESTS)


def test_users_rate_and_correct_and_some_corrections_are_wrong() -> None:
    wrong, right = [], []
    for number, utterance in enumerate(SAID.drifted):
        wrong.append(Sender(0, number).react(utterance, "no call", CORRECTED, SAID.others))
        right.append(Sender(0, number).react(utterance, utterance.answer, CORRECTED, SAID.others))
    corrections = [reaction for reaction in wrong if reaction]
    assert 0.9 < len(corrections) / len(wrong) < 0.99
    assert 0.04 < sum(reaction.mistaken for reaction in corrections) / len(corrections) < 0.12
    for utterance, reaction in zip(SAID.drifted, wrong, strict=True):
        if reaction:
            assert (reaction.correction != utterance.answer) is reaction.mistaken
            assert "intent" in json.loads(reaction.correction or "")
    ups = [reaction for reaction in right if reaction]
    assert {reaction.rating for reaction in ups} == {"up"}
    assert 0.1 < len(ups) / len(right) < 0.3


def test_without_corrections_a_wrong_answer_gets_none() -> None:
    assert Sender(0, 1).react(SAID.first[0], "no call") is None
