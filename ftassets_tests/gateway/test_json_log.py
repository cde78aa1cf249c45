"""Lines of the log as JSON: one a request, with everything but texts."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from ftassets.gateway.json_log import REQUESTS, JsonLines, log_to_stderr
from ftassets_tests.gateway.conftest import Running

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged while a test runs."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    REQUESTS.addHandler(handler)
    before = REQUESTS.level
    REQUESTS.setLevel(logging.INFO)
    yield stream
    REQUESTS.setLevel(before)
    REQUESTS.removeHandler(handler)


def test_a_request_is_one_line_without_its_texts(serving_a: Running, lines: io.StringIO) -> None:
    body = {"model": "support", "messages": [{"role": "user", "content": "my secret words"}], "user": "anna@example.com"}
    answer = serving_a.client.post("/v1/chat/completions", json=body, headers={"traceparent": PARENT})
    [row] = serving_a.rows()
    assert answer.status_code == serving_a.ask("fail").status_code - 302 == 200
    first, second = map(json.loads, lines.getvalue().splitlines())
    assert first["request_id"] == answer.json()["id"]
    assert (first["loop"], first["version"], first["status"], first["tokens_out"]) == ("support", row.version, 200, 3)
    assert (first["user"], first["client"], first["trace_id"]) == (row.user, None, PARENT[3:35])
    assert 0 < first["latency_ms"] < 10_000
    assert (second["status"], second["user"], second["trace_id"]) == (502, None, None)
    assert not [word for word in ("secret", "anna", "/secret path") if word in lines.getvalue()]


def test_any_line_is_an_object_and_tracebacks_are_in_it() -> None:
    try:
        raise ValueError("odd")
    except ValueError as error:
        record = logging.LogRecord("a.b", logging.ERROR, "", 0, "%d went\nwrong", (2,), (type(error), error, error.__traceback__))
    line = json.loads(JsonLines().format(record))
    assert (line["level"], line["logger"], line["message"]) == ("ERROR", "a.b", "2 went\nwrong")
    assert "ValueError: odd" in line["traceback"]
    assert line["at"].endswith("Z")


@pytest.mark.parametrize("as_json", [True, False])
def test_requests_are_logged_as_json_only(as_json: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "basicConfig", lambda **given: None)
    before = REQUESTS.level
    try:
        log_to_stderr(as_json)
        assert REQUESTS.isEnabledFor(logging.INFO) is as_json
    finally:
        REQUESTS.setLevel(before)
