"""What the command line prints: escaped, and never what decides whether a command succeeds."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
from typing import Any

from .._text import printable
from .._validation import describe_os_error

_ESCAPED = re.compile(rb"[^\x20-\x26\x28-\x5b\x5d-\x7e]")  # neither a quote nor a backslash


def open_streams() -> None:
    """Give the null device to what is closed (`>&-`), and let every stream take every text.

    A closed descriptor would otherwise be the next file's that is opened, and what native code prints would go into it.
    Standard input stays closed for `sys.stdin`, as nobody can read a picture from it.
    """
    for number, mode in enumerate(("r", "w", "w")):
        with contextlib.suppress(OSError):  # the null device may be missing, as in a bare chroot
            try:
                os.fstat(number)
            except OSError:
                opened = os.open(os.devnull, os.O_RDWR)
                if opened != number:
                    os.dup2(opened, number)
                    os.close(opened)
        name = ("stdin", "stdout", "stderr")[number]
        if mode == "w" and getattr(sys, name) is None:
            with contextlib.suppress(OSError):
                setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # So that `| tee` shows an epoch when it ends, and a sign that the terminal lacks ends nothing.
            stream.reconfigure(line_buffering=True, errors="backslashreplace")


def say(*lines: object) -> None:
    """Print lines on standard output; a line break within one is escaped, as names of files may have some.

    Raises BrokenPipeError if the reader is gone, and OSError with a sentence.
    """
    try:
        print(*map(printable, lines), sep="\n", flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:  # a full disk
        raise OSError(
            f"standard output: expected a place that can be written, found {describe_os_error(error)}"
        ) from error


def remark(*lines: object) -> None:
    """Print lines on standard error, which no program parses; what cannot be printed is lost."""
    if sys.stderr is None:  # print would take standard output for it
        return
    with contextlib.suppress(OSError):
        print(*map(printable, lines), sep="\n", file=sys.stderr, flush=True)


def shell_quoted(path: Any) -> str:
    """A path for a shell, to copy; one with signs that are not shown as bash, zsh and ksh write them, $'...'."""
    text = os.fspath(path)
    if printable(text) == text:
        return shlex.quote(text)
    return "$'" + _ESCAPED.sub(lambda sign: b"\\x%02x" % sign[0][0], os.fsencode(text)).decode("ascii") + "'"
