"""The real `transformers serve`, at a temperature and without one: its answers are those that evaluation expects."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import requests

from ftassets.backends.artifacts.version_folder import file_digests, publish_below
from ftassets.domain.chat import Asked, chat, request_body
from ftassets.domain.release.decoding import decoding
from ftassets.domain.release.version import VersionManifest
from ftassets.gateway.model_hosts.alone import model_server
from ftassets.gateway.model_hosts.base import HostError
from ftassets.testing.tiny_model import make_tiny_model
from ftassets.workers.evaluation.generate import generate

pytestmark = [pytest.mark.slow, pytest.mark.models]

PROMPTS = [Asked.of(f"dim the light in the {room}") for room in ("kitchen", "hall", "attic", "garage", "cellar", "porch")]
OWN: dict[str, Any] = {"repetition_penalty": 1.8, "temperature": 0.6, "top_k": 20}  # as chat models come
TOKENS = 12


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("home")
    merged = make_tiny_model(root / "staging" / "merged")
    settings = json.loads((merged / "generation_config.json").read_bytes())
    (merged / "generation_config.json").write_text(json.dumps({**settings, **OWN}))
    files = file_digests(root / "staging")
    manifest = VersionManifest(kind="adapter", base_model="tiny", files=files, tokenizer_digest=None, generation={})
    return root / "versions" / publish_below(root / "versions", root / "staging", manifest)


def served(url: str, number: int, **settings: Any) -> str:
    body = {**request_body("Answer.", PROMPTS[number]), "max_tokens": TOKENS, **settings}
    answer = requests.post(f"{url}/v1/chat/completions", json=body, timeout=60)
    assert answer.ok, answer.text
    return answer.json()["choices"][0]["message"]["content"].strip()


def evaluated(version: Path, temperature: float, seed: int = 0) -> list[str]:
    chats = [chat("Answer.", asked) for asked in PROMPTS]
    batches = generate(version / "merged", chats, TOKENS, 8, lambda _: None, decoding=decoding(temperature, OWN), seed=seed)
    rows = {place: row["answer"] for batch in batches for place, row in batch.items()}
    return [rows[place] for place in range(len(PROMPTS))]


@pytest.mark.timeout(300)
def test_a_greedy_server_says_what_evaluation_says_also_of_a_model_with_a_penalty(version: Path) -> None:
    expected = evaluated(version, 0.0)
    with model_server(version, 0.0, OWN) as url:
        assert [served(url, number) for number in range(len(PROMPTS))] == expected
        # the first request decides for all: this one is not sampled
        assert served(url, 0, temperature=1.5) == expected[0]


@pytest.mark.timeout(300)
def test_a_server_at_a_temperature_samples_and_so_does_evaluation(version: Path) -> None:
    with model_server(version, 0.9, OWN) as url:
        assert len({served(url, 0) for _ in range(8)}) > 1
        assert len({served(url, 0, temperature=0.0) for _ in range(8)}) > 1, "then parity could ask this server for greedy answers"
    assert evaluated(version, 0.9, seed=1) == evaluated(version, 0.9, seed=1)
    assert evaluated(version, 0.9, seed=1) != evaluated(version, 0.9, seed=2)


def test_a_version_that_was_changed_is_not_served(version: Path, tmp_path: Path) -> None:
    copy = tmp_path / version.name
    shutil.copytree(version, copy)
    (copy / "merged" / "config.json").write_text("{}")
    with pytest.raises(HostError, match="exit code 3: .*config.json is missing or was changed"), model_server(copy, 0.0, {}):
        pass
