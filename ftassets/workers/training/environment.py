"""On what a training ran, as its version's manifest has it: whatever may change its last digits."""

import importlib.metadata
import platform
from pathlib import Path

from ftassets.code_identity import code_identity

_LIBRARIES = ("accelerate", "bitsandbytes", "numpy", "peft", "safetensors", "tokenizers", "torch", "transformers", "trl")
_CPUINFO = Path("/proc/cpuinfo")


def environment(processes: int, precision: str) -> dict[str, str]:
    """Names and values in words. `processes`: replicas that shared the batches; `precision`: in which the model computed."""
    import torch

    known = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "processes": str(processes),
        "precision": precision,
        "code": str(code_identity()["code_digest"]),
    }
    return known | {name: _version(name) for name in _LIBRARIES}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _processor() -> str:
    lines = _CPUINFO.read_text(encoding="utf-8").splitlines() if _CPUINFO.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or "unknown"
