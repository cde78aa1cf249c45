"""Each training method once round: dataset, training, merged copy, the server and its parity, eval report, signed release, retrain."""

from pathlib import Path
from typing import Any

import pytest
import requests

from ftassets.assets._shared.events import data_version, metadata_value, newest, node
from ftassets.backends.artifacts.reports import read_eval_report
from ftassets.backends.artifacts.versions import load_manifest
from ftassets.config.profiles import artifacts
from ftassets.domain.training.method import METHODS
from ftassets.testing.tiny_loop import LOOP, tiny_loop

pytestmark = [pytest.mark.slow, pytest.mark.models]

GATES = [
    {"metric": "exact_match", "slice": "established", "no_worse_than": "production", "margin": 0.5},
    {"metric": "parity", "at_least": 0.8, "sample": 32},
]
TRAIN: dict[str, dict[str, Any]] = {
    "lora": {"lora_r": 4, "learning_rate": 1e-3},
    "qlora": {"lora_r": 4, "learning_rate": 1e-3},
    "prefix": {"prefix_tokens": 6, "learning_rate": 1e-2},
    "full": {"learning_rate": 1e-4},
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("method", METHODS)
def test_a_version_of_each_method_is_measured_signed_served_and_continued(method: str, tmp_path: Path) -> None:
    train = {"method": method, "epochs": 1, "batch_size": 16, "gradient_accumulation_steps": 1, "max_length": 128, "loss_limit": 10}
    with tiny_loop(tmp_path, train={**train, **TRAIN[method]}, gates=GATES) as tiny:
        assert tiny.run("retrain").success
        first = data_version(newest(tiny.instance, node(LOOP, "release")))
        stores = artifacts(tiny.home)
        assert load_manifest(stores, first).training["method"] == method
        report = read_eval_report(stores, LOOP, data_version(newest(tiny.instance, node(LOOP, "eval_report"))))
        assert report.parity is not None
        assert report.parity.tokenizer_same is True or method == "full"
        assert report.parity.server_agree == report.parity.server_tokens
        assert tiny.move("start").success
        body = {"model": LOOP, "messages": [{"role": "user", "content": "dim the red lamp in the hall"}], "user": "ann"}
        answer = requests.post(f"{tiny.url}/v1/chat/completions", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        said = {"id": answer.json()["id"], "correction": '{"intent": "open", "area": "hall"}'}
        assert requests.post(f"{tiny.url}/v1/feedback", json=said, timeout=10).ok
        assert tiny.run("retrain").success
        event = newest(tiny.instance, node(LOOP, "adapter"))
        assert event is not None
        assert metadata_value(event, "start_from") == first[:12]
