"""The type in which products are computed: float32, or bfloat16 where the hardware has it.

bfloat16 keeps float32's range and 8 of its 24 bits of precision. Weights, Adam's state, the loss and
every tensor that is fetched stay float32; TensorFlow's own graph optimizer puts the casts around
convolutions and matrix products when a session runs (auto_mixed_precision_onednn_bfloat16).
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")


def _cpu_info(key: str) -> str:
    """What Linux says of the first CPU under that key, else ''."""
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def cpu_name() -> str:
    """The CPU's model, as well as it can be known."""
    return _cpu_info("model name") or platform.processor() or platform.machine()


def has_bfloat16() -> bool:
    """Whether this machine's CPU multiplies bfloat16 in hardware: AVX512-BF16 or AMX.

    Known on x86 Linux only; elsewhere the answer is no.
    """
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(_cpu_info("flags").split())


def can_bfloat16(*, has_gpu: bool = False) -> bool:
    """Whether products can be computed in bfloat16 here: in hardware, by oneDNN's kernels, with no GPU."""
    # As TensorFlow reads it; without oneDNN the rewrite to bfloat16 does nothing.
    is_off = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "").lower() in ("0", "false")
    return has_bfloat16() and not is_off and not has_gpu


def resolve_precision(precision: str, *, has_gpu: bool = False) -> str:
    """'float32' or 'bfloat16' for any setting of `precision`, on this machine.

    With a GPU, 'auto' is float32, which NVIDIA's since Ampere multiply as TensorFloat-32 by
    TensorFlow's default. Raises ValueError for bfloat16 where it cannot be had.
    """
    is_possible = can_bfloat16(has_gpu=has_gpu)
    if precision == "auto":
        return "bfloat16" if is_possible else "float32"
    if precision == "bfloat16" and not is_possible:
        raise ValueError(
            "precision: expected 'auto' or 'float32' on this machine, found 'bfloat16', which takes a CPU with "
            "AVX512-BF16 or AMX under Linux, oneDNN (TF_ENABLE_ONEDNN_OPTS), and no GPU"
        )
    return precision
