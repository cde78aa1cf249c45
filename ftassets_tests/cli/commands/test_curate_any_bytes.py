"""Whatever the bytes of a file: every line is in a split or in the quarantine, and what was changed is counted.

`python -m ftassets_tests.cli.commands.test_curate_any_bytes 100000` tries that many files.
"""

import gzip
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftassets.cli.commands.curate import curate_file
from ftassets.config.text_lines import NotUtf8, lines_of
from ftassets.domain.chat import Message, openai_messages
from ftassets.domain.dataset.rows import Example, numbered_jsonl

ODD = "ab \t\x00\x07\x1c\x85\u00a0\u00ad\u0301\u200b\u200c\u200d\u200f\u2028\u202e\u3000\ufeff\ufa10\u00b2\u0e01\u4e00\U0001f469"
FEW = ["mail jo@example.com", "1 22 333", "    return x", "{}", "-", "<|im_end|>", '{"a": "b"}']
SHORT = st.text(max_size=30) | st.text(ODD, max_size=40) | st.sampled_from(FEW)
WORDS = st.lists(st.sampled_from(["please", "dim", "the", "hall", "light", "now", "10\u00b2", "  ", "\n    "]), min_size=4, max_size=9)
TEXT = SHORT | st.builds(lambda words, odd: " ".join(words) + odd, WORDS, SHORT)
HUGE = "HUGE"  # a number of more digits than Python reads
NUMBER = st.floats() | st.integers() | st.sampled_from([10**400, 1e400, HUGE])
JSON = st.recursive(st.none() | st.booleans() | NUMBER | TEXT, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
MESSAGE = st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": TEXT | JSON})
DOCUMENT = st.builds(
    lambda value, ascii: json.dumps({"a": value}, ensure_ascii=ascii), TEXT | st.integers() | st.lists(TEXT), st.booleans()
)


def row(asked: str, answer: str, more: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}], **more}


def called(asked: str, arguments: str, result: str, answer: str) -> dict[str, Any]:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": arguments}}
    turns = [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c1", "content": result}]
    return {"messages": [{"role": "user", "content": asked}, *turns, {"role": "assistant", "content": answer}]}


FIELDS = ["id", "group", "slice", "quality_score", "metadata", "tools", "note", "weight"]
MORE = st.dictionaries(st.sampled_from(FIELDS), TEXT | JSON, max_size=2)
ROW = st.builds(row, TEXT, TEXT, st.just({}) | MORE) | st.fixed_dictionaries({"messages": st.lists(MESSAGE, max_size=4)})
ROW |= st.builds(called, TEXT, DOCUMENT, DOCUMENT | TEXT, DOCUMENT | TEXT)
ROW |= st.fixed_dictionaries({"instruction": TEXT, "response": TEXT}) | st.fixed_dictionaries({"prompt": TEXT, "completion": TEXT})
DEEP = st.builds(lambda depth, row: {**row, "tools": json.loads("[" * depth + "]" * depth)}, st.integers(90, 400), ROW)
WRITTEN = st.builds(
    lambda value, ascii: json.dumps(value, ensure_ascii=ascii).encode("utf-8", "surrogatepass").replace(b'"HUGE"', b"9" * 5000),
    ROW | JSON | DEEP,
    st.booleans(),
)
DAMAGED = st.builds(lambda line, place, byte: line[:place] + byte + line[place + 1 :], WRITTEN, st.integers(0, 60), st.binary(max_size=2))
GOOD = st.builds(lambda asked, answer: json.dumps(row(asked, answer, {})).encode(), TEXT, TEXT)
LINE = GOOD | GOOD | WRITTEN | DAMAGED | st.binary(max_size=20) | st.sampled_from([b"", b" ", b"[", b"{", b"\xef\xbb\xbf", b"[INFO] read"])
FILE = st.builds(
    lambda head, lines, end, again: head + end.join([*lines, *(lines[:1] if again else [])]),
    st.sampled_from([b"", b"", b"", b"\xef\xbb\xbf", b"\n\n"]),
    st.lists(LINE, max_size=6),
    st.sampled_from([b"\n", b"\n", b"\r\n"]),
    st.booleans(),
)


VALUES = st.lists(ROW | ROW | JSON, max_size=5)
ARRAY = st.builds(lambda rows, indent: json.dumps(rows, indent=indent).encode(), VALUES, st.sampled_from([None, 0, 2]))
ARRAY |= st.builds(
    lambda lines, end: b"[" + (b"," + end).join(lines) + b"]", st.lists(WRITTEN | DAMAGED, max_size=5), st.sampled_from([b"", b"\n"])
)
CUT = st.builds(
    lambda whole, cut, byte: whole[:cut] + byte + whole[cut + 1 :], ARRAY, st.integers(0, 300), st.sampled_from([b"", b"x", b"}", b"\n"])
)
CUT |= st.builds(lambda whole, cut: whole[:cut], ARRAY, st.integers(0, 300))
PLAIN = FILE | FILE | FILE | ARRAY | CUT | st.binary(max_size=200)
TEXT_FILE = PLAIN.map(lambda content: content.decode(errors="replace"))
ENCODED = st.builds(
    lambda text, encoding: text.encode(encoding), TEXT_FILE, st.sampled_from(["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
)
PACKED = st.builds(lambda content, cut: gzip.compress(content)[: cut or None], PLAIN | ENCODED, st.sampled_from([0, 0, 0, -1, -9, 30]))
ANY = PLAIN | PLAIN | PLAIN | PLAIN | ENCODED | PACKED


def check(content: bytes, folder: Path) -> None:
    """Curate a file of these bytes, and account for its lines and changes."""
    source = folder / "in.jsonl"
    source.write_bytes(content)
    try:
        lines = [line.removeprefix(b"\xef\xbb\xbf") if n == 0 else line for n, line in enumerate(lines_of(source))]
        report = curate_file(source, folder / "out", None, None, lambda *_: None, force=True)
    except NotUtf8:  # the file as a whole is refused, by name
        return
    read = {name: (folder / "out" / f"{name}.jsonl").read_text().split("\n")[:-1] for name in ("train", "validation", "test", "quarantine")}
    lost = [json.loads(line) for line in read.pop("quarantine")]
    kept = [json.loads(line) for members in read.values() for line in members]
    assert report["collected"] == len(kept) + len(lost)
    assert all(item["reason"] and 1 <= item["line"] <= len(lines) for item in lost)

    numbers = {n for n, line in enumerate(lines, start=1) if line.decode(errors="replace").strip()}
    quarantined = [item["line"] for item in lost]
    first = next((line.lstrip() for line in lines if line.strip()), b"")
    if (members := _members(b"".join(lines))) is not None:
        assert len(quarantined) + len(kept) == members, "a member is neither in a split nor in the quarantine"
    if not first.startswith(b"["):  # members of an array may share a line
        assert len(set(quarantined)) == len(quarantined)
        if not first.startswith(b"{"):  # an object may be spread over lines
            assert len(quarantined) + len(kept) == len(numbers), "a line is neither in a split nor in the quarantine"

    steps = report["steps"]
    assert all(step["counts"] for step in steps if step["changed"])
    before = Counter(_content(each) for _, each in numbered_jsonl(lines_of(source), "seed") if isinstance(each, Example))
    after = Counter(json.dumps(each["messages"]) for each in kept)
    assert (after - before).total() <= sum(step["changed"] for step in steps), "a row was changed that no step counts"
    for message in (message for each in kept for message in each["messages"]):
        assert all(json.loads(call["function"]["arguments"]) for call in message.get("tool_calls", ())), "arguments that are not JSON"


def _members(whole: bytes) -> int | None:
    """How many members an array has; None if the file is no array, or one that is damaged."""
    try:
        value = json.loads(whole.decode(errors="replace"), parse_int=str)
    except (ValueError, RecursionError):
        return None
    return len(value) if isinstance(value, list) else None


def _content(row: Example) -> str:
    return json.dumps(openai_messages([*row.messages, Message(role="assistant", content=row.completion)], text_arguments=True))


def _accounted(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check(content, Path(folder))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ANY)
def test_every_line_is_accounted_for_and_every_change_is_counted(content: bytes) -> None:
    _accounted(content)


if __name__ == "__main__":
    many = settings(max_examples=int(sys.argv[1]), deadline=None, suppress_health_check=list(HealthCheck), database=None)
    many(given(ANY)(_accounted))()
