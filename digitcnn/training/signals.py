"""Signals that are held back until a step is accounted for."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

TERMINATED = 143  # 128 + SIGTERM, as shells have it


@contextlib.contextmanager
def hold_signals(terminates: bool) -> Iterator[Callable[[], BaseException | None]]:
    """Hold Ctrl-C back, and SIGTERM if it `terminates`; gives a function that tells what is to be raised.

    That is None, KeyboardInterrupt or SystemExit(143). So a step and its accounting are never torn
    apart. A second signal acts at once. Handlers that are not Python's own are left alone, and so are
    all of them in another thread than the main one.
    """
    held: list[BaseException] = []
    ours = {signal.SIGINT: (signal.default_int_handler, KeyboardInterrupt())}
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
    if held:  # since it was last asked for
        raise held[0]
