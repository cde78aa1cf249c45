"""The note of a rollback: what happened, who did it, on what evidence, whether traffic moved, and what to do next."""

from ftassets.domain.rollout.incident import Incident
from ftassets.domain.rollout.look import GuardrailLook, RolloutLook
from ftassets.domain.rollout.transition import Transition
from ftassets.reporting.tables import markdown_table, shortened
from ftassets.wording import amount, span, utc


def incident_note(loop: str, incident: Incident) -> str:
    """The note as Markdown; it has no user's text and no user's name."""
    back = incident.transition
    served = span(back.at - incident.timeline[0].at) if len(incident.timeline) > 1 else "an unknown time"
    lines = [
        f"# {loop}: version {incident.version[:12]} lost its traffic, {utc(back.at)}",
        "",
        f"- **What**: it had {incident.share} % of the traffic, {served} after its start. {_weights(back)} now.",
        f"- **Who**: {back.by} ({back.action}, number {back.number} of the journal).",
        f"- **Why**: {shortened(back.reason) or 'no reason was given'}.",
        f"- **Did traffic move**: {_moved(incident)}",
        f"- **Next**: nothing, if that was right. `ftassets start {loop} {incident.version[:12]} --reason ...` gives it traffic once more.",
        "",
        "## Timeline",
        "",
        markdown_table(["time", "action", "by", "weights", "reason"], [_row(each) for each in incident.timeline]),
    ]
    if incident.look:
        lines += ["", *_evidence(incident.look)]
    return "\n".join(lines) + "\n"


def moved_in_short(incident: Incident) -> str:
    """Whether traffic moved, in a word or two."""
    return {None: "no request since", True: "yes", False: "NO"}[incident.moved]


def _moved(incident: Incident) -> str:
    answers = incident.answers or {}
    if incident.moved is None:
        return "there was no request since."
    if incident.moved:
        return f"yes: {amount(sum(answers.values()), 'request')} since then, each answered by another version."
    mine = answers[incident.version]
    return f"**no**: {mine} of {amount(sum(answers.values()), 'request')} since then were answered by it. The gateway's log says more."


def _row(transition: Transition) -> tuple[str, ...]:
    return utc(transition.at), transition.action, shortened(transition.by), _weights(transition), shortened(transition.reason)


def _weights(transition: Transition) -> str:
    return ", ".join(f"{version[:12]} has {weight} %" for version, weight in transition.state.weights.items()) or "no version has any"


def _evidence(look: RolloutLook) -> list[str]:
    head = ["guardrail", "e-value", "limit for a rollback", "difference, points", "at most", "must be below"]
    return [
        f"## What the rollout sensor saw last, {utc(look.at)}, at {look.weight} %",
        "",
        f"{look.move}: {shortened(look.reason)}",
        "",
        markdown_table(head, [_figures(each) for each in look.guardrails]),
        "",
        "Differences are those of the share of answers that lapse, candidate less production. `docs/rollout.md` explains each guardrail.",
    ]


def _figures(guardrail: GuardrailLook) -> tuple[str, ...]:
    estimate, bound, allowed = (
        "not known" if share is None else f"{100 * share:+.2f}" for share in (guardrail.estimate, guardrail.bound, guardrail.allowed)
    )
    return guardrail.metric, f"{guardrail.e_value:.3g}", f"{guardrail.limit:.0f}", estimate, bound, allowed
