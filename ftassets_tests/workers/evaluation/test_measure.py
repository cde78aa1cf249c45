import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ftassets.domain.evaluation.jobs import Answered, MetricsJob
from ftassets.workers.evaluation.measure import measure
from ftassets.workers.evaluation.metrics.loading import MetricFailed
from ftassets_tests import ROOT
from ftassets_tests.workers.evaluation.metrics import USERS

pytestmark = pytest.mark.models

ON, OFF = '{"intent": "TurnOn"}', '{"intent": "TurnOff"}'
ROWS = {"r1": (ON, "known"), "r2": (OFF, "known"), "r3": (ON, "new")}


def answered(folder: Path, role: str, answers: dict[str, str], rows: dict[str, tuple[str, str]] = ROWS, name: str = "golden") -> Answered:
    """One role's answers as the answer job leaves them."""
    prompts = folder / f"{role}-{name}.jsonl"
    lines = [{"id": key, "prompt": "do it", "expected": expected, "slice": part} for key, (expected, part) in rows.items()]
    prompts.write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = pa.table(
        {"id": list(answers), "answer": list(answers.values()), "tokens_out": [1] * len(answers), "truncated": [False] * len(answers)}
    )
    pq.write_table(table, folder / f"{role}-{name}.parquet")
    return Answered(role=role, prompts_file=prompts, answers=folder / f"{role}-{name}.parquet")


def a_job(folder: Path, *each: Answered, metrics: tuple[str, ...] = ("exact_match",)) -> MetricsJob:
    return MetricsJob(
        metrics=list(metrics), task="tool_call", label="intent", answered=list(each), output=folder / "table.json", work=folder / "work"
    )


def test_each_metric_is_taken_per_role_and_slice(tmp_path):
    base = answered(tmp_path, "base", dict.fromkeys(ROWS, "?"))
    candidate = answered(tmp_path, "candidate", {"r3": ON, "r1": OFF, "r2": OFF})  # the order of the answers does not matter
    job = a_job(tmp_path, base, candidate, metrics=("exact_match", "validity"))
    table = measure(job, lambda _: None)
    assert table == {
        "exact_match": {
            "base": {"known": {"exact_match": 0.0}, "new": {"exact_match": 0.0}},
            "candidate": {"known": {"exact_match": 0.5}, "new": {"exact_match": 1.0}},
        },
        "validity": {
            "base": {"known": {"validity": 0.0}, "new": {"validity": 0.0}},
            "candidate": {"known": {"validity": 1.0}, "new": {"validity": 1.0}},
        },
    }
    assert json.loads(job.output.read_text()) == table


def test_the_sets_of_a_role_add_up(tmp_path):
    rows = {"r1": (ON, "held_out")}  # ids are unique within a set only
    sets = answered(tmp_path, "base", dict.fromkeys(ROWS, ON)), answered(tmp_path, "base", {"r1": ON}, rows, "held_out")
    table = measure(a_job(tmp_path, *sets), lambda _: None)
    assert table["exact_match"]["base"] == {
        "known": {"exact_match": 0.5}, "new": {"exact_match": 1.0}, "held_out": {"exact_match": 1.0}
    }  # fmt: skip


def test_a_metric_of_ones_own_is_told_what_it_asks_for(tmp_path):
    name = f"{USERS}:Told"
    table = measure(a_job(tmp_path, answered(tmp_path, "base", dict.fromkeys(ROWS, ON)), metrics=(name,)), lambda _: None)
    assert table[name]["base"]["known"] == {"label": 6.0, "rows": 2.0}


@pytest.mark.parametrize("said", ['{"x": NaN}', '{"x": 1, "y": Infinity}', '{"x": [1, 2]}', '{"x": "high"}', "{}", "3", "no JSON"])
def test_anything_but_finite_numbers_is_refused_with_the_metrics_name(said, tmp_path):
    job = a_job(tmp_path, answered(tmp_path, "base", dict.fromkeys(ROWS, said)), metrics=(f"{USERS}:Odd",))
    with pytest.raises(MetricFailed, match=r"metric .*metrics_of_users:Odd, base, slice known: "):
        measure(job, lambda _: None)
    assert not job.output.exists()


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"r1": ON, "r2": ON}, r"has no answer to r3 of base-golden\.jsonl"),
        ({**dict.fromkeys(ROWS, ON), "r9": ON}, r"base-golden\.jsonl has no row r9"),
    ],
)
def test_rows_missing_on_one_side_are_an_error(answers, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        measure(a_job(tmp_path, answered(tmp_path, "base", answers)), lambda _: None)


def test_roles_with_different_rows_are_not_compared(tmp_path):
    base = answered(tmp_path, "base", dict.fromkeys(ROWS, ON))
    other = answered(tmp_path, "candidate", {"r1": ON}, {"r1": ROWS["r1"]})
    with pytest.raises(ValueError, match="base and candidate did not answer the same rows"):
        measure(a_job(tmp_path, base, other), lambda _: None)


def test_a_row_that_is_there_twice_is_an_error(tmp_path):
    one = answered(tmp_path, "base", dict.fromkeys(ROWS, ON))
    one.prompts_file.write_text(one.prompts_file.read_text() * 2)
    with pytest.raises(ValueError, match=r"base-golden\.jsonl has more than one row r1, r2, r3"):
        measure(a_job(tmp_path, one), lambda _: None)


@pytest.mark.parametrize(
    ("text", "message"), [("\n", "has no rows"), ('\n{"id": "r1", "prompt": "do it"}\n', "line 2 is not a row with id")]
)
def test_a_prompts_file_without_expected_answers_is_an_error(text, message, tmp_path):
    one = answered(tmp_path, "base", dict.fromkeys(ROWS, ON))
    one.prompts_file.write_text(text)
    with pytest.raises(ValueError, match=message):
        measure(a_job(tmp_path, one), lambda _: None)


def test_an_unknown_metric_is_found_before_any_is_taken(tmp_path):
    said: list[str] = []
    job = a_job(tmp_path, answered(tmp_path, "base", dict.fromkeys(ROWS, ON)), metrics=("exact_match", "exact_mach"))
    with pytest.raises(MetricFailed, match="no metric 'exact_mach'"):
        measure(job, said.append)
    assert said == []


def with_rows(each: Answered) -> Answered:
    return each.model_copy(update={"row_scores": each.answers.with_suffix(".scores.parquet")})


def test_row_scores_lie_in_a_file_of_each_set_and_their_means_are_the_metric(tmp_path):
    golden = with_rows(answered(tmp_path, "base", {"r3": "3", "r1": "1", "r2": "2"}))
    held_out = with_rows(answered(tmp_path, "base", {"r1": "7"}, {"r1": (ON, "held_out")}, "held_out"))
    name = f"{USERS}:Rows"
    table = measure(a_job(tmp_path, golden, held_out, metrics=(name, "validity")), lambda _: None)
    assert table[name]["base"] == {"known": {"number": 1.5}, "new": {"number": 3.0}, "held_out": {"number": 7.0}}
    rows = pq.read_table(golden.row_scores).to_pylist()
    assert rows == [{"id": f"r{n}", f"{name}.number": float(n), "validity.validity": 0.0} for n in (1, 2, 3)]
    assert pq.read_table(held_out.row_scores).to_pylist() == [{"id": "r1", f"{name}.number": 7.0, "validity.validity": 0.0}]
    first = golden.row_scores.read_bytes()
    measure(a_job(tmp_path, golden, held_out, metrics=(name, "validity")), lambda _: None)
    assert golden.row_scores.read_bytes() == first


def with_likelihoods(each: Answered, found: dict[str, tuple[float, int]]) -> Answered:
    nll, tokens = zip(*found.values(), strict=True)
    path = each.answers.with_suffix(".likelihoods.parquet")
    pq.write_table(pa.table({"id": list(found), "nll": list(nll), "tokens": list(tokens)}), path)
    return each.model_copy(update={"likelihoods": path})


def test_perplexity_is_of_the_models_whose_likelihoods_are_known(tmp_path):
    found = {"r3": (math.log(5), 1), "r2": (4 * math.log(3), 2), "r1": (0.0, 2)}  # of any order
    ours = with_rows(with_likelihoods(answered(tmp_path, "candidate", dict.fromkeys(ROWS, ON)), found))
    theirs = with_rows(answered(tmp_path, "production", dict.fromkeys(ROWS, ON)))
    table = measure(a_job(tmp_path, ours, theirs, metrics=("perplexity",)), lambda _: None)
    known, new = ({"perplexity": pytest.approx(value)} for value in (3.0, 5.0))  # rows r1 and r2, and r3
    assert table == {"perplexity": {"candidate": {"known": known, "new": new}}}
    values = [row["perplexity.nll"] for row in pq.read_table(ours.row_scores).to_pylist()]
    assert values == pytest.approx([0.0, 2 * math.log(3), math.log(5)])
    assert pq.read_table(theirs.row_scores).num_rows == 0


def test_perplexity_of_no_model_or_of_other_rows_is_an_error(tmp_path):
    one = answered(tmp_path, "candidate", dict.fromkeys(ROWS, ON))
    with pytest.raises(MetricFailed, match="metric perplexity: no model's likelihood"):
        measure(a_job(tmp_path, one, metrics=("perplexity",)), lambda _: None)
    with pytest.raises(ValueError, match=r"likelihoods\.parquet is not about the rows of"):
        measure(a_job(tmp_path, with_likelihoods(one, {"r1": (1.0, 1)}), metrics=("perplexity",)), lambda _: None)


@pytest.mark.parametrize(
    ("metric", "said", "words"),
    [("Rows", "nan", "row r1 must have one finite number as number, not nan"), ("Short", "1", "1 values of number")],
)
def test_a_row_without_a_finite_number_is_named(metric, said, words, tmp_path):
    one = with_rows(answered(tmp_path, "base", dict.fromkeys(ROWS, said)))
    with pytest.raises(MetricFailed, match=words):
        measure(a_job(tmp_path, one, metrics=(f"{USERS}:{metric}",)), lambda _: None)
    assert not one.row_scores.exists()


def test_an_answer_cut_at_the_limit_is_not_right(tmp_path):
    one = answered(tmp_path, "base", {"r1": ON, "r2": OFF, "r3": ON})
    table = pq.read_table(one.answers)
    pq.write_table(table.set_column(3, "truncated", [[True, False, False]]), one.answers)
    found = measure(a_job(tmp_path, one, metrics=("exact_match", "field_accuracy")), lambda _: None)
    assert found["exact_match"]["base"] == {"known": {"exact_match": 0.5}, "new": {"exact_match": 1.0}}
    assert found["field_accuracy"]["base"]["known"] == {"field_accuracy": 0.5}


def test_processes_that_share_a_work_folder_agree_and_leave_the_home_alone(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    job = a_job(tmp_path, answered(tmp_path, "base", dict.fromkeys(ROWS, ON)), metrics=("rouge", "bertscore"))
    job.work.mkdir()
    file = job.work / "job.json"
    file.write_text(job.model_dump_json())
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "XDG_", "MPL"))}
    environment |= {"HOME": str(home), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-m", "ftassets.workers.evaluation", str(file)], env=environment)
    here = measure(job.model_copy(update={"output": tmp_path / "here.json"}), lambda _: None)
    assert process.wait() == 0
    there = json.loads(job.output.read_text())
    assert there["rouge"] == here["rouge"]
    assert there["bertscore"]["base"]["new"] == pytest.approx(here["bertscore"]["base"]["new"], abs=1e-5)
    assert list(home.rglob("*")) == []


def test_a_row_without_a_likelihood_has_no_perplexity_and_all_other_values(tmp_path):
    found = {row: (None, None) if row == "r1" else (2.0, 4) for row in ROWS}
    ours = with_rows(with_likelihoods(answered(tmp_path, "candidate", dict.fromkeys(ROWS, ON)), found))
    table = measure(a_job(tmp_path, ours, metrics=("perplexity", "output_length")), lambda _: None)
    assert {round(values["perplexity"], 6) for values in table["perplexity"]["candidate"].values()} == {round(math.exp(0.5), 6)}
    rows = pq.read_table(ours.row_scores).to_pylist()
    assert [(row["id"], row["perplexity.nll"], row["output_length.mean"] > 0) for row in rows] == [
        ("r1", None, True),
        ("r2", 0.5, True),
        ("r3", 0.5, True),
    ]
