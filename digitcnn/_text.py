"""Untrusted text (names of files, contents of records) as it is shown: it moves no cursor and begins no line."""

from __future__ import annotations

import unicodedata

# Control and format signs, lone surrogates, separators of lines and of paragraphs.
_NOT_SHOWN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"  # format signs that emoji and several scripts are written with
_FIRST_BYTE, _LAST_BYTE = 0xDC80, 0xDCFF  # what Python makes of a file name's bytes that are no text


def printable(text: object) -> str:
    """A text for terminals, pages and plots: signs that would act there, line breaks among them, become escapes.

    Other Unicode stays. An escape is Python's, such as \\x1b, \\n or \\u202e; a second call changes nothing.
    """
    return "".join(
        _escape(sign) if unicodedata.category(sign) in _NOT_SHOWN and sign not in _JOINERS else sign
        for sign in str(text)
    )


def printable_lines(text: object) -> str:
    """As `printable`, for text whose line breaks are the program's own: they stay, and indent what follows."""
    return "\n  ".join(printable(line.strip()) for line in str(text).strip().split("\n"))


def _escape(sign: str) -> str:
    code = ord(sign)
    if _FIRST_BYTE <= code <= _LAST_BYTE:
        return f"\\x{code - _FIRST_BYTE + 0x80:02x}"
    return sign.encode("unicode_escape").decode("ascii")
