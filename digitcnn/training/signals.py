"""Holds signals back until a training step is accounted for."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

TERMINATED = 143  # exit status 128 + SIGTERM, the convention of shells


@contextlib.contextmanager
def hold_signals(*, terminates: bool) -> Iterator[Callable[[], BaseException | None]]:
    """Hold Ctrl-C back, and SIGTERM if it `terminates`; yields a function that returns what is to be raised.

    That is None, KeyboardInterrupt or SystemExit(143). So no signal comes between a step and its accounting. A
    second signal acts at once. Handlers that are not Python's own stay in place, and so do all of them in a thread
    other than the main one.
    """
    held: list[BaseException] = []
    ours: dict[int, tuple[Any, BaseException]] = {
        signal.SIGINT: (signal.default_int_handler, KeyboardInterrupt()),
    }
    if terminates:
        ours[signal.SIGTERM] = (signal.SIG_DFL, SystemExit(TERMINATED))
    if threading.current_thread() is not threading.main_thread():
        ours = {}
    ours = {number: own for number, own in ours.items() if signal.getsignal(number) is own[0]}

    def hold(number, _):
        if held:
            raise ours[number][1]
        held.append(ours[number][1])

    for number in ours:
        signal.signal(number, hold)
    try:
        yield lambda: held[0] if held else None
    finally:
        for number, (handler, _) in ours.items():
            signal.signal(number, handler)
    if held:  # since the caller last asked
        raise held[0]
