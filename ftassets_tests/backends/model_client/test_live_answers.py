from ftassets.backends.model_client.live_answers import live_answers
from ftassets.config.loop import Task
from ftassets.domain.chat import Asked
from ftassets.testing.doubles.http import receiver

TASK = Task(system_prompt="Answer as JSON.", max_tokens=7, temperature=0.5)


def said(text: object) -> tuple[int, object]:
    return 200, {"choices": [{"message": {"content": text}}]}


def test_asks_each_prompt_as_the_task_says_and_keeps_the_order() -> None:
    with receiver() as there:
        there.replies = [said(str(number)) for number in range(12)]
        answers = live_answers(f"{there.url}/v1", [Asked.of(f"p{number}") for number in range(12)], TASK)
        asked = {request.body["messages"][1]["content"]: number for number, request in enumerate(there.received)}
        assert {request.path for request in there.received} == {"/v1/chat/completions"}
        first = there.received[0].body
    assert (first["messages"][0], first["max_tokens"], first["temperature"]) == (
        {"role": "system", "content": "Answer as JSON."}, 7, 0.5
    )  # fmt: skip
    assert [answer.text for answer in answers] == [str(asked[f"p{number}"]) for number in range(12)]
    assert not any(answer.error for answer in answers)


def test_a_request_that_fails_is_an_answer_of_its_own() -> None:
    with receiver() as there:
        there.replies = [(500, "no"), (200, "hello"), (200, {"choices": []}), said(None), said("half a pair: \ud800")]
        answers = [live_answers(f"{there.url}/v1", [Asked.of("x")], TASK)[0] for _ in range(5)]
    assert [bool(answer.error) for answer in answers] == [True, True, True, False, False]
    assert answers[0].error is not None
    assert "500" in answers[0].error
    assert [answer.text for answer in answers] == ["", "", "", "", "half a pair: ?"]
