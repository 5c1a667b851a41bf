"""Finds names that a machine reads: links, addresses, paths, flags and names out of code."""

from __future__ import annotations

import re

__all__ = ["find_identifiers"]

_HINT = re.compile(r"_|@|\\|/|~|::|\(|--|\.\w|(?<!\S)-[A-Za-z]")
_IDENTIFIER = re.compile(
    r"""
    (?:https?://|www\.)[^\s<>"']+[\w/]                            # link
    |(?<![\w.+-])[\w.+-]+@\w[\w-]*(?:\.\w+)+                                  # e-mail
    |\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b     # UUID
    |\b0x[0-9a-fA-F]+\b                                           # hexadecimal
    |\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,64}\b          # digest
    |\b[A-Za-z]:\\[^\s"']+                                        # path with a drive
    |(?<![\w/.])(?:~|\.{1,2})?/[\w.]+[\w.-]*(?:/[\w.-]+)*           # path
    |(?<!\S)--\w[\w-]*|(?<!\S)-[A-Za-z]{1,4}(?![\w-])              # flag
    |\\[A-Za-z]+                                                  # escape or class
    |\b\w+(?:::\w+)+(?:\(\))?                                     # C++ or Rust name
    |\b[A-Za-z_]\w*(?:\.[a-z_]\w+)+\b(?:\(\))?                    # dotted name, domain or file
    |\b\w+\(\)                                                    # call
    |\b\w*[A-Za-z]_\w+\b|\b_+\w+\b                                # snake_case
    |\b[a-z]{2}[a-z0-9]*[A-Z]\w*\b                               # camelCase
    """,
    re.VERBOSE,
)
_SCHEME = re.compile(r"^(?:https?://)?(?:www\.)?")


def find_identifiers(text: str, *, is_likely: bool) -> frozenset[str]:
    """Return the identifiers of a text without what does not tell them apart.

    Args:
        text: The text in its own case.
        is_likely: Whether a word in camelCase or with a digit was seen; otherwise only a mark that
            prose does not have makes the search worth its 10 us.

    >>> sorted(find_identifiers("Does os.path.join() accept https://example.org/?", is_likely=False))
    ['example.org', 'os.path.join']
    """
    if not is_likely and not _HINT.search(text):
        return frozenset()
    return frozenset(_canonical(name) for name in _IDENTIFIER.findall(text))


def _canonical(name: str) -> str:
    """Keep the case of flags, escapes and variables; that of an address or file means little."""
    bare = name.removesuffix("()")
    if name[0] in "-\\" or (bare.isidentifier() and ("_" in bare or bare[0].islower())):
        return bare
    return _SCHEME.sub("", bare.lower()).rstrip("/")
