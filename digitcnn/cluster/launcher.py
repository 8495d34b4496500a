"""Supervises workers on this machine: restarts those that die, and ends them all in every way that it can end.

The launcher's death by SIGKILL is the workers' own business: worker_process.py.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .lines import Lines
from .local_worker import TICK, LocalWorker
from .worker_process import LOST

_KILL_SECONDS = 5.0  # that a killed process may take to end; the kernel may not let one go that waits for a disk
_PRINT_SECONDS = 2.0  # that the last lines may take after a signal
_ASKED = (signal.SIGTERM, signal.SIGINT)
_NOT_OURS = (signal.SIG_IGN, None)  # handlers: of signals that are ignored, or that code of another language handles
_BY_SIGNAL = 128  # an exit status above it stands for a signal, the convention of shells


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How patient a launcher is; times are in seconds.

    Parameters
    ----------
    max_restarts : int, default 20
        Restarts of one worker, after which the launcher gives up.
    first_pause, longest_pause : float, default 1 and 30
        Before a restart: the first, doubled each time that the worker had not lived for `long_life`, up to the longest.
    long_life : float, default 60
        After which a worker's next pause is the first again.
    grace : float, default 30
        Between SIGTERM and SIGKILL, for the last checkpoint.
    last_grace : float, default 15
        For the other workers to end by themselves once worker 0 is complete.
    stopped : float, default 10
        For which a worker may be stopped (SIGSTOP) before it is killed and restarted, as all others wait for it; only
        Linux tells.
    """

    max_restarts: int = 20
    first_pause: float = 1.0
    longest_pause: float = 30.0
    long_life: float = 60.0
    grace: float = 30.0
    last_grace: float = 15.0
    stopped: float = 10.0


class Launcher:
    """Starts workers and supervises them until worker 0, the first, is complete.

    The workers are independent processes; N of them share the machine's cores, which nobody divides among them.

    Parameters
    ----------
    commands : mapping of str to sequence of str
        Each worker's program with its arguments, by the name that begins each line of its output.
    lines : Lines
        Prints the workers' lines, and what the launcher says.
    limits : Limits
        When it restarts, kills and gives up.
    """

    def __init__(self, commands: Mapping[str, Sequence[str]], lines: Lines, limits: Limits) -> None:
        self._lines, self._limits = lines, limits
        self._workers = [LocalWorker(name, command, lines) for name, command in commands.items()]
        self._signals: list[int] = []
        self._is_ending = self._is_killing = False

    def run(self) -> tuple[int, bool]:
        """Supervise until the end, in the main thread; returns the exit status, and whether all lines are printed.

        The status is 0 if worker 0 is complete, 128 + number after a signal, 1 if the reader of standard output is
        gone, else that of the worker which ended them all. Raises OSError if a worker cannot be started.
        """
        with self._signals_noted():
            try:
                status = self._supervise()
            finally:
                self._kill()  # also after an error of any kind
            deadline = time.monotonic() + _PRINT_SECONDS
            is_printed = self._lines.finish(
                lambda: self._is_killing or bool(self._signals and time.monotonic() > deadline)
            )
        return status, is_printed

    def _supervise(self) -> int:
        for worker in self._workers:
            worker.start()
        while True:
            if self._signals:
                name = _signal_name(self._signals[0])
                self._say(f"ending the workers after {name}; Ctrl-C kills them at once")
                self._end()
                return _BY_SIGNAL + self._signals[0]
            if self._lines.is_broken:
                self._end()
                return 1
            for worker in self._workers:
                if (status := worker.ended()) is None:
                    continue
                if status != 0 and (final := self._after_death(worker, status)) is not None:
                    self._end()
                    return final
                worker.is_complete = status == 0
            if self._workers[0].is_complete:
                self._complete()
                return 0
            self._start_and_kill()
            time.sleep(TICK)

    def _after_death(self, worker: LocalWorker, status: int) -> int | None:
        """Plan the restart of a worker, or return the status with which all end."""
        lived = time.monotonic() - worker.started_at
        worker.join_output()
        by_signal = status < 0 or status in [_BY_SIGNAL + number for number in _ASKED]
        how = f"worker {worker.name} has ended after {lived:.0f} s"
        if by_signal:
            how += f" by {_signal_name(-status if status < 0 else status - _BY_SIGNAL)}"
        elif status == LOST:
            how += ", as it lost another worker"
        else:
            self._say(f"{how} with status {status}, which a restart does not mend; ending all workers")
            return status
        if worker.n_restarts == self._limits.max_restarts:
            self._say(f"{how}, and was restarted {worker.n_restarts} times: giving up, ending all workers")
            return _BY_SIGNAL - status if status < 0 else status
        worker.n_restarts += 1
        is_early = lived < self._limits.long_life and worker.pause
        worker.pause = min(2 * worker.pause, self._limits.longest_pause) if is_early else self._limits.first_pause
        self._say(f"{how}; restart {worker.n_restarts} of {self._limits.max_restarts} in {worker.pause:g} s")
        worker.restart_at = time.monotonic() + worker.pause
        return None

    def _start_and_kill(self) -> None:
        """Start the workers whose pause is over, and kill those that have been stopped for too long."""
        for worker in self._workers:
            if worker.restart_at is not None and time.monotonic() >= worker.restart_at:
                worker.start()
                if worker is self._workers[0]:  # it was not complete, and may need those again that took it for so
                    for other in filter(lambda one: one.is_complete, self._workers):
                        other.start()
            worker.watch_for_stop()
            if worker.stopped > self._limits.stopped:
                self._say(f"worker {worker.name} was stopped for {worker.stopped:.0f} s, and others wait: killing it")
                worker.kill()
                worker.stopped = 0.0

    def _complete(self) -> None:
        """Wait for the other workers to end after worker 0."""
        self._wait(self._limits.last_grace, lambda: bool(self._signals))
        if names := [worker.name for worker in self._workers if worker.is_running()]:
            self._say(f"worker 0 is complete; ending those that are left: {', '.join(names)}")
            self._end()

    def _end(self) -> None:
        """Ask all workers to end, and give them time; who does not is killed later."""
        self._is_ending = True
        for worker in self._workers:
            worker.terminate()
        self._wait(self._limits.grace, lambda: self._is_killing)

    def _wait(self, seconds: float, is_cut: Callable[[], bool]) -> None:
        """Wait until all workers have ended, or the time is up, or is cut short."""
        deadline = time.monotonic() + seconds
        while any(worker.is_running() for worker in self._workers) and time.monotonic() < deadline and not is_cut():
            time.sleep(TICK / 5)

    def _kill(self) -> None:
        """Kill the workers that are left."""
        for worker in self._workers:
            worker.restart_at = None
            worker.kill()
        self._wait(_KILL_SECONDS, lambda: False)

    def _say(self, text: str) -> None:
        self._lines.remark(f"launcher: {text}")

    @contextlib.contextmanager
    def _signals_noted(self) -> Iterator[None]:
        """Note signals that would end this process, but those that it was told to ignore, as by nohup."""

        def note(number: int, _: object) -> None:
            if number == signal.SIGINT and (self._signals or self._is_ending):
                self._is_killing = True
            self._signals.append(number)

        names = ("SIGINT", "SIGTERM", "SIGHUP")
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        before = {number: handler for number in numbers if (handler := signal.getsignal(number)) not in _NOT_OURS}
        for number in before:
            signal.signal(number, note)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
