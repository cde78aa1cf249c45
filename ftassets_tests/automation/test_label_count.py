"""What counts as a new label: usable, unknown to production, and not tried yet; what is counted again reads no text."""

import json
import re
import time
import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from ftassets.automation.label_count import NOTHING, Count, LabelCounter, Read, read_by, read_by_newest, read_by_production
from ftassets.backends.traffic_log.base import Exchange, Feedback
from ftassets.cli.commands.labelling import label_import
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import artifacts
from ftassets.domain.chat import question
from ftassets.domain.dataset.rows import Example
from ftassets_tests.automation.conftest import AUTO, NAME, Bench, P, loop_of

OFF = '{"intent": "Off"}'
DAY = 86400.0


def counted(bench: Bench, loop: LoopConfig = AUTO, tried: Read | None = None, ahead: float = 0.0, by: LabelCounter | None = None) -> Count:
    production = bench.serving.now.production or ""
    return (by or LabelCounter(loop)).count(artifacts(bench.home), bench.traffic, bench.store, production, tried, time.time() + ahead)


def label(bench: Bench, batch: str, names: list[str], completion: str = OFF) -> None:
    """Annotators answer these requests in one file."""
    lines = [
        json.dumps({"request_id": name, "messages": [{"role": "user", "content": text}], "completion": completion})
        for name, text in ((name, f"dim lamp {uuid.uuid5(uuid.NAMESPACE_OID, name)}") for name in names)
    ]
    label_import(bench.traffic, bench.store, AUTO, "\n".join(lines), "jsonl", batch, run_id=f"{batch}-{uuid.uuid4().hex}")


def numbered(batch: str, count: int) -> list[str]:
    return [f"{batch}{number}" for number in range(count)]


def test_rows_of_labelled_batches_are_new_labels_until_a_serving_version_has_them(bench: Bench) -> None:
    label(bench, "monday", numbered("monday", 2))
    label(bench, "monday", numbered("monday", 4))  # imported again with two more of it done
    label(bench, "monday", numbered("monday", 4))
    label(bench, "tuesday", numbered("tuesday", 3))
    assert counted(bench).new == 7
    assert counted(bench, loop_of(name="other")).new == 0
    bench.promote("next", bench.dataset("next"))
    label(bench, "tuesday", numbered("tuesday", 5))
    label(bench, "friday", numbered("friday", 1))
    assert (counted(bench).new, counted(bench).untried) == (3, 3)


def test_one_batch_under_two_names_counts_once(bench: Bench) -> None:
    label(bench, "monday", numbered("monday", 4))
    label(bench, "again", numbered("monday", 4))
    assert counted(bench).new == 4


def test_labels_behind_many_other_commits_are_found(bench: Bench) -> None:
    label(bench, "monday", numbered("monday", 2))
    for number in range(40):  # two commits each: the branch's and the merge
        bench.store.publish(f"run{number}", {"other/seed.txt": str(number).encode()}, "other", {"loop": "other"})
    assert counted(bench).new == 2


def test_a_correction_counts_from_when_it_came_not_from_when_the_answer_was(bench: Bench) -> None:
    bench.promote("next", bench.dataset("next", until=time.time() - 50))
    since = time.time() - 50
    names = bench.traffic.correct(3, correction="", at=since - 1000)
    for name, (correction, at) in zip(names, ((None, since + 1), (OFF, since + 1), (OFF, since - 1)), strict=True):
        bench.traffic.arrives = at
        bench.traffic.add_feedback(Feedback(name, at, "down", correction))
    bench.traffic.arrives = None
    assert counted(bench).new == 1


def test_history_that_is_imported_after_a_dataset_counts_and_a_date_in_the_future_counts_once(bench: Bench) -> None:
    bench.promote("next", bench.dataset("next", until=time.time() - 50))
    names = bench.traffic.correct(3, correction="", at=time.time() - 2 * DAY)
    for name, at in zip(names, (-1 * DAY, -1 * DAY, 30 * DAY), strict=True):
        bench.traffic.add_feedback(Feedback(name, time.time() + at, "down", OFF))
    assert counted(bench).new == 3
    bench.promote("later", bench.dataset("later", until=time.time() + 1))
    assert counted(bench, ahead=2).new == 0, "the dataset had them all"


def test_corrections_expire_with_the_window_of_the_dataset_and_labels_do_not(bench: Bench) -> None:
    bench.traffic.correct(2)
    label(bench, "monday", numbered("monday", 3))
    assert [counted(bench, ahead=days * DAY).new for days in (0, 29, 31)] == [5, 5, 3]


@pytest.mark.parametrize(
    ("spam", "why"),
    [
        ({"prompt": "switch off", "messages": '[{"role": "user", "content": "switch off"}]', "user": "one"}, "exact 199"),
        ({"user": "one"}, "user_cap 150, one user's request with other words 49"),
        ({"correction": "lol no"}, "schema 200"),
        ({"correction": '{"intent":  "On"}'}, "confirms the answer that was given 200"),
        ({"messages": "[]"}, "not readable 200"),
    ],
)
def test_spam_is_no_label(bench: Bench, spam: dict[str, Any], why: str) -> None:
    bench.traffic.correct(200, **spam)
    found = counted(bench)
    assert found.unusable == why
    assert found.new == 200 - sum(map(int, re.findall(r"\d+", why)))
    assert found.new < AUTO.dataset.max_rows_per_user + 1


def test_users_who_contradict_each_other_make_one_label_for_a_request_at_most(bench: Bench) -> None:
    same = {"prompt": "switch off", "messages": '[{"role": "user", "content": "switch off"}]'}
    now = time.time()
    for number in range(6):
        bench.traffic.correct(1, correction=json.dumps({"intent": "OffLater"[: 3 + number]}), at=now - number, **same)
    assert counted(bench).new == 1


def test_an_annotator_who_confirms_the_answers_adds_no_label(bench: Bench) -> None:
    names = [bench.traffic.answer(P).id for _ in range(3)]
    label(bench, "monday", names, '{"intent": "On"}')
    assert (counted(bench).new, counted(bench).unusable) == (0, "confirms the answer that was given 3")


def test_what_production_s_dataset_has_teaches_it_nothing(bench: Bench) -> None:
    row = Example(id="s1", messages=question("switch it all off"), completion=OFF)
    bench.promote("next", bench.dataset("next", [row]))
    bench.traffic.correct(1, prompt=row.prompt, messages='[{"role": "user", "content": "Switch it all OFF"}]')
    assert (counted(bench).new, counted(bench).unusable) == (0, "is in production's dataset 1")


def test_a_classification_takes_the_labels_of_its_seed(bench: Bench) -> None:
    from ftassets.assets._shared.dataset_files import seed_path, to_parquet

    loop = loop_of(task={"type": "classification", "system_prompt": "Name the team."})
    seed = [Example(id=name, messages=question(f"about {name}"), completion=name) for name in ("billing", "account")]
    bench.store.publish("seed", {seed_path(NAME): to_parquet(seed)}, "seed", {"loop": NAME})
    bench.traffic.correct(2, correction="Billing", answer="account")
    bench.traffic.correct(5, correction="lol no", answer="account")
    assert (counted(bench, loop).new, counted(bench, loop).unusable) == (2, "schema 5")


def test_what_a_training_had_that_does_not_serve_is_new_but_not_untried(bench: Bench) -> None:
    bench.traffic.correct(4)
    label(bench, "monday", numbered("monday", 2))
    bench.dataset("refused")
    tried = read_by_newest(bench.instance, bench.store, NAME, time.time() + 1)
    assert (counted(bench, tried=tried).new, counted(bench, tried=tried).untried) == (6, 0)
    bench.traffic.correct(1)
    label(bench, "tuesday", numbered("tuesday", 2))
    assert (counted(bench, tried=tried).new, counted(bench, tried=tried).untried) == (9, 3)


def test_the_rate_is_that_of_usable_corrections_since_the_first(bench: Bench) -> None:
    now = time.time()
    for day in range(10):
        bench.traffic.correct(5, at=now - day * DAY)
        bench.traffic.correct(20, correction="lol no", at=now - day * DAY)
    assert counted(bench).per_day == pytest.approx(49 / 9, rel=0.01)


def test_a_look_at_which_nothing_came_reads_no_text(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.traffic.correct(3)
    counter, reads = LabelCounter(AUTO), list[int]()
    named = bench.traffic.named

    def counted_read(loop: str | None, names: Sequence[str]) -> list[Exchange]:
        reads.append(len(names))
        return named(loop, names)

    monkeypatch.setattr(bench.traffic, "named", counted_read)
    for _ in range(3):
        assert counted(bench, by=counter).new == 3
    assert reads == [3, 0], "the corrections and the requests of labels, once"
    bench.traffic.correct(1)
    assert counted(bench, by=counter).new == 4


def test_a_dataset_of_an_earlier_release_read_what_there_was_when_it_was_made(bench: Bench) -> None:
    label(bench, "monday", numbered("monday", 2))
    before = bench.store.resolve("main")
    commit = bench.store.publish("old", {f"{NAME}/dataset/x": b"x"}, "old", {"loop": NAME}).commit
    found = read_by(bench.store, commit)
    assert found == Read(bench.store.get_commit(commit).created_at, before)
    assert read_by(bench.store, "f" * 40) == NOTHING
    bench.promote("old", commit)
    assert read_by_production(artifacts(bench.home), bench.store, bench.serving.now.production or "") == found
    assert counted(bench).new == 0


def test_only_datasets_that_were_made_by_then_were_tried(bench: Bench) -> None:
    assert read_by_newest(bench.instance, bench.store, NAME, time.time()) is None
    bench.dataset("first", until=5.0)
    time.sleep(0.02)
    between = time.time()
    time.sleep(0.02)
    bench.dataset("second", until=6.0)
    found = [read_by_newest(bench.instance, bench.store, NAME, at) for at in (between - 10, between, time.time() + 1)]
    assert [each and each.until for each in found] == [None, 5.0, 6.0]
