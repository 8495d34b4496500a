"""Checks of what users give; errors say the argument's name, what was expected and what was found."""

from __future__ import annotations

import contextlib
import difflib
import errno
import math
import numbers
import os
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ._text import printable

MAX_SUGGESTIONS = 5  # names in one "did you mean"
MAX_COUNT = 2**31 - 1  # of steps, epochs or images: the largest int32, the graph's type for counts

# What the operating system's error numbers mean for a path. Other numbers keep the system's own words.
_OS_ERRORS = {
    errno.ENOENT: "nothing there",
    errno.ENOTDIR: "a file where its path needs a folder",
    errno.EISDIR: "a folder",
    errno.EEXIST: "a file or a link that is no folder",
    errno.EACCES: "no permission to access it",
    errno.EPERM: "no permission to access it",
    errno.ENAMETOOLONG: "a name that is too long",
    errno.ELOOP: "symbolic links that lead in a circle",
}


def check_path(name: str, value: Any) -> Path:
    """A path, as text or path object; a leading `~` or `~user` is that home. Raises TypeError or ValueError."""
    if not isinstance(value, (str, os.PathLike)) or isinstance(os.fspath(value), bytes):
        raise TypeError(f"{name}: expected a path, found {value!r}")
    if not os.fspath(value) or "\0" in os.fspath(value):
        raise ValueError(f"{name}: expected a path, found {'one with a null byte' if value else 'an empty one'}")
    path = Path(expand_home(name, os.fspath(value)))
    # `./~`, a folder of that name: made absolute, so that no later check takes it for a home.
    return path.absolute() if path.parts and path.parts[0].startswith("~") else path


def expand_home(name: str, text: str) -> str:
    """A path's text with a leading `~` or `~user` as that home; others as they are. Raises ValueError without one."""
    if not text.startswith("~"):
        return text
    try:
        return str(Path(text).expanduser())
    except RuntimeError as error:
        home = Path(text).parts[0]
        raise ValueError(
            f"{name}: expected a path, found {text!r}, and no home folder for {home}; write ./{home} for a folder of "
            "that name"
        ) from error


def check_text_path(name: str, value: Any) -> Path:
    """A path that TensorFlow can be given: its name is text. Raises TypeError or ValueError."""
    path = check_path(name, value)
    try:
        str(path).encode()
    except UnicodeEncodeError as error:  # a name of other bytes, as of a disk from another system
        raise ValueError(
            f"{name}: expected a path of UTF-8 text, as TensorFlow takes no other, found {printable(path)}; rename it"
        ) from error
    return path


def check_bool(name: str, value: Any) -> bool:
    """True or False. Raises TypeError."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected True or False, found {value!r}")
    return bool(value)


def check_array(name: str, value: Any, expected: str) -> np.ndarray:
    """The NumPy array that a value converts to, of any dtype. Raises TypeError or ValueError."""
    check_not_masked(name, value, expected)
    if hasattr(value, "toarray"):  # SciPy's sparse matrices, which NumPy takes for one object
        raise TypeError(f"{name}: expected {expected}, found a sparse matrix; give its toarray()")
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:  # a ragged list, among others
        raise ValueError(f"{name}: expected {expected}, found: {error}") from error
    except RuntimeError as error:  # a tensor of another library that must be detached first
        raise TypeError(f"{name}: expected {expected}, found {type(value).__name__}: {error}") from error


def check_not_masked(name: str, value: Any, expected: str) -> None:
    """Raise TypeError for a masked array, or a list of them: conversions would drop the mask."""
    parts = value if isinstance(value, (list, tuple)) else [value]
    if any(isinstance(part, np.ma.MaskedArray) for part in parts):
        raise TypeError(
            f"{name}: expected {expected}, found a masked array; give what its filled(...) returns, or leave out what "
            "is masked"
        )


def in_numpy(name: str, value: Any) -> str:
    """How to write `value` as a NumPy array, for a hint that its type can follow: 'y' or 'numpy.asarray(y)'."""
    return name if isinstance(value, np.ndarray) else f"numpy.asarray({name})"


def check_whole(name: str, value: Any, lowest: int = 1, highest: int | None = None) -> int:
    """A whole number.

    Parameters
    ----------
    name : str
        The argument's name, for the error.
    value : Any
        What the user gave; NumPy's integers are whole numbers, truth values are not.
    lowest : int, default 1
        The smallest number allowed.
    highest : int, optional
        The largest number allowed; without it there is no limit.

    Raises
    ------
    TypeError
        If it is no whole number.
    ValueError
        If it is out of range.
    """
    expected = f"a whole number of at least {lowest}" if highest is None else f"a whole number in {lowest}..{highest}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name}: expected {expected}, found {value!r}")
    number = int(value)
    if number < lowest or (highest is not None and number > highest):
        raise ValueError(f"{name}: expected {expected}, found {value!r}")
    return number


def check_real(name: str, value: Any, expected: str, is_valid: Callable[[float], bool]) -> float:
    """A real number.

    Parameters
    ----------
    name : str
        The argument's name, for the error.
    value : Any
        What the user gave; truth values are no numbers.
    expected : str
        The numbers allowed, in words, for the error.
    is_valid : callable
        Takes the number as a float, which may be NaN or infinite, and returns whether it is allowed.

    Raises
    ------
    TypeError
        If it is no number.
    ValueError
        If `is_valid` is false for it.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: expected {expected}, found {value!r}")
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        number = math.inf
    if not is_valid(number):
        raise ValueError(f"{name}: expected {expected}, found {value!r}")
    return number


def check_names(name: str, found: Collection[str], expected: Collection[str]) -> None:
    """Exactly the expected names, in any order. Raises ValueError that lists those found."""
    if set(found) != set(expected):
        raise ValueError(f"{name}: expected {', '.join(expected)}, found {', '.join(map(printable, found))}")


def did_you_mean(value: Any, names: Collection[str]) -> str:
    """The end of an error message: "; did you mean 'mnist'?" for 'minst', or "" where no name is close.

    A word that several names begin with, as 'emnist', stands for all of them.
    """
    if not isinstance(value, str):
        return ""
    wanted = value.casefold()
    with_this_word = [name for name in names if wanted in re.split("[-_]", name.casefold())]
    if len(with_this_word) == 1 and len(wanted) > 2:  # 'seed' for 'random_seed', 'fashion' for 'fashion-mnist'
        return f"; did you mean {with_this_word[0]!r}?"
    beginning = [name for name in names if re.split("[-_]", name.casefold())[0] == wanted]
    if 1 < len(beginning) <= MAX_SUGGESTIONS:
        return f"; did you mean {', '.join(map(repr, beginning[:-1]))} or {beginning[-1]!r}?"
    folded = {name.casefold(): name for name in names}
    close = difflib.get_close_matches(wanted, folded, n=1)
    return f"; did you mean {folded[close[0]]!r}?" if close else ""


def describe_os_error(error: OSError) -> str:
    """What the operating system reports, in words and without its number."""
    if error.strerror is None:
        return str(error)
    return _OS_ERRORS.get(error.errno or 0, error.strerror[:1].lower() + error.strerror[1:])


@contextlib.contextmanager
def explain_os_errors(path: str | os.PathLike, expected: str, advice: str = "") -> Iterator[None]:
    """Reraise an OSError that has only the system's words as "path: expected ..., found ...", of the same type."""
    try:
        yield
    except OSError as error:
        if error.strerror is None:  # a sentence already
            raise
        explained = type(error)(f"{printable(path)}: expected {expected}, found {describe_os_error(error)}{advice}")
        explained.errno = error.errno
        raise explained from error
