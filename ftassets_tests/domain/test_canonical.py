"""Digests that do not depend on key order or process."""

import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.domain.canonical import (
    DEEPEST,
    canonical_json,
    comparable_json,
    composed,
    digest_of,
    parse_json,
    read_json,
    read_record,
    same_json,
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=6), values, max_size=6), st.randoms())
def test_key_order_does_not_matter(value: dict, random) -> None:
    items = list(value.items())
    random.shuffle(items)
    assert digest_of(dict(items)) == digest_of(value)


@settings(deadline=None)
@given(values)
def test_what_is_written_reads_back_and_repeats(value: object) -> None:
    content = canonical_json(value)
    assert json.loads(content) == value
    assert canonical_json(json.loads(content)) == content


def test_known_bytes_and_digest() -> None:
    assert canonical_json({"b": [1, 2.5, None], "a": "ü"}) == '{"a":"ü","b":[1,2.5,null]}'.encode()
    # sha256 of {}
    assert digest_of({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_not_a_number_has_no_digest(value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest_of(value)


def test_another_process_computes_the_same() -> None:
    code = "from ftassets.domain.canonical import digest_of; print(digest_of({'x': {'b': 1, 'a': 'é'}, 'y': [0.1]}))"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}, timeout=60
    )
    assert other.stdout.strip() == digest_of({"y": [0.1], "x": {"a": "é", "b": 1}})


def test_json_that_is_nested_too_deeply_is_refused_like_any_other_bad_one() -> None:
    assert parse_json("[" * DEEPEST + "]" * DEEPEST)
    for text in ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "[" * 100_000, '{"a":' * 950 + "1" + "}" * 950, "{"):
        with pytest.raises(ValueError, match="levels deep|Expecting"):
            parse_json(text)


def test_what_readers_of_json_do_not_agree_on_is_refused() -> None:
    refused = {
        '{"a": NaN}': "NaN is not JSON",
        "[-Infinity]": "-Infinity is not JSON",
        '{"a": 1, "b": {"c": 1, "c": 2}}': "the key 'c' is there twice",
        '{"\u00e9": 1, "e\u0301": 1}': "the key '\u00e9' is there twice",
        "1e400": "too large",
        "1" + "0" * 400: "too large",
        "1" * 5000: "too large",
        "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1): "levels deep",
    }
    for text, reason in refused.items():
        with pytest.raises(ValueError, match=reason):
            read_json(text)
    assert read_record('{"score": NaN}').keys() == {"score"}
    with pytest.raises(ValueError, match="twice"):
        read_record('{"id": 1, "id": 2}')


def test_a_number_is_one_however_it_is_written_and_no_other_value() -> None:
    for text in ("1.0", "1e0", "10E-1", "1"):
        assert (read_json(text), type(read_json(text))) == (1, int)
    assert read_json("-0.0") == 0
    assert not same_json(1, True)
    assert not same_json(0, False)
    assert not same_json([1], ["1"])
    assert not same_json(0, None)
    assert same_json({"caf\u00e9": ["\u00e9"], "b": 1.5}, {"b": 1.5, "cafe\u0301": ["e\u0301"]})


@settings(deadline=None)
@given(values, st.randoms())
def test_equal_values_are_read_alike_from_any_spelling(value: object, random) -> None:
    def spelled(part: object) -> str:
        if isinstance(part, dict):
            items = [f"{json.dumps(key, ensure_ascii=random.random() < 0.5)}: {spelled(item)}" for key, item in part.items()]
            random.shuffle(items)
            return "{" + " , ".join(items) + "\n}"
        if isinstance(part, list):
            return "[" + ",".join(map(spelled, part)) + " ]"
        if isinstance(part, int) and not isinstance(part, bool) and abs(part) < 10**15 and random.random() < 0.5:
            return random.choice([f"{part}.0", f"{part}e0", f"{part}0e-1"])
        return json.dumps(part, ensure_ascii=random.random() < 0.5)

    try:
        one = read_json(json.dumps(value))
    except ValueError:  # keys that are equal in NFC
        return
    other = read_json(spelled(value))
    assert same_json(one, other)
    assert comparable_json(one) == comparable_json(other)


@settings(deadline=None)
@given(values, values)
def test_values_are_the_same_only_if_their_kinds_are(one: object, other: object) -> None:
    def kinds(part: object) -> object:
        if isinstance(part, dict):
            return {composed(key): kinds(item) for key, item in part.items()}
        if isinstance(part, list):
            return list(map(kinds, part))
        name = "number" if isinstance(part, int | float) and not isinstance(part, bool) else type(part).__name__
        return (name, composed(part))

    try:
        one, other = read_json(json.dumps(one)), read_json(json.dumps(other))
    except ValueError:
        return
    assert same_json(one, other) == (kinds(one) == kinds(other))
