from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ftassets.backends.evaluator.base import EvaluationFailed
from ftassets.backends.model_client.external import ask_all
from ftassets.domain.chat import Asked
from ftassets.domain.release.version import ExternalModel
from ftassets.testing.external_endpoint import KEY, VARIABLE, ExternalEndpoint, external_endpoint

PROMPTS = {f"row-{n}": Asked.of(f"question {n}") for n in range(45)}


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExternalEndpoint]:
    monkeypatch.setenv(VARIABLE, KEY)
    with external_endpoint() as endpoint:
        yield endpoint


def ask(there: ExternalEndpoint, output: Path, said: list[str] | None = None) -> None:
    model = ExternalModel(url=there.url, model="acme/large", api_key_env=VARIABLE)
    ask_all("production", model, "Answer.", 7, PROMPTS, output, (said if said is not None else []).append)


def test_answers_are_greedy_at_the_tasks_settings_and_lie_in_the_order_of_the_rows(there: ExternalEndpoint, tmp_path: Path) -> None:
    ask(there, tmp_path / "a.parquet")
    rows = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert [row["id"] for row in rows] == list(PROMPTS)
    assert rows[3] == {"id": "row-3", "answer": "elsewhere: question 3", "tokens_out": 5, "truncated": False, "tokens_in": 40}
    assert {(body["temperature"], body["max_tokens"], body["model"]) for body in there.bodies} == {(0.0, 7, "acme/large")}
    assert there.bodies[0]["messages"][0] == {"role": "system", "content": "Answer."}


def test_an_answer_cut_at_the_limit_is_marked_and_one_without_usage_has_no_tokens(there: ExternalEndpoint, tmp_path: Path) -> None:
    there.finish, there.usage = "length", None
    ask(there, tmp_path / "a.parquet")
    row = pq.read_table(tmp_path / "a.parquet").to_pylist()[0]
    assert (row["truncated"], row["tokens_in"], row["tokens_out"]) == (True, 0, 0)


def test_after_a_failure_only_what_is_missing_is_asked_again(there: ExternalEndpoint, tmp_path: Path) -> None:
    def breaks_off(prompt: str) -> str:
        if prompt == "question 30":
            there.fail_with = 400
        return prompt

    there.answer = breaks_off
    with pytest.raises(EvaluationFailed, match="answered 400 to row-"):
        ask(there, tmp_path / "a.parquet")
    assert not (tmp_path / "a.parquet").exists()
    kept = tmp_path / "a.parquet.asked"
    kept.write_text(kept.read_text() + '{"id": "row-40", "ans')  # a kill in the middle of a line
    there.fail_with, there.answer, there.bodies, said = None, str, [], []
    ask(there, tmp_path / "a.parquet", said)
    assert "45 prompts, 20 of them answered before" in said[0]
    assert len(there.bodies) == 25
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 45
    assert not kept.exists()


@pytest.mark.parametrize(("status", "advice"), [(401, "is the key the right one"), (404, "are url and model right")])
def test_a_refusal_is_told_with_advice_and_without_the_key(there: ExternalEndpoint, tmp_path: Path, status: int, advice: str) -> None:
    there.fail_with = status
    with pytest.raises(EvaluationFailed, match=advice) as failed:
        ask(there, tmp_path / "a.parquet")
    assert KEY not in str(failed.value)


def test_a_missing_key_is_named(there: ExternalEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(EvaluationFailed, match=VARIABLE):
        ask(there, tmp_path / "a.parquet")
