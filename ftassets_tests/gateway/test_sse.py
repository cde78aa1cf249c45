"""Events out of chunks of any size."""

from hypothesis import given
from hypothesis import strategies as st

from ftassets.gateway.sse import Events, event

contents = st.lists(st.text(st.characters(blacklist_characters="\n\r", codec="utf-8"), min_size=1).map(str.encode), max_size=6)


@given(contents, st.lists(st.integers(1, 20)), st.booleans())
def test_events_do_not_depend_on_how_the_stream_is_cut(data, cuts, carriage_returns):
    stream = b"".join(event(item) for item in data)
    if carriage_returns:
        stream = stream.replace(b"\n", b"\r\n")
    events = Events()
    found = []
    for cut in cuts:
        found += events.feed(stream[:cut])
        stream = stream[cut:]
    found += events.feed(stream)
    assert found == data


def test_comments_are_dropped_and_half_an_event_waits():
    events = Events()
    assert list(events.feed(b": ping\n\nevent: x\ndata:1\n\ndata: 2")) == [b"1"]
    assert list(events.feed(b"\n\n")) == [b"2"]
