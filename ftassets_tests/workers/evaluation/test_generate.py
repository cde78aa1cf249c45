import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ftassets.domain.chat import chat, conversation, question
from ftassets.domain.dataset.rows import to_jsonl
from ftassets.domain.evaluation.jobs import AnswerJob, Ask, Prompt
from ftassets.testing.tiny_model import make_tiny_model
from ftassets.workers.chat_template import NoTemplate
from ftassets.workers.evaluation import generate as generate_module
from ftassets.workers.evaluation.generate import answer, generate, spread
from ftassets.workers.evaluation.partial import PartialAnswers

pytestmark = pytest.mark.models

PROMPTS = [Prompt(id=f"p{n}", messages=question("turn on the light " + "please " * (n % 5))) for n in range(11)]


@pytest.fixture(scope="module")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "base")


def a_job(folder: Path, base: Path, *outputs: str) -> AnswerJob:
    (folder / "prompts.jsonl").write_text(to_jsonl(PROMPTS))
    return AnswerJob(
        system_prompt="Answer as JSON.",
        max_tokens=4,
        batch_size=4,
        asks=[Ask(model=base, prompts_file=folder / "prompts.jsonl", output=folder / "answers" / name) for name in outputs],
        work=folder,
    )


def test_every_prompt_is_answered_in_its_place(tmp_path, tiny_base):
    answer(a_job(tmp_path, tiny_base, "one.parquet", "two.parquet"), lambda _: None)
    table = pq.read_table(tmp_path / "answers" / "one.parquet")
    assert table.column_names == ["id", "answer", "tokens_in", "tokens_out", "truncated"]
    assert [str(kind) for kind in table.schema.types] == ["string", "string", "int64", "int64", "bool"]
    assert table["id"].to_pylist() == [prompt.id for prompt in PROMPTS]
    assert max(table["tokens_out"].to_pylist()) <= 4
    tokenizer, _ = generate_module.load(tiny_base)
    asked = [tokenizer.apply_chat_template(chat("Answer as JSON.", each).messages, add_generation_prompt=True) for each in PROMPTS]
    assert table["tokens_in"].to_pylist() == [len(each["input_ids"]) for each in asked]  # without the padding
    assert table.equals(pq.read_table(tmp_path / "answers" / "two.parquet"))
    assert sorted(path.name for path in (tmp_path / "answers").iterdir()) == ["one.parquet", "two.parquet"]


def test_an_answer_file_that_exists_is_kept(tmp_path, tiny_base):
    job = a_job(tmp_path, tiny_base, "one.parquet")
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers" / "one.parquet").write_text("mine")
    answer(job, lambda _: None)
    assert (tmp_path / "answers" / "one.parquet").read_text() == "mine"


def asked(base: Path, prompts: list[Prompt], max_tokens: int, batch_size: int, **known: Any) -> dict[int, dict[str, Any]]:
    chats = [chat("Answer as JSON.", prompt) for prompt in prompts]
    return {place: row for rows in generate(base, chats, max_tokens, batch_size, lambda _: None, **known) for place, row in rows.items()}


def test_an_answer_does_not_depend_on_its_neighbours(tiny_base):
    assert asked(tiny_base, PROMPTS, 6, 11)[0] == asked(tiny_base, PROMPTS[:1], 6, 1)[0]


@pytest.mark.parametrize(("prompts", "batch_size", "cores"), [(11, 4, 1), (11, 128, 1), (11, 128, 2), (2, 1, 1)])
def test_a_second_time_the_batches_are_others(tiny_base, monkeypatch, prompts, batch_size, cores):
    made = []

    def in_one_process(say, batches, workers):
        made.append(batches)
        return spread(say, batches, 1)

    monkeypatch.setattr(generate_module, "spread", in_one_process)
    chats = [chat("Answer as JSON.", prompt) for prompt in PROMPTS[:prompts]]
    for again in (False, True):
        found = [row for each in generate(tiny_base, chats, 3, batch_size, lambda _: None, cores, again=again) for row in each]
        assert sorted(found) == list(range(prompts))
    first, second = ({tuple(batch) for batch in batches} for batches in made)
    assert first != second


def test_a_conversation_that_the_template_refuses_takes_no_other_with_it(tmp_path, tiny_base):
    shutil.copytree(tiny_base, base := tmp_path / "picky")
    tokenizer, _ = generate_module.load(base)
    strict = "{%- if messages|length > 2 %}{{ raise_exception('roles must alternate') }}{%- endif %}"
    tokenizer.chat_template = strict + tokenizer.chat_template
    tokenizer.save_pretrained(base)
    long = Prompt(id="long", messages=conversation([{"role": "user", "content": "on"}, {"role": "user", "content": "and off"}]))
    said: list[str] = []
    chats = [chat("Answer as JSON.", prompt) for prompt in (long, *PROMPTS[:3])]
    rows = {place: row for batch in generate(base, chats, 4, 2, said.append) for place, row in batch.items()}
    assert rows.pop(0) == {"answer": "", "tokens_in": 0, "tokens_out": 0, "truncated": False}
    assert list(rows.values()) == list(asked(tiny_base, PROMPTS[:3], 4, 2).values())
    assert said[0].startswith(
        "1 of 4 prompts have an empty answer, the first is number 1: the chat template does not take this conversation"
    )
    with pytest.raises(NoTemplate, match="does not take"):
        list(generate(base, chats[:1], 4, 2, said.append))


def test_an_answer_without_an_end_is_marked_truncated(tiny_base):
    rows = asked(tiny_base, PROMPTS[:2], 3, 2).values()
    assert all(row["truncated"] == (row["tokens_out"] == 3) for row in rows)
    assert any(row["truncated"] for row in rows)


def test_what_is_known_is_not_asked_again_but_for_its_batch(tiny_base):
    everything = asked(tiny_base, PROMPTS, 3, 4)
    batches = [sorted(rows) for rows in generate(tiny_base, [chat("", p) for p in PROMPTS], 3, 4, lambda _: None)]
    left = asked(tiny_base, PROMPTS, 3, 4, known={*batches[0], batches[1][0]})
    assert left == {place: everything[place] for place in [*batches[1], *batches[2]]}
    assert asked(tiny_base, PROMPTS, 3, 4, known=set(range(len(PROMPTS)))) == {}


def test_an_ask_may_have_a_system_prompt_of_its_own(tmp_path, tiny_base):
    job = a_job(tmp_path, tiny_base, "one.parquet", "two.parquet", "three.parquet")
    one, two, three = job.asks
    other = job.system_prompt + " Be brief, and name the room."
    asks = [one, two.model_copy(update={"system_prompt": other}), three.model_copy(update={"system_prompt": job.system_prompt})]
    answer(job.model_copy(update={"asks": asks}), lambda _: None)
    tables = [pq.read_table(ask.output) for ask in asks]
    assert tables[0].equals(tables[2])
    assert tables[1]["answer"].to_pylist() != tables[0]["answer"].to_pylist()


# An answer job that was killed


def kill_after(batches: int) -> Callable[[str], None]:
    """A report function that ends its process as `kill -9` would once so many batches are done."""
    seen = []

    def report(text: str) -> None:
        if "answers," in text:
            seen.append(text)
            if len(seen) == batches:
                os.kill(os.getpid(), 9)

    return report


def answer_and_die(job: AnswerJob, batches: int) -> None:
    generate_module.SAY_EVERY = 0.0  # a report a batch
    answer(job, kill_after(batches))


def killed(job: AnswerJob, batches: int) -> None:
    process = multiprocessing.get_context("spawn").Process(target=answer_and_die, args=(job, batches))
    process.start()
    process.join(120)
    assert process.exitcode == -9


def test_what_a_killed_process_had_answered_is_not_asked_again_and_the_file_is_the_same(tmp_path, tiny_base):
    whole, cut = a_job(tmp_path, tiny_base, "whole.parquet"), a_job(tmp_path, tiny_base, "cut.parquet", "second.parquet")
    answer(whole, lambda _: None)
    killed(cut, 2)
    assert not any(ask.output.exists() for ask in cut.asks)
    partials = sorted(path for path in (tmp_path / "answers").iterdir() if path.suffix == ".partial")
    kept = sum(len(path.read_text().splitlines()) - 1 for path in partials)
    assert kept
    partials[0].write_bytes(partials[0].read_bytes()[:-5])  # the kill tears the last line
    said: list[str] = []
    answer(cut, said.append)
    assert any("22 prompts, " in line and "of them answered before" in line for line in said)
    for ask in cut.asks:
        assert pq.read_table(ask.output).equals(pq.read_table(whole.asks[0].output))
    assert sorted(path.name for path in (tmp_path / "answers").iterdir()) == ["cut.parquet", "second.parquet", "whole.parquet"]


def test_answers_to_another_question_are_not_taken_up(tmp_path, tiny_base):
    job = a_job(tmp_path, tiny_base, "one.parquet")
    left = PartialAnswers(job.asks[0].output, "another digest")
    left.add({0: {"answer": "of another prompt", "tokens_out": 1, "truncated": False}})
    answer(job, lambda _: None)
    assert "of another prompt" not in pq.read_table(job.asks[0].output)["answer"].to_pylist()


def test_no_prompts_is_an_error(tmp_path, tiny_base):
    job = a_job(tmp_path, tiny_base, "one.parquet")
    job.asks[0].prompts_file.write_text("\n")
    with pytest.raises(ValueError, match="no prompts"):
        answer(job, lambda _: None)


FORKS = """
import signal
from ftassets.workers.evaluation.generate import spread
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as below a Dagster process that runs in the background
for _ in range(20):  # it is a matter of luck when a process reads that there is no more to do
    with spread(max, [[1, 2], [3, 4]], 2) as answered:
        assert sorted(answered) == [2, 4]
"""


def test_forked_processes_end_where_sigterm_is_ignored():
    subprocess.run([sys.executable, "-c", FORKS], check=True, timeout=60)  # of a process without torch, which forks quickly


def killed_at(batch: list[int]) -> int:
    if 3 in batch:
        os.kill(os.getpid(), signal.SIGKILL)
    return max(batch)


@pytest.mark.timeout(60)
def test_a_forked_process_that_is_killed_is_not_waited_for():
    with pytest.raises(BrokenProcessPool), spread(killed_at, [[1, 2], [3, 4], [5, 6]], 2) as answered:
        list(answered)
