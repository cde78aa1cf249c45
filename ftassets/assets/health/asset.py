"""The page of an on-call engineer: what needs a person, what each monitor found last, what waits and until when."""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from ftassets.assets._shared.events import node
from ftassets.assets._shared.node import asset
from ftassets.assets.health.observe import Stores, all_states, observe
from ftassets.backends.control.base import Control
from ftassets.backends.control.shadow import read_shadow
from ftassets.backends.serving.base import Serving
from ftassets.backends.signer.base import Signer
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.config.loop import LoopConfig
from ftassets.domain.health.health import Concern, Health
from ftassets.domain.shadow import ShadowRetrain, in_words
from ftassets.reporting.tables import table
from ftassets.reporting.trends import retrains
from ftassets.wording import span

CHECK = "nothing_needs_a_person"
_SEVERE = {"page": dg.AssetCheckSeverity.ERROR, "ticket": dg.AssetCheckSeverity.WARN}

Event = dg.AssetMaterialization | dg.AssetCheckEvaluation


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset, with a check; the sensor `LOOP__health` reports both when what needs a person changes."""
    key = node(loop.name, "health")

    @asset(
        loop,
        __doc__,
        {"python"},
        deps=["endpoint"],
        check_specs=[dg.AssetCheckSpec(CHECK, asset=key, description="No concern is a page or a ticket.")],
    )
    def health(
        context: dg.AssetExecutionContext,
        control: dg.ResourceParam[Control],
        traffic_log: dg.ResourceParam[TrafficLog],
        serving: dg.ResourceParam[Serving],
        signer: dg.ResourceParam[Signer],
    ) -> dg.MaterializeResult:
        found = observe(loop, Stores(control, traffic_log, serving, signer, context.instance, all_states(context.instance)), time.time())
        return dg.MaterializeResult(
            metadata=metadata(loop, found, shadow_of(control, loop)), check_results=[dg.AssetCheckResult(**_check(found), check_name=CHECK)]
        )

    return health


def events(loop: LoopConfig, found: Health, ledger: Sequence[ShadowRetrain] = ()) -> list[Event]:
    """What a sensor reports of the health it found."""
    key = node(loop.name, "health")
    return [
        dg.AssetMaterialization(key, metadata=metadata(loop, found, ledger)),
        dg.AssetCheckEvaluation(asset_key=key, check_name=CHECK, **_check(found)),
    ]


def metadata(loop: LoopConfig, found: Health, ledger: Sequence[ShadowRetrain] = ()) -> dict[str, Any]:
    """The tables of the page; of a loop in mode observe with the `ledger` of what auto would have done."""

    def when(at: float | None) -> str:
        return "-" if at is None else f"{datetime.fromtimestamp(at, ZoneInfo(loop.timezone)):%F %H:%M}"

    trigger, feedback = found.trigger, found.feedback
    return {
        "verdict": verdict(found.concerns),
        "concerns": table(
            ["severity", "concern", "what", "since", "next command"],
            [(each.severity, each.key, each.text, when(each.since), each.command or "-") for each in found.concerns],
        ),
        "monitors": table(
            ["monitor", "verdict", "age", "version", "without data since", "next", "note"],
            [
                (
                    each.name,
                    each.verdict or "none yet",
                    "-" if each.at is None else span(found.at - each.at),
                    (each.version or "-")[:12],
                    when(each.unmeasured_since),
                    when(each.next_at),
                    each.note,
                )
                for each in found.monitors
            ],
        ),
        "last_decision": "none yet" if trigger is None else f"{when(trigger.at)}: {trigger.action}: {trigger.reason}",
        "new_labels": trigger.new_labels if trigger else "unknown",
        "retrains_in_quarter": trigger.retrains_in_quarter if trigger else "unknown",
        "next_scheduled_retrain": when(trigger.schedule_due_at if trigger else None),
        **({"requests_per_day": feedback.requests_per_day, "feedback_per_day": feedback.feedback_per_day} if feedback else {}),
        "newest_request": when(found.traffic.last_at),
        **(_shadow(loop, ledger, found.at) if ledger else {}),
    }


def shadow_of(control: Control, loop: LoopConfig) -> list[ShadowRetrain]:
    """What auto would have done of a loop in mode observe; nothing where that cannot be read, which `status` says."""
    try:
        return read_shadow(control, loop.name) if loop.mode == "observe" else []
    except (OSError, ValueError):
        return []


def _shadow(loop: LoopConfig, ledger: Sequence[ShadowRetrain], now: float) -> dict[str, Any]:
    made = [(each.at, each.new_labels, each.trigger) for each in ledger]
    shown = dg.MetadataValue.md(retrains("retrains that auto would have started", made, loop.retrain_on.min_new_labels))
    return {"auto_would_have": in_words(ledger, now), "shadow_ledger": shown}


def verdict(concerns: tuple[Concern, ...]) -> str:
    """One line: how many concerns of each severity there are."""
    counts = {severity: sum(each.severity == severity for each in concerns) for severity in ("page", "ticket", "info")}
    return ", ".join(f"{count} {severity}" for severity, count in counts.items() if count) or "ok"


def _check(found: Health) -> dict[str, Any]:
    wrong = [each for each in found.concerns if each.severity in _SEVERE]
    severity = _SEVERE["page" if any(each.severity == "page" for each in wrong) else "ticket"]
    return {"passed": not wrong, "severity": severity, "description": "; ".join(each.text for each in wrong) or "nothing needs a person"}
