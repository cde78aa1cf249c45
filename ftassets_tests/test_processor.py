"""Which processors multiply bf16 themselves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ftassets import processor
from ftassets.processor import has_bf16


@pytest.fixture
def cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    has_bf16.cache_clear()
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "cpuinfo")
    yield tmp_path / "cpuinfo"
    has_bf16.cache_clear()


@pytest.mark.parametrize(
    ("flags", "has"), [("fpu avx2 fma", False), ("avx512f avx512_bf16", True), ("avx2 amx_bf16 amx_tile", True), ("avx512_bf16x", False)]
)
def test_it_goes_by_the_processor_s_flags(cpuinfo: Path, flags: str, has: bool) -> None:
    cpuinfo.write_text(f"processor\t: 0\nmodel name\t: one\nflags\t\t: {flags}\n\nprocessor\t: 1\n")
    assert has_bf16() is has


def test_what_cannot_be_told_counts_as_no(cpuinfo: Path) -> None:
    assert has_bf16() is False


def test_torch_says_the_same_of_this_machine() -> None:
    torch = pytest.importorskip("torch")
    has_bf16.cache_clear()
    capabilities = torch.cpu.get_capabilities()
    assert has_bf16() is bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
