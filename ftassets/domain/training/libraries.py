"""Versions of torch, CUDA and bitsandbytes that do not work together, found before a model is loaded."""

from dataclasses import dataclass

OLDEST_ON_CPU = (0, 46)  # bitsandbytes: the first release that quantizes on a CPU


@dataclass(frozen=True)
class Libraries:
    """What is installed, and what of it works: `gpu` says that torch uses one, `gpu_problem` why it cannot use one that is there.

    `cuda` is the version that torch was built for, None of a CPU build. `quantizes` is None if the library of bitsandbytes could be
    loaded, else the reason.
    """

    torch: str
    cuda: str | None
    gpu: bool
    bitsandbytes: str | None
    gpu_problem: str | None = None
    quantizes: str | None = None


def libraries_objection(of: Libraries, method: str) -> str | None:
    """Why a training by this method should not start with these libraries; None if it may."""
    if of.gpu_problem is not None:
        return (
            f"torch {of.torch} is built for CUDA {of.cuda} and cannot use this machine's GPU ({of.gpu_problem}): update the driver, or "
            "install the build of torch for the CUDA that `nvidia-smi` shows"
        )
    if method != "qlora":
        return None
    if of.bitsandbytes is None:
        return "method qlora needs bitsandbytes, which is not installed: pip install bitsandbytes, or set train.method to lora"
    if of.quantizes is not None:
        built = f"CUDA {of.cuda}" if of.gpu else "a CPU"
        return (
            f"bitsandbytes {of.bitsandbytes} has no library that works with torch {of.torch} on {built} ({of.quantizes}): install a newer "
            "one, or set train.method to lora"
        )
    if not of.gpu and _numbers(of.bitsandbytes) < OLDEST_ON_CPU:
        wanted = ".".join(map(str, OLDEST_ON_CPU))
        return f"bitsandbytes {of.bitsandbytes} quantizes on GPUs only: install {wanted} or newer, or set train.method to lora"
    return None


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split("+")[0].split(".")[:2]
    return tuple(int(part) if part.isdecimal() else 0 for part in parts)
