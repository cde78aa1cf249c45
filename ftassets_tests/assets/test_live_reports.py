"""The three reports on a version in service, on a whole loop: a real endpoint, a real log, a judge over HTTP."""

import json
import time
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

import dagster as dg
import pytest
import requests

from ftassets.assets import behaviour_report, live_golden_report, quality_report
from ftassets.assets._shared.dataset_files import scored_golden
from ftassets.assets._shared.events import DATA_VERSION, data_version, metadata_value, newest, node, report_digest
from ftassets.assets.drift_report.asset import WINDOW_END
from ftassets.backends.artifacts.reports import read_eval_report, store_eval_report, store_report
from ftassets.backends.notifier.base import Alert, Notifier
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.config.loop import Monitors
from ftassets.config.profiles import artifacts, backend
from ftassets.domain.evaluation.answer_form import ToolCall
from ftassets.domain.evaluation.scored_turns import last_answers
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.monitoring.judge_anchors import Anchor, anchors
from ftassets.domain.monitoring.latest import LatestReport, read_latest
from ftassets.domain.traffic.exchange import Exchange
from ftassets.domain.traffic.feedback import Feedback
from ftassets.reporting.trends import Point
from ftassets.testing.doubles.http import receiver
from ftassets.testing.tiny_loop import LOOP, TinyLoop, tiny_loop

pytestmark = [pytest.mark.slow, pytest.mark.models]

SAMPLE = 20
GOLDEN, QUALITY, BEHAVIOUR = "live_golden_report", "quality_report", "behaviour_report"


class Told(Notifier):
    alerts: list[Alert] = []  # of the last run

    def notify(self, alert: Alert) -> bool:
        self.alerts.append(alert)
        return True


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyLoop]:
    with tiny_loop(tmp_path_factory.mktemp("tiny"), monitors={"sample": SAMPLE, "golden_floor": 0.5}, metrics=["chrf", "validity"]) as loop:
        loop.resources["notifier"] = Told()
        assert report(loop, None, GOLDEN, QUALITY, BEHAVIOUR).success, "before there is a version there is nothing to say"
        assert value(loop, GOLDEN, "reason") == "no version is in production yet"
        assert loop.run("retrain").success
        assert loop.move("start").success
        yield loop


def report(tiny: TinyLoop, end: float | None, *names: str, trigger: float | None = None, **monitors: Any) -> dg.ExecuteInProcessResult:
    """Make some of the reports, for a window that ends then; `trigger` is the drop of quality that starts a retrain."""
    Told.alerts.clear()
    changed = {
        "monitors": Monitors.model_validate({**tiny.loop.monitors.model_dump(), **monitors}),
        "retrain_on": tiny.loop.retrain_on.model_copy(update={"quality_drop": trigger}),
    }
    loop = tiny.loop.model_copy(update=changed)
    builds = {GOLDEN: live_golden_report.build, QUALITY: quality_report.build, BEHAVIOUR: behaviour_report.build}
    definitions = dg.Definitions(
        assets=[builds[name](loop) for name in names],
        jobs=[dg.define_asset_job("monitor", [node(LOOP, name) for name in names])],
        resources=tiny.resources,
        executor=dg.in_process_executor,
    )
    tags = {WINDOW_END: str(end)} if end else {}
    return definitions.resolve_job_def("monitor").execute_in_process(instance=tiny.instance, tags=tags, raise_on_error=False)


def value(tiny: TinyLoop, name: str, field: str) -> Any:
    event = newest(tiny.instance, node(LOOP, name))
    assert event is not None
    return metadata_value(event, field)


def checks(result: dg.ExecuteInProcessResult) -> dict[str, tuple[bool, str]]:
    return {e.check_name: (e.passed, e.severity.value) for e in result.get_asset_check_evaluations()}


def stored(tiny: TinyLoop, name: str, kind: str) -> dict[str, Any]:
    """The newest report's file, found by its data version."""
    event = newest(tiny.instance, node(LOOP, name))
    assert event is not None
    return json.loads((tiny.home.reports / LOOP / f"{kind}-{data_version(event)}.json").read_bytes())


def latest(tiny: TinyLoop) -> dict[str, LatestReport]:
    return read_latest((tiny.home.reports / LOOP / "latest.json").read_bytes())


def answered(
    tiny: TinyLoop, at: float, answers: list[str], status: int = 200, version: str | None = None, user: str | None = "u"
) -> list[str]:
    """Put answers of production into the log, one a second from `at` on, to one user or without one; their ids."""
    log = SqliteTrafficLog(tiny.home.traffic_db)
    digest = version or tiny.serving.state(LOOP).production or ""
    messages = json.dumps([{"role": "user", "content": "dim the lamp"}])
    rows = [
        Exchange(
            f"{at}-{status}-{i}-{digest[:4]}",
            LOOP,
            digest,
            user or "",
            "dim the lamp",
            messages,
            text,
            status,
            at + i,
            5.0,
            None,
            3,
            3,
            1.0,
        )
        for i, text in enumerate(answers)
    ]
    assert log.append([row.judged(ToolCall()) for row in rows]) == len(rows)
    return [row.id for row in rows]


DAY = 86_400.0
DIM, OPEN = '{"intent": "dim", "area": "hall"}', '{"intent": "open", "area": "hall"}'


def test_the_live_golden_set_is_asked_past_the_gateway_and_a_low_share_is_told_once(tiny: TinyLoop) -> None:
    before = SqliteTrafficLog(tiny.home.traffic_db).count(LOOP)
    result = report(tiny, None, GOLDEN)
    assert result.success
    assert SqliteTrafficLog(tiny.home.traffic_db).count(LOOP) == before, "probes are no traffic"
    assert not tiny.serving.state(LOOP).staged
    assert checks(result) == {"golden_above_floor": (False, "ERROR"), "no_regression_since_evaluation": (False, "WARN")}
    assert "held-out rows: 9 rows in common" in value(tiny, GOLDEN, "since_evaluation"), "what is not measured is no PASS"
    assert latest(tiny)["since_evaluation"].verdict == "NOT ENOUGH DATA"
    rows = stored(tiny, GOLDEN, "live-golden")["rows"]
    assert len([row for row in rows if row["slice"] != "held_out"]) == SAMPLE
    assert [row for row in rows if row["slice"] == "held_out"]
    assert {row["answer"] for row in rows} == {"{}"}, "the tiny model says one thing"
    assert value(tiny, GOLDEN, "share") == 0.0
    assert "the floor is higher than this version ever was" in value(tiny, GOLDEN, "reason")
    told = [(f"{LOOP}:golden-floor-too-high", "ticket")]
    assert [(alert.key, alert.severity) for alert in Told.alerts] == told, "its own evaluation was as low: nobody is woken"
    assert latest(tiny)[GOLDEN].verdict == "FAIL"
    assert latest(tiny)[GOLDEN].limits == {"share": 0.5, "evaluated": 0.5}
    assert latest(tiny)[GOLDEN].values["evaluated"] == 0.0
    result = report(tiny, None, GOLDEN)
    assert checks(result)["golden_above_floor"] == (False, "ERROR")
    assert Told.alerts == [], "people know"


def test_the_same_rows_are_asked_each_time_and_a_floor_that_is_reached_passes_and_is_told_once(tiny: TinyLoop) -> None:
    report(tiny, None, GOLDEN)
    first = {row["id"] for row in stored(tiny, GOLDEN, "live-golden")["rows"]}
    result = report(tiny, None, GOLDEN, golden_floor=0)
    assert {row["id"] for row in stored(tiny, GOLDEN, "live-golden")["rows"]} == first
    assert checks(result)["golden_above_floor"] == (True, "WARN")
    assert [(alert.key, alert.resolved) for alert in Told.alerts] == [(f"{LOOP}:golden-floor-too-high", True)]
    report(tiny, None, GOLDEN, golden_floor=0)
    assert Told.alerts == []
    assert "data:image/png" in value(tiny, GOLDEN, "trend")


def test_an_evaluation_that_was_better_is_a_regression_and_a_page(tiny: TinyLoop) -> None:
    release = newest(tiny.instance, node(LOOP, "release"))
    assert release is not None
    evaluation = read_eval_report(artifacts(tiny.home), tiny.loop.name, report_digest(release))
    right = {role: [s.model_copy(update={"exact": True}) for s in scores] for role, scores in evaluation.scores.items()}
    digest = store_eval_report(artifacts(tiny.home), EvalReport.model_validate({**evaluation.model_dump(), "scores": right}))
    tiny.instance.report_runless_asset_event(
        dg.AssetMaterialization(node(LOOP, "release"), metadata={"report_digest": digest}, tags={DATA_VERSION: evaluation.candidate})
    )
    result = report(tiny, None, GOLDEN)
    assert checks(result)["no_regression_since_evaluation"] == (False, "ERROR")
    told = [(f"{LOOP}:golden-below-floor", "page"), (f"{LOOP}:golden-regression", "ticket")]
    assert [(alert.key, alert.severity) for alert in Told.alerts] == told
    assert latest(tiny)["since_evaluation"].verdict == "FAIL"
    report(tiny, None, GOLDEN)
    assert Told.alerts == [], "people know"
    (tiny.home.reports / LOOP / f"eval-{digest}.json").write_text("{}")
    result = report(tiny, None, GOLDEN, golden_floor=0)
    assert checks(result)["no_regression_since_evaluation"] == (False, "WARN"), "somebody has to repair it"
    assert "was changed after it was written" in value(tiny, GOLDEN, "since_evaluation")
    assert [(alert.key, alert.resolved) for alert in Told.alerts] == [(f"{LOOP}:golden-below-floor", True)], "the regression goes on"


def test_what_earlier_golden_reports_found_is_about_the_version_and_a_damaged_one_stops_nothing(tiny: TinyLoop) -> None:
    report(tiny, None, GOLDEN)
    document = stored(tiny, GOLDEN, "live-golden")
    name = document["production"][:12]
    document |= {"production": "f" * 64, "told": ["ffffffffffff:golden-regression", f"{name}:golden-below-floor"]}
    digest = store_report(artifacts(tiny.home), LOOP, "live-golden", {key: each for key, each in document.items() if key != "format"})
    event = dg.AssetMaterialization(node(LOOP, GOLDEN), tags={DATA_VERSION: digest})
    tiny.instance.report_runless_asset_event(event)
    report(tiny, None, GOLDEN, golden_floor=0)
    assert {(alert.key, alert.resolved) for alert in Told.alerts} == {
        (f"{LOOP}:golden-{each}", True) for each in ("regression", "below-floor")
    }
    assert "another version is in production" in next(each.text for each in Told.alerts if "regression" in each.key)
    assert stored(tiny, GOLDEN, "live-golden")["told"] == []
    (tiny.home.reports / LOOP / f"live-golden-{digest}.json").write_text("{}")
    tiny.instance.report_runless_asset_event(event)
    assert report(tiny, None, GOLDEN, golden_floor=0).success


def test_a_server_that_answers_nothing_fails_the_run(tiny: TinyLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(tiny.serving), "stage", lambda *_: "http://127.0.0.1:9/v1")
    result = report(tiny, None, GOLDEN)
    assert not result.success
    assert "answered none of" in str(result.get_step_failure_events()[0].event_specific_data)


def test_without_a_judge_quality_is_what_users_and_the_log_say(tiny: TinyLoop) -> None:
    at = time.time() + 100_000
    ids = answered(tiny, at, [DIM] * 36 + ["no JSON"] * 4)
    answered(tiny, at, ["", ""], status=502)
    answered(tiny, at, [""] * 10, status=400)  # a client's mistake
    answered(tiny, at, ["no JSON"] * 30, version="f" * 64)  # another version
    log = SqliteTrafficLog(tiny.home.traffic_db)
    for number, name in enumerate(ids[:20]):
        rating, correction = ("down", None) if number < 5 else ("up", OPEN if number < 7 else None)
        log.add_feedback(Feedback(name, at + 50, rating, correction))

    def shares() -> dict[str, tuple[float, float]]:
        series = stored(tiny, QUALITY, "quality")["series"]
        return {name: (each["days"][-1]["users"], round(each["days"][-1]["good"], 4)) for name, each in series.items()}

    result = report(tiny, at + 60, QUALITY)
    assert result.success
    assert shares() == {"without_error": (1, 0.9524), "well_formed": (1, 0.9)}, "young answers have had less time for feedback"
    assert "counts up to 3.0 d after an answer" in value(tiny, QUALITY, "feedback")
    log.add_feedback(Feedback(ids[0], at + 2 * DAY, "up", None))  # two days later, and counted
    log.add_feedback(Feedback(ids[1], at + 4 * DAY, "up", None))  # later than feedback on younger answers could be
    result = report(tiny, at + 3 * DAY + 60, QUALITY)
    assert shares() == {"not_disliked": (1, 0.8), "not_corrected": (1, 0.9), "without_error": (1, 0.9524), "well_formed": (1, 0.9)}
    report(tiny, at + 5 * DAY, QUALITY)
    assert shares()["not_disliked"] == (1, 0.8)
    assert checks(result) == {"no_sustained_drop": (False, "WARN")}, "what is not measured is no PASS"
    assert "not compared yet, 1 of the first 7 days with data are measured" in value(tiny, QUALITY, "reason")
    assert value(tiny, QUALITY, "quality") is None, "nothing to train on yet"


def test_a_sustained_drop_is_one_ticket_and_one_resolve_and_what_the_retrain_sensor_reads(tiny: TinyLoop) -> None:
    start, told = time.time() + 200_000, list[tuple[int, str, bool]]()
    for number in range(34):
        bad = 10 if 10 <= number < 22 else 0
        answered(tiny, start + number * DAY, [DIM] * (40 - bad) + ["no JSON"] * bad, user=None)
        if number < 7:
            continue  # the next report reads these days too
        result = report(tiny, start + number * DAY + 60, QUALITY, trigger=0.05)
        told += [(number, alert.key, alert.resolved) for alert in Told.alerts]
        if number == 21:
            assert checks(result) == {"no_sustained_drop": (False, "ERROR")}
            assert value(tiny, QUALITY, "quality_measure") == "well_formed"
            assert value(tiny, QUALITY, "baseline") - value(tiny, QUALITY, "quality") > 0.1
            assert value(tiny, QUALITY, "production") == (tiny.serving.state(LOOP).production or "")[:12]
            assert latest(tiny)[QUALITY].verdict == "FAIL"
    assert [each[1:] for each in told] == [(f"{LOOP}:quality-drop:well_formed", over) for over in (False, True)]
    assert 10 < told[0][0] <= 18
    assert told[1][0] > 22
    assert value(tiny, QUALITY, "quality") is None


def test_a_drop_that_could_not_be_told_is_told_at_the_next_report(tiny: TinyLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    at = time.time() + 40 * DAY
    for number in range(16):
        answered(tiny, at + number * DAY, [DIM] * (40 if number < 10 else 20) + ["no JSON"] * (0 if number < 10 else 20), user=None)
    with monkeypatch.context() as unreachable:
        unreachable.setattr(Told, "notify", lambda *_: False)
        report(tiny, at + 15 * DAY + 60, QUALITY)
    assert stored(tiny, QUALITY, "quality")["told"] == []
    for expected in (1, 0):
        report(tiny, at + 15 * DAY + 60, QUALITY)
        assert len(Told.alerts) == expected


def judge_settings(url: str, **changes: str) -> dict[str, str]:
    return {"url": url, "model": "large", **changes}


def test_a_judge_scores_a_sample_and_what_it_cannot_score_is_said(tiny: TinyLoop) -> None:
    at = time.time() + 300_000
    ids = answered(tiny, at, [DIM] * 60)
    verdicts = [{"score": 5, "reason": "right"}] * 12 + [{"score": 1, "reason": "wrong"}] * 4 + [{"score": 9, "reason": ""}] * 4
    with receiver() as there:
        there.replies = [(200, {"choices": [{"message": {"content": json.dumps(v)}}]}) for v in verdicts]
        assert report(tiny, at + 60, QUALITY, llm_judge=judge_settings(there.url)).success
        asked = [json.loads(request.body["messages"][1]["content"]) for request in there.received]
    assert len(asked) == SAMPLE + len(fixed(tiny)), "and the rows with fixed answers, which got no score here"
    assert {each["answer"] for each in asked[SAMPLE:]} == {each.answer for each in fixed(tiny)}
    assert value(tiny, QUALITY, "judge_drift") == "no row with a fixed answer was scored"
    assert asked[0]["messages"][0] == {"role": "system", "content": tiny.loop.task.system_prompt}
    judged = value(tiny, QUALITY, "measures")["judged"]
    assert (judged["value"], judged["n"]) == (0.75, 1), "one user, who counts once"
    assert 0 < judged["low"] < 0.75 < judged["high"] <= 1
    assert (value(tiny, QUALITY, "judged"), value(tiny, QUALITY, "not_judged")) == (16, 4)
    content = stored(tiny, QUALITY, "quality")
    assert {item["request"] for item in content["judged"]} <= set(ids)
    assert "dim the lamp" not in json.dumps(content), "texts stay in the log, where they can be forgotten"


def test_scores_of_another_judge_start_a_baseline_of_their_own(tiny: TinyLoop) -> None:
    at = time.time() + 400_000
    answered(tiny, at, [DIM] * SAMPLE, user=None)
    answer = (200, {"choices": [{"message": {"content": '{"score": 5, "reason": ""}'}}]})
    with receiver() as there:
        each = SAMPLE + len(fixed(tiny))
        for model, asked, users in (("a", each, SAMPLE), ("a", 0, SAMPLE), ("b", each, SAMPLE)):
            there.replies, there.received[:] = [answer] * each, []
            assert report(tiny, at + 60, QUALITY, llm_judge=judge_settings(there.url, model=model)).success
            assert len(there.received) == asked, "an answer is judged once, by each judge"
            assert value(tiny, QUALITY, "measures")["judged"]["n"] == users


def fixed(tiny: TinyLoop) -> list[Anchor]:
    """The rows with fixed answers that the judge scores besides."""
    return anchors(last_answers(scored_golden(backend(tiny.home, "dataset_store"), "main", tiny.loop)))


def test_a_judge_that_is_not_there_is_asked_a_few_times_only_and_costs_no_report(tiny: TinyLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    at = time.time() + 500_000
    answered(tiny, at, [DIM] * SAMPLE)
    with receiver() as there:
        there.replies = [(401, "no")] * SAMPLE
        assert report(tiny, at + 60, QUALITY, llm_judge=judge_settings(there.url)).success
        assert 1 <= len(there.received) <= 8
    assert value(tiny, QUALITY, "not_judged") == SAMPLE
    assert "judged" not in value(tiny, QUALITY, "measures")
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    result = report(tiny, at + 60, QUALITY, llm_judge=judge_settings("http://127.0.0.1:9", api_key_env="NO_SUCH_KEY"))
    assert result.success
    assert not checks(result)["no_sustained_drop"][0], "somebody has to set the key"
    assert "no answer was judged" in value(tiny, QUALITY, "reason")
    assert "NO_SUCH_KEY" in str(value(tiny, QUALITY, "why_not_judged"))


def test_behaviour_is_compared_with_the_version_s_first_answers_and_told_from_drift_of_inputs(tiny: TinyLoop) -> None:
    for number in range(3):
        body: Any = {"model": LOOP, "messages": [{"role": "user", "content": f"dim lamp {number}"}]}
        assert requests.post(f"{tiny.url}/v1/chat/completions", json=body, timeout=60).ok
    at = time.time() + 600_000
    digest = tiny.serving.state(LOOP).production
    assert report(tiny, time.time(), BEHAVIOUR, sample=100_000).success
    assert "of the version's first 100,000 answers" in value(tiny, BEHAVIOUR, "reason")

    answered(tiny, at, ["I am not sure about that lamp, " + "really " * 30] * 15)
    result = report(tiny, at + 60, BEHAVIOUR)
    assert checks(result) == {"answers_as_before": (False, "WARN")}, "it informs"
    assert "uncertain_share" in value(tiny, BEHAVIOUR, "reason")
    assert value(tiny, BEHAVIOUR, "origin") == "not known"
    assert latest(tiny)[BEHAVIOUR].values["uncertain_share"] == 1.0
    content = stored(tiny, BEHAVIOUR, "behaviour")
    assert (len(content["baseline"]), len(content["window"])) == (SAMPLE, 15)
    assert "really" not in json.dumps(content)

    quiet = {"verdict": "QUIET", "statistics": [{"name": "novelty_mean", "value": 0.1, "threshold": 0.2, "p_value": 0.5}]}
    drift = store_report(artifacts(tiny.home), LOOP, "drift", quiet)
    tiny.instance.report_runless_asset_event(
        dg.AssetMaterialization(node(LOOP, "drift_report"), metadata={"production": digest}, tags={DATA_VERSION: drift})
    )
    report(tiny, at + 60, BEHAVIOUR)
    assert value(tiny, BEHAVIOUR, "origin") == "OUTPUT"


def test_the_three_together_have_plots_tables_freshness_and_a_stored_report(tiny: TinyLoop) -> None:
    at = time.time() + 700_000
    answered(tiny, at, [DIM, OPEN] * 10)
    result = report(tiny, at + 60, GOLDEN, QUALITY, BEHAVIOUR)
    assert result.success
    assert len(checks(result)) == 4
    for name, kind, plot in ((GOLDEN, "live-golden", "trend"), (QUALITY, "quality", "trend"), (BEHAVIOUR, "behaviour", "class_plot")):
        assert stored(tiny, name, kind)["production"] == tiny.serving.state(LOOP).production
        assert "data:image/png" in value(tiny, name, plot)
    for build in (live_golden_report.build, quality_report.build, behaviour_report.build):
        [spec] = build(tiny.loop).specs
        assert spec.freshness_policy is not None
        assert spec.group_name == LOOP
        assert (spec.description or "").endswith("?")


def test_metrics_the_loop_names_are_in_its_eval_report(tiny: TinyLoop) -> None:
    event = newest(tiny.instance, node(LOOP, "eval_report"))
    assert event is not None
    metrics = json.loads((tiny.home.reports / LOOP / f"eval-{data_version(event)}.json").read_bytes())["metrics"]
    assert set(metrics) == {"chrf", "validity"}
    assert set(metrics["validity"]) == {"base", "production", "candidate"}
    assert set(metrics["validity"]["candidate"]) >= {"established", "drifted", "held_out"}
    assert all(0 <= values["validity"] <= 1 for values in metrics["validity"]["candidate"].values())
    assert "chrf" in str(metadata_value(event, "metrics"))


@pytest.mark.parametrize(("name", "module"), [(GOLDEN, live_golden_report), (QUALITY, quality_report)])
def test_reports_on_one_version_are_one_version_in_the_trend(
    tiny: TinyLoop, monkeypatch: pytest.MonkeyPatch, name: str, module: ModuleType
) -> None:
    drawn: list[list[Point]] = []

    def trend(title: str, points: Iterable[Point], *limits: object) -> str:
        drawn.append(list(points))
        return ""

    monkeypatch.setattr(module, "trend", trend)
    at = time.time() + 10_000_000
    for end in (at, at + 1000):
        answered(tiny, end, [DIM] * 40)
        assert report(tiny, end + 60, name).success
    assert len(drawn[-1]) >= 2
    assert len({point.version for point in drawn[-1]}) == 1


def test_a_judge_that_gets_stricter_behind_its_name_is_told_and_followed_anew(tiny: TinyLoop) -> None:
    at, each = time.time() + 20_000_000, SAMPLE + len(fixed(tiny))
    with receiver() as there:
        for day, score in enumerate((5, 5, 3, 3)):
            answered(tiny, at + day * DAY, [DIM] * SAMPLE, user=None)
            there.replies = [(200, {"choices": [{"message": {"content": json.dumps({"score": score, "reason": ""})}}]})] * each
            assert report(tiny, at + day * DAY + 60, QUALITY, llm_judge=judge_settings(there.url)).success
            told = [(alert.key, alert.severity) for alert in Told.alerts if "judge" in alert.key]
            assert told == ([(f"{LOOP}:judge-changed", "ticket")] if day == 2 else [])
            days = stored(tiny, QUALITY, "quality")["series"]["judged"]["days"]
            assert [each["good"] / each["users"] for each in days] == [(score - 1) / 4] * (1 + day % 2), "others are of another judge"
            changed = "the judge has changed behind its name, and its scores are followed anew" in value(tiny, QUALITY, "reason")
            assert changed is (day == 2)
    scores = stored(tiny, QUALITY, "quality")["anchors"]
    assert scores == dict.fromkeys((anchor.id for anchor in fixed(tiny)), 3)
