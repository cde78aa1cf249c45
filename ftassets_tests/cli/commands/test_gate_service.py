"""The gate service as a process: it needs a key, answers, and ends when told to."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from ftassets.cli.commands.gate_service import the_key
from ftassets.gate_service.turns import KEY
from ftassets_tests import ROOT


@pytest.mark.parametrize(("key", "why"), [(None, "needs a key"), ("  ", "needs a key"), ("short", "16 or more"), ("ü" * 40, "ASCII")])
def test_it_does_not_start_without_a_key_worth_the_name(monkeypatch: pytest.MonkeyPatch, key: str | None, why: str) -> None:
    monkeypatch.delenv(KEY, raising=False)
    if key is not None:
        monkeypatch.setenv(KEY, key)
    with pytest.raises(ValueError, match=why) as refused:
        the_key()
    assert key is None or not key.strip() or key not in str(refused.value)


def test_it_answers_until_it_is_stopped(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    tree = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    code = f"from ftassets.cli.commands.gate_service import run; from ftassets.config.home import Home; run(Home.from_env(), port={port})"
    environment = {**os.environ, "PYTHONPATH": tree, "FTASSETS_HOME": str(tmp_path), KEY: "k" * 32}
    service = subprocess.Popen([sys.executable, "-c", code], env=environment)
    try:
        assert wait_for(f"http://127.0.0.1:{port}/health") == {"status": "ok"}
        body = {"model_path": "0" * 12, "golden_set_id": "voice_commands", "baseline_f1": 0.5, "threshold": 0.05}
        url = f"http://127.0.0.1:{port}/evaluate"
        assert requests.post(url, json=body, timeout=30).status_code == 401
        answer = requests.post(url, json=body, headers={"authorization": f"Bearer {'k' * 32}"}, timeout=30)
        assert (answer.status_code, answer.json()["message"]) == (400, "model_path: '000000000000' names no version; nothing is stored")
        service.send_signal(signal.SIGTERM)
        service.wait(15)
    finally:
        service.kill()
        service.wait()


def wait_for(url: str) -> dict:
    for _ in range(300):
        try:
            return requests.get(url, timeout=5).json()
        except requests.ConnectionError:
            time.sleep(0.1)
    raise TimeoutError(url)
