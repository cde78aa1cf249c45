"""The probe prompts of a version, asked of its engine before it gets a share of traffic."""

import asyncio
import time
from collections.abc import Sequence

from tokenizers import Tokenizer

from ftassets.backends.artifacts.base import ArtifactMissing, Artifacts
from ftassets.backends.artifacts.reports import ReportDamaged, read_eval_report
from ftassets.backends.artifacts.versions import version_key
from ftassets.backends.model_client.live_answers import LiveAnswer, live_answers
from ftassets.config.loop import LoopConfig
from ftassets.domain.evaluation.probes import AT_LEAST, TOKENS, Probe, Tokens, not_applied
from ftassets.domain.release.version import MERGED
from ftassets.errors import in_one_line

ATTEMPTS, PAUSE = 3, 2.0  # an engine may be busy with its own users; seconds between two


async def objection(artifacts: Artifacts, loop: LoopConfig, digest: str, report_digest: str, url: str) -> str | None:
    """Why the engine at `url` (without /v1) is not the version that the report is about; None if it answers like it.

    Not asked where a server has merged weights: their bytes were checked, and there is no adapter to drop.
    """
    if loop.serving.engine != "url" and not loop.serving.adapter_server:
        return None
    return await asyncio.to_thread(_objection, artifacts, loop, digest, report_digest, url)


def _objection(artifacts: Artifacts, loop: LoopConfig, digest: str, report_digest: str, url: str) -> str | None:
    try:
        probes = read_eval_report(artifacts, loop.name, report_digest).probes
    except ReportDamaged as error:
        return f"nothing tells whether the engine applies its adapter, for {in_one_line(error)}"
    if not probes:
        return None
    answers = _answers(loop, probes, url)
    if failed := next((answer.error for answer in answers if answer.error), None):
        return f"the engine does not answer a probe prompt: {failed}"
    texts = [*(answer.text.strip() for answer in answers), *(probe.merged for probe in probes), *(probe.base for probe in probes)]
    tokens, count = _tokens(artifacts, digest, texts), len(probes)
    at_least = next((gate.at_least for gate in loop.gates if gate.metric == "parity" and gate.at_least), AT_LEAST)
    return not_applied(tokens[:count], tokens[count : 2 * count], tokens[2 * count :], at_least)


def _answers(loop: LoopConfig, probes: Sequence[Probe], url: str) -> list[LiveAnswer]:
    """The engine's greedy answers, as long as they are compared; what failed is asked again."""
    task = loop.task.model_copy(update={"temperature": 0.0, "max_tokens": min(TOKENS, loop.task.max_tokens)})
    answers = live_answers(f"{url}/v1", [probe.asked for probe in probes], task)
    for _ in range(ATTEMPTS - 1):
        failed = [number for number, answer in enumerate(answers) if answer.error]
        if not failed:
            break
        time.sleep(PAUSE)
        for number, again in zip(failed, live_answers(f"{url}/v1", [probes[number].asked for number in failed], task), strict=True):
            answers[number] = again
    return answers


def _tokens(artifacts: Artifacts, digest: str, texts: Sequence[str]) -> list[Tokens]:
    """The first token ids of texts, by the version's tokenizer; characters of a version without one."""
    try:
        tokenizer = Tokenizer.from_file(str(artifacts.local(version_key(digest, MERGED, "tokenizer.json"))))
    except ArtifactMissing:
        return [list(text[:TOKENS]) for text in texts]
    return [each.ids[:TOKENS] for each in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]
