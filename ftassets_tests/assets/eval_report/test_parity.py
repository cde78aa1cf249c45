"""A broken merge, another template and a server with another prompt are each seen, on a real adapter of a tiny model."""

import asyncio
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ftassets.assets.eval_report.parity import measure_parity
from ftassets.backends.artifacts.version_folder import file_digests, read_manifest
from ftassets.backends.evaluator.base import EvaluationFailed
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import artifacts
from ftassets.domain.chat import chat, question
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.parity import Parity
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.parity import evaluate_parity
from ftassets.domain.gates.result import GateResult, Verdict
from ftassets.domain.release.version import MERGED, VersionManifest, tokenizer_digest
from ftassets.testing.thread_host import ThreadHost, transformers_app
from ftassets.testing.tiny_job import tiny_job
from ftassets.testing.tiny_loop import ROOMS, EvaluatorHere, tiny_config
from ftassets.testing.tiny_model import make_tiny_model
from ftassets.workers.evaluation.generate import generate
from ftassets.workers.training.sft import train

pytestmark = pytest.mark.models

VERBS = ("dim", "light", "open", "shut")
PROMPTS = [
    Example(id=f"{verb}-{room}", messages=question(f"{verb} the light in the {room}"), completion="{}") for verb in VERBS for room in ROOMS
]
GATE = {"metric": "parity", "at_least": 0.85, "sample": 32}
CONTEXT: Any = SimpleNamespace(run_id="run", log=SimpleNamespace(info=lambda _: None))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A home's folder with one trained version, and its digest."""
    root = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FTASSETS_CACHE", str(root / "cache"))
        result = train(tiny_job(root / "training", make_tiny_model(root / "base"), VERBS, epochs=16), lambda _: None)
        yield root, result.digest


class Candidate:
    """A copy of the trained version that a test may damage."""

    def __init__(self, folder: Path, trained: tuple[Path, str]) -> None:
        root, digest = trained
        shutil.copytree(root / "versions", folder / "versions", symlinks=True)
        self.home, self.manifest = Home(folder), read_manifest(folder / "versions" / digest)
        self.merged = folder / "versions" / digest / MERGED
        task = {"system_prompt": "Answer as JSON.", "max_tokens": 24, "temperature": 0.7}
        self.loop: LoopConfig = tiny_config(folder, root / "base", gates=[GATE], task=task)

    def answers(self, system_prompt: str = "Answer as JSON.") -> dict[str, str]:
        chats = [chat(system_prompt, row) for row in PROMPTS]
        batches = generate(self.merged, chats, self.loop.task.max_tokens, 8, lambda _: None)
        return {PROMPTS[place].id: row["answer"] for rows in batches for place, row in rows.items()}

    def measure(self, url: str, answers: Mapping[str, str], manifest: VersionManifest | None = None) -> Parity:
        return measure_parity(
            self.loop, self.home, artifacts(self.home), EvaluatorHere(), url, manifest or self.manifest, PROMPTS, answers, CONTEXT
        )


@pytest.fixture
def candidate(tmp_path: Path, trained: tuple[Path, str]) -> Candidate:
    return Candidate(tmp_path / "home", trained)


@contextmanager
def server(app: Any) -> Iterator[str]:
    host = ThreadHost(lambda _: app)
    try:
        asyncio.run(host.start("version", Path("version")))
        yield f"{asyncio.run(host.running())['version']}/v1"
    finally:
        host.close()


def saying(answers: Mapping[str, str], asked: list[dict] | None = None) -> Starlette:
    """A server that gives these answers, by row id; a row it has no answer to is an error."""
    texts = {row.prompt: answers[row.id] for row in PROMPTS if row.id in answers}

    async def completions(request: Request) -> Response:
        body = await request.json()
        if asked is not None:
            asked.append(body)
        text = texts.get(body["messages"][-1]["content"])
        if text is None:
            return JSONResponse({"detail": "no"}, 500)
        return JSONResponse({"choices": [{"message": {"role": "assistant", "content": text}}]})

    return Starlette(routes=[Route("/v1/chat/completions", completions, methods=["POST"])])


def verdict(found: Parity) -> GateResult:
    report: Any = SimpleNamespace(parity=found)  # all that the gate reads
    return evaluate_parity(Gate.model_validate(GATE), report)


def test_a_sound_version_passes_on_a_real_server(candidate: Candidate) -> None:
    answers = candidate.answers()
    assert len(set(answers.values())) > 2  # the adapter has learned to tell requests apart
    with server(transformers_app(candidate.merged.parent)) as url:
        found = candidate.measure(url, answers)
    assert verdict(found).verdict is Verdict.PASS, found
    assert found.prompts == 32
    assert found.adapter_tokens == sum(1 for _ in PROMPTS) + found.server_tokens  # the end of each answer is predicted too
    assert found.logprob_gap is not None
    assert 0 < found.logprob_gap < 0.1
    assert found.adapter_ms > 0 < found.merged_ms
    assert list((candidate.home.root / "work").iterdir()) == []


def test_the_server_is_asked_greedily_with_the_task_s_prompt_and_length(candidate: Candidate) -> None:
    asked: list[dict] = []
    with server(saying({row.id: "{}" for row in PROMPTS}, asked)) as url:
        candidate.measure(url, {row.id: "{}" for row in PROMPTS})
    assert len(asked) == 32
    assert {(body["temperature"], body["max_tokens"], body["messages"][0]["content"]) for body in asked} == {(0.0, 24, "Answer as JSON.")}


def test_a_merge_that_lost_the_adapter_fails_though_the_server_serves_it_faithfully(candidate: Candidate) -> None:
    assert candidate.manifest.base_digest
    base = candidate.home.versions / candidate.manifest.base_digest / MERGED
    shutil.copyfile(base / "model.safetensors", candidate.merged / "model.safetensors")
    answers = candidate.answers()
    with server(saying(answers)) as url:
        found = candidate.measure(url, answers)
    assert min(found.server_shares) == 1.0
    assert found.adapter_agree < 0.8 * found.adapter_tokens
    assert verdict(found).verdict is Verdict.FAIL


@pytest.mark.parametrize("published_so", [False, True])
def test_another_chat_template_fails_also_when_the_manifest_was_written_for_it(candidate: Candidate, published_so: bool) -> None:
    template = candidate.merged / "chat_template.jinja"
    template.write_text(template.read_text().replace("message['role']", "message['role'] + ':'"))
    manifest = candidate.manifest
    if published_so:
        manifest = manifest.model_copy(update={"tokenizer_digest": tokenizer_digest(file_digests(candidate.merged.parent))})
    answers = candidate.answers()
    with server(saying(answers)) as url:
        found = candidate.measure(url, answers, manifest)
    assert not found.tokenizer_same
    assert verdict(found).verdict is Verdict.FAIL


def test_another_vocabulary_leaves_nothing_to_compare(candidate: Candidate) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(candidate.merged)
    tokenizer.add_tokens(["lamp"])
    tokenizer.save_pretrained(candidate.merged)
    with server(saying({row.id: "{}" for row in PROMPTS})) as url:
        found = candidate.measure(url, {row.id: "{}" for row in PROMPTS})
    assert (found.adapter_agree, found.logprob_gap, found.tokenizer_same) == (0, None, False)
    assert verdict(found).verdict is Verdict.FAIL


def test_a_server_with_another_system_prompt_fails(candidate: Candidate) -> None:
    with server(saying(candidate.answers("Say it in a poem, and name the weather."))) as url:
        found = candidate.measure(url, candidate.answers())
    assert found.server_agree < found.server_tokens
    assert verdict(found).verdict is Verdict.FAIL


def test_a_server_that_does_not_answer_is_an_error_that_names_the_row(candidate: Candidate) -> None:
    answers = {row.id: "{}" for row in PROMPTS}
    silent = saying({key: text for key, text in answers.items() if key != "dim-hall"})
    with server(silent) as url, pytest.raises(EvaluationFailed, match="row dim-hall.*500"):
        candidate.measure(url, answers)


def test_a_row_the_merged_copy_has_not_answered_is_an_error(candidate: Candidate) -> None:
    with pytest.raises(EvaluationFailed, match="has not answered dim-hall"):
        candidate.measure("http://127.0.0.1:9/v1", {row.id: "{}" for row in PROMPTS if row.id != "dim-hall"})
