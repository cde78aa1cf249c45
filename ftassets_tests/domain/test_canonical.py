"""Digests that do not depend on key order or process."""

import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.domain.canonical import DEEPEST, canonical_json, digest_of, parse_json

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
