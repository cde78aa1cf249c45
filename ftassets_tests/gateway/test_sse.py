"""Events out of chunks of any size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.gateway.sse import LONGEST_LINE, Events, event

contents = st.lists(st.text(st.characters(blacklist_characters="\n\r", codec="utf-8"), min_size=1).map(str.encode), max_size=6)


@given(contents, st.lists(st.integers(1, 20)), st.sampled_from([b"\n", b"\r\n", b"\r"]), st.booleans(), st.integers(0, 2))
def test_events_do_not_depend_on_how_the_stream_is_cut_or_lines_end(data, cuts, end, mark, missing):
    stream = b"".join(event(item) for item in data)
    stream = (b"\xef\xbb\xbf" if mark else b"") + stream[: len(stream) - missing].replace(b"\n", end)
    events = Events()
    found = []
    for cut in cuts:
        found += events.feed(stream[:cut])
        stream = stream[cut:]
    found += events.feed(stream)
    found += events.end()
    assert found == [item for item in data if item.strip()]


def test_comments_are_dropped_and_half_an_event_waits():
    events = Events()
    assert list(events.feed(b": ping\n\nevent: x\ndata:1\n\ndata: 2")) == [b"1"]
    assert list(events.feed(b"\n\n")) == [b"2"]


def test_pings_and_empty_events_say_nothing():
    events = Events()
    assert list(events.feed(b"event: ping\ndata: {}\n\ndata:\n\ndata: \n\nid: 4\nretry: 5\ndata: 1\n\n")) == [b"1"]
    assert list(events.end()) == []


def test_a_line_without_an_end_is_not_waited_for() -> None:
    events = Events()
    assert list(events.feed(b"data: " + b"x" * LONGEST_LINE)) == []
    with pytest.raises(ValueError, match=r"a line with more than 4,000,000 bytes"):
        list(events.feed(b"x"))
