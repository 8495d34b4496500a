"""Hands on the output of several processes as whole lines, each with the name of its process."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import IO

MAX_LINE = 1 << 16  # characters; a longer line is handed on in parts
MAX_WAITING = 1000  # lines; then the processes wait until some are printed
IDLE_SECONDS = 1.0  # after which a pipe that stays open, held by a process that a worker left, is given up

Print = Callable[[str], None]


class Lines:
    """Prints lines one after another, in a thread of its own: if nobody reads them, only that thread waits.

    Parameters
    ----------
    say : callable
        Prints a line on standard output; raises BrokenPipeError if its reader is gone.
    remark : callable
        Prints a line on standard error.
    """

    def __init__(self, say: Print, remark: Print) -> None:
        self.is_broken = False  # whether the reader of standard output is gone
        self.error: OSError | ValueError | None = None  # of the first line that could not be printed
        self._say, self._remark = say, remark
        self._waiting: queue.Queue[tuple[Print, str] | None] = queue.Queue(MAX_WAITING)
        self._readers: list[threading.Thread] = []
        self._printer = threading.Thread(target=self._print, name="output of the workers", daemon=True)
        self._printer.start()

    def remark(self, text: str) -> None:
        """Print a line of the launcher's own on standard error; it is lost if too many lines wait."""
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait((self._remark, text))

    def hand_on(self, name: str, stdout: IO[str] | None, stderr: IO[str] | None) -> list[threading.Thread]:
        """Print what a process writes into its pipes, until it closes them; returns the threads that do so."""
        readers = [
            threading.Thread(target=self._read, args=(name, *pair), name=f"output of worker {name}", daemon=True)
            for pair in ((stdout, self._say), (stderr, self._remark))
            if pair[0] is not None
        ]
        self._readers = [reader for reader in self._readers if reader.is_alive()] + readers
        for reader in readers:
            reader.start()
        return readers

    def finish(self, is_urgent: Callable[[], bool]) -> bool:
        """Wait until all lines are printed; returns False if that was given up, as it is urgent and nobody reads."""
        idle = 0.0
        while any(reader.is_alive() for reader in self._readers) and idle < IDLE_SECONDS:
            if is_urgent():
                return False
            time.sleep(0.01)
            idle = idle + 0.01 if self._waiting.empty() else 0.0
        is_told = False
        while self._printer.is_alive():
            if not is_told:
                with contextlib.suppress(queue.Full):
                    self._waiting.put_nowait(None)
                    is_told = True
            self._printer.join(0.05)
            if self._printer.is_alive() and is_urgent():
                return False
        return True

    def _read(self, name: str, pipe: IO[str], write: Print) -> None:
        # Its text mode ends a line at \r too, which progress bars write.
        with pipe:
            while line := pipe.readline(MAX_LINE):
                self._waiting.put((write, f"[{name}] {line}".rstrip("\n")))

    def _print(self) -> None:
        while (waiting := self._waiting.get()) is not None:
            write, text = waiting
            if write is self._say and self.is_broken:
                continue
            try:
                write(text)
            except BrokenPipeError:
                self.is_broken = True
            except (OSError, ValueError) as error:  # a full disk ends no training: its results are in files
                self.error = self.error or error
