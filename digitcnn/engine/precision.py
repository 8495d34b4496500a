"""Chooses the number type of convolutions and matrix products: float32, or bfloat16 if the CPU has it.

bfloat16 has float32's range and 8 of its 24 bits of precision. Weights, Adam's state, the loss and all fetched
tensors stay float32: TensorFlow's graph optimizer auto_mixed_precision_onednn_bfloat16 adds casts around
convolutions and matrix products when a session runs.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")
# Prefixes of the flags in it by which oneDNN and Eigen choose instructions.
_VECTOR_FLAGS = ("sse", "ssse", "avx", "amx", "fma", "f16c", "asimd", "sve", "sme", "bf16", "i8mm")
# Values of ONEDNN_MAX_CPU_ISA that leave bfloat16's instructions on have one of these in them.
_WITH_BFLOAT16 = ("BF16", "FP16", "AMX", "AVX10", "ALL", "DEFAULT")


def _cpu_info(key: str) -> str:
    """Return the first CPU's value of a key in Linux's /proc/cpuinfo, or ''."""
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def cpu_name() -> str:
    """Return the CPU's model, or its architecture where the model is unknown."""
    return _cpu_info("model name") or platform.processor() or platform.machine()


def vector_units() -> str:
    """Return the CPU's vector instructions in alphabetical order; '' where they are unknown.

    A virtual machine or another kernel may hide some of a CPU model's.
    """
    flags = (_cpu_info("flags") or _cpu_info("Features")).split()  # "Features" on ARM
    return " ".join(sorted(flag for flag in flags if flag.startswith(_VECTOR_FLAGS)))


def has_bfloat16() -> bool:
    """Return whether the CPU multiplies bfloat16 in hardware, by AVX512-BF16 or AMX; False except on x86 Linux."""
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(_cpu_info("flags").split())


def can_bfloat16(*, has_gpu: bool = False) -> bool:
    """Return whether products can be computed in bfloat16: CPU with bfloat16, oneDNN on, no GPU."""
    # Parsed as by TensorFlow; without oneDNN, the graph optimizer adds no casts to bfloat16.
    is_off = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "").lower() in ("0", "false")
    # oneDNN's own limit, under its new name or its old one; below it, a convolution in bfloat16 fails.
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or "ALL"
    is_limited = not any(part in limit.upper() for part in _WITH_BFLOAT16)
    return has_bfloat16() and not is_off and not is_limited and not has_gpu


def resolve_precision(precision: str, *, has_gpu: bool = False) -> str:
    """Return 'float32' or 'bfloat16' for a setting `precision`; raise ValueError if bfloat16 is impossible here.

    With a GPU, 'auto' is float32, which TensorFlow multiplies as TensorFloat-32 on NVIDIA GPUs since Ampere.
    """
    is_possible = can_bfloat16(has_gpu=has_gpu)
    if precision == "auto":
        return "bfloat16" if is_possible else "float32"
    if precision == "bfloat16" and not is_possible:
        raise ValueError(
            "precision: expected 'auto' or 'float32' on this machine, found 'bfloat16', which needs a CPU with "
            "AVX512-BF16 or AMX under Linux, oneDNN (TF_ENABLE_ONEDNN_OPTS, ONEDNN_MAX_CPU_ISA), and no GPU"
        )
    return precision
