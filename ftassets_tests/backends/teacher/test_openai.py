"""Asking a teacher over real HTTP: what is sent, what is tried again, and what an error says."""

import socket
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from ftassets.backends.teacher.base import TeacherError, TeacherRefused
from ftassets.backends.teacher.openai import TRIES, OpenAITeacher
from ftassets.config.loop import TeacherSettings as Settings
from ftassets.testing.doubles.teacher import completion, scripted_teacher

KEY = "sk-very-secret"


def make(url: str, **settings: Any) -> OpenAITeacher:
    return OpenAITeacher(Settings(url=url, model="large", api_key_env="TEACHER_KEY", **settings), backoff=0.01, timeout=(5.0, 1.0))


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEACHER_KEY", f" {KEY}\n")


def test_the_question_is_sent_with_the_key_and_the_answer_comes_back() -> None:
    with scripted_teacher(completion("an answer")) as server:
        assert make(server.url + "/").ask("a question") == "an answer"
    assert server.asked == [{"model": "large", "messages": [{"role": "user", "content": "a question"}]}]
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"


def test_a_busy_teacher_is_asked_again() -> None:
    script = [JSONResponse({}, 429, {"retry-after": "0"}), PlainTextResponse("starting", 503), completion("an answer")]
    with scripted_teacher(*script) as server:
        assert make(server.url).ask("a question") == "an answer"
    assert len(server.asked) == 3


def test_a_teacher_that_stays_busy_is_given_up() -> None:
    with scripted_teacher(*[JSONResponse({"error": "slow down"}, 429) for _ in range(TRIES)]) as server:
        with pytest.raises(TeacherError, match=r"429.*slow down.*try later"):
            make(server.url).ask("a question")
        assert server.script == []


@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_mistake_is_not_repeated_and_the_key_is_not_in_its_message(status: int) -> None:
    with scripted_teacher(JSONResponse({"error": f"bad key {KEY}"}, status)) as server:
        with pytest.raises(TeacherError, match=str(status)) as raised:
            make(server.url).ask("a question")
        assert len(server.asked) == 1
    assert KEY not in str(raised.value)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_the_key_does_not_follow_a_redirect() -> None:
    with (
        scripted_teacher(completion("caught")) as other,
        scripted_teacher(RedirectResponse(other.url + "/chat/completions", 307)) as server,
    ):
        with pytest.raises(TeacherError, match="307"):
            make(server.url).ask("a question")
        assert other.asked == []


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (completion(None, refusal="I will not write this"), "I will not write this"),
        (completion("I ca", finish_reason="content_filter"), "content filter"),
        (completion(None), "its answer is empty"),
        (completion("  "), "its answer is empty"),
    ],
)
def test_a_refusal_is_told_apart(answer: Response, why: str) -> None:
    with scripted_teacher(answer) as server, pytest.raises(TeacherRefused, match=why):
        make(server.url).ask("a question")


@pytest.mark.parametrize(
    "answer", [PlainTextResponse("<html>"), JSONResponse([]), JSONResponse({"choices": []}), JSONResponse({"choices": [{"message": "x"}]})]
)
def test_what_is_no_chat_completion_is_an_error(answer: Response) -> None:
    with scripted_teacher(answer) as server, pytest.raises(TeacherError, match="chat completion") as raised:
        make(server.url).ask("a question")
    assert not isinstance(raised.value, TeacherRefused)


def test_a_teacher_that_is_not_there_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        with pytest.raises(TeacherError, match="does not answer") as raised:
            make(f"http://127.0.0.1:{taken.getsockname()[1]}/v1").ask("a question")
    assert KEY not in str(raised.value)


def test_a_netrc_entry_does_not_replace_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with scripted_teacher(completion("an answer")) as server:
        make(server.url).ask("a question")
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"


def test_a_teacher_without_a_key_gets_none() -> None:
    with scripted_teacher(completion("an answer")) as server:
        OpenAITeacher(Settings(url=server.url, model="large")).ask("a question")
    assert "authorization" not in server.headers[0]


@pytest.mark.parametrize("value", [None, " ", "sk-\u2026", "sk\nX-Header: 1"])
def test_a_key_that_is_missing_or_broken_names_its_variable_only(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEACHER_KEY") if value is None else monkeypatch.setenv("TEACHER_KEY", value)
    with pytest.raises(TeacherError, match="TEACHER_KEY") as raised:
        make("https://teacher.example/v1")
    assert "sk" not in str(raised.value)


@pytest.mark.parametrize("url", [f"https://me:{KEY}@teacher.example/v1", "teacher.example/v1", "ftp://teacher.example"])
def test_an_url_with_credentials_or_without_http_is_refused(url: str) -> None:
    with pytest.raises(TeacherError, match="http") as raised:
        make(url)
    assert KEY not in str(raised.value)
