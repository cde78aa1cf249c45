"""What a loop cost, as tables and sentences for people: the same in the terminal and in the Dagster UI."""

from datetime import datetime
from zoneinfo import ZoneInfo

from ftassets.domain.spending.overview import Spending, Sum
from ftassets.domain.spending.pricing import dollars
from ftassets.domain.spending.usage import Usage
from ftassets.wording import amount

Table = tuple[list[str], list[list[str]]]  # headings and rows


def sentences(spending: Spending) -> dict[str, str]:
    """One sentence for each subject that there is something to say of."""
    found = {"runs": f"{spending.runs.sentence}: {_used(spending.runs.usage)}"}
    if spending.cycles:
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(spending.outcomes.items()))
        found["cycles"] = f"{amount(len(spending.cycles), 'run')} to make a version ({counts}): {spending.making.sentence}"
    per = spending.per_promoted
    if per is None:
        found["per_promoted_model"] = "no version came into production in this time"
    else:
        cost = "not priced" if per.usd is None else dollars(per.usd)
        seconds = f"{per.cpu_seconds:,.0f} CPU seconds and {per.gpu_seconds:,.0f} GPU seconds"
        found["per_promoted_model"] = f"{cost}, {seconds}, with all runs that were refused or failed, for each of {per.models}"
    if (budget := spending.balance) is not None:
        spent = "not priced" if budget.spent is None else dollars(budget.spent)
        state = f"no run may start: {budget.why}" if budget.why else "a run may start"
        found["budget"] = f"{spent} of {dollars(budget.budget)} in {budget.month}; {state}"
    if (against := spending.against_api) is not None:
        saved = f"{dollars(abs(against.saved_a_day))} a day {'less' if against.saved_a_day >= 0 else 'more'} than the API"
        paid = (
            "never pays"
            if against.break_even_days is None
            else f"pays {dollars(against.invested)} back in {against.break_even_days:,.1f} days"
        )
        least = "no volume" if against.break_even_tokens is None else f"{against.break_even_tokens:,.0f} answer tokens a day"
        found["against_api"] = f"{saved}, which {paid}; break-even at {least}"
    else:
        found["against_api"] = f"not compared: {spending.not_compared}"
    return found


def month_table(spending: Spending) -> Table:
    """The months: making versions, watching, versions that came into production."""
    rows = [[each.month, _usd(each.making), _usd(each.watching), str(each.promoted)] for each in spending.months]
    return ["month", "making versions", "watching", "promoted"], rows


def cycle_table(spending: Spending, zone: ZoneInfo) -> Table:
    """The runs that make versions, newest first."""
    rows = [
        [
            f"{datetime.fromtimestamp(each.at, zone):%F %H:%M}", each.run_id[:8], str(each.outcome),
            (each.version or "-")[:12], _seconds(each.cost.usage.cpu_seconds), _seconds(each.cost.usage.gpu_seconds),
            f"{each.cost.usage.tokens_trained:,}", _usd(each.cost),
        ]
        for each in reversed(spending.cycles)
    ]  # fmt: skip
    return ["began", "run", "outcome", "version", "CPU s", "GPU s", "tokens trained", "cost"], rows


def node_table(spending: Spending) -> Table:
    """What each node used."""
    rows = [
        [name, _seconds(each.usage.cpu_seconds), _seconds(each.usage.gpu_seconds), _seconds(each.usage.wall_seconds), _usd(each)]
        for name, each in sorted(spending.nodes.items(), key=lambda item: -item[1].usage.cpu_seconds - item[1].usage.gpu_seconds)
    ]
    return ["node", "CPU s", "GPU s", "time s", "cost"], rows


def version_table(spending: Spending) -> Table:
    """What each version answered, and what its server cost."""
    rows = [
        [
            each.version[:12], f"{each.served.answers:,}", f"{each.served.failed:,}", f"{each.served.tokens_in:,}",
            f"{each.served.tokens_out:,}", f"{each.served.engine_seconds:,.0f}", f"{each.tokens_per_second:,.1f}",
            f"{each.server_hours:,.1f}", "not priced" if each.usd is None else dollars(each.usd),
            "-" if each.usd_per_answer is None else dollars(1000 * each.usd_per_answer),
        ]
        for each in spending.versions
    ]  # fmt: skip
    head = [
        "version",
        "answers",
        "failed",
        "tokens in",
        "tokens out",
        "engine s",
        "busiest tokens/s",
        "server h",
        "cost",
        "per 1,000 answers",
    ]
    return head, rows


def _seconds(seconds: float) -> str:
    return f"{seconds:,.0f}" if seconds >= 100 or not seconds else f"{seconds:,.1f}"


def _usd(each: Sum) -> str:
    if each.usage == Usage():
        return "-"
    return "not priced" if each.usd is None else dollars(each.usd)


def _used(usage: Usage) -> str:
    tokens = {
        "trained": usage.tokens_trained,
        "read": usage.tokens_read,
        "written": usage.tokens_written,
        "sent to endpoints": usage.api_tokens_in,
        "of their answers": usage.api_tokens_out,
    }
    counted = ", ".join(f"{amount(count, 'token')} {what}" for what, count in tokens.items() if count)
    return f"{usage.cpu_seconds:,.0f} CPU seconds, {usage.gpu_seconds:,.0f} GPU seconds{', ' if counted else ''}{counted}"
