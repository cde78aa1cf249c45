"""A candidate's three forms on the same prompts: training stack, merged copy, model server."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.versions import own_generation, version_folder
from ftassets.backends.evaluator.base import EvaluationFailed, Evaluator
from ftassets.backends.model_client.live_answers import live_answers
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.domain.chat import Asked
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.parity import Parity, ParityJob, ParityRow, parity_of
from ftassets.domain.release.version import ADAPTER, MERGED, TOKENIZER_FILES, VersionManifest, tokenizer_digest
from ftassets.durable import file_digest
from ftassets.gateway.model_hosts.alone import model_server
from ftassets.gateway.model_hosts.base import HostError


def measure_parity(
    loop: LoopConfig,
    home: Home,
    artifacts: Artifacts,
    evaluator: Evaluator,
    serving_url: str,
    manifest: VersionManifest,
    prompts: Sequence[Example],
    merged_answers: Mapping[str, str],
    context: Any,
) -> Parity:
    """Ask the server that serves the candidate, `serving_url` ends in /v1, and compare with the merged copy's answers by row id.

    Takes as many prompts, spread evenly, as the loop's largest parity gate needs. Decodes greedily at any task temperature, because
    sampled answers differ by chance: if the server samples, a greedy one of the same program is started instead.
    Raises EvaluationFailed when a prompt has no answer or the candidate was not trained here.
    """
    if manifest.base_digest is None:
        raise EvaluationFailed(f"version {manifest.digest[:12]} was not trained here: it has no training stack to compare with")
    count = min(max((gate.sample for gate in loop.gates if gate.metric == "parity"), default=len(prompts)), len(prompts))
    chosen = [prompts[number * len(prompts) // count] for number in range(count)]
    if not chosen:
        raise EvaluationFailed("there is no prompt to compare: the golden set is empty")
    if missing := [row.id for row in chosen if row.id not in merged_answers]:
        raise EvaluationFailed(f"the merged copy has not answered {', '.join(missing[:3])}")
    greedy = loop.task.model_copy(update={"temperature": 0.0})
    rows = []
    with _greedy(serving_url, artifacts, manifest) as url:
        answers = live_answers(url, chosen, greedy)
    for row, served in zip(chosen, answers, strict=True):
        if served.error:
            raise EvaluationFailed(f"the server of {manifest.digest[:12]} did not answer row {row.id}: {served.error}")
        rows.append(
            ParityRow(asked=Asked(messages=row.messages, tools=row.tools), merged=merged_answers[row.id], server=served.text.strip())
        )

    version = version_folder(artifacts, manifest.digest)
    work = home.work / f"{context.run_id}-parity"
    work.mkdir(parents=True, exist_ok=True)
    try:
        job = ParityJob(
            base=version_folder(artifacts, manifest.base_digest) / MERGED,
            adapter=version / ADAPTER if manifest.kind == ADAPTER else None,
            merged=version / MERGED,
            system_prompt=loop.task.system_prompt,
            rows=rows,
            output=work / "parity.json",
            work=work,
        )
        found = evaluator.parity(job, context)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    on_disk = tokenizer_digest(
        {f"{MERGED}/{n}": file_digest(version / MERGED / n) for n in TOKENIZER_FILES if (version / MERGED / n).exists()}
    )
    return parity_of(found, rows, loop.task.form, on_disk == manifest.tokenizer_digest)


@contextmanager
def _greedy(serving_url: str, artifacts: Artifacts, manifest: VersionManifest) -> Iterator[str]:
    """URL, with /v1, of a server of the version that decodes greedily: its own where that does. Raises EvaluationFailed."""
    if not manifest.generation.get("temperature"):
        yield serving_url
        return
    try:
        with model_server(version_folder(artifacts, manifest.digest), 0.0, own_generation(artifacts, manifest.digest)) as url:
            yield f"{url}/v1"
    except HostError as error:
        raise EvaluationFailed(f"parity needs a greedy server of {manifest.digest[:12]}: {error}") from error
