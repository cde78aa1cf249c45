"""Versions and attestations for tests that need no model."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ftassets.backends.artifacts.reports import store_eval_report
from ftassets.backends.artifacts.version_folder import file_digests
from ftassets.backends.artifacts.versions import load_manifest, publish
from ftassets.backends.control.error_budget import start_ledger
from ftassets.backends.signer.folder import FolderSigner
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import artifacts, control
from ftassets.domain.acceptance import Check
from ftassets.domain.dataset.acceptance import BLOCKING
from ftassets.domain.evaluation.probes import Probe
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.release.attestation import statement
from ftassets.domain.release.version import VersionManifest

ACCEPTED = {name: Check(passed=True, sentence="as if it had been decided") for name in BLOCKING}  # verdicts of a dataset

# guardrails of a loop whose canaries have too few users to prove anything
FEW_USERS = [{"metric": "errors", "required": False}, {"metric": "form", "required": False}]


def loop_config(name: str = "support", **changes: Any) -> LoopConfig:
    return LoopConfig.model_validate(
        {
            "name": name,
            "base_model": "tiny",
            "golden_set": "golden.jsonl",
            "dataset": {"seed": "seed.jsonl"},
            "task": {"system_prompt": "Answer with the tool call.", "max_tokens": 48},
            "gates": [{"metric": "exact_match", "better_than": "production"}],
            **changes,
        }
    )


def make_version(
    home: Home,
    content: str,
    loop: str | None = None,
    parts: Sequence[str] = (),
    texts: Mapping[str, str] = MappingProxyType({}),
    **stated: Any,
) -> str:
    """A published version whose weights are `content`; its digest.

    `parts` are further files with that content, `texts` files with their own, `stated` fields of its manifest.
    """
    staging = home.root / f"staging-{content}"
    for part, text in {**dict.fromkeys(("merged/model.safetensors", *parts), content), **texts}.items():
        (staging / part).parent.mkdir(parents=True, exist_ok=True)
        (staging / part).write_text(text)
    manifest = VersionManifest.model_validate(
        {
            "kind": "adapter",
            "base_model": "tiny",
            "files": file_digests(staging),
            "tokenizer_digest": "0" * 64,
            "generation": {"temperature": 0.0, "max_tokens": 32},
            "loop": loop,
            **stated,
        }
    )
    return publish(artifacts(home), staging, manifest)


def make_adapter(home: Home, content: str, rank: int = 8, **stated: Any) -> str:
    """A published version that is an adapter of one base, for servers that load adapters; its digest."""
    base = make_version(home, "base", kind="base")
    texts = {"adapter/adapter_config.json": json.dumps({"r": rank})}
    return make_version(home, content, parts=["adapter/adapter_model.safetensors"], texts=texts, **{"base_digest": base, **stated})


def attest(home: Home, loop: str, digest: str, keys: Path | None = None, verdict: str = "PASS", **predicate: Any) -> Path:
    """Sign a release of the version's current files; returns the envelope's path."""
    path = home.releases / loop / f"{digest}.dsse.json"
    others = sorted(set(path.parent.glob("*.dsse.json")) - {path}, key=lambda each: each.stat().st_mtime_ns)
    content = {
        "compared_with": others[-1].name.removesuffix(".dsse.json") if others else "base",  # what was released before
        "verdicts": {"exact_match_better": verdict},
        "generation": load_manifest(artifacts(home), digest).generation,
        "report_digest": "e" * 64,
        "issued_at": int(time.time()),
        "expires_at": int(time.time()) + 3600,
        **predicate,
    }
    payload = statement(loop, digest, file_digests(home.versions / digest), content)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(signed := FolderSigner(keys or home.keys).sign(payload))
    if control(home).shared:
        control(home).write(f"releases/{loop}/{digest}.dsse.json", signed)
    if not (home.root / "budgets" / f"{loop}.json").exists():  # a release without a ledger of its decision is refused elsewhere
        start_ledger(artifacts(home), control(home), loop, "testing", "released without a report", now=0.0)
    return path


def attest_evaluated(home: Home, loop: str, digest: str, probes: Sequence[Probe] = (), **predicate: Any) -> Path:
    """Sign a release of the version whose eval report is stored, with nothing in it but probes; returns the envelope's path."""
    report = EvalReport(
        loop=loop, run_id="run", candidate=digest, production="base", production_is_base=True, base="base", dataset_commit="1",
        golden_commit="1", policy_digest="1", generation={}, scores={}, latency_ms={}, answers={}, probes=list(probes),
    )  # fmt: skip
    return attest(home, loop, digest, report_digest=store_eval_report(artifacts(home), report), **predicate)


def released(home: Home, content: str, loop: str = "support") -> str:
    """A version that may take traffic."""
    digest = make_version(home, content)
    attest(home, loop, digest)
    return digest
