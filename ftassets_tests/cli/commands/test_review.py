"""`ftassets review`: out as a table, back as verdicts, to what the gate says; real stores, a stored report, real storage of Dagster."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from ftassets.assets._shared.dataset_files import golden_path, to_parquet
from ftassets.assets._shared.events import DATA_VERSION, node
from ftassets.assets.eval_report.llm_judge import ask_judge
from ftassets.backends.artifacts.reports import read_eval_report, store_eval_report
from ftassets.backends.control.reviews import read_review
from ftassets.cli import gates as cli_gates
from ftassets.cli.main import app
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import artifacts, control, embedded
from ftassets.domain.chat import question
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.error_budget import Spending
from ftassets.domain.gates.llm_judge import llm_judge_sample
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import Verdict
from ftassets.testing.doubles.llm_judge import pairwise_double
from ftassets_tests import ROOT

GOLDEN = [Example(id=f"g{n}", messages=question(f"=question, {n}\n?"), completion=f"right {n}", slice="golden") for n in range(80)]


class Case:
    """A loop with one eval report."""

    def __init__(self, home: Home, **changes: Any) -> None:
        self.home = home
        settings = {
            "name": "triage", "base_model": "b", "task": {"system_prompt": "s"}, "dataset": {"seed": "s"}, "golden_set": "g",
            "gates": [{"metric": "human_review", "at_least": 0.9, "sample": 60}], **changes,
        }  # fmt: skip
        self.loop = LoopConfig.model_validate(settings)
        store = embedded(home)["dataset_store"]()
        self.commit = store.publish("golden", {golden_path("triage"): to_parquet(GOLDEN)}, "golden", {}).commit
        home.answers.mkdir(parents=True)
        for name, word in (("a", "answer"), ("b", "old answer")):
            table = {"id": [row.id for row in GOLDEN], "answer": [f"{'answer' if row.id == 'g7' else word} to {row.id}" for row in GOLDEN]}
            pq.write_table(pa.table(table), home.answers / f"{name}.parquet")

    def evaluate(self, run_id: str, budget: Spending | None = None) -> str:
        """An eval report of that run becomes the newest one."""
        scores = [Score(id=row.id, slice="golden", exact=True, fields=1, valid=True) for row in GOLDEN]
        fixed: dict[str, Any] = dict.fromkeys(("candidate", "production", "base", "dataset_commit", "policy_digest"), "x")
        report = EvalReport(
            **fixed, loop="triage", run_id=run_id, golden_commit=self.commit, production_is_base=False, generation={}, latency_ms={},
            answers={"candidate": ["a.parquet"], "production": ["b.parquet"]}, error_budget=budget,
            scores=dict.fromkeys(("candidate", "production", "base"), scores),
        )  # fmt: skip
        digest = store_eval_report(artifacts(self.home), report)
        event = dg.AssetMaterialization(node("triage", "eval_report"), tags={DATA_VERSION: digest})
        with cli_gates.dagster_instance() as instance:
            instance.report_runless_asset_event(event)
        return digest

    def verdict(self, digest: str) -> Verdict:
        """What the gate says of a report, from what is stored."""
        report = read_eval_report(artifacts(self.home), self.loop.name, digest)
        return evaluate_gates(self.loop.gates, report, read_review(control(self.home), "triage", digest))[0].verdict


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.setenv("FTASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FTASSETS_DAGSTER_STORAGE", "")  # put back what the command sets
    monkeypatch.setenv("DAGSTER_HOME", str(ROOT))
    made = Case(Home(tmp_path / "home"))
    monkeypatch.setattr(cli_gates, "known_loop", lambda name: made.loop)
    return made


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["review", *arguments])
    assert result.exit_code == code, result.output
    return result


def fill(path: Path, word: str, rows: slice = slice(None)) -> None:
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file))
    for row in table[rows]:
        row["good"] = word
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, table[0].keys())
        writer.writeheader()
        writer.writerows(table)


def test_a_sample_goes_out_comes_back_and_decides_for_its_report_alone(case: Case, tmp_path: Path) -> None:
    digest, out = case.evaluate("run-1"), tmp_path / "review.csv"
    said = run("export", "triage", "--out", str(out)).output
    assert "60 answers" in said
    assert "ftassets review import triage" in said
    with out.open(encoding="utf-8-sig", newline="") as file:
        table = {row["id"]: row for row in csv.DictReader(file)}
    assert len(table) == 60
    for name, row in table.items():
        number = name.removeprefix("g")
        assert (row["prompt"], row["expected"]) == (f"'=question, {number}\n?", f"right {number}")
        assert (row["answer"], row["good"]) == (f"answer to {name}", "")

    fill(out, "yes", slice(0, 24))
    said = run("import", "triage", str(out), "--name", "anna").output
    assert "human_review_at_least: 12 more good ones would decide, 36 are left" in said
    assert "36 answers are still to be reviewed" in said
    assert case.verdict(digest) is Verdict.NOT_ENOUGH_DATA
    fill(out, "yes", slice(24, 36))
    said = run("import", "triage", str(out), "--name", "anna").output
    assert "decided: PASS after 36 of 60 answers" in said
    assert "triage__promote" in said
    assert case.verdict(digest) is Verdict.PASS
    fill(out, "yes")
    said = run("import", "triage", str(out), "--name", "anna").output
    assert "60 of 60 answers reviewed, 60 good" in said
    assert "triage__promote" in said
    assert case.verdict(digest) is Verdict.PASS

    found = json.loads(run("import", "triage", str(out), "--name", "anna", "--json").stdout)
    assert found == {
        "report": digest, "taken": 60, "rows": 60, "reviewed": 60, "good": 60, "decided": True,
        "gates": {"human_review_at_least": "decided: PASS after 36 of 60 answers"},
    }  # fmt: skip
    found = json.loads(run("export", "triage", "--out", str(out), "--force", "--json").stdout)
    assert found == {"loop": "triage", "report": digest, "rows": 60, "file": str(out)}

    newer = case.evaluate("run-2")
    assert case.verdict(newer) is Verdict.NOT_ENOUGH_DATA
    assert "export again" in run("import", "triage", str(out), "--name", "anna", code=1).output
    assert case.verdict(newer) is Verdict.NOT_ENOUGH_DATA


def test_a_second_person_can_say_no_and_a_bad_file_changes_nothing(case: Case, tmp_path: Path) -> None:
    digest, out = case.evaluate("run-1"), tmp_path / "review.csv"
    run("export", "triage", "--out", str(out))
    fill(out, "yes")
    run("import", "triage", str(out), "--name", "anna")
    stored = read_review(control(case.home), "triage", digest)
    fill(out, "perhaps", slice(50, 60))
    said = run("import", "triage", str(out), "--name", "ben", code=1).output
    assert "nothing was stored" in said
    assert "row 52" in said
    assert read_review(control(case.home), "triage", digest) == stored
    fill(out, "no", slice(48, 60))
    run("import", "triage", str(out), "--name", "प्रिया शर्मा")
    assert case.verdict(digest) is Verdict.FAIL


def test_what_cannot_be_done_is_one_sentence(case: Case, tmp_path: Path) -> None:
    out = tmp_path / "review.csv"
    assert "never been materialized" in run("export", "triage", "--out", str(out), code=1).output
    case.evaluate("run-1")
    run("export", "triage", "--out", str(out))
    assert "is not a name" in run("import", "triage", str(out), "--name", "../x", code=1).output
    case.loop = case.loop.model_copy(update={"gates": []})
    assert "no human_review gate" in run("export", "triage", "--out", str(out), "--force", code=1).output


def test_pairs_go_out_blind_and_count_as_labels_of_these_answers(case: Case, tmp_path: Path) -> None:
    out, labels = tmp_path / "pairs.jsonl", tmp_path / "labels.jsonl"
    assert "no llm_judge gate" in run("pairs", "triage", "--out", str(out), code=1).output
    with pairwise_double(lambda prompt, first, second: "first" if first.startswith("answer") else "second") as there:
        labels.write_text("")
        settings = {"url": there.url, "model": "large", "labels": str(labels)}
        gates = [{"metric": "llm_judge", "better_than": "production", "sample": 60}]
        case.loop = LoopConfig.model_validate({**case.loop.model_dump(exclude_unset=True), "gates": gates, "llm_judge": settings})
        digest = case.evaluate("run-1")
        assert "into `preferred`, from the top" in run("pairs", "triage", "--out", str(out)).output
        lines = [json.loads(line) for line in out.read_text().splitlines()]
        assert json.loads(run("pairs", "triage", "--out", str(out), "--force", "--json").stdout)["rows"] == len(lines)
        report = read_eval_report(artifacts(case.home), "triage", digest)
        sample = llm_judge_sample(case.loop.gates[0], [each.id for each in report.rows("candidate", None)])
        assert [line["id"] for line in lines] == [f"{name}-{digest[:8]}" for name in sample if name != "g7"], "equal answers are no pair"
        mine = [line["first"].startswith("answer") for line in lines]
        assert 15 < sum(mine) < 45, "which one is the first is chance"

        said = {
            word: {row.id: f"{'answer' if row.id == 'g7' else word} to {row.id}" for row in GOLDEN} for word in ("answer", "old answer")
        }
        for line in lines[:40]:
            line["preferred"] = "first" if line["first"].startswith("answer") else "second"
        labels.write_text("".join(json.dumps(line) + "\n" for line in lines))
        scores, calibration = ask_judge(control(case.home), case.loop, GOLDEN, said["answer"], said["old answer"], print)
    people = {each.id: each.people for each in scores if not each.same}
    assert [people[name] for name in sample if name != "g7"] == [1] * 40 + [None] * (len(lines) - 40)
    assert calibration is not None
    assert (calibration.n, calibration.refused, calibration.slices) == (40, 0, {"golden": 40})
    judged = report.model_copy(update={"pairwise_scores": scores, "llm_judge_calibration": calibration})
    [found] = evaluate_gates(case.loop.gates, judged)
    assert found.verdict is Verdict.PASS
    assert "by people's labels on 40 of these answers they would prefer the candidate" in found.sentence


def test_reviewers_are_told_what_the_level_of_the_report_takes(case: Case, tmp_path: Path) -> None:
    out, needed = tmp_path / "review.csv", []
    for level in (0.05, 0.005):
        digest = case.evaluate(f"run at {level}", Spending(per_year=1.0, level=level, left=0.1, spent=level, decisions=1))
        run("export", "triage", "--out", str(out), "--force")
        fill(out, "yes", slice(0, 5))
        said = run("import", "triage", str(out), "--name", "anna").output
        [number] = re.findall(r"(\d+) more good ones would decide", said)
        needed.append(int(number))
        assert case.verdict(digest) is Verdict.NOT_ENOUGH_DATA
    assert needed[0] < needed[1]
