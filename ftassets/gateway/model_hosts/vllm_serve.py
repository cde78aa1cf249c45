"""`python -m ftassets.gateway.model_hosts.vllm_serve VERSION`: check every byte of a version, then become `vllm serve` of its weights.

vLLM lives in an environment of its own: its command is named by the loop file, by FTASSETS_VLLM, or found on the PATH.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from ftassets.backends.artifacts.version_folder import VersionDamaged, verify_folder
from ftassets.config.loop import Vllm
from ftassets.domain.release.version import MERGED
from ftassets.gateway.model_hosts.base import MODEL_NAME
from ftassets.gateway.model_hosts.programs import DAMAGED

VARIABLE = "FTASSETS_VLLM"


def arguments_of(folder: Path, settings: Vllm, adapters: bool, here: Path, port: int) -> Sequence[str]:
    """Arguments of our interpreter, in the folder `here`, for a server of a version's weights, with adapters on them or not."""
    command = ["-m", "ftassets.gateway.model_hosts.vllm_serve", os.path.relpath(folder, here), "--port", str(port)]
    command += ["--executable", str(settings.executable)] if settings.executable else []
    return [*command, "--", *flags_of(settings, adapters)]


def flags_of(settings: Vllm, adapters: bool) -> list[str]:
    """Arguments of `vllm serve`. A request alone says how it is decoded: the model's generation_config.json has no part in it."""
    given = {
        "generation-config": "vllm",
        "max-model-len": settings.max_model_len,
        "max-num-batched-tokens": settings.max_num_batched_tokens,
        "gpu-memory-utilization": settings.gpu_memory_utilization,
        "tensor-parallel-size": settings.tensor_parallel_size,
        "dtype": settings.dtype,
        **({"max-loras": settings.max_loras, "max-lora-rank": settings.max_lora_rank} if adapters else {}),
    }
    return [*(f"--{name}={value}" for name, value in given.items()), *(["--enable-lora"] if adapters else []), *settings.arguments]


def main() -> int:
    """Does not return when the version is sound and vLLM is there."""
    parser = argparse.ArgumentParser(prog="vllm_server")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--executable", default=os.environ.get(VARIABLE) or "vllm")
    cut = sys.argv.index("--")  # what follows is vLLM's
    args, flags = parser.parse_args(sys.argv[1:cut]), sys.argv[cut + 1 :]
    try:
        verify_folder(args.folder)
    except VersionDamaged as error:
        print(error, file=sys.stderr)
        return DAMAGED
    executable = shutil.which(args.executable)
    if executable is None:
        print(
            f"vLLM's command {args.executable} is not there: install vLLM in an environment of its own and name its command, "
            f"by serving.vllm.executable or {VARIABLE}",
            file=sys.stderr,
        )
        return DAMAGED
    os.environ |= {
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
        "VLLM_NO_USAGE_STATS": "1",
    }
    command = [executable, "serve", str((args.folder / MERGED).resolve()), "--served-model-name", MODEL_NAME]
    command += ["--host", "127.0.0.1", "--port", str(args.port)]
    os.execv(executable, [*command, *flags])


if __name__ == "__main__":
    sys.exit(main())
