"""One worker of this machine, as its launcher sees it: a process, and another one after each restart."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from .lines import Lines

TICK = 0.1  # seconds between looks at the workers


class LocalWorker:
    """One worker: its process, which is another one after each restart."""

    def __init__(self, name: str, command: Sequence[str], lines: Lines) -> None:
        self.name, self.command, self.n_restarts = name, command, 0
        self.is_complete = False
        self.restart_at: float | None = None
        self.started_at = 0.0
        self.pause = 0.0
        self.stopped = 0.0  # seconds for which it was seen stopped
        self.process: subprocess.Popen[str] | None = None
        self._lines = lines
        self._readers: list[threading.Thread] = []

    def start(self) -> None:
        """Start a process, in a session of its own: the terminal's Ctrl-C is the launcher's. Raises OSError."""
        self.restart_at, self.is_complete, self.stopped = None, False, 0.0
        self.started_at = time.monotonic()
        pipe = subprocess.PIPE
        try:
            # Standard input is the pipe whose end tells a worker that the launcher is gone.
            self.process = subprocess.Popen(
                self.command,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                text=True,
                errors="backslashreplace",
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
            self._readers = self._lines.hand_on(self.name, self.process.stdout, self.process.stderr)
        except (OSError, RuntimeError) as error:  # no thread can be started
            reason = getattr(error, "strerror", None) or error
            raise OSError(f"worker {self.name}: expected a process that can be started, found: {reason}") from error

    def ended(self) -> int | None:
        """The exit status, negative for a signal, of a process that has ended since the last call."""
        if self.process is None or (status := self.process.poll()) is None:
            return None
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process = None
        return status

    def is_running(self) -> bool:
        """Whether there is a process that has not ended."""
        self.ended()
        return self.process is not None

    def join_output(self) -> None:
        """Wait for the last lines of a process that has ended, so that they come before what is said of it."""
        for reader in self._readers:
            reader.join(1)  # longer only if nobody reads the output, or a process that it left writes on

    def watch_for_stop(self) -> None:
        """Count for how long the process has been stopped, where the system says so."""
        if self.process is not None:
            # Ticks, not a clock: the launcher may have been stopped itself, or the machine asleep.
            self.stopped = self.stopped + TICK if _is_stopped(self.process.pid) else 0.0

    def terminate(self) -> None:
        """Ask the process to end, a stopped one too."""
        if self.process is not None:
            self.process.terminate()
            if hasattr(signal, "SIGCONT"):
                self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill the process, and those that it has started."""
        if self.process is not None and self.process.poll() is None:  # so its number is not yet another's
            if hasattr(os, "killpg"):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()


def _is_stopped(process: int) -> bool:
    """Return whether a signal has stopped a process, from Linux's /proc; False on other systems."""
    if sys.platform != "linux":
        return False
    with contextlib.suppress(OSError):
        # PID (NAME) STATE ...; a name may have brackets.
        return Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"T"
    return False
