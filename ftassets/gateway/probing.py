"""The probe prompts of a version, asked of its engine before it gets a share of traffic."""

import asyncio
import logging
from collections.abc import Sequence

from tokenizers import Tokenizer

from ftassets.backends.artifacts.base import ArtifactMissing, Artifacts
from ftassets.backends.artifacts.reports import ReportDamaged, read_eval_report
from ftassets.backends.artifacts.versions import version_key
from ftassets.backends.model_client.live_answers import live_answers
from ftassets.config.loop import LoopConfig
from ftassets.domain.evaluation.probes import AT_LEAST, not_applied
from ftassets.domain.release.version import MERGED
from ftassets.errors import in_one_line

log = logging.getLogger(__name__)


async def objection(artifacts: Artifacts, loop: LoopConfig, digest: str, report_digest: str, url: str) -> str | None:
    """Why the engine at `url` (without /v1) is not the version that the report is about; None if it answers like it."""
    return await asyncio.to_thread(_objection, artifacts, loop, digest, report_digest, url)


def _objection(artifacts: Artifacts, loop: LoopConfig, digest: str, report_digest: str, url: str) -> str | None:
    try:
        probes = read_eval_report(artifacts, loop.name, report_digest).probes
    except ReportDamaged as error:
        if loop.serving.engine == "url" or loop.serving.adapter_server:
            return f"nothing tells whether the engine applies its adapter, for {in_one_line(error)}"
        log.warning("%s: version %s is not probed: %s", loop.name, digest[:12], error)  # its merged weights were checked, byte by byte
        return None
    if not probes:
        return None
    answers = live_answers(f"{url}/v1", [probe.asked for probe in probes], loop.task.model_copy(update={"temperature": 0.0}))
    if failed := next((answer.error for answer in answers if answer.error), None):
        return f"the engine does not answer a probe prompt: {failed}"
    served = [answer.text.strip() for answer in answers]
    tokens = _tokens(artifacts, digest, [*served, *(probe.merged for probe in probes)])
    shares = [_share(one, other) for one, other in zip(tokens[: len(served)], tokens[len(served) :], strict=True)]
    at_least = next((gate.at_least for gate in loop.gates if gate.metric == "parity" and gate.at_least), AT_LEAST)
    return not_applied(probes, served, shares, at_least)


def _tokens(artifacts: Artifacts, digest: str, texts: Sequence[str]) -> list[Sequence[object]]:
    """Token ids of texts, by the version's tokenizer; characters of a version without one."""
    try:
        tokenizer = Tokenizer.from_file(str(artifacts.local(version_key(digest, MERGED, "tokenizer.json"))))
    except ArtifactMissing:
        return [list(text) for text in texts]
    return [each.ids for each in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


def _share(one: Sequence[object], other: Sequence[object]) -> float:
    """Positions with the same token, of all positions: as the parity of an eval report counts them."""
    longest = max(len(one), len(other))
    return sum(a == b for a, b in zip(one, other, strict=False)) / longest if longest else 1.0
