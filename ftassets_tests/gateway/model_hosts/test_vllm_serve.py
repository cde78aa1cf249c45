"""The program that becomes vLLM, with a command in vLLM's place that prints what it was given."""

import os
import subprocess
import sys
from pathlib import Path

from ftassets.config.home import Home
from ftassets.config.loop import Vllm
from ftassets.gateway.model_hosts.programs import DAMAGED
from ftassets.gateway.model_hosts.vllm_serve import arguments_of
from ftassets.testing.releases import make_version


def run(folder: Path, here: Path, settings: Vllm) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments_of(folder, settings, True, here, 1234)]
    return subprocess.run(command, cwd=here, capture_output=True, text=True, env={**os.environ, "FTASSETS_VLLM": "/none"}, check=False)


def test_a_sound_version_is_served_with_the_settings_of_the_loop_and_a_changed_one_is_not(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    folder = home.versions / make_version(home, "a")
    command = tmp_path / "vllm"
    command.write_text('#!/bin/sh\necho "$VLLM_ALLOW_RUNTIME_LORA_UPDATING" "$@"\n')
    command.chmod(0o755)
    done = run(folder, tmp_path, Vllm(max_loras=6, executable=command, arguments=["--enforce-eager"]))
    assert done.returncode == 0
    given = done.stdout.split()
    assert given[:5] == ["True", "serve", str(folder / "merged"), "--served-model-name", "merged"]
    assert given[5:9] == ["--host", "127.0.0.1", "--port", "1234"]
    assert {"--generation-config=vllm", "--max-loras=6", "--enable-lora", "--enforce-eager"} <= set(given)

    missing = run(folder, tmp_path, Vllm())
    assert (missing.returncode, "vLLM's command /none is not there" in missing.stderr) == (DAMAGED, True)
    (folder / "merged" / "model.safetensors").write_text("changed")
    damaged = run(folder, tmp_path, Vllm(executable=command))
    assert (damaged.returncode, "was changed" in damaged.stderr) == (DAMAGED, True)
