"""Libraries that do not work together are told before a model loads."""

from dataclasses import replace

import pytest

from ftassets.domain.training.libraries import Libraries, libraries_objection

CPU = Libraries("2.13.0+cpu", None, gpu=False, bitsandbytes="0.50.2")
GPU = Libraries("2.13.0", "13.0", gpu=True, bitsandbytes="0.50.2")
OLD = "The NVIDIA driver on your system is too old (found version 12020)"


@pytest.mark.parametrize(
    ("of", "method", "said"),
    [
        (CPU, "qlora", None),
        (GPU, "qlora", None),
        (
            replace(GPU, gpu=False, gpu_problem=OLD),
            "lora",
            f"torch 2.13.0 is built for CUDA 13.0 and cannot use this machine's GPU ({OLD})",
        ),
        (replace(GPU, gpu=False), "lora", None),  # no GPU is there, or none is to be used
        (replace(CPU, bitsandbytes=None), "qlora", "bitsandbytes, which is not installed"),
        (replace(CPU, bitsandbytes=None), "lora", None),
        (replace(GPU, quantizes="libbitsandbytes_cuda130.so not found"), "qlora", "works with torch 2.13.0 on CUDA 13.0 (libbits"),
        (replace(GPU, quantizes="x"), "full", None),
        (replace(CPU, bitsandbytes="0.45.5"), "qlora", "install 0.46 or newer"),
        (replace(GPU, bitsandbytes="0.45.5"), "qlora", None),
        (replace(CPU, bitsandbytes="1.0.0rc1"), "qlora", None),
    ],
)
def test_what_cannot_work_is_refused_with_the_versions(of: Libraries, method: str, said: str | None) -> None:
    found = libraries_objection(of, method)
    assert found is None if said is None else said in str(found)
