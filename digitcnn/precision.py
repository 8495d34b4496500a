"""In which type products are computed: float32, or bfloat16 where the hardware has it.

bfloat16 keeps float32's range and 8 of its 24 bits of precision. Weights, Adam's state, the loss and
every tensor that is fetched stay float32; TensorFlow's own graph optimizer puts the casts around
convolutions and matrix products when a session runs (auto_mixed_precision_onednn_bfloat16).
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

PRECISIONS = ("auto", "float32", "bfloat16")
_CPU_INFO = Path("/proc/cpuinfo")


def has_bfloat16() -> bool:
    """Whether this machine's CPU multiplies bfloat16 in hardware, and TensorFlow can make use of it.

    Known on x86 Linux only; elsewhere the answer is no. Without such hardware bfloat16 is emulated,
    far slower than float32, and so it is with TF_ENABLE_ONEDNN_OPTS=0, whose kernels these are.
    """
    if platform.machine() != "x86_64" or os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0":
        return False
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags)


def resolve_precision(precision: str, has_gpu: bool = False) -> str:
    """'float32' or 'bfloat16' for any of PRECISIONS, on this machine.

    With a GPU, 'auto' is float32, which NVIDIA's since Ampere multiply as TensorFloat-32 by
    TensorFlow's default. Raises ValueError for another name, and for bfloat16 with a GPU.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision: expected one of {', '.join(PRECISIONS)}, found {precision!r}")
    if precision == "auto":
        return "bfloat16" if has_bfloat16() and not has_gpu else "float32"
    if precision == "bfloat16" and has_gpu:
        raise ValueError(
            "precision: expected 'auto' or 'float32', since 'bfloat16' is for CPUs and this machine has a GPU"
        )
    return precision
