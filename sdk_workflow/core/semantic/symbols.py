"""Reads what stands between the words: signs of code and mathematics, and numbers in a row.

Ordinary punctuation is left out: it may change while the question stays the same.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["find_number_rows", "find_symbols"]

# What "percent", "dollars" and "number" also say, and an "&" between words, is no sign of its own.
_SPOKEN = re.compile(
    r"[$%]\s?(?=\d)|(?<=\d)\s?[$%]|\#(?=\d)|(?<=[A-Za-z])\#(?!\w)|(?<=\w)&(?=\w)|(?<=\s)&(?=\s\w\w)"
)
_HINT = re.compile(r"[#$%&*+<=>@\[\]\\^{|}~]")
_RUN = re.compile(r"(?:[!:-](?=[=>]))?[#$%&*+<=>@\[\]\\^{|}~]+|(?<=\w)--(?!\w)")
_SPOKEN_SIGNS = frozenset("€£₹¥°™®©\u00b4")
_ROW = re.compile(r"(?<![\d.,])\d[\d.,]*(?:\s*[/:^*+<>-]\s*\d[\d.,]*)+")
_JOINT = re.compile(r"\s*[/:^*+<>-]\s*")


def find_symbols(text: str) -> tuple[str, ...]:
    """Return the runs of signs that are no punctuation, in their order, emoji and arrows last.

    >>> find_symbols("Is a === b, or a || b? 🎉"), find_symbols("Is 5 % of $20 (say) much, Tom & Jo?")
    (('===', '||', '🎉'), ())
    """
    runs: list[str] = []
    if _HINT.search(text) or "--" in text:
        runs += _RUN.findall(_SPOKEN.sub(" ", text))
    if not text.isascii():
        runs += [sign for sign in text if sign > "\x7f" and _is_sign(sign)]
    return tuple(runs)


def _is_sign(character: str) -> bool:
    is_symbol = unicodedata.category(character).startswith("S")
    return (is_symbol or character == "‰") and character not in _SPOKEN_SIGNS


def find_number_rows(text: str) -> tuple[str, ...]:
    """Return the numbers that a slash, colon, dash or sign of arithmetic joins, each row as one.

    >>> find_number_rows("From 05/06/2024, 3 - 4 cups at 7:30")
    ('5 6 2024', '3 4', '7 30')
    """
    return tuple(
        " ".join([part.strip(".,").lstrip("0") or "0" for part in _JOINT.split(row)])
        for row in _ROW.findall(text)
    )
