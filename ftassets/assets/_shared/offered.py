"""The newest release of a loop as it waits for traffic: what was signed of it, its gates, and who approved it."""

import dagster as dg

from ftassets.assets._shared.events import SIGNED, data_version, metadata_value, report_digest
from ftassets.assets._shared.stored_reports import is_policy_of
from ftassets.backends.control.releases import NotApproved, Releases
from ftassets.config.loop import LoopConfig
from ftassets.domain.release.approval import Approval
from ftassets.domain.rollout.next_release import Offered


def offered(loop: LoopConfig, release: dg.AssetMaterialization, releases: Releases) -> tuple[Offered, Approval | None]:
    """A release by its event, and its valid approval; only a loop in mode propose asks for one. Raises OSError."""
    version, signed = data_version(release), metadata_value(release, SIGNED)
    predicate = signed if isinstance(signed, dict) else {}
    policy = predicate.get("policy_digest")
    approval, why = None, ""
    if loop.mode == "propose":
        try:
            approval = releases.approval(loop, version, report_digest(release))
        except NotApproved as error:
            why = str(error)
    same_gates = policy is None or is_policy_of(loop, str(policy))
    return Offered(loop.name, version, predicate, same_gates, approval.sentence if approval else None, why), approval
