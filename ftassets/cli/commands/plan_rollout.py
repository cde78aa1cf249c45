"""How long each decision of a rollout takes at the loop's traffic, and what fixed rules would do, before anything starts."""

from dataclasses import asdict
from typing import Any

from ftassets.cli.commands.plan import ERROR_RATE, TRAFFIC, about_rollout, rollout_lines, time_of
from ftassets.config.loop import LoopConfig
from ftassets.domain.gates.planning import POWER
from ftassets.domain.rollout.planning import DAY, FEEDBACK, RATES, WORSE, ShadowPlan, plan_proofs, plan_rollout, plan_shadow
from ftassets.domain.rollout.rules import false_rollbacks

DAYS = 7.0  # of a canary as good as production, for the fixed rules
RUNS = 1000


def run(loop: LoopConfig, traffic_per_day: float | None = None) -> dict[str, Any]:
    """Plan of every canary step and every proof, and how often fixed rules roll back a candidate as good as production; plain JSON.

    `traffic_per_day` is requests of the loop; None before it has any. What cannot be known beforehand is assumed and part of the plan.
    Raises InvalidInput for a number of requests that cannot be planned with.
    """
    per_day = TRAFFIC if traffic_per_day is None else traffic_per_day
    steps = plan_rollout(loop.rollout, per_day, ERROR_RATE)
    first = loop.rollout.steps[0] / 100
    shadow = plan_shadow(loop.rollout, per_day, ERROR_RATE)
    return {
        "loop": loop.name,
        "assumed": {
            "traffic_per_day": per_day, "traffic_known": traffic_per_day is not None, "error_rate": ERROR_RATE, "power": POWER,
            "worse": WORSE, "lapse_rates": dict(RATES), "feedback": FEEDBACK,
        },
        "false_rollback": loop.rollout.false_rollback,
        "false_promotion": loop.rollout.false_promotion,
        "shadow": shadow and asdict(shadow),
        "rollout": [asdict(step) for step in steps],
        "proofs": [asdict(proof) for proof in plan_proofs(loop.rollout, per_day)],
        "rules": false_rollbacks(first, per_day, ERROR_RATE, DAYS, RUNS) if steps else {},
        "rollout_sentences": _about_shadow(loop, shadow) + about_rollout(loop.rollout, steps),
    }  # fmt: skip


def _about_shadow(loop: LoopConfig, shadow: ShadowPlan | None) -> list[str]:
    """What a person should know of the shadow phase."""
    policy = loop.rollout.shadow
    if shadow is None or policy is None or shadow.days * DAY <= policy.max_time:
        return []
    most = time_of(policy.max_time / DAY)
    return [f"shadow is over after {most}, before it has the answers that it needs: raise rollout.shadow.sample or max_time"]


def describe(plan: dict[str, Any]) -> str:
    """The plan of `run` as lines for a terminal."""
    lines = rollout_lines(plan)
    if shadow := plan["shadow"]:
        caught = f"a candidate with {plan['assumed']['worse']:g}x errors is rolled back before that in {shadow['caught']:.0%} of rollouts"
        lines += ["", f"before it, shadow: {shadow['copies']:,} copies in {time_of(shadow['days'])}; {caught}"]
    if plan["proofs"]:
        assumed = plan["assumed"]
        lines += [
            "",
            f"all traffic needs a proof at the last step; time until a candidate as good as production has it in {assumed['power']:.0%} of "
            f"rollouts, if {assumed['feedback']:.0%} of answers have feedback and users are alike",
            "",
            f"{'guardrail':<12}  {'at most, points':>15}  {'users of either':>15}  {'time':>9}  needed",
        ]
        for proof in plan["proofs"]:
            time = "> 1 year" if proof["days"] is None else time_of(proof["days"])
            lines.append(
                f"{proof['metric']:<12}  {100 * proof['allowed']:>15.2g}  {proof['users']:>15,}  {time:>9}  "
                f"{'yes' if proof['required'] else 'no'}"
            )
    if plan["rules"]:
        lines += [
            "",
            f"candidates as good as production that are rolled back in {DAYS:.0f} days at the first step (simulated, for comparison)",
            f"  {'this loop':<48} <= {plan['false_rollback']:.0%}",
            *(f"  {name:<48} {share:>6.1%}" for name, share in plan["rules"].items()),
        ]
    return "\n".join(lines + ([""] + plan["rollout_sentences"] if plan["rollout_sentences"] else [])).strip()
