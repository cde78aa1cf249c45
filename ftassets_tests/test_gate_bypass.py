"""Every way around the gates that we know of, tried: none of them brings an unproven version into traffic."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import requests

from ftassets.domain.attestation import statement
from ftassets.lineage.events import data_version, newest, node
from ftassets.resources.serving.base import Refused, ServingError
from ftassets.resources.signer.embedded import Ed25519Signer
from ftassets.resources.versions import load_manifest
from ftassets_tests.tiny_loop import LOOP, TinyLoop, tiny_loop

pytestmark = pytest.mark.slow

NEVER_BETTER = [{"metric": "exact_match", "better_than": "production"}]


@pytest.fixture(scope="module")
def red(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyLoop]:
    """A loop whose candidate was trained and evaluated, and failed its gate."""
    with tiny_loop(tmp_path_factory.mktemp("red"), gates=NEVER_BETTER) as loop:
        result = loop.run("retrain")
        assert not result.success
        assert newest(loop.instance, node(LOOP, "eval_report")) is not None
        yield loop


@pytest.fixture(scope="module")
def green(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyLoop]:
    """A loop with a released version that takes no traffic yet."""
    with tiny_loop(tmp_path_factory.mktemp("green")) as loop:
        assert loop.run("retrain").success
        yield loop


def released(loop: TinyLoop) -> bool:
    return newest(loop.instance, node(LOOP, "release")) is not None


def candidate(loop: TinyLoop) -> str:
    event = newest(loop.instance, node(LOOP, "adapter"))
    assert event is not None
    return data_version(event)


def envelope(loop: TinyLoop, digest: str) -> Path:
    return loop.home.releases / LOOP / f"{digest}.dsse.json"


def start(loop: TinyLoop, digest: str) -> None:
    loop.serving.start(LOOP, digest, 100, 60.0, "test", "bypass")


class TestRedGate:
    def test_the_run_stops_before_release(self, red: TinyLoop) -> None:
        assert not released(red)

    def test_materializing_only_release(self, red: TinyLoop) -> None:
        assert not red.materialize("release").success
        assert not released(red)

    def test_a_job_without_checks(self, red: TinyLoop) -> None:
        assert not red.materialize("eval_report", "release", checks=False).success
        assert not released(red)

    @pytest.mark.parametrize("severity", [dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN])
    def test_a_verdict_reported_by_hand(self, red: TinyLoop, severity: dg.AssetCheckSeverity) -> None:
        passed = dg.AssetCheckEvaluation(
            asset_key=node(LOOP, "eval_report"), check_name=red.loop.gates[0].name, passed=True, severity=severity, metadata={}
        )
        red.instance.report_runless_asset_event(passed)
        assert not red.materialize("release").success
        assert not released(red)

    def test_a_looser_policy_after_the_report(self, red: TinyLoop) -> None:
        strict = red.loop
        loose = {"metric": "exact_match", "slice": "established", "no_worse_than": "production", "margin": 0.9}
        red.loop = type(strict).model_validate({**strict.model_dump(), "gates": [loose]})
        try:
            assert not red.materialize("release").success
        finally:
            red.loop = strict
        assert not released(red)

    def test_materializing_the_endpoint_without_a_release(self, red: TinyLoop) -> None:
        assert not red.move("start").success
        assert red.serving.state(LOOP).phase == "idle"

    def test_calling_the_admin_api_directly(self, red: TinyLoop) -> None:
        with pytest.raises(Refused):
            start(red, candidate(red))

    def test_an_alias_set_by_hand_in_mlflow(self, red: TinyLoop) -> None:
        registry = red.resources["registry"].resource_fn(dg.build_init_resource_context())
        digest = candidate(red)
        registry.register(LOOP, "by-hand", digest, None, {})
        registry.set_alias(LOOP, "production", digest)
        with pytest.raises(Refused):
            start(red, digest)
        assert red.serving.state(LOOP).phase == "idle"

    def test_a_staged_version_gets_no_traffic(self, red: TinyLoop) -> None:
        url = red.serving.stage(LOOP, candidate(red), 60.0)
        assert url.startswith("http://127.0.0.1:")
        body = {"model": LOOP, "messages": [{"role": "user", "content": "dim the lamp"}]}
        assert requests.post(f"{red.url}/v1/chat/completions", json=body, timeout=30).status_code == 503
        with pytest.raises(ServingError):
            red.serving.ramp(LOOP, 50, 60.0, "test", "bypass")
        red.serving.unstage(LOOP, candidate(red))

    def test_the_admin_api_without_its_token(self, red: TinyLoop) -> None:
        address = json.loads((red.home.gateway / "address.json").read_text())["admin"]
        response = requests.post(f"{address}/loops/{LOOP}/start", json={"digest": candidate(red), "weight": 100}, timeout=10)
        assert response.status_code == 401


class TestForgedRelease:
    def test_an_edited_report(self, green: TinyLoop) -> None:
        event = newest(green.instance, node(LOOP, "eval_report"))
        assert event is not None
        path = green.home.reports / LOOP / f"eval-{data_version(event)}.json"
        original = path.read_bytes()
        report = json.loads(original)
        report["latency_ms"]["candidate"] = [1.0] * len(report["latency_ms"]["candidate"])
        path.write_text(json.dumps(report))
        try:
            assert not green.materialize("release").success
        finally:
            path.write_bytes(original)

    def test_no_attestation(self, green: TinyLoop) -> None:
        path = envelope(green, candidate(green))
        hidden = path.with_suffix(".hidden")
        path.rename(hidden)
        try:
            with pytest.raises(Refused):
                start(green, candidate(green))
        finally:
            hidden.rename(path)

    def test_an_edited_weight_file(self, green: TinyLoop) -> None:
        path = green.home.versions / candidate(green) / "merged" / "model.safetensors"
        original = path.read_bytes()
        path.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
        try:
            with pytest.raises(Refused):
                start(green, candidate(green))
        finally:
            path.write_bytes(original)

    def test_an_edited_weight_file_with_a_manifest_to_match(self, green: TinyLoop) -> None:
        folder = green.home.versions / candidate(green)
        copy = folder.with_name("copy")
        shutil.copytree(folder, copy, symlinks=True)
        weights = folder / "merged" / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
        manifest = json.loads((folder / "manifest.json").read_text())
        from ftassets.domain.canonical import file_digest

        manifest["files"]["merged/model.safetensors"] = file_digest(weights)
        (folder / "manifest.json").write_text(json.dumps(manifest))
        try:
            with pytest.raises(Refused):
                start(green, candidate(green))
        finally:
            shutil.rmtree(folder)
            copy.rename(folder)

    def test_a_foreign_key(self, green: TinyLoop, tmp_path: Path) -> None:
        digest = candidate(green)
        path = envelope(green, digest)
        original = path.read_bytes()
        payload = statement(LOOP, digest, load_manifest(green.home.versions, digest).files, {"verdicts": {"all": "PASS"}})
        path.write_bytes(Ed25519Signer(tmp_path).sign(payload))
        try:
            with pytest.raises(Refused):
                start(green, digest)
        finally:
            path.write_bytes(original)

    def test_the_attestation_of_another_version(self, green: TinyLoop) -> None:
        digest = candidate(green)
        base = load_manifest(green.home.versions, digest).base_digest
        assert base is not None
        stolen = envelope(green, base)
        stolen.write_bytes(envelope(green, digest).read_bytes())
        try:
            with pytest.raises(Refused):
                start(green, base)
        finally:
            stolen.unlink()

    def test_a_pickle_beside_the_weights(self, green: TinyLoop) -> None:
        extra = green.home.versions / candidate(green) / "merged" / "extra.bin"
        extra.write_bytes(b"\x80\x04.")
        try:
            with pytest.raises(Refused):
                start(green, candidate(green))
        finally:
            extra.unlink()

    def test_the_real_one_is_taken_at_the_end(self, green: TinyLoop) -> None:
        start(green, candidate(green))
        assert green.serving.state(LOOP).production == candidate(green)
