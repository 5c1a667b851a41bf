"""Reads the word tables, which are written as plain text to be read by people."""

from __future__ import annotations

__all__ = ["read_lines", "word_set"]


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text, set apart by white space."""
    return frozenset(text.split())


def read_lines(text: str) -> list[list[str]]:
    """Return the words of every line that is not empty."""
    return [line.split() for line in text.splitlines() if line.strip()]
