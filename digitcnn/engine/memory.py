"""Tells how much memory is left to this process, and how much a batch needs at least.

Without this check, TensorFlow ends the process with a signal, or raises one of many errors, when an allocation fails.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from ..exceptions import reason_of

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_PROC, _CGROUP = Path("/proc"), Path("/sys/fs/cgroup")
# Operations whose outputs TensorFlow allocates whatever it fuses; bias and activation are computed in place.
_ALLOCATING = ("Conv2D", "DepthwiseConv2dNative", "MatMul", "MaxPool")
_MIN_CHECKED = 64 << 20  # bytes; smaller batches are not worth reading files for
_UNLIMITED = 1 << 60  # cgroups of version 1 write "no limit" as a number near 2**63


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error of a run, by TensorFlow, oneDNN or Python, says that an allocation failed."""
    if isinstance(error, tf.errors.ResourceExhaustedError):  # also raised for a full disk
        reason = reason_of(error)
        return "No space left" not in str(error) and ("OOM" in reason or "llocat" in reason)
    if isinstance(error, tf.errors.AbortedError):
        return "Status: 1," in str(error)  # oneDNN's number for it
    return isinstance(error, MemoryError)


def bytes_per_image(graph: tf.Graph, itemsize: int, *, is_training: bool) -> int:
    """Return what the tensors that exist at the same time need at least, for each image of a batch.

    A prediction needs its largest tensor. A training step keeps the outputs of all layers for the gradients; at its
    end it has the largest of them beside its gradient. What else is needed is not counted, so that no batch is
    refused which would fit: measured, a step of the tutorial's network takes twice as much in bfloat16.
    """
    sizes = [
        itemsize * math.prod(shape[1:])
        for op in graph.get_operations()
        if op.type in _ALLOCATING and "gradients/" not in op.name
        for shape in [op.outputs[0].shape.as_list() if op.outputs[0].shape.rank else [1]]
        if shape[0] is None and None not in shape[1:]
    ]
    largest = max(sizes, default=0)
    return max(sum(sizes), 2 * largest) if is_training else largest


def check_memory(n_images: int, n_bytes: int, name: str) -> None:
    """Raise MemoryError if a batch of so many images, which needs `n_bytes` at least, cannot fit into memory."""
    if n_bytes < _MIN_CHECKED:
        return
    left, limit = min(memory_left(), default=(n_bytes, ""))
    if n_bytes > left:
        raise MemoryError(
            f"{name}: expected a batch that fits in memory, found {n_images:,} images, which need at least "
            f"{n_bytes >> 20:,} MB where {max(0, left) >> 20:,} MB are left ({limit}); give a smaller {name}"
        )


def memory_left() -> Iterator[tuple[int, str]]:
    """Yield the bytes that this process can still allocate, by each limit that is known, and the limit's name."""
    if resource is not None and (soft := resource.getrlimit(resource.RLIMIT_AS)[0]) != resource.RLIM_INFINITY:
        with contextlib.suppress(OSError, ValueError, IndexError):
            pages = int((_PROC / "self/statm").read_text().split()[0])
            yield soft - pages * os.sysconf("SC_PAGE_SIZE"), "ulimit -v"
    with contextlib.suppress(OSError, ValueError, KeyError):
        machine = _numbers(_PROC / "meminfo")
        swap = 1024 * machine["SwapFree:"]
        yield 1024 * machine["MemAvailable:"] + swap, "the machine's memory"
        for line in (_PROC / "self/cgroup").read_text().splitlines():
            number, controllers, path = line.split(":", 2)
            if number == "0" or "memory" in controllers.split(","):
                yield from _left_in_cgroups(path, swap, version=2 if number == "0" else 1)


def _left_in_cgroups(path: str, swap: int, *, version: int) -> Iterator[tuple[int, str]]:
    """Yield what is left by the limit of a cgroup and of those that it is in."""
    root = _CGROUP if version == 2 else _CGROUP / "memory"
    names = ("memory.max", "anon") if version == 2 else ("memory.limit_in_bytes", "total_rss")
    folder = root / path.lstrip("/")
    for group in (folder, *folder.parents):
        with contextlib.suppress(OSError, ValueError, KeyError):  # no limit: "max", or no such file
            limit = int((group / names[0]).read_text())
            if limit < _UNLIMITED:  # cached files do not count: they make room
                yield limit - _numbers(group / "memory.stat")[names[1]] + swap, "the container's limit"
        if group == root:
            return


def _numbers(file: Path) -> dict[str, int]:
    """Return the numbers of a file of lines "name number"."""
    return {name: int(number) for name, number, *_ in map(str.split, file.read_text().splitlines())}
