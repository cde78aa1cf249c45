"""The report on a real tiny model: what it holds, what its page shows, and that it can be computed again."""

import json
import math
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ftassets.assets._shared.dataset_files import from_parquet, golden_path, read_golden, read_splits, to_parquet
from ftassets.assets._shared.events import DATA_VERSION, data_version, metadata_value, newest, node
from ftassets.assets.eval_report.forgetting import general_prompts
from ftassets.assets.eval_report.page import gate_table, size_table, verdict_of
from ftassets.assets.eval_report.recompute import NotReproduced, recompute
from ftassets.assets.eval_report.rows import unmeasured
from ftassets.backends.artifacts.reports import read_eval_report, store_eval_report
from ftassets.backends.control.error_budget import read_ledger, within_budget
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.cli.main import app
from ftassets.config import loops_folder
from ftassets.config.loop_files import LoopFiles
from ftassets.config.profiles import artifacts, control
from ftassets.domain.canonical import canonical_json
from ftassets.domain.chat import question
from ftassets.domain.dataset.rows import Example
from ftassets.domain.gates.error_budget import Spending, evidence_key
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.policy import CHANGES, RULE, evaluate_gates
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict
from ftassets.domain.gates.sensitivity import sensitivity
from ftassets.durable import file_digest
from ftassets.testing.tiny_loop import LOOP, TinyLoop, tiny_loop

pytestmark = pytest.mark.models

GATES = [
    {"metric": "exact_match", "slice": "established", "no_worse_than": "production", "margin": 0.5},
    {"metric": "rouge.rougeL", "no_worse_than": "production", "margin": 0.9},
    {"preset": "rouge_l"},
    {"metric": "f1", "better_than": "production"},
    {"metric": "output_length.mean", "at_most": 1e6, "clip": 2e6},
    {"metric": "perplexity.nll", "no_worse_than": "production", "margin": 0.9, "clip": 50},
    {"metric": "latency_p95", "at_most": 1e5, "pairs": 80},
    {"any_of": [{"metric": "exact_match", "better_than": "production"}, {"metric": "validity.validity", "better_than": "production"}]},
]
METRICS = ["rouge", "validity", "output_length", "perplexity"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyLoop]:
    with tiny_loop(tmp_path_factory.mktemp("tiny"), gates=GATES, metrics=METRICS) as loop:
        loop.run("retrain")
        yield loop


@pytest.fixture
def digest(tiny: TinyLoop) -> str:
    event = newest(tiny.instance, node(LOOP, "eval_report"))
    assert event is not None
    return data_version(event)


def store_of(tiny: TinyLoop) -> DatasetStore:
    found: DatasetStore = tiny.resources["dataset_store"].resource_fn(dg.build_init_resource_context())
    return found


def shown(tiny: TinyLoop, field: str) -> str:
    event = newest(tiny.instance, node(LOOP, "eval_report"))
    assert event is not None
    return str(metadata_value(event, field))


def lines(table: dg.MetadataValue) -> list[list[Any]]:
    """The cells of a table, line by line."""
    assert isinstance(table, dg.TableMetadataValue)
    return [[record.data[column.name] for column in table.schema.columns] for record in table.records]


def shown_lines(tiny: TinyLoop, field: str) -> list[list[Any]]:
    event = newest(tiny.instance, node(LOOP, "eval_report"))
    assert event is not None
    return lines(event.metadata[field])


@pytest.mark.timeout(180)
def test_every_row_carries_its_labels_and_the_values_of_the_loops_metrics(tiny: TinyLoop, digest: str) -> None:
    report = read_eval_report(artifacts(tiny.home), tiny.loop.name, digest)
    for role, scores in report.scores.items():
        assert {s.expected for s in scores} >= {"dim", "open"}
        assert all({"rouge.rougeL", "validity.validity", "output_length.mean"} <= s.values.keys() for s in scores), role
        golden = [s for s in scores if s.slice == "drifted"]
        mean = sum(s.values["rouge.rougeL"] for s in golden) / len(golden)
        assert mean == pytest.approx(report.metrics["rouge"][role]["drifted"]["rougeL"])
        assert all(not (s.truncated and s.exact) for s in scores)
    second = report.second_answers
    assert second is not None
    named = {name for found in (report.answers, report.row_scores) for names in found.values() for name in names}
    assert report.forgetting is not None
    assert set(report.answers_digests) == named | {second.answers, *second.row_scores, report.forgetting.file}
    results = {r.name: r for r in evaluate_gates(tiny.loop.gates, report)}
    assert results["rouge_rougeL_no_worse"].n == len([s for s in report.scores["candidate"] if s.slice != "held_out"])
    assert not any("was not measured" in r.sentence for r in results.values())
    assert results["output_length_mean_at_most"].verdict is Verdict.PASS


def test_perplexity_is_of_the_expected_answers_and_measured_once(tiny: TinyLoop, digest: str) -> None:
    report = read_eval_report(artifacts(tiny.home), tiny.loop.name, digest)
    for role in ("base", "production", "candidate"):
        for name, values in report.metrics["perplexity"][role].items():
            rows = [s.values["perplexity.nll"] for s in report.scores[role] if s.slice == name]
            assert math.exp(min(rows)) <= values["perplexity"] <= math.exp(max(rows))
    # the candidate was trained on answers like these, the base, which is production, says one thing whatever it is asked
    assert (
        report.metrics["perplexity"]["candidate"]["held_out"]["perplexity"] < report.metrics["perplexity"]["base"]["held_out"]["perplexity"]
    )
    assert report.metrics["perplexity"]["production"] == report.metrics["perplexity"]["base"]
    files = sorted(tiny.home.answers.glob("*.likelihoods.parquet"))
    assert len(files) == 4  # base and candidate, golden and held-out rows
    assert {"id", "nll", "tokens"} == set(pq.read_table(files[0]).column_names)
    results = {r.name: r for r in evaluate_gates(tiny.loop.gates, report)}
    assert "lower is better" in results["perplexity_nll_no_worse"].sentence


def test_the_page_shows_groups_gates_and_sizes(tiny: TinyLoop) -> None:
    for field, group in (("exact_match_per_class", "dim"), ("exact_match_per_source", "golden"), ("exact_match", "held_out")):
        assert group in [line[0] for line in shown_lines(tiny, field)]
    assert shown(tiny, "gates_plot").startswith("![estimate (dot)")
    assert "preset_rouge_l" in shown(tiny, "gates")
    assert "would have given" in shown(tiny, "gates")
    sizes = shown_lines(tiny, "answer_sizes")
    assert [line[0] for line in sizes] == ["base", "production", "candidate"]
    asked, said = sizes[-1][2:4]
    assert asked > 8 >= said  # a system prompt, a request and the template against `max_tokens`
    assert ["perplexity", "perplexity", "held_out"] in [line[:3] for line in shown_lines(tiny, "metrics")]


def test_the_page_shows_recall_and_which_classes_are_confused(tiny: TinyLoop, digest: str) -> None:
    report = read_eval_report(artifacts(tiny.home), tiny.loop.name, digest)
    golden = {role: report.rows(role, None) for role in ("candidate", "production")}
    wanted = Counter(score.expected for score in golden["candidate"])
    shown = {name: (rows, *named) for name, rows, *named in shown_lines(tiny, "recall_per_class")}
    assert {name: rows for name, (rows, *_) in shown.items()} == wanted
    for place, role in enumerate(("candidate", "production"), start=1):
        right = Counter(score.expected for score in golden[role] if score.predicted == score.expected)
        assert [int(str(line[place]).split()[0]) for line in shown.values()] == [right[name] for name in shown]
    mistakes = sum(score.predicted != score.expected for role in golden for score in golden[role])
    assert sum(ours + theirs for _, _, ours, theirs in shown_lines(tiny, "confusions")) == mistakes > 0


def test_the_verdict_comes_first_and_no_word_is_too_long_for_the_pane(tiny: TinyLoop, digest: str) -> None:
    event = newest(tiny.instance, node(LOOP, "eval_report"))
    assert event is not None
    assert list(event.metadata)[:2] == ["verdict", "gates"]
    report = read_eval_report(artifacts(tiny.home), tiny.loop.name, digest)
    assert metadata_value(event, "candidate") == report.candidate[:12]
    assert metadata_value(event, "report") == f"reports/{LOOP}/eval-{digest[:12]}*.json"
    [found] = tiny.home.root.glob(str(metadata_value(event, "report")))
    assert found.stem == f"eval-{digest}"


def test_the_verdict_names_the_gates_that_stopped_the_candidate() -> None:
    def verdict(*verdicts: Verdict) -> str:
        gates = [Gate(metric="exact_match", slice=f"s{n}", better_than="production") for n in range(len(verdicts))]
        return verdict_of([GateResult.of(gate, each, None, None, 0.0, 1, "why") for gate, each in zip(gates, verdicts, strict=True)])

    assert verdict(Verdict.PASS, Verdict.PASS) == "PASS: 2 of 2 gates"
    assert verdict(Verdict.PASS, Verdict.NOT_ENOUGH_DATA) == "NOT ENOUGH DATA: exact_match_s1_better"
    assert verdict(Verdict.FAIL, Verdict.NOT_ENOUGH_DATA) == "FAIL: exact_match_s0_better, exact_match_s1_better"


def test_times_to_the_first_token_and_to_the_end_are_those_of_the_same_requests(tiny: TinyLoop, digest: str) -> None:
    report = read_eval_report(artifacts(tiny.home), tiny.loop.name, digest)
    for role in ("candidate", "production"):
        pairs = list(zip(report.ttft_ms[role], report.latency_ms[role], strict=True))
        assert len(pairs) == 80
        assert all(0 < first <= whole for first, whole in pairs)
    assert [line[:3] for line in shown_lines(tiny, "response_times")] == [
        [what, role, 80] for what in ("to the first token", "to the end") for role in ("candidate", "production")
    ]


def test_an_answer_file_without_tokens_in_is_still_read(tiny: TinyLoop, digest: str) -> None:
    report = read_eval_report(artifacts(tiny.home), tiny.loop.name, digest)
    answers = {role: [tiny.home.answers / name for name in names] for role, names in report.answers.items()}
    old = {**answers, "candidate": [tiny.home.root / path.name for path in answers["candidate"]]}
    for path, copy in zip(answers["candidate"], old["candidate"], strict=True):
        pq.write_table(pq.read_table(path).drop_columns(["tokens_in"]), copy)
    base, _, candidate = lines(size_table(old))
    assert base[2] > 0
    assert candidate[2] == ""
    assert candidate[3:] == lines(size_table(answers))[-1][3:]


def test_scores_and_verdicts_computed_again_are_the_stored_ones_to_the_byte(tiny: TinyLoop, digest: str) -> None:
    stored = (tiny.home.reports / LOOP / f"eval-{digest}.json").read_bytes()
    made, results = recompute(artifacts(tiny.home), control(tiny.home), tiny.loop, store_of(tiny), digest)
    assert canonical_json(made.document()) == stored
    first = evaluate_gates(tiny.loop.gates, EvalReport.parse(stored))
    assert canonical_json([r.model_dump() for r in results]) == canonical_json([r.model_dump() for r in first])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FTASSETS_HOME", str(tiny.home.root))
        patch.setenv("FTASSETS_LOOPS", "loops")
        patch.setattr(loops_folder, "read_loop_files", lambda folder: LoopFiles({LOOP: tiny.loop}, {}, []))
        found = json.loads(CliRunner().invoke(app, ["recompute", LOOP, digest[:12], "--json"]).stdout)
        old = store_eval_report(artifacts(tiny.home), made.model_copy(update={"gate_rule": 1}))
        said = CliRunner().invoke(app, ["recompute", LOOP, old[:12]]).stdout
    (tiny.home.reports / LOOP / f"eval-{old}.json").unlink()
    assert (found["report"], found["candidate"]) == (digest, made.candidate)
    assert found["made_with_gate_rule"] == found["gate_rule"] == RULE
    assert f"its verdicts were by gate rule 1 when it was made; these are by rule {RULE}:\n  rule 2: {CHANGES[2]}" in said
    assert set(CHANGES) == set(range(2, RULE + 1)), "each rule says what changed"
    assert [gate["verdict"] for gate in found["gates"]] == [result.verdict.value for result in results]


def test_a_report_of_before_conversations_were_pooled_is_computed_again_and_counted_as_now(tiny: TinyLoop, digest: str) -> None:
    store, kept = store_of(tiny), artifacts(tiny.home)
    made = read_eval_report(kept, LOOP, digest)
    rows = read_golden(store, made.golden_commit, LOOP)
    of_one = {rows[0].id, rows[1].id}
    grouped = [row.model_copy(update={"group": "conversation:one"}) if row.id in of_one else row for row in rows]
    commit = store.publish("grouped", {golden_path(LOOP): to_parquet(grouped)}, "golden rows of one conversation", {}).commit
    old = store_eval_report(kept, made.model_copy(update={"golden_commit": commit, "gate_rule": 4}))
    again, results = recompute(kept, control(tiny.home), tiny.loop, store, old)
    scores = again.scores["candidate"]
    assert {score.id for score in scores if score.conversation} == of_one
    assert [score.model_copy(update={"conversation": None}) for score in scores] == made.scores["candidate"]
    n = len(made.rows("candidate", tiny.loop.gates[0].slice))
    assert f"{n - 1} conversations of {n} answers" in results[0].sentence
    new = store_eval_report(kept, made.model_copy(update={"golden_commit": commit}))
    with pytest.raises(NotReproduced, match="come out differently"):
        recompute(kept, control(tiny.home), tiny.loop, store, new)
    for name in (old, new):
        (tiny.home.reports / LOOP / f"eval-{name}.json").unlink()


def test_a_report_is_a_decision_that_counts_against_the_budget_and_says_so(tiny: TinyLoop, digest: str) -> None:
    report = read_eval_report(artifacts(tiny.home), tiny.loop.name, digest)
    [decision] = read_ledger(artifacts(tiny.home), control(tiny.home), tiny.loop.name).decisions
    assert (decision.candidate, decision.golden_commit, decision.level) == (report.candidate, report.golden_commit, 0.05)
    assert report.error_budget is not None
    assert report.error_budget.model_dump() == pytest.approx({"per_year": 1.0, "level": 0.05, "left": 0.15, "spent": 0.05, "decisions": 1})
    assert shown(tiny, "error_budget") == "level 0.05; 1 decision in 365 days spent 0.05 of 1 bad promotion, 0.15 can be spent now"
    assert shown(tiny, "golden_set_wear").startswith("1 candidate was evaluated on this golden set")
    checks = tiny.instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [dg.AssetCheckKey(node(LOOP, "eval_report"), gate.name) for gate in tiny.loop.gates]
    )
    for found in checks.values():
        assert found.event is not None
        assert found.event.dagster_event is not None
        evaluation = found.event.dagster_event.asset_check_evaluation_data
        assert evaluation.metadata["level_of_the_decision"].value == 0.05
        assert evaluation.metadata["error_budget_left"].value == pytest.approx(0.15)
    spent = report.model_copy(update={"error_budget": Spending(per_year=1.0, level=0.001, left=0.002, spent=0.9, decisions=99)})
    late = store_eval_report(artifacts(tiny.home), spent)
    _, again = recompute(artifacts(tiny.home), control(tiny.home), tiny.loop, store_of(tiny), late)
    (tiny.home.reports / LOOP / f"eval-{late}.json").unlink()
    assert again == evaluate_gates(tiny.loop.gates, spent)
    assert all("tested at 0.001, not 0.05" in result.sentence for result in again)


def test_the_page_shows_what_changed_and_what_the_rows_can_show(tiny: TinyLoop, digest: str) -> None:
    report = read_eval_report(artifacts(tiny.home), tiny.loop.name, digest)
    assert {"dim", "open"} <= set(report.classes)
    changed = {name: counts for name, *counts in shown_lines(tiny, "changed_rows")}
    assert {name: sum(counts) for name, counts in changed.items()} == dict(Counter(s.slice for s in report.scores["candidate"]))
    shown = [name for name, *_ in shown_lines(tiny, "what_the_rows_show")]
    assert shown == [gate.name for gate in tiny.loop.gates if sensitivity(gate, report)]
    assert "exact_match_established_no_worse" in shown
    assert {line[0] for line in shown_lines(tiny, "fixed_or_still_wrong")} <= {"fixed", "both wrong"}


def test_production_answers_the_golden_rows_twice(tiny: TinyLoop, digest: str) -> None:
    report = read_eval_report(artifacts(tiny.home), tiny.loop.name, digest)
    second = report.second_answers
    assert second is not None
    first = {score.id: score for score in report.scores["production"]}
    golden = [name for name, score in first.items() if score.slice != "held_out"]
    assert [score.id for score in second.scores] == golden  # fewer than 200: all of them
    assert all({"rouge.rougeL", "validity.validity"} <= score.values.keys() for score in second.scores), "what gates compare"
    assert not any("perplexity.nll" in score.values for score in second.scores), "not of answers"
    said = pq.read_table(tiny.home.answers / second.answers).to_pylist()
    assert {row["id"] for row in said} == set(golden)
    before = {row["id"]: row["answer"] for row in pq.read_table(tiny.home.answers / report.answers["production"][0]).to_pylist()}
    assert second.differing == sum(before[row["id"]] != row["answer"] for row in said)
    assert 0 < second.seconds <= second.of_seconds
    assert shown(tiny, "noise").startswith(f"production answered {len(golden)} golden rows twice: {second.differing} answers differ")
    assert metadata_value(newest(tiny.instance, node(LOOP, "eval_report")), "noise_rows") == len(golden)


@pytest.mark.parametrize("field", ["answers", "row_scores"])
def test_a_changed_or_missing_file_is_noticed(tiny: TinyLoop, digest: str, field: str) -> None:
    path: Path = tiny.home.answers / getattr(read_eval_report(artifacts(tiny.home), tiny.loop.name, digest), field)["candidate"][0]
    before = path.read_bytes()
    try:
        table = pq.read_table(path)
        pq.write_table(table.slice(0, 1).combine_chunks(), path)
        with pytest.raises(NotReproduced, match=f"{path.name} was changed after the report"):
            recompute(artifacts(tiny.home), control(tiny.home), tiny.loop, store_of(tiny), digest)
        path.unlink()
        with pytest.raises(NotReproduced, match="is missing"):
            recompute(artifacts(tiny.home), control(tiny.home), tiny.loop, store_of(tiny), digest)
    finally:
        path.write_bytes(before)
    assert file_digest(path) == path.name.split(".")[0] or field == "answers"


def test_the_answers_decide_and_not_the_stored_scores(tiny: TinyLoop, digest: str) -> None:
    report = read_eval_report(artifacts(tiny.home), tiny.loop.name, digest)
    flipped = [s.model_copy(update={"exact": not s.exact}) for s in report.scores["candidate"]]
    forged = store_eval_report(artifacts(tiny.home), report.model_copy(update={"scores": {**report.scores, "candidate": flipped}}))
    with pytest.raises(NotReproduced, match="scores of candidate .* come out differently"):
        recompute(artifacts(tiny.home), control(tiny.home), tiny.loop, store_of(tiny), forged)


def test_the_candidate_is_compared_with_the_base_on_general_prompts_beside_its_replay(tiny: TinyLoop, digest: str) -> None:
    report = read_eval_report(artifacts(tiny.home), LOOP, digest)
    found = report.forgetting
    assert found is not None
    prompts = general_prompts()
    assert set(found.kl) == {"base", "production"}
    assert [len(values) for values in found.kl.values()] == [len(prompts)] * 2
    assert max(found.kl["base"]) > 0
    assert found.kl["base"] == found.kl["production"] or not report.production_is_base
    shown = dict(shown_lines(tiny, "forgetting"))
    mean = sum(found.kl["base"]) / len(prompts)
    assert shown["divergence from base, nats a token"].startswith(f"{mean:.3f} (a tenth of {len(prompts)} prompts below ")
    assert shown["replay"] == "not used: it was trained from the base"
    forged = found.model_copy(update={"kl": found.kl | {"base": [0.0] * len(prompts)}})
    edited = store_eval_report(artifacts(tiny.home), report.model_copy(update={"forgetting": forged}))
    with pytest.raises(NotReproduced, match="divergences on general prompts .* come out differently"):
        recompute(artifacts(tiny.home), control(tiny.home), tiny.loop, store_of(tiny), edited)


def failed_because(tiny: TinyLoop) -> str:
    result = tiny.materialize("eval_report", checks=False)
    assert not result.success
    return " ".join(str(event.event_specific_data) for event in result.all_events if event.is_step_failure)


def now_golden(tiny: TinyLoop, rows: list[Example]) -> None:
    """Put a golden set into the store that its own asset would have refused."""
    published = store_of(tiny).publish(f"test-{len(rows)}", {golden_path(LOOP): to_parquet(rows)}, "golden", {})
    tiny.instance.report_runless_asset_event(dg.AssetMaterialization(node(LOOP, "golden_set"), tags={DATA_VERSION: published.commit}))


def test_golden_rows_nothing_may_rest_on_make_no_report(tiny: TinyLoop, digest: str) -> None:
    store, report = store_of(tiny), read_eval_report(artifacts(tiny.home), tiny.loop.name, digest)
    golden = from_parquet(store.read(report.golden_commit, golden_path(LOOP)))
    trained = read_splits(store, report.dataset_commit, LOOP)["train"][:2]
    cases: tuple[tuple[list[Example], str], ...] = (
        ([], "the golden set has no rows"),
        ([*golden, golden[0].model_copy(update={"messages": question("another request")})], f"more than one row {golden[0].id}:"),
        ([*golden, *trained], f"trained on the requests of golden rows {trained[0].id}, {trained[1].id}:"),
    )
    try:
        for rows, words in cases:
            now_golden(tiny, rows)
            assert words in failed_because(tiny)
    finally:
        now_golden(tiny, golden)


def test_a_version_whose_folder_is_gone_makes_no_report(tiny: TinyLoop, digest: str) -> None:
    production = tiny.home.versions / read_eval_report(artifacts(tiny.home), tiny.loop.name, digest).production
    production.rename(production.with_name("elsewhere"))
    try:
        assert f"{production} is gone: restore it" in failed_because(tiny)
    finally:
        production.with_name("elsewhere").rename(production)


def test_the_three_verdicts_look_different() -> None:
    gate = Gate(metric="exact_match", better_than="production")
    table = gate_table([GateResult.of(gate, verdict, None, None, 0.0, 1, "why") for verdict in Verdict])
    assert [line[0] for line in lines(table)] == ["✔ PASS", "✘ FAIL", "… NOT ENOUGH DATA"]


def test_a_gate_on_a_metric_without_row_values_is_named(tiny: TinyLoop, digest: str) -> None:
    scores = read_eval_report(artifacts(tiny.home), tiny.loop.name, digest).scores["candidate"]
    assert unmeasured(tiny.loop, scores) == {}
    own = tiny.loop.model_copy(update={"gates": [Gate(metric="mine:Own.value", better_than="production")]})
    assert unmeasured(own, scores) == {"mine:Own.value": [each.id for each in scores]}


def test_evaluated_again_nothing_but_response_times_is_new_evidence(tiny: TinyLoop) -> None:
    made = []
    for _ in range(2):
        assert tiny.materialize("eval_report", checks=False).success
        event = newest(tiny.instance, node(LOOP, "eval_report"))
        assert event is not None
        made.append(read_eval_report(artifacts(tiny.home), LOOP, data_version(event)))
    first, second = made
    assert first.run_id != second.run_id
    assert evidence_key(first, tiny.loop.gates) != evidence_key(second, tiny.loop.gates), "new times are another chance to pass"
    untimed = [each.model_copy(update={"latency_ms": {}}) for each in made]
    assert len({evidence_key(each, tiny.loop.gates) for each in untimed}) == 1
    again = within_budget(artifacts(tiny.home), control(tiny.home), tiny.loop, second.model_copy(update={"run_id": "by hand"}), time.time())
    assert again.error_budget == second.error_budget
    assert first.error_budget is not None
    assert second.error_budget is not None
    assert second.error_budget.decisions == first.error_budget.decisions + 1
