"""Makes a short text that a regular expression takes, as far as it is made of the usual pieces.

Classes, escapes, groups, choices and quantifiers are understood; what looks around is not, and the
caller has to check the text. It reads the expression by itself: no engine's parser is public.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Union

__all__ = ["UnreadablePatternError", "matches", "text_for"]

_MAX_DEPTH = 30
_MAX_PIECES = 20_000
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_DIGITS = "0123456789"
_WORD = _LETTERS + _DIGITS + _LETTERS.upper() + "_"
_SPACES = " \t\n"
_POOL = _WORD + "-.,:;/!?+*=@#$%&'\"()[]{}<>|~^`\\" + _SPACES
_ANY = _POOL.replace("\n", "")
_ESCAPES = {
    "d": _DIGITS,
    "w": _WORD,
    "s": _SPACES,
    "D": "".join(char for char in _POOL if char not in _DIGITS),
    "W": "".join(char for char in _POOL if char not in _WORD),
    "S": "".join(char for char in _POOL if char not in _SPACES),
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "f": "\f",
    "v": "\v",
}
_ANCHORS = frozenset("bBAzZ")
_CODE_LENGTHS = {"x": 2, "u": 4}
_GROUP_STARTS = ("?:", "?P<", "?<", "?")
_REPEATS = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_MAX_RANGE = 100

# A character of several, a piece that is repeated, or a group with its branches.
_Piece = Union[str, "_Repeat", "_Group"]


class UnreadablePatternError(ValueError):
    """The expression has a piece that is not understood, or makes too long a text."""


class _Repeat:
    def __init__(self, piece: _Piece, least: int, most: int | None) -> None:
        self.piece = piece
        self.least = least
        self.most = most


class _Group:
    def __init__(self, branches: list[list[_Piece]]) -> None:
        self.branches = branches


@lru_cache(maxsize=256)
def matches(pattern: str, text: str) -> bool:
    """Return whether a pattern is found in a text, by the rules of JSON Schema."""
    from jsonschema_rs import Draft202012Validator

    return bool(Draft202012Validator({"pattern": pattern}).is_valid(text))


def text_for(pattern: str, *, variant: int = 0, extra: int = 0) -> str:
    """Return a text that the pattern should take.

    Args:
        pattern: The expression.
        variant: Which of the texts: others for other numbers, where the pattern has several.
        extra: How many more times than they must the open repetitions are repeated, the first one
            first.

    Raises:
        UnreadablePatternError: It has a piece that is not understood here.

    Example:
        >>> text_for("^[A-Z]{3}-[0-9]+$"), text_for("^(red|green)$", variant=1)
        ('AAA-0', 'green')
    """
    group = _Reader(pattern).read()
    return _Writer(variant, extra).write(group)


class _Writer:
    """Writes one text; the variant is used up digit by digit, as in a number of mixed base."""

    def __init__(self, variant: int, extra: int) -> None:
        self._left = variant
        self._extra = extra
        self._pieces = 0

    def write(self, piece: _Piece) -> str:
        self._pieces += 1
        if self._pieces > _MAX_PIECES:
            raise UnreadablePatternError("it makes too long a text")
        if isinstance(piece, str):
            return piece[self._digit(len(piece))]
        if isinstance(piece, _Repeat):
            room = self._extra if piece.most is None else max(0, piece.most - piece.least)
            more = min(self._extra, room)
            self._extra -= more
            count = piece.least + more
            return "".join(self.write(piece.piece) for _ in range(count))
        branch = piece.branches[self._digit(len(piece.branches))]
        return "".join(self.write(each) for each in branch)

    def _digit(self, base: int) -> int:
        self._left, digit = divmod(self._left, base)
        return digit


class _Reader:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def read(self) -> _Group:
        group = self._branches(0)
        if self._at < len(self._pattern):
            raise UnreadablePatternError("a parenthesis is closed that was not opened")
        return group

    def _branches(self, depth: int) -> _Group:
        if depth > _MAX_DEPTH:
            raise UnreadablePatternError("it is nested too deeply")
        branches: list[list[_Piece]] = [[]]
        while self._at < len(self._pattern) and self._peek() != ")":
            char = self._next()
            if char == "|":
                branches.append([])
            elif char not in "^$":
                piece = self._piece(char, depth)
                branches[-1] += [] if piece is None else [self._repeated(piece)]
        return _Group(branches)

    def _piece(self, char: str, depth: int) -> _Piece | None:
        if char == "(":
            return self._group(depth)
        if char == "[":
            return self._class()
        if char == "\\":
            return self._escape()
        if char in _REPEATS:
            raise UnreadablePatternError(f"{char!r} repeats nothing")
        return _ANY if char == "." else char

    def _group(self, depth: int) -> _Group:
        start = next((s for s in _GROUP_STARTS if self._pattern.startswith(s, self._at)), "")
        self._at += len(start)
        if start == "?" or (start == "?<" and self._peek() in "=!"):
            raise UnreadablePatternError("it looks around, or sets flags")
        if start.endswith("<"):
            self._until(">")
        group = self._branches(depth + 1)
        self._expect(")")
        return group

    def _repeated(self, piece: _Piece) -> _Piece:
        char = self._peek()
        if char in _REPEATS:
            self._at += 1
            least, most = _REPEATS[char]
        elif char == "{":
            self._at += 1
            least, most = self._counts(self._until("}"))
        else:
            return piece
        if self._peek() in {"?", "+"}:
            self._at += 1
        return self._repeated(_Repeat(piece, least, most))

    @staticmethod
    def _counts(text: str) -> tuple[int, int | None]:
        least, comma, most = text.partition(",")
        if not (least or "0").isdecimal() or not (most or "0").isdecimal() or not text:
            raise UnreadablePatternError(f"{{{text}}} is no number of times")
        return int(least or 0), (int(most) if most else None) if comma else int(least)

    def _escape(self) -> str | None:
        char = self._next()
        if char in _ANCHORS:
            return None
        if char in _CODE_LENGTHS:
            return self._code(_CODE_LENGTHS[char])
        if char in "pP":
            return self._property(is_negated=char == "P")
        if char in "123456789k":
            raise UnreadablePatternError("it refers back to a group")
        return _ESCAPES.get(char, char)

    def _code(self, length: int) -> str:
        digits = self._until("}")[1:] if self._peek() == "{" else self._take(length)
        try:
            return chr(int(digits, 16))
        except (ValueError, OverflowError) as error:
            raise UnreadablePatternError(f"{digits!r} is no character's code") from error

    def _property(self, *, is_negated: bool) -> str:
        """Return characters of a Unicode property, such as `L` or `Lu`."""
        name = self._until("}")[1:] if self._peek() == "{" else self._next()
        kinds = {"Lu": _LETTERS.upper(), "N": _DIGITS, "Nd": _DIGITS, "P": "-.,", "Z": " "}
        found = kinds.get(name, _LETTERS)
        return _without(found) if is_negated else found

    def _class(self) -> str:
        is_negated = self._peek() == "^"
        self._at += is_negated
        members: list[str] = []
        is_first = True
        while is_first or self._peek() != "]":
            is_first = False
            low = self._member()
            if self._peek() == "-" and self._pattern[self._at + 1 : self._at + 2] != "]":
                self._at += 1
                low = _range(low, self._member())
            members.append(low)
        self._expect("]")
        found = "".join(members)
        found = _without(found) if is_negated else "".join(dict.fromkeys(found))
        if not found:
            raise UnreadablePatternError("a class leaves no character that is known here")
        return found

    def _member(self) -> str:
        char = self._next()
        if char != "\\":
            return char
        return "\b" if self._peek() == "b" and self._next() else self._escape() or ""

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _next(self) -> str:
        return self._take(1)

    def _take(self, length: int) -> str:
        taken = self._pattern[self._at : self._at + length]
        if len(taken) < length:
            raise UnreadablePatternError("it ends too early")
        self._at += length
        return taken

    def _until(self, end: str) -> str:
        found = self._pattern.find(end, self._at)
        if found < 0:
            raise UnreadablePatternError(f"{end!r} is missing")
        text, self._at = self._pattern[self._at : found], found + 1
        return text

    def _expect(self, char: str) -> None:
        if self._next() != char:
            raise UnreadablePatternError(f"{char!r} is missing")


def _range(low: str, high: str) -> str:
    if len(low) != 1 or len(high) != 1 or low > high:
        raise UnreadablePatternError(f"{low}-{high} is no range")
    most = min(ord(high), ord(low) + _MAX_RANGE)
    return "".join(map(chr, range(ord(low), most + 1)))


def _without(members: str) -> str:
    return "".join(char for char in _POOL if char not in members)
