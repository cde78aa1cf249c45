"""What this machine's processor multiplies itself."""

from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_BF16 = frozenset({"avx512_bf16", "amx_bf16"})


@cache
def has_bf16() -> bool:
    """Whether the processor multiplies bf16 itself; others do it in software, several times slower than fp32.

    What cannot be told, as on macOS, counts as no: fp32 is right everywhere, and holds every bf16 number.
    """
    try:
        flags = next(line for line in _CPUINFO.read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        return False
    return not _BF16.isdisjoint(flags.split())
