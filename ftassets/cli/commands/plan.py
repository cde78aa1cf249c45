"""What a loop's gates, drift reports and rollout can show with the rows and the traffic it has, before a GPU is spent."""

from dataclasses import asdict
from typing import Any

from ftassets.backends.serving.base import ServingError
from ftassets.cli.commands.check import read_files
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig, Rollout
from ftassets.config.profiles import backend, embedder
from ftassets.domain.chat import vector_space
from ftassets.domain.drift.planning import DriftPlan, plan_drift, unplanned
from ftassets.domain.gates.error_budget import DAY, YEAR, Ledger, Outlook, at_level, outlook, steady_level, wanted_level
from ftassets.domain.gates.planning import DISCORDANCE, EFFECT, POWER, SPREAD, RowCounts, held_back, plan_policy
from ftassets.domain.gates.presets import single_gates
from ftassets.domain.gates.report import HELD_OUT
from ftassets.domain.gates.wear import lasts
from ftassets.domain.loop_check.rows import curated_rows, row_counts
from ftassets.domain.rollout.planning import WORSE, StepPlan, plan_rollout
from ftassets.wording import amount

TRAFFIC = 1000.0  # requests a day that are assumed before there is any traffic
RATES = (6, 12, 26, 52)  # candidates a year that are planned for, as far as the policy allows them
GAINS = (0.02, 0.04, 0.08)  # of models that should not be missed
QUARTER = 91 * DAY


def rows_of(loop: LoopConfig) -> RowCounts:
    """Rows that a first report on this loop's files would have, with the held-out ones of the seed where a gate is on them.

    Raises InvalidInput, OSError when a file cannot be read.
    """
    seed, golden, *sets = read_files(loop)
    tested = [row for each in (golden, *sets) for row in each.rows]
    return row_counts(loop, golden, sets, curated_rows(loop, seed, tested)[0] if _held_out(loop) else None)


ERROR_RATE = 0.01  # of production, assumed


def _held_out(loop: LoopConfig) -> bool:
    return any(gate.slice == HELD_OUT for gate in single_gates(loop.gates))


def drift_of(home: Home, loop: LoopConfig, traffic_per_day: float | None) -> DriftPlan:
    """What drift reports will find, by production's reference; without one, why that is not known yet."""
    policy = loop.retrain_on.drift
    try:
        production = backend(home, "serving").state(loop.name).production
    except ServingError as error:
        return unplanned(policy, str(error))
    if production is None:
        return unplanned(policy, "nothing is in production yet")
    from ftassets.assets.drift_report import reference as drift_reference  # imports dagster, which takes seconds
    from ftassets.assets.drift_report.asset import false_alarm_rate

    space = vector_space(embedder(loop.embedder).id, loop.dataset.context)
    known, _ = drift_reference.usable(drift_reference.stored(backend(home, "dataset_store"), loop.name, production), space)
    if known is None:
        return unplanned(policy, f"the reference waits for production's first answers: {drift_reference.waits_for(policy)}")
    return plan_drift(known.reference, policy, false_alarm_rate(loop), traffic_per_day)


def run(
    loop: LoopConfig,
    rows: RowCounts,
    traffic_per_day: float | None = None,
    discordance: float = DISCORDANCE,
    effect: float = EFFECT,
    ledger: Ledger | None = None,
    now: float = 0.0,
    drift: DriftPlan | None = None,
) -> dict[str, Any]:
    """Plan of every gate and every canary step, as plain JSON.

    Gates are planned at the level that the error budget gives the next decision at `now` (epoch seconds), after those of the `ledger`;
    `error_budget` has that level, and what a year of candidates may bring; None without a budget. `golden_set_lasts` is a number of
    candidates, None above 1,000.

    `rows` are those that a report will have. `traffic_per_day` is requests of the loop; None before it has any, which changes the
    rollout's times and no gate. What cannot be known beforehand is assumed and part of the plan: the share of rows only one of the two
    models gets right, the true gain a better model has, production's error rate, and the standard deviation of log response times. A
    gate that cannot be planned is there with the reason and without power. Raises ValueError on an assumption that is impossible.
    """
    budget = _budget(loop, ledger or Ledger(decisions=()), now)
    policy = plan_policy([at_level(gate, budget.level) if budget else gate for gate in loop.gates], rows, effect, discordance, SPREAD)
    per_day = TRAFFIC if traffic_per_day is None else traffic_per_day
    steps = plan_rollout(loop.rollout, per_day, ERROR_RATE)
    return {
        "loop": loop.name,
        "assumed": {
            "traffic_per_day": per_day, "traffic_known": traffic_per_day is not None, "discordance": discordance, "effect": effect,
            "error_rate": ERROR_RATE, "latency_spread": SPREAD, "power": POWER, "worse": WORSE,
        },
        "gates": [asdict(gate) for gate in policy.gates],
        "all_gates": {"power": policy.power, "at_least": policy.at_least, "at_most": policy.at_most},
        "error_budget": budget and {
            **asdict(budget), "full_in": budget.full_in, "sentence": budget.sentence,
            "years": [_year(loop, rows, budget, candidates, discordance) for candidates in _rates(loop)],
        },
        "golden_set_lasts": lasts(loop.gates, rows, discordance),
        "drift": drift and drift.as_json,
        "rollout": [asdict(step) for step in steps],
        "rollout_sentences": about_rollout(loop.rollout, steps),
    }  # fmt: skip


def _budget(loop: LoopConfig, ledger: Ledger, now: float) -> Outlook | None:
    per_year = loop.release.bad_promotions_a_year
    return None if per_year is None else outlook(ledger, per_year, wanted_level(loop.gates), now)


def _rates(loop: LoopConfig) -> list[int]:
    """Candidates a year to plan for: the usual ones below what the policy allows to start by itself, and that, at most one a week."""
    policy = loop.retrain_on
    most = YEAR / policy.cooldown if policy.cooldown else float("inf")
    if policy.max_retrains is not None:
        most = min(most, policy.max_retrains * YEAR / QUARTER)
    last = max(1, int(min(most, RATES[-1])))
    return [rate for rate in RATES if rate < last] + [last]


def _year(loop: LoopConfig, rows: RowCounts, budget: Outlook, candidates: int, discordance: float) -> dict[str, Any]:
    """A year of so many candidates at even distances, once the budget has settled."""
    level = steady_level(budget.per_year, budget.wanted, candidates)
    missed = {f"{gain:g}": held_back(loop.gates, rows, gain, discordance, level) for gain in GAINS}
    return {"candidates": candidates, "level": level, "bad_promotions": candidates * level, "missed": missed}


_ASSUMED = " (assumed: there was no request in the last week; name yours with --requests)"


def describe(plan: dict[str, Any]) -> str:
    """The plan of `run` as lines for a terminal."""
    assumed = plan["assumed"]
    width = max(len("gate"), *(len(gate["name"]) for gate in plan["gates"]))
    several = sum(gate["power"] is not None for gate in plan["gates"]) > 1
    lines = [
        f"{plan['loop']}: power with the golden rows there are, and rows for {assumed['power']:.0%}; assumed: only one of the two models "
        f"is right on {assumed['discordance']:.0%} of rows, log response times spread by {assumed['latency_spread']:g}",
        "",
        f"{'gate':<{width}}  {'true gain':>9}  {'rows':>7}  {'needed':>7}  {'power':>5}"
        + (f"  {'for all':>7}" if several else "")
        + "  unit",
    ]
    for gate in plan["gates"]:
        needed, for_all = (f"{rows:,}" if rows else "-" for rows in (gate["needed"], gate["needed_for_all"]))
        gain, power = ("-", "-") if gate["power"] is None else (f"{gate['effect']:.2f}", f"{gate['power']:.0%}")
        line = f"{gate['name']:<{width}}  {gain:>9}  {gate['rows']:>7,}  {needed:>7}  {power:>5}"
        lines.append(line + (f"  {for_all:>7}" if several else "") + f"  {gate['unit']}")
    if several:
        lines.append(_all_gates(plan))
    if budget := plan["error_budget"]:
        gains = list(budget["years"][0]["missed"])
        lines += [
            "",
            f"error budget: {budget['sentence']}",
            "in a year, if every candidate just breaks a claim; and the least share of better models that is missed, by their gain",
            "",
            f"{'candidates':>10}  {'level':>6}  {'bad promotions':>14}" + "".join(f"  {'missed ' + gain:>11}" for gain in gains),
        ]
        for year in budget["years"]:
            missed = ["-" if share is None else f"{share:.0%}" for share in year["missed"].values()]
            bad = f"<= {year['bad_promotions']:.2g}"
            lines.append(f"{year['candidates']:>10}  {year['level']:>6.3g}  {bad:>14}" + "".join(f"  {share:>11}" for share in missed))
    if lasting := plan["golden_set_lasts"]:
        times = amount(lasting, "candidate")
        lines += ["", f"the golden set lasts for {times}: then replace rows, for choosing among more wears it out"]
    weak = [f"{gate['name']}: {gate['sentence']}" for gate in plan["gates"] if gate["power"] is None or gate["power"] < assumed["power"]]
    lines += rollout_lines(plan)
    if plan["drift"]:
        lines += ["", f"drift: {'; '.join(plan['drift']['sentences'])}"]
    sentences = weak + plan["rollout_sentences"]
    return "\n".join(lines + ([""] + sentences if sentences else []))


def rollout_lines(plan: dict[str, Any]) -> list[str]:
    """The canary steps of a plan as a table."""
    assumed = plan["assumed"]
    if not plan["rollout"]:
        return []
    worse = f"{assumed['worse']:g}x errors"
    lines = [
        "",
        f"rollout at {assumed['traffic_per_day']:,.0f} requests a day{'' if assumed['traffic_known'] else _ASSUMED}, "
        f"production fails {assumed['error_rate']:.2%} of them; "
        f"requests of the candidate and time, enough for {assumed['power']:.0%} of rollouts",
        "",
        f"{'step':>5}  {'rolls back ' + worse:>24}  {'may go on':>20}  {'of these, back by then':>24}",
    ]
    for step in plan["rollout"]:
        back = "-" if step["rollback_days"] is None else f"{step['rollback_requests']:,} in {time_of(step['rollback_days'])}"
        forth = f"{step['promote_requests']:,} in {time_of(step['promote_days'])}"
        lines.append(f"{step['weight']:>3} %  {back:>24}  {forth:>20}  {step['caught']:>24.0%}")
    return lines


def _all_gates(plan: dict[str, Any]) -> str:
    """The chance to be released, which takes a PASS of every gate."""
    chances, known = plan["all_gates"], sum(gate["power"] is not None for gate in plan["gates"])
    which = "all gates" if known == len(plan["gates"]) else f"those that can be planned, {known} of {len(plan['gates'])},"
    return (
        f"{which} pass together with {chances['power']:.0%} if they are independent, between {chances['at_least']:.0%} and "
        f"{chances['at_most']:.0%} if they are not; with the rows under `for all` in {plan['assumed']['power']:.0%} of cases or more"
    )


def about_rollout(policy: Rollout, steps: list[StepPlan]) -> list[str]:
    """What a person should know of the canary steps."""
    if not steps:
        return ["the rollout has no canary step: a candidate gets all traffic at once and nothing can be proved before"]
    sentences = []
    if steps[-1].caught < POWER:
        first = steps[0].rollback_requests
        advice = f"; min_requests {first:,} would hold it at {steps[0].weight} % for long enough" if first else ""
        waits = any(guardrail.metric == "errors" and guardrail.required for guardrail in policy.guardrails)
        ends = "is left at the last step, without a proof," if waits else "gets all traffic"
        sentences.append(f"a candidate with {WORSE:g} times the errors {ends} in {1 - steps[-1].caught:.0%} of rollouts{advice}")
    if policy.on_not_enough_data == "rollback":
        interval = policy.interval / 86_400
        sentences += [
            f"at {step.weight} % a good candidate goes back for want of data: "
            f"{amount(policy.min_requests, 'answer takes', 'answers take')} "
            f"{time_of(step.promote_days)}, the step lasts {time_of(interval)}"
            for step in steps
            if step.promote_days > interval
        ]
    return sentences


def time_of(days: float) -> str:
    """Days as people say them."""
    minutes = days * 1440
    return f"{minutes:.0f} min" if minutes < 60 else f"{days * 24:.1f} h" if days < 2 else f"{days:.1f} days"
