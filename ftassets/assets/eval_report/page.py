"""What the UI shows of an eval report: gates, shares per slice, class and source, regressions side by side."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import dagster as dg
import numpy as np

from ftassets.assets._shared.stored_reports import place, verdicts
from ftassets.assets.eval_report.answering import API, Answers, api_sentence
from ftassets.assets.eval_report.measuring import ROLES, Evaluation
from ftassets.assets.eval_report.rows import Rows, RowSet, by_id, read_answers
from ftassets.backends.artifacts.reports import report_key
from ftassets.backends.control.base import Control
from ftassets.backends.control.reviews import read_review
from ftassets.config.loop import LoopConfig
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.confusion import columns, confusion, confusions, recalls
from ftassets.domain.evaluation.conversations import near_copies
from ftassets.domain.evaluation.costs import cost_of
from ftassets.domain.evaluation.forgetting import Forgetting
from ftassets.domain.evaluation.llm_judge import Calibration
from ftassets.domain.evaluation.parity import Parity
from ftassets.domain.evaluation.sampled_answers import SAMPLED
from ftassets.domain.evaluation.scored_turns import turn_number
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.evaluation.sets import refusal_rows
from ftassets.domain.gates.error_budget import wanted_level
from ftassets.domain.gates.independent_units import WHOLE, pooled, share_with_interval
from ftassets.domain.gates.llm_judge import halving
from ftassets.domain.gates.noise import flips, noise_sentence
from ftassets.domain.gates.policy import at_its_level
from ftassets.domain.gates.presets import single_gates
from ftassets.domain.gates.report import HELD_OUT, EvalReport, in_slice
from ftassets.domain.gates.result import GateResult, Verdict
from ftassets.domain.gates.sensitivity import sensitivity
from ftassets.domain.gates.wear import wear
from ftassets.domain.mean_bounds import mean_lower_bound, mean_upper_bound
from ftassets.domain.power import POWER
from ftassets.reporting.plots import accuracy_bars, gate_marks
from ftassets.reporting.tables import answer_cell, request_cell, table
from ftassets.wording import amount

REGRESSIONS = 10  # rows shown that production answers better than the candidate
MARKS = {Verdict.PASS: "✔ PASS", Verdict.FAIL: "✘ FAIL", Verdict.NOT_ENOUGH_DATA: "… NOT ENOUGH DATA"}


def verdict_of(results: Sequence[GateResult]) -> str:
    """What all gates together come to, naming those that did not pass."""
    stopped = [result.name for result in results if result.verdict is not Verdict.PASS]
    if not stopped:
        return f"PASS: {len(results)} of {amount(len(results), 'gate')}"
    verdict = Verdict.FAIL if any(result.verdict is Verdict.FAIL for result in results) else Verdict.NOT_ENOUGH_DATA
    return f"{verdict.value}: {', '.join(stopped)}"


def gate_table(results: Sequence[GateResult]) -> dg.MetadataValue:
    """All gates of a report; name and evidence share a column, to leave the evidence enough width."""
    return table(["verdict", "gate and evidence"], [(MARKS[r.verdict], f"{r.name}: {r.sentence}") for r in results])


def accuracies(report: EvalReport) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Exact match per slice and role: (share, low, high) with its 95 % interval."""
    slices = sorted({s.slice for s in report.scores["candidate"]})
    found: dict[str, dict[str, tuple[float, float, float]]] = {}
    for name in slices:
        for role in ROLES:
            rows = in_slice(report.scores[role], name)
            found.setdefault(name, {})[role] = share_with_interval(rows, [s.exact for s in rows])
    return found


def page(loop: LoopConfig, control: Control, measured: Evaluation, digest: str) -> dict[str, dg.MetadataValue | str | float | int]:
    """The metadata of a report's materialization."""
    report, answers = measured.report, measured.answers
    none = loop.task.form.lacks.get("classes")
    shares, results = accuracies(report), verdicts(control, loop, report, digest)
    marks = [(r.name, r.verdict.value, r.value, r.bound, r.threshold) for r in results if r.value is not None and r.bound is not None]
    source = {row_id: row.source for each in measured.rows.sets for row_id, row in _score_ids(each)}
    tables = {
        "exact_match": _share_table("slice", report, {s.id: s.slice for s in report.scores["candidate"]}),
        "exact_match_per_class": _share_table("class", report, {s.id: s.expected for s in report.scores["candidate"] if s.expected}),
        "exact_match_per_source": _share_table("source", report, source),
    }
    return {
        "verdict": verdict_of(results),
        "gates": gate_table(results),
        "what_the_rows_show": _sensitivity_table(loop, report),
        "changed_rows": _changes_table(report),
        **({"turns": turns} if (turns := _turns_table(report)) else {}),
        **_noise(loop, control, report, digest),
        "candidate": report.candidate[:12],
        "production": "the untuned base" if report.production_is_base else report.production[:12],
        **{name: found for name, found in tables.items() if found is not None},
        **({"exact_match_per_class": f"does not apply: {none}"} if none else _class_tables(report)),
        "worse_than_production": _regressions(report, answers, measured.rows.golden),
        "fixed_or_still_wrong": _other_rows(report, answers, measured.rows.golden),
        "answer_sizes": size_table(answers),
        **_sampled(loop, report),
        **({"response_times": _times(report)} if report.latency_ms else {}),
        **({"metrics": _metrics_table(report)} if report.metrics else {}),
        **({"refusals": refusals} if (refusals := _refusals_table(measured)) else {}),
        **({"llm_judge": _judge_table(loop, report, report.llm_judge_calibration)} if report.llm_judge_calibration else {}),
        **({"parity": _parity_table(report.parity)} if report.parity else {}),
        **({"forgetting": _forgetting_table(report.forgetting)} if report.forgetting else {}),
        **({"api_model": said} if (said := api_sentence(loop, report.scores, answers)) else {}),
        **({"gates_plot": dg.MetadataValue.md(gate_marks(marks))} if marks else {}),
        "accuracy": dg.MetadataValue.md(accuracy_bars(shares)),
        **({"error_budget": report.error_budget.outlook(wanted_level(loop.gates)).sentence} if report.error_budget else {}),
        "golden_uses": report.golden_uses,
        **({"golden_set_wear": worn.sentence} if (worn := wear(report, loop.gates)) else {}),
        **({"near_copies": copies} if (copies := near_copies_sentence(loop, measured.rows)) else {}),
        "gate_rule": report.gate_rule,
        "dataset_commit": report.dataset_commit[:12],
        "golden_commit": report.golden_commit[:12],
        "report": place(report_key(loop.name, "eval", digest), digest),
        **{f"exact_match_{name}": shares[name]["candidate"][0] for name in shares},
    }


def _sensitivity_table(loop: LoopConfig, report: EvalReport) -> dg.MetadataValue:
    """For each gate on rows: its chance to pass a model that is as good as assumed, and from which true value it passes reliably."""
    lines = []
    for gate in loop.gates:
        found = sensitivity(at_its_level(gate, report), report)
        if found:
            reliably = "no value" if found.detectable is None else f"{found.detectable:.3f}"
            text = f"{found.assumed:.3f} passes in {found.power:.0%} of cases; {reliably} in {POWER:.0%}"
            lines.append((gate.name, text))
    return table(["gate", "true value, and how often it passes"], lines)


def near_copies_sentence(loop: LoopConfig, rows: Rows) -> str:
    """How many rows of the golden and of further sets are near copies of others, and the first of each; empty without any."""
    found = []
    for each in rows.sets:
        if not each.held_out and (near := near_copies(each.rows, loop)):
            name = "golden" if each.settings is None else each.settings.name
            many, first = f"{len(near)} of {amount(len(each.rows), f'{name} row')}", next(row.id for row in each.rows if row.id in near)
            found.append(f"{many} {'is a near copy' if len(near) == 1 else 'are near copies'} of others ({first}: {near[first]})")
    if not found:
        return ""
    said = "gates count each by itself, and their verdicts hold for rows that are right or wrong by themselves"
    return f"{'; '.join(found)}: {said}. Leave out those that are not, or give them one conversation_id"


def _turns_table(report: EvalReport) -> dg.MetadataValue | None:
    """Right answers of golden conversations by the number of the answer, and conversations that are right as a whole; None without any."""
    golden = {role: [score for score in report.rows(role, None) if score.conversation and turn_number(score.id)] for role in ROLES}
    if not golden["candidate"]:
        return None
    lines = []
    for number in sorted({turn_number(score.id) or 0 for score in golden["candidate"]}):
        of_role = [[score for score in golden[role] if turn_number(score.id) == number] for role in ROLES]
        lines.append((f"answer {number}", len(of_role[0]), *(_share(rows, [s.exact for s in rows]) for rows in of_role)))
    whole = [[bool(each) for each in pooled(WHOLE, scores, [float(s.exact) for s in scores])] for scores in golden.values()]
    lines.append(("whole conversation", len(whole[0]), *(_share((), right) for right in whole)))
    return table(["right", "conversations", *ROLES], lines)


def _noise(loop: LoopConfig, control: Control, report: EvalReport, digest: str) -> dict[str, dg.MetadataValue | str | float | int]:
    """What production's second answers say of the evaluation's own noise."""
    second = report.second_answers
    if second is None:
        return {"noise": "not measured: production did not answer twice, the run's log says why"}
    found = flips(loop.gates, report, read_review(control, loop.name, digest))
    return {
        "noise": noise_sentence(loop.gates, report, second, found),
        "noise_rows": len(second.scores),
        "noise_differing_answers": second.differing,
        "noise_verdict_flips": len(found),
    }


def _changes_table(report: EvalReport) -> dg.MetadataValue:
    """Whole answers right or wrong, candidate against production, by slice."""
    lines = []
    for name in sorted({score.slice for score in report.scores["candidate"]}):
        sides = zip(*(in_slice(report.scores[role], name) for role in ("production", "candidate")), strict=True)
        seen = Counter((before.exact, after.exact) for before, after in sides)
        lines.append((name, seen[False, True], seen[True, False], seen[False, False], seen[True, True]))
    return table(["slice", "fixed", "broken", "both wrong", "both right"], lines)


def _share_table(kind: str, report: EvalReport, group_of: Mapping[str, str]) -> dg.MetadataValue | None:
    """Exact match by group of rows, with 95 % intervals; None when all rows are of one group."""
    roles = (*ROLES, API) if API in report.scores else ROLES  # the API model has golden rows only
    groups = sorted(set(group_of.values()))
    if len(groups) < 2 and kind != "slice":
        return None
    lines = []
    for group in groups:
        of_role = {role: [s for s in report.scores[role] if group_of.get(s.id) == group] for role in roles}
        lines.append((group, len(of_role["candidate"]), *(_share(rows, [s.exact for s in rows]) for rows in of_role.values())))
    return table([kind, "rows", *roles], lines)


def _sampled(loop: LoopConfig, report: EvalReport) -> dict[str, dg.MetadataValue | str]:
    """Exact match of greedy and of sampled answers, with 95 % intervals, and which of them gates use; nothing at temperature 0."""
    found = report.sampled
    if found is None:
        return {}
    lines = []
    for name in sorted({score.slice for score in report.scores["candidate"]}):
        for role in found.answers:
            rows = [score for score in in_slice(report.scores[role], name) if SAMPLED in score.values]
            if rows:
                units = pooled(SAMPLED, rows, [score.values[SAMPLED] for score in rows])
                low, high = (bound(units, 0.975) for bound in (mean_lower_bound, mean_upper_bound))
                share = f"{sum(units) / len(units):.3f} ({low:.3f} to {high:.3f})"
                lines.append((name, role, len(rows), _share(rows, [score.exact for score in rows]), share))
    named = sum(gate.metric == SAMPLED for gate in single_gates(loop.gates))
    text = f"{amount(found.samples, 'answer')} a row at temperature {found.temperature:g}, seeds 0 to {found.samples - 1}. "
    text += f"Gates compare greedy answers, but for {amount(named, 'gate')} on {SAMPLED}"
    return {"sampled": text, "sampled_answers": table(["slice", "model", "rows", "greedy", "sampled"], lines)}


def _class_tables(report: EvalReport) -> dict[str, dg.MetadataValue]:
    """Recall of each class and which classes are confused, of the golden rows."""
    of_model = {role: confusion(report.rows(role, None)) for role in ("candidate", "production")}
    candidate, production = of_model["candidate"], of_model["production"]
    if not candidate:
        return {}
    lines = []
    for label, rows, ours, theirs in recalls(candidate, production):
        of_role = [[s for s in report.rows(role, None) if s.expected == label and s.predicted is not None] for role in of_model]
        intervals = [share_with_interval(scores, [s.predicted == label for s in scores])[1:] for scores in of_role]
        named = [f"{right} ({low:.3f} to {high:.3f})" for right, (low, high) in zip((ours, theirs), intervals, strict=True)]
        lines.append((label, rows, *named))
    found, more = confusions(candidate, production)
    wrong: list[tuple[object, ...]] = [(each.expected, answer_cell(each.named), each.candidate, each.production) for each in found]
    wrong += [("...", f"{more} more", "", "")] if more else []
    tables = {
        "recall_per_class": table(["class", "rows", "candidate names it", "production"], lines),
        "confusions": table(["expected", "named", "candidate", "production"], wrong),
    }
    if names := columns(candidate, production):
        wanted = sorted({expected for expected, _ in candidate})
        cells = [(label, *(f"{candidate[label, each]} / {production[label, each]}" for each in names)) for label in wanted]
        tables["confusion"] = table(["expected, rows of candidate / production", *map(answer_cell, names)], cells)
    if report.costs:
        tables["costs"] = _costs_table(report)
    return tables


def _costs_table(report: EvalReport) -> dg.MetadataValue:
    """Mean cost of a golden row by model, and the mistakes that cost most together."""
    lines = []
    for role in ROLES:
        found = confusion(report.rows(role, None))
        by_cell = {cell: count * cost_of(report.costs, *cell) for cell, count in found.items()}
        dear = [cell for cell in sorted(by_cell, key=lambda cell: -by_cell[cell])[:3] if by_cell[cell]]
        most = "; ".join(f"{expected} as {answer_cell(named)}: {by_cell[expected, named]:g}" for expected, named in dear)
        lines.append((role, sum(by_cell.values()) / max(found.total(), 1), most))
    return table(["model", "mean cost of a row", "dearest mistakes, cost of all their rows"], lines)


def _share(scores: Sequence[Score], right: Sequence[bool]) -> str:
    """A share with its interval; of conversations, `scores` says which answers are of one."""
    if not right:
        return ""
    share, low, high = share_with_interval(scores, right)
    return f"{share:.3f} ({low:.3f} to {high:.3f})"


def _regressions(report: EvalReport, answers: Answers, golden: Sequence[Example]) -> dg.MetadataValue:
    """The golden rows on which the candidate lost most, both answers side by side."""
    scores = {role: {s.id: s for s in report.scores[role]} for role in ("production", "candidate")}

    def lost(row: Example) -> tuple[int, float]:
        before, after = scores["production"][row.id], scores["candidate"][row.id]
        return before.exact - after.exact, before.fields - after.fields

    worse = sorted((row for row in golden if lost(row) > (0, 0.0)), key=lost, reverse=True)[:REGRESSIONS]
    said = {role: read_answers(answers[role][:1]) for role in scores}
    return table(["request", "answers"], [_side_by_side(row, said) for row in worse])


def _side_by_side(row: Example, said: Mapping[str, Mapping[str, str]]) -> tuple[str, str]:
    """A golden row and the answers to it, in two cells: a column for each answer widens the page beyond the screen."""
    answers = [("expected", row.completion), *((role, said[role][row.id]) for role in ("production", "candidate"))]
    return f"{row.slice or 'golden'}: {request_cell(row)}", "; ".join(f"{who}: {answer_cell(text)}" for who, text in answers)


def _other_rows(report: EvalReport, answers: Answers, golden: Sequence[Example]) -> dg.MetadataValue:
    """Some golden rows that the candidate fixed, and some that both have wrong, with both answers."""
    right = {role: {s.id: s.exact for s in report.scores[role]} for role in ("production", "candidate")}
    said = {role: read_answers(answers[role][:1]) for role in right}
    lines: list[tuple[str, ...]] = []
    for what, before, after in (("fixed", False, True), ("both wrong", False, False)):
        rows = [row for row in golden if (right["production"][row.id], right["candidate"][row.id]) == (before, after)]
        lines += [(what, *_side_by_side(row, said)) for row in rows[: REGRESSIONS // 2]]
    return table(["rows", "request", "answers"], lines)


def size_table(answers: Answers) -> dg.MetadataValue:
    """Mean tokens of each role's requests and answers, the most of an answer, and how many were cut at the limit: these are never right."""
    lines = []
    for role in ROLES:
        rows = [row for path in answers[role] if path.exists() for row in by_id(path).values()]
        tokens = [row["tokens_out"] for row in rows]
        asked = [row["tokens_in"] for row in rows if row.get("tokens_in")]  # older files, and servers elsewhere, may not say
        mean_in = sum(asked) / len(asked) if asked else ""
        cut = sum(row["truncated"] for row in rows)
        lines.append((role, len(rows), mean_in, sum(tokens) / len(tokens), max(tokens), f"{cut} ({cut / len(rows):.1%})"))
    return table(["model", "answers", "tokens in", "out", "most", "cut"], lines)


def _times(report: EvalReport) -> dg.MetadataValue:
    """Quantiles of the response times of candidate and production, of the same requests sent to both in turns."""
    lines = []
    for what, found in (("to the first token", report.ttft_ms), ("to the end", report.latency_ms)):
        for role, times in found.items():
            lines.append((what, role, len(times), *(f"{each:.0f}" for each in np.quantile(times, [0.5, 0.95, 0.99]))))
    return table(["milliseconds", "model", "requests", "p50", "p95", "p99"], lines)


def _metrics_table(report: EvalReport) -> dg.MetadataValue:
    """The loop's further metrics: a line per metric, value and slice, a column per model."""
    rows = [
        (metric, value, name, *(by_role.get(role, {}).get(name, {}).get(value, "") for role in ROLES))
        for metric, by_role in report.metrics.items()
        for name, values in by_role["candidate"].items()
        for value in values
    ]
    return table(["metric", "value", "slice", *ROLES], rows)


def _score_ids(rows: RowSet) -> Iterator[tuple[str, Example]]:
    """Each row with the id its score has."""
    prefix = f"{HELD_OUT}:" if rows.held_out else f"{rows.settings.name}:" if rows.settings else ""
    return ((f"{prefix}{row.id}", row) for row in rows.rows)


def _refusals_table(measured: Evaluation) -> dg.MetadataValue | None:
    """Mistakes in both directions of each set that asks for refusals; None without one."""
    lines = [
        (each.settings.name, *line)
        for number, each in enumerate(measured.rows.sets)
        if each.settings and each.settings.scoring == "refusal"
        for line in refusal_rows(each.rows, {role: read_answers([measured.answers[role][number]]) for role in ROLES})
    ]
    return table(["set", "model", "harm accepted", "harmless refused"], lines) if lines else None


def _judge_table(loop: LoopConfig, report: EvalReport, known: Calibration) -> dg.MetadataValue:
    """How far the judge agrees with people, its biases, and how many labels or judged rows would halve each gate's interval."""
    kappa = "not known" if known.kappa is None else f"{known.kappa:.2f} (95 % interval {known.kappa_low:.2f} to {known.kappa_high:.2f})"
    lines: list[tuple[str, object]] = [
        ("labelled pairs, those of this report's answers", f"{known.n}, {sum(each.own for each in known.choices)}"),
        ("agreement with people, kappa", f"{'not known' if known.agreement is None else f'{known.agreement:.2f}'}, {kappa}"),
    ]
    if known.slices:
        lines.append(("labelled pairs by slice", ", ".join(f"{name} {number}" for name, number in sorted(known.slices.items()))))
    if known.first_position is not None:
        lines.append((f"chose what was shown first, of {known.decided} choices", known.first_position))
    if known.longer is not None:
        lines.append((f"preferred the longer answer, of {known.both_decided}; people", f"{known.longer:.2f}; {known.longer_people:.2f}"))
    for gate in single_gates(loop.gates):
        if gate.metric == "llm_judge" and (text := halving(gate, report)):
            lines.append((gate.name, text))
    return table(["LLM judge", "found"], lines + ([("problem", known.problem)] if known.problem else []))


def _parity_table(parity: Parity) -> dg.MetadataValue:
    gap = "not comparable" if parity.logprob_gap is None else f"{parity.logprob_gap:.4f} nats"
    return table(
        ["compared with the merged copy", "found"],
        [
            ("base and adapter, tokens that agree", f"{parity.adapter_agree} of {parity.adapter_tokens}"),
            ("mean gap of their log probabilities", gap),
            ("the server, tokens that agree", f"{parity.server_agree} of {parity.server_tokens}"),
            ("answers in the task's form, merged copy and server", f"{parity.valid_merged} and {parity.valid_server} of {parity.prompts}"),
            ("tokenizer and chat template", "the same" if parity.tokenizer_same else "NOT the same"),
            ("milliseconds a token, base and adapter against merged", f"{parity.adapter_ms:.1f} against {parity.merged_ms:.1f}"),
        ],
    )


def _forgetting_table(found: Forgetting) -> dg.MetadataValue:
    """How far the candidate is from other models on general prompts, and the replay that is to keep it near."""
    lines: list[tuple[str, object]] = []
    for role, values in found.kl.items():
        low, mean, most = np.quantile(values, 0.1), np.mean(values), np.quantile(values, 0.9)
        lines.append(
            (f"divergence from {role}, nats a token", f"{mean:.3f} (a tenth of {len(values)} prompts below {low:.3f}, above {most:.3f})")
        )
    lines += [(f"divergence from {role}", f"not known: {why}") for role, why in found.why.items()]
    said = "not used: it was trained from the base" if found.replay is None else f"{found.replay:g} known rows for each new one"
    return table(["general prompts", "found"], [*lines, ("replay", said)])
