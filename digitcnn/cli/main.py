"""The command line `digitcnn`: parses, runs a command, and turns errors into messages and exit statuses."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn, TextIO

from .._quiet import leave_out_keras
from .._validation import describe_os_error, did_you_mean
from ..cluster.worker_process import LOST
from ..exceptions import DigitCNNWarning, PrintableLinesError, WorkerLostError
from ..settings import unknown_name
from .commands import COMMANDS
from .output import open_streams, remark
from .parser import build_parser

INTERRUPTED = 130  # 128 + SIGINT, the convention of shells


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print the package's own warnings as a line, without file and line number."""
    if issubclass(category, DigitCNNWarning):
        remark(f"digitcnn: warning: {message}")
    else:
        remark(*warnings.formatwarning(message, category, filename, lineno).split("\n"))


def _sentence(error: Exception) -> str:
    """The error's message; of one that the operating system raised, its path and words without its number."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    found = describe_os_error(error)
    return f"{error.filename}: expected a path that can be used, found {found}" if error.filename else found


def end_at_once(status: int) -> NoReturn:
    """End the process without waiting for TensorFlow's runtime, which may wait for a worker that is gone."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, AttributeError, ValueError):  # closed
            stream.flush()
    os._exit(status)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments of a command; exits with its usage, and the closest name, if one is unknown."""
    parser = build_parser(COMMANDS)
    argv = list(argv)
    cut = argv.index("--") if argv[:1] == ["launch"] and "--" in argv else len(argv)
    if argv and argv[0] not in COMMANDS and not argv[0].startswith("-"):
        parser.error(f"COMMAND: {unknown_name(argv[0], COMMANDS)}")
    arguments, unknown = parser.parse_known_args(argv[:cut])
    if unknown:
        options = set(re.findall(r"--[\w-]+", arguments.parser.format_help()))
        hint = did_you_mean(unknown[0].partition("=")[0], options)
        if argv[:1] == ["launch"] and "train" in unknown:
            hint = "; expected -- before train"
        arguments.parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    if argv[:1] == ["launch"]:
        arguments.words = argv[cut + 1 :]
        if arguments.words[:1] != ["train"]:
            found = repr(arguments.words[0]) if arguments.words else "nothing"
            arguments.parser.error(f"COMMAND: expected '-- train' and its options last, found {found} after '--'")
        arguments.train = parse(arguments.words)  # a mistake there ends it before anything is started
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns 0, or 1 after printing an error that the user can correct."""
    open_streams()
    if argv is None:  # the process is the command's own
        leave_out_keras()
    arguments = parse(sys.argv[1:] if argv is None else argv)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            status = arguments.function(arguments) or 0
        if sys.stdout is not None:  # closed by `>&-`
            sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of the output is gone, as after `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError as error:  # NumPy's says how much it wanted; others say nothing
        found = str(error) or "too little"
        text = found if "expected" in found else f"expected enough memory, found: {found}; give fewer or smaller images"
        remark(f"digitcnn: error: {text}")
        return 1
    except WorkerLostError as error:
        remark(f"digitcnn: error: {_sentence(error)}")
        end_at_once(LOST)
    except (OSError, ValueError, ImportError) as error:
        message = f"digitcnn: error: {_sentence(error)}"
        remark(*message.split("\n") if isinstance(error, PrintableLinesError) else [message])  # whose lines are its own
        return 1
    return status
