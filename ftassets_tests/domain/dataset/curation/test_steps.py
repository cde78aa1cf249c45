"""What each step drops, changes and keeps."""

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.config.loop import LoopConfig
from ftassets.domain.dataset.curation import curate
from ftassets.domain.dataset.curation.exact import drop_exact
from ftassets.domain.dataset.curation.label_disagreement import doubt_labels
from ftassets.domain.dataset.curation.length import check_length
from ftassets.domain.dataset.curation.near import drop_near
from ftassets.domain.dataset.curation.normalise import clean, normalise
from ftassets.domain.dataset.curation.poisoning import drop_poisoners
from ftassets.domain.dataset.curation.schema import check_answers
from ftassets.domain.dataset.curation.semantic import drop_semantic
from ftassets.domain.dataset.curation.step import Pool
from ftassets.domain.dataset.curation.text import answer_keys, normalised
from ftassets.domain.dataset.curation.topic_cap import cap_topics
from ftassets.domain.dataset.curation.user_cap import cap_users
from ftassets.domain.dataset.rows import Example
from ftassets_tests.domain.dataset.curation.sample import (
    DIMENSIONS,
    INTENTS,
    LOOP,
    at_angles,
    axis,
    call,
    config,
    dropped,
    pool,
    request,
    row,
    spread,
)

TEXT = LoopConfig.model_validate({**LOOP.model_dump(), "task": {"type": "text", "system_prompt": "Answer."}})


def answered(number: int, completion: str) -> Example:
    return row(number).model_copy(update={"completion": completion})


# schema


def test_answers_that_are_no_call_are_dropped() -> None:
    rows = [row(0), answered(1, "sure thing"), answered(2, '["On"]'), answered(3, '{"intent": "On"'), answered(4, '{"a":' * 5000)]
    assert set(check_answers(pool(rows), LOOP).dropped) == {1, 2, 3, 4}


def test_a_byte_order_mark_around_an_answer_is_left_out_and_counted() -> None:
    outcome = check_answers(pool([answered(0, '\ufeff{"intent": "On"}'), answered(1, '{"intent": "On"}'), answered(2, "\ufeff")]), LOOP)
    assert {i: row.completion for i, row in outcome.changed.items()} == {0: '{"intent": "On"}'}
    assert set(outcome.dropped) == {2}
    assert outcome.counts == {"answers without a byte order mark": 1}


def test_an_answer_that_cannot_be_written_is_dropped() -> None:
    rows = [answered(0, r'{"intent": "\ud83d\ude00"}'), answered(1, r'{"intent": "\ud83d"}'), answered(2, r'{"\uDC00": 1}')]
    assert check_answers(pool(rows), LOOP).dropped == dict.fromkeys((1, 2), "the answer holds half of a surrogate pair")


def test_a_text_task_takes_any_answer_but_none() -> None:
    loop = LoopConfig.model_validate({**LOOP.model_dump(), "task": {"type": "text", "system_prompt": "Answer."}})
    assert check_answers(pool([answered(0, "sure thing"), answered(1, " \n")]), loop).dropped == {1: "the answer is empty"}


def labels(*known: str) -> LoopConfig:
    task = {"type": "classification", "system_prompt": "Name the queue.", **({"labels": known} if known else {})}
    return LoopConfig.model_validate({**LOOP.model_dump(), "task": task})


def test_feedback_with_a_label_of_neither_seed_nor_golden_set_nor_annotators_is_dropped_by_name() -> None:
    rows = [answered(0, "billing"), answered(1, "refund "), answered(2, "On").model_copy(update={"source": "label"})]
    said = ["Billing", "  on", "REFUND", "hotline", "refnud", "refnud", "one\ntwo"]
    rows += [answered(3 + n, text).model_copy(update={"source": "correction"}) for n, text in enumerate(said)]
    kept_out = {"golden": "hotline", "safety": "refnud"}  # the safety set's answers are no labels of the task
    golden = [answered(90, text).model_copy(update={"source": source}) for source, text in kept_out.items()]
    outcome = check_answers(pool(rows, golden=golden), labels())
    assert outcome.dropped == {
        7: "the answer is an unknown label: 'refnud'", 8: "the answer is an unknown label: 'refnud'",
        9: "the answer is an unknown label: 'one\\ntwo'",
    }  # fmt: skip
    assert {i: row.completion for i, row in outcome.changed.items()} == {1: "refund", 3: "billing", 4: "On", 5: "refund"}
    assert outcome.counts == {
        "unknown label 'refnud'": 2, "unknown label 'one\\ntwo'": 1, "labels spelled as the known one": 4,
    }  # fmt: skip


def test_labels_of_the_loop_file_count_for_every_source() -> None:
    rows = [answered(0, "billing"), answered(1, "sales"), answered(2, "sales").model_copy(update={"source": "label"})]
    outcome = check_answers(pool(rows), labels("billing", "refund"))
    assert outcome.dropped == dict.fromkeys((1, 2), "the answer is an unknown label: 'sales'")


# normalise


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("lights on", "lights on"),
        ("  lights on\n", "lights on"),
        ("cafe\u0301", "caf\u00e9"),
        ("li\u200bghts\ufeff o\u00adn", "lights on"),
        ("one\r\ntwo\rthree\u2028four\x0cfive", "one\ntwo\nthree\nfour\nfive"),
        ("a\tb\x00\x07c\x1b", "a\tbc"),
        ("\uff21", "\uff21"),  # full-width letters are text: only for comparison are they the same
    ],
)
def test_text_is_brought_into_one_form(text: str, wanted: str) -> None:
    assert clean(text) == wanted
    assert clean(wanted) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian: a zero-width non-joiner
        "\U0001f469\u200d\U0001f4bb \U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f",  # joined emoji
        "\u200f\u05e9\u05dc\u05d5\u05dd!\u200f \u202bABC\u202c \u2067x\u2069",  # marks of direction
        "\u0e01\u0e34\u0e19\u200b\u0e02\u0e49\u0e32\u0e27",  # Thai: a zero-width space between words
        "\ufa10\u672c",  # an ideograph of a name, which NFC would change
        "    return x",
        "\tmake all",
        "    if x:\n        y()\n    z()",
        "  a\n   b",
        "10\u00b2 \u00bd \u2460 x\u2081 \uff76\u3000\u00a0y",
    ],
)
def test_what_could_mean_something_is_stored_as_it_is(text: str) -> None:
    assert clean(text) == text
    assert not normalise(pool([row(0, prompt=text), answered(1, text)]), LOOP).changed


@settings(deadline=None)
@given(st.text() | st.text("ab \n\t\r\x0b\u200b\u00ad\ufeff\u0e01e\u0301\ufa10\x1c"))
def test_a_clean_text_stays_as_it_is(text: str) -> None:
    assert clean(clean(text)) == clean(text)


def test_changes_are_counted_by_kind_with_an_example_that_holds_no_text() -> None:
    rows = [row(0, prompt="a\r\nb\x07"), answered(1, "x\r\ny"), answered(2, "cafe\u0301 "), row(3, prompt="lights")]
    outcome = normalise(pool(rows), LOOP)
    assert outcome.counts == {"line ends": 2, "control characters": 1, "letters composed (NFC)": 1, "white space at the ends": 1}
    assert outcome.examples == {
        "line ends": "row r0000, U+000D at character 2 of a text",
        "control characters": "row r0000, U+0007 at character 4 of a text",
        "letters composed (NFC)": "row r0002, U+0065 at character 4 of a text",
        "white space at the ends": "row r0002, U+0020 at character 5 of a text",
    }


def test_rows_are_changed_and_only_empty_ones_dropped() -> None:
    rows = [row(0), row(1, prompt=" lights on\x00"), row(2, prompt="\u200b \ufeff"), answered(3, "\ufeff")]
    outcome = normalise(pool(rows), LOOP)
    assert {i: r.prompt for i, r in outcome.changed.items()} == {1: "lights on"}
    assert outcome.changed[1].id == "r0001"
    assert set(outcome.dropped) == {2, 3}
    assert "request" in outcome.dropped[2]
    assert "answer" in outcome.dropped[3]


# length and user cap


def test_length_counts_request_and_answer_together_and_includes_its_ends() -> None:
    answer = call("On")
    rows = [row(n, prompt="x" * (length - len(answer))) for n, length in enumerate((29, 30, 100, 101))]
    outcome = check_length(pool(rows), config(min_chars=30, max_chars=100))
    assert set(outcome.dropped) == {0, 3}
    assert outcome.dropped[0] == "29 characters of request and answer, 30 to 100 are taken"


def test_tokens_are_held_against_what_training_takes() -> None:
    limit = LOOP.train.max_length
    outcome = check_length(pool([row(0), row(1), row(2)], tokens=[limit, limit + 1, 3]), LOOP)
    assert outcome.dropped == {1: f"{limit + 1:,} tokens of request and answer, training takes {limit:,}"}


def test_feedback_of_one_user_is_capped_and_seed_is_not() -> None:
    rows = [row(i, source=("correction", "thumbs_up")[i % 2], user="flood") for i in range(12)]
    rows += [row(20 + i, source="correction", user=None) for i in range(8)] + [row(40 + i, user="flood") for i in range(8)]
    rows += [row(60, source="thumbs_up", user="other"), *(row(70 + i, source="label", user="flood") for i in range(8))]
    outcome = cap_users(pool(rows), config(max_rows_per_user=5))
    assert set(outcome.dropped) == {1, 3, 5, 7, 9, 11, 10}, "corrections come before thumbs up"
    assert outcome.counts == {"feedback rows without a user, which no cap holds": 8, "users with one row": 1}
    anonymous = pool([row(0), *(row(i, source="correction", user=None) for i in range(1, 9))])
    for step in (cap_users, cap_topics, drop_poisoners):
        given_ = anonymous if step is not cap_topics else pool(anonymous.rows, vectors=spread(9))
        assert step(given_, config(max_rows_per_user=1)).skipped == "does not apply: no feedback row has a user"


def test_repeats_do_not_use_up_a_users_cap() -> None:
    repeated = [row(i, prompt="turn the lights on", source="thumbs_up", user="u", at=float(i)) for i in range(30)]
    rows = [*repeated, *(row(40 + i, source="thumbs_up", user="u", at=0.0) for i in range(4))]
    curated = curate(rows, None, [], None, {}, config(max_rows_per_user=5))
    assert curated.rows == 5
    assert dropped(curated, "user_cap") == set()


def test_many_rows_of_one_user_are_one_voice() -> None:
    """Ten rows of an attacker among ten of others: they outvote nobody, and do not protect each other."""
    rows = [row(i, "Off", source="correction", user="attacker") for i in range(10)]
    rows += [row(20 + i, "On", source="correction", user=f"u{i}") for i in range(10)]
    outcome = doubt_labels(pool(rows, vectors=spread(20, topic=0, seed=3)), LOOP)
    assert outcome.dropped
    assert max(outcome.dropped) < 10, "no row of the others is doubted"


def topic_attack(source: str = "correction", others: int = 0, agree: bool = False) -> Pool:
    """200 rows of known topics, 60 of one user on a new one, and some of others on the new one."""
    rows = [row(i, INTENTS[i % 3], source=("seed", "correction")[i % 2], user=f"u{i % 40}") for i in range(200)]
    vectors = [spread(200)]
    rows += [row(300 + i, "Timer", source=source, user="attacker", at=float(i)) for i in range(60)]
    vectors.append(spread(60, 5, seed=1))
    rows += [row(400 + i, "Timer" if agree else "On", source="correction", user=f"v{i}") for i in range(others)]
    vectors.append(spread(others, 5, seed=2))
    return pool(rows, vectors=np.concatenate(vectors))


@pytest.mark.parametrize("loop_", [LOOP, TEXT], ids=["tool_call", "text"])
@pytest.mark.parametrize("source", ["correction", "thumbs_up"])
def test_one_user_alone_on_a_new_topic_is_capped_whatever_the_task(loop_: LoopConfig, source: str) -> None:
    outcome = cap_topics(topic_attack(source), loop_)
    assert min(outcome.dropped) >= 200
    assert max(outcome.dropped) < 260
    assert len(outcome.dropped) >= 45
    assert set(outcome.dropped.values()) == {"more than 10 rows of one user on a topic that others hardly ask about"}
    assert outcome.counts["topics of one user"] == 1
    assert len(cap_topics(topic_attack(source), config(max_topic_rows_per_user=20)).dropped) <= len(outcome.dropped) - 10


def test_wording_a_template_in_several_ways_makes_no_further_topics() -> None:
    """Six bundles of ten rows of one user, each bundle close together, far from what others ask."""
    rows = [row(i, INTENTS[i % 3], source=("seed", "correction")[i % 2], user=f"u{i % 40}") for i in range(200)]
    rows += [row(300 + i, "Timer", source="correction", user="attacker", at=float(i)) for i in range(60)]
    centres = np.repeat(around(6, 5, 1, 2.0), 10, axis=0)
    bundles = centres + 0.05 * np.random.default_rng(2).normal(size=centres.shape)
    bundles /= np.linalg.norm(bundles, axis=1, keepdims=True)
    outcome = cap_topics(pool(rows, vectors=np.concatenate([spread(200), bundles])), LOOP)
    assert len(outcome.dropped) >= 45
    assert outcome.counts["topics of one user"] == 1


def test_feedback_that_the_embedder_cannot_read_is_not_capped_by_topic_and_counted() -> None:
    given_ = topic_attack()
    assert given_.vectors is not None
    given_.vectors[230:260] = 0
    outcome = cap_topics(given_, LOOP)
    assert max(outcome.dropped) < 230
    assert outcome.counts["not compared by vectors: the embedder does not know their words"] == 30


def test_others_who_agree_vouch_for_a_user_and_others_who_do_not_are_never_capped() -> None:
    contradicted = set(cap_topics(topic_attack(others=12), LOOP).dropped)
    agreed = set(cap_topics(topic_attack(others=12, agree=True), LOOP).dropped)
    assert len(agreed) < len(contradicted) - 5
    assert contradicted <= set(range(200, 260))
    many = cap_topics(topic_attack(others=90, agree=False), LOOP).dropped
    assert set(many) <= set(range(200, 260))


def around(count: int, topic: int, seed: int, pull: float) -> np.ndarray:
    """Unit vectors of a topic: with a pull of 1.2 close together, with 0.6 spread among those of other topics."""
    vectors = np.random.default_rng(seed).normal(size=(count, DIMENSIONS))
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True) + pull * axis(topic)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def crowd(attacker: str | None, others: int, pull: float = 1.2, signed: bool = True) -> Pool:
    """200 rows of two known topics, those of others on a third one, and 60 wrong ones of an attacker on it."""
    rows, vectors = [], []
    for topic, intent in enumerate(INTENTS[:2]):
        source = [("seed", "correction")[i % 2] for i in range(100)]
        rows += [row(100 * topic + i, intent, source=source[i], user=f"u{i % 40}" if signed else None) for i in range(100)]
        vectors.append(around(100, topic, topic, 1.2))
    rows += [row(200 + i, "Timer", source="correction", user=f"v{i}" if signed else None) for i in range(others)]
    rows += [row(300 + i, "Off", source="correction", user=attacker, at=float(i)) for i in range(60)]
    vectors += [around(others, 5, 7, pull), around(60, 5, 8, pull)]
    return pool(rows, vectors=np.concatenate(vectors))


def kept_of(given: Pool) -> tuple[int, int]:
    """Rows of the attacker and of the others on the topic that curation keeps."""
    curated = curate(given.rows, given.vectors, [], None, {}, LOOP)
    names = [one.id for members in curated.splits.values() for one in members]
    return sum(name >= "r0300" for name in names), sum("r0200" <= name < "r0300" for name in names)


# of 60 rows of an attacker: on a new topic, and on one with 30 and with 90 rows of others; signed, unsigned among signed ones, unsigned
KEPT = {
    (1.2, 0): (10, 10, 60), (1.2, 30): (0, 0, 58), (1.2, 90): (0, 0, 26),
    (0.6, 0): (18, 17, 55), (0.6, 30): (11, 10, 56), (0.6, 90): (0, 9, 33),
}  # fmt: skip


@pytest.mark.parametrize(("pull", "others"), KEPT)
def test_what_an_attacker_keeps(pull: float, others: int) -> None:
    worlds = [crowd("attacker", others, pull), crowd(None, others, pull), crowd(None, others, pull, signed=False)]
    found = [kept_of(each) for each in worlds]
    assert [mine for mine, _ in found] == list(KEPT[pull, others])
    assert min(theirs for _, theirs in found[:2]) >= 0.7 * others, "the rows of the others stay"


def test_each_guard_says_whose_rows_it_took_and_which_it_could_not() -> None:
    for attacker, who in (("attacker", "one user"), (None, "requests without a user")):
        outcome = cap_topics(crowd(attacker, 0), LOOP)
        assert outcome.counts == {f"topics of {who}": 1}
        assert set(outcome.dropped.values()) == {f"more than 10 rows of {who} on a topic that others hardly ask about"}
    given = crowd("attacker", 90, signed=False)
    outcome = cap_topics(given, LOOP)
    assert outcome.counts["feedback rows without a user, which are most and not capped"] == 190
    assert all(given.rows[i].user == "attacker" for i in outcome.dropped)


def test_feedback_without_a_user_outvotes_no_users() -> None:
    """Sixty corrections of one request that nobody signed, against three users."""
    asked = "turn the lamp on"
    rows = [row(i, "Off", prompt=asked, source="correction", user=None, at=100.0 + i) for i in range(60)]
    rows += [row(60 + i, "On", prompt=asked, source="correction", user=f"u{i}", at=1.0) for i in range(3)]
    signed = [row(70 + i, source="correction", user=f"w{i}") for i in range(80)]
    [conflict] = [each for each in curate([*rows, *signed], None, [], None, {}, LOOP).conflicts]
    assert (conflict.decided_by, conflict.answers[0].voices, conflict.answers[1].voices) == ("voices", 3, 1)
    [conflict] = [each for each in curate(rows, None, [], None, {}, LOOP).conflicts]
    assert conflict.answers[0].voices == 60, "where hardly anybody signs, each row is a voice"


def test_users_on_topics_that_all_ask_about_are_not_capped_by_topic() -> None:
    rows = [row(i, INTENTS[i % 3], source="correction", user=f"u{i % 4}") for i in range(200)]
    assert not cap_topics(pool(rows, vectors=spread(200)), LOOP).dropped
    few = pool(rows[:10], vectors=spread(10))
    assert not cap_topics(few, config(max_topic_rows_per_user=1)).dropped
    assert cap_topics(pool(rows), LOOP).skipped == "the rows have no vectors"


# copies


def test_an_exact_copy_loses_to_what_people_wrote_then_to_the_newest_then_to_the_first() -> None:
    rows = [
        row(0, "On", prompt="Lights  ON", source="thumbs_up", at=9.0, user="a"),
        row(1, "On", prompt="lights on", source="correction", at=1.0, user="b"),
        row(2, "On", prompt="lights on ", source="correction", at=5.0, user="c"),
        row(3, "Timer", prompt="ten minutes", source="thumbs_up", at=1.0, user="a"),
        row(4, "Timer", prompt="ten minutes", source="thumbs_up", at=2.0, user="b"),
        row(5, "Timer", prompt="tea", source="correction", at=2.0, user="b"),
        row(6, "Timer", prompt="TEA", source="label"),
        row(7, "Timer", prompt="\uff54\uff45\uff41"),
        row(8, "Off", prompt="stop", source="synthetic", at=9.0),
        row(9, "Off", prompt="stop", source="thumbs_up", at=1.0),
    ]
    outcome = drop_exact(pool(rows), LOOP)
    same = {0: "r0002", 1: "r0002", 3: "r0004", 5: "r0006", 7: "r0006", 8: "r0009"}
    assert outcome.dropped == {i: f"same request as {name}" for i, name in same.items()}


PYTHON = "for x in y:\n    if x:\n        a()\n    b()"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("what is 10\u00b2", "what is 102"),
        ("H\u2082O and 1\u00bd", "H2O and 11/2"),
        ("step \u2460 1\u2460", "step 1 11"),
        (f"what prints\n{PYTHON}", f"what prints\n{PYTHON.replace('    b', '        b')}"),
    ],
)
def test_what_means_something_else_is_no_copy(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)
    assert not drop_exact(pool([row(0, "Off", prompt=one), row(1, prompt=other)]), LOOP).dropped
    answers = [row(n).model_copy(update={"prompt": "x", "completion": json.dumps({"a": text})}) for n, text in enumerate((one, other))]
    assert len(set(answer_keys(answers, LOOP.task.form).tolist())) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Lights  ON\nplease", "lights on please"),
        ("\uff2c\uff11\u00a0\ufb01", "l1 fi"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u062e"),
        (f"\n{PYTHON}  ", "\n".join(f"  {line}" for line in PYTHON.splitlines())),
    ],
)
def test_what_reads_the_same_is_a_copy(one: str, other: str) -> None:
    assert normalised(one) == normalised(other) == normalised(normalised(one))


def test_near_requests_with_the_same_answer_are_one_row() -> None:
    rows = [
        row(0, prompt="turn the kitchen lights on please", source="thumbs_up", at=1.0),
        row(1, prompt="turn the kitchen lights on now please", source="correction", at=0.0),
        row(2, prompt="turn the kitchen lights on, please", source="synthetic"),
        row(3, "Off", prompt="turn the kitchen lights on pleas"),
        row(4, prompt="what is the weather in Rome today"),
    ]
    outcome = drop_near(pool(rows), LOOP)
    assert set(outcome.dropped) == {0, 2}
    assert outcome.dropped[0].startswith("same answer as r0001, and the request shares 0.")


def test_requests_that_differ_in_the_value_the_answer_names_are_no_copies() -> None:
    rows = [
        row(n, prompt=f"set a timer for {n} minutes please").model_copy(
            update={"completion": json.dumps({"intent": "Timer", "minutes": n})}
        )
        for n in range(5, 9)
    ]
    assert not drop_near(pool(rows), LOOP).dropped
    vectors = np.tile(at_angles(0), (4, 1))
    assert not drop_semantic(pool(rows, vectors=vectors), LOOP).dropped


def test_the_order_of_fields_makes_no_other_answer() -> None:
    rows = [row(0, prompt="set a timer for five minutes now"), row(1, prompt="set a timer for five minutes")]
    rows = [r.model_copy(update={"completion": c}) for r, c in zip(rows, ['{"a": 1, "b": "X"}', '{"b":"x",  "a":1}'], strict=True)]
    assert len(drop_near(pool(rows), LOOP).dropped) == 1


def test_chains_of_near_requests_do_not_collapse() -> None:
    text = "please turn the lights on in the kitchen and in the hall and in the garage tonight"
    words = text.split()
    rows = [row(n, prompt=" ".join(words[n * 2 : n * 2 + 10])) for n in range(3)]  # each overlaps the next one, the ends do not meet
    outcome = drop_near(pool(rows), config(jaccard=0.45))
    assert outcome.dropped.keys() == {1}


def test_of_many_wordings_of_one_request_the_best_stays() -> None:
    rows = [row(n, prompt=f"set a timer for {n} minutes and tell me when it is over please", source="thumbs_up", at=n) for n in range(1000)]
    assert set(range(1000)) - drop_near(pool(rows), LOOP).dropped.keys() == {999}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_what_stays_is_what_one_after_the_other_would_leave(seed: int) -> None:
    rng = random.Random(seed)
    words = ["turn", "the", "kitchen", "hall", "lights", "on", "please", "now"]
    rows = [
        row(n, rng.choice(["On", "Off"]), prompt=" ".join(rng.choices(words, k=rng.randint(2, 7))), at=rng.randint(0, 9)) for n in range(60)
    ]
    kept: list[Example] = []
    for one in sorted(rows, key=lambda r: (-r.at, r.id)):
        grams = {one.prompt[n : n + 5] for n in range(len(one.prompt) - 4)}
        rest = [{other.prompt[n : n + 5] for n in range(len(other.prompt) - 4)} for other in kept if other.completion == one.completion]
        if all(len(grams & other) / len(grams | other) < 0.6 for other in rest):
            kept.append(one)
    gone = drop_near(pool(rows), LOOP).dropped
    assert {r.id for n, r in enumerate(rows) if n not in gone} == {r.id for r in kept}


def test_requests_that_mean_the_same_and_have_the_same_answer_are_one_row() -> None:
    rows = [row(0, source="thumbs_up"), row(1), row(2, "Off"), row(3), row(4)]
    outcome = drop_semantic(pool(rows, vectors=at_angles(0, 10, 5, 90, 100)), LOOP)
    assert outcome.dropped == {
        0: "same answer as r0001, and cosine 0.985 of the requests",
        4: "same answer as r0003, and cosine 0.985 of the requests",
    }


@pytest.mark.parametrize("exact", [0, 100])
def test_semantic_copies_are_found_across_tiles_and_cells(exact: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("neighbours", "semantic"):
        monkeypatch.setattr(f"ftassets.domain.dataset.curation.{module}.TILE", 4)
    monkeypatch.setattr("ftassets.domain.dataset.curation.neighbours.CELL_SIZE", 5)
    monkeypatch.setattr("ftassets.domain.dataset.curation.step.EXACT", exact)
    vectors = spread(12)
    rows = [row(i) for i in range(36)]
    outcome = drop_semantic(pool(rows, vectors=np.concatenate([vectors, vectors, vectors])), LOOP)
    assert outcome.dropped.keys() == set(range(12, 36))
    assert all(reason.startswith(f"same answer as r{i % 12:04},") for i, reason in outcome.dropped.items())


def test_a_row_near_a_dropped_row_only_stays() -> None:
    rows = [row(i) for i in range(3)]  # 0 and 1, 1 and 2 are alike, 0 and 2 are not
    assert drop_semantic(pool(rows, vectors=at_angles(0, 15, 30)), LOOP).dropped.keys() == {1}


# doubted labels and users


def test_a_wrong_correction_among_right_ones_is_caught() -> None:
    rows = [row(i, "On") for i in range(30)]
    rows += [
        row(30, "Off", source="correction", user="m"),
        row(31, "Off", source="thumbs_up", user="m"),
        row(32, "On", source="correction", user="n"),
    ]
    outcome = doubt_labels(pool(rows, vectors=spread(len(rows), topic=0)), LOOP)
    assert outcome.dropped.keys() == {30, 31}
    assert "labelled Off, but 9 of 9 others among its 10 nearest rows say On" in outcome.dropped.values()


def test_right_corrections_of_a_new_class_are_spared() -> None:
    rows = [row(i, "On") for i in range(40)] + [row(40 + i, "Timer", source="correction", user=f"u{i}") for i in range(15)]
    vectors = np.concatenate([spread(40, topic=0), spread(15, topic=1, seed=1)])
    rows.append(row(60, "On", source="correction", user="wrong"))  # a timer request labelled On
    outcome = doubt_labels(pool(rows, vectors=np.concatenate([vectors, spread(1, topic=1, seed=2)])), LOOP)
    assert outcome.dropped.keys() == {55}


def test_rows_nobody_can_slip_in_are_not_doubted() -> None:
    rows = [row(i, "On") for i in range(30)] + [row(30, "Off"), row(31, "Off", source="label"), row(32, "Off", source="synthetic")]
    assert not doubt_labels(pool(rows, vectors=spread(33, topic=0)), LOOP).dropped


def test_too_few_rows_have_no_neighbours() -> None:
    assert doubt_labels(pool([row(i) for i in range(10)], vectors=spread(10)), LOOP).skipped == "10 rows are too few to have 10 neighbours"


def doubted(*users: tuple[str, int, int]) -> Pool:
    """A pool after label_disagreement: per user, rows dropped by it and rows left."""
    rows, gone = [], {}
    for user, wrong, right in users:
        for n in range(wrong + right):
            if n < wrong:
                gone[len(rows)] = "label_disagreement"
            rows.append(row(len(rows), source="correction", user=user))
    given = pool(rows, dropped=gone)
    given.index = [i for i in given.index if i not in gone]
    return given


def test_all_feedback_of_a_user_goes_when_most_of_it_was_doubted() -> None:
    given = doubted(("bad", 6, 5), ("half", 5, 5), ("few", 4, 0), ("few", 0, 1), ("good", 0, 9))
    given.rows.append(row(999, user="bad"))  # not feedback
    given.index.append(len(given.rows) - 1)
    outcome = drop_poisoners(given, LOOP)
    assert outcome.dropped == dict.fromkeys(range(6, 11), "6 of 11 rows of this user contradict the rows around them")
    assert outcome.counts == {"users": 1}


def flood(wordings: int, others: int, answers: int = 1) -> Pool:
    rows = [
        row(n, ("On", "Off")[n % answers], prompt=f"turn all the kitchen lights on number {n}", source="thumbs_up", user="u")
        for n in range(wordings)
    ]
    rows += [row(100 + n, source="thumbs_up", user="u") for n in range(others)]
    gone = dict.fromkeys(range(2, wordings), "near")
    given = pool(rows, dropped=gone)
    given.index = [i for i in given.index if i not in gone]
    return given


def test_wordings_of_one_request_by_one_user_are_a_flood() -> None:
    outcome = drop_poisoners(flood(25, 10), LOOP)
    assert outcome.dropped.keys() == {0, 1, *range(25, 35)}
    assert outcome.dropped[0] == "25 of 35 rows of this user are wordings of one request"


def test_a_flood_of_texts_may_word_its_answer_differently_too() -> None:
    given = flood(25, 10)
    answer = "Call this number for all of your lights, madam or sir,"
    given.rows = [each.model_copy(update={"completion": f"{answer} {n}"}) for n, each in enumerate(given.rows)]
    text = LoopConfig.model_validate({**LOOP.model_dump(), "task": {"type": "text", "system_prompt": "Answer."}})
    assert drop_poisoners(given, text).dropped[0] == "25 of 35 rows of this user are wordings of one request"
    assert not drop_poisoners(given, LOOP).dropped, "calls that differ are other answers"


@pytest.mark.parametrize(("wordings", "others", "answers"), [(19, 0, 1), (25, 30, 1), (25, 0, 2)])
def test_few_wordings_many_other_requests_or_other_answers_are_no_flood(wordings: int, others: int, answers: int) -> None:
    assert not drop_poisoners(flood(wordings, others, answers), LOOP).dropped


def test_made_up_requests_are_told_apart() -> None:
    assert not drop_near(pool([row(i) for i in range(300)]), LOOP).dropped
    assert len({request(i) for i in range(300)}) == 300


def test_labels_of_few_users_are_counted_without_their_names() -> None:
    said = [("ann", "secret"), ("ann", "secret"), ("bob", "other"), *((user, "refnud") for user in ("ann", "bob", "eve"))]
    rows = [answered(n, text).model_copy(update={"source": "correction", "user": user}) for n, (user, text) in enumerate(said)]
    outcome = check_answers(pool(rows), labels("billing", "refund"))
    assert outcome.counts == {"unknown label 'refnud'": 3, "unknown labels of fewer than 3 users": 3}
