"""The one place that takes secrets out of what is written down: logs, traces, errors, recordings.

It knows the forms of credentials, not where they come from: callers redact whatever leaves memory.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.secret_forms import CREDENTIALS, PERSONAL, RANDOM_CHARACTERS, REDACTED
from sdk_workflow._internal.secret_names import is_secret_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sdk_workflow._internal.secret_forms import Form

    _Anchors = tuple[tuple[bytes, tuple[str, ...]], ...]

__all__ = ["REDACTED", "Redactor", "redact", "redact_text"]

# Servers of one's own take any word for a key: replacing that everywhere would spoil the text.
_MIN_SECRET_LENGTH = 8
_MIN_TEXT_LENGTH = 6  # a@b.de
_MIN_DIGITS = 9
_UUID_LENGTH = 36
_UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_LONGEST_KNOWN = 80
_MOST_KNOWN = 4096
_MIN_SECRET_NUMBER = 100_000  # under a secret's name, a smaller one is a count
_DIGITS = b"0123456789"
_TELLING = _DIGITS + b"ABCDEFGHIJKLMNOPQRSTUVWXYZ@=:_-"
_UNTELLING = bytes(byte for byte in range(256) if byte not in _TELLING)
_SHAPE = bytes.maketrans(_DIGITS, b"0" * 10)


class Redactor:
    """Takes secrets out of texts and JSON values.

    Plain text is passed by what is in it, before any regular expression: 0.2 us for two words, 1 to 3 us for
    ids, paths and times, 0.04 us for what was seen lately.

    Args:
        secrets: What is taken out too, whatever its form, and its base64; nothing of under eight
            characters.
        personal: Whether e-mail addresses, card and social security numbers are taken out too.

    Attributes:
        known_texts: Texts without secrets that were looked at lately; others may be too.
        known_names: The same of names.

    Example:
        >>> redactor = Redactor(secrets=["harbour-master"])
        >>> redactor.text("ann@example.com said harbour-master")
        '[e-mail] said [redacted]'
        >>> redactor.value({"password": "any", "session_id": "ses_1"})
        {'password': '[redacted]', 'session_id': 'ses_1'}
    """

    __slots__ = (
        "_anchors", "_capital_anchors", "_few_anchors", "_forms", "_numbers", "_secrets", "_shapes",
        "known_names", "known_texts",
    )  # fmt: skip

    def __init__(self, secrets: Iterable[str] = (), *, personal: bool = True) -> None:
        self._secrets = tuple(_needles(secrets))
        self.known_texts: set[str] = set()
        self.known_names: set[str] = set()
        forms = (*CREDENTIALS, *PERSONAL) if personal else CREDENTIALS
        self._forms = tuple(form for form in forms if form.literals)
        self._numbers = tuple(form for form in forms if form.shapes)
        self._shapes = tuple(shape.encode() for form in self._numbers for shape in form.shapes)
        self._anchors = _anchors(self._forms, capital=False)
        self._capital_anchors = _anchors(self._forms, capital=True)
        words = [form for form in self._forms if not form.is_random]
        self._few_anchors = _anchors(words, capital=False)

    def suspects(self, text: str) -> bool:
        """Return whether a text may hold a secret; False is certain."""
        # Messages, models and tools repeat: 0.2 to 3 us -> 0.04 us.
        if text in self.known_texts:
            return False
        if len(text) == _UUID_LENGTH and _UUID.fullmatch(text) and not self._secrets:
            return False  # the most common of ids, and each a new one: 2.2 us -> 0.2 us
        if len(text) >= _MIN_TEXT_LENGTH and self._may_hold(text):
            return True
        if len(text) <= _LONGEST_KNOWN:
            self.known_texts = _with(self.known_texts, text)
        return False

    def allows_name(self, name: str) -> bool:
        """Return whether a name is no secret and stands for none."""
        if name in self.known_names:
            return True
        if is_secret_name(name) or self.suspects(name):
            return False
        self.known_names = _with(self.known_names, name)
        return True

    def text(self, text: str) -> str:
        """Return the text with every secret in it replaced."""
        return self._clean(text) if self.suspects(text) else text

    def value(self, value: Any) -> Any:
        """Return a JSON value with the secrets of every text in it replaced; the value itself stays."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {
                self.text(name): self.member(name, member) if is_secret_name(name)
                else self.value(member)
                for name, member in value.items()
            }  # fmt: skip
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        if isinstance(value, int) and not isinstance(value, bool):
            return self._number(value)
        return value

    def member(self, name: str, value: Any) -> Any:
        """Return what may be shown of a value under a name."""
        return _hidden(value, self.value) if is_secret_name(name) else self.value(value)

    def _may_hold(self, text: str) -> bool:
        for secret in self._secrets:
            if secret in text:
                return True
        # One pass in C leaves capitals, digits and @=:_- : of prose hardly anything.
        raw = text.encode("utf-8", "surrogatepass")
        telling = raw.translate(None, _UNTELLING)
        if not telling:
            return False
        if len(telling) < RANDOM_CHARACTERS:
            anchors = _WORD_ANCHORS if telling.isalnum() else self._few_anchors
            return _is_anchored(anchors, telling, text.lower())
        if len(telling) >= _MIN_DIGITS and self._has_number(raw):
            return True
        folded = text.lower()
        if _is_anchored(self._anchors, telling, folded):
            return True
        has_capitals = telling != telling.lower()
        return has_capitals and _is_anchored(self._capital_anchors, telling, folded)

    def _has_number(self, raw: bytes) -> bool:
        shape = raw.translate(_SHAPE)
        for number in self._shapes:  # noqa: SIM110 - a generator costs as much as the search
            if number in shape:
                return True
        return False

    def _number(self, value: int) -> Any:
        shown = self.text(str(value))
        return value if shown.isdigit() or value < 0 else shown

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        folded = text.lower()
        for form in self._forms:
            for literal in form.literals:
                if literal in folded:
                    text = form.pattern.sub(form.replacement, text)
                    break
        for form in self._numbers:
            text = form.pattern.sub(form.replacement, text)
        return text


def _with(known: set[str], text: str) -> set[str]:
    """Return the known texts with one more, or that one alone where there are enough."""
    if len(known) >= _MOST_KNOWN:
        return {text}
    known.add(text)
    return known


def _needles(secrets: Iterable[str]) -> Iterable[str]:
    for secret in secrets:
        if len(secret) >= _MIN_SECRET_LENGTH:
            yield secret
            yield base64.b64encode(secret.encode("utf-8", "replace")).decode().rstrip("=")


def _hidden(value: Any, show: Callable[[Any], Any]) -> Any:
    """Return a value that stands under a secret's name; flags and small numbers are no secrets."""
    if isinstance(value, str):
        return REDACTED if value else value
    if isinstance(value, Mapping):
        # A schema that has a property of such a name describes it: {"type": "string"}.
        if "type" in value:
            return show(value)
        return {name: _hidden(member, show) for name, member in show(value).items()}
    if isinstance(value, (list, tuple)):
        return [_hidden(item, show) for item in value]
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return REDACTED if is_number and abs(value) >= _MIN_SECRET_NUMBER else value


def _anchors(forms: Iterable[Form], *, capital: bool) -> _Anchors:
    """Return by mark which literals a text with that mark has to be searched for."""
    found: dict[str, list[str]] = {}
    for form in forms:
        for mark in form.marks:
            if mark[:1].isalpha() == capital:
                found.setdefault(mark, []).extend(form.literals)
    return tuple((mark.encode(), tuple(literals)) for mark, literals in found.items())


def _is_anchored(anchors: _Anchors, telling: bytes, folded: str) -> bool:
    # Two any() in place of the loops: 0.9 us -> 1.6 us for a UUID.
    for mark, literals in anchors:  # noqa: PLR1702 - see above
        if mark in telling:
            for literal in literals:
                if literal in folded:
                    return True
    return False


# Of what stands in words alone, without any of @=:_-
_WORD_ANCHORS = _anchors(
    (form for form in CREDENTIALS if not form.is_random and form.marks == ("",)), capital=False
)
_credentials = Redactor(personal=False)
_everything = Redactor()


def redact_text(text: str, *, personal: bool = False, secrets: Sequence[str] = ()) -> str:
    """Return the text with every secret in it replaced.

    Args:
        text: What is to be written down.
        personal: Whether e-mail addresses, card and social security numbers are taken out too.
        secrets: What is taken out too, whatever its form; nothing of under eight characters.

    Example:
        >>> redact_text("key=sk-ant-api03-abc_DEF")
        'key=sk-ant-[redacted]'
    """
    if secrets:
        return Redactor(secrets, personal=personal).text(text)
    return (_everything if personal else _credentials).text(text)


def redact(value: Any, *, personal: bool = False) -> Any:
    """Return a JSON value with the secrets of every text in it replaced; the value itself stays.

    Example:
        >>> redact({"headers": {"x-api-key": "any"}, "n": 1})
        {'headers': {'x-api-key': '[redacted]'}, 'n': 1}
    """
    return (_everything if personal else _credentials).value(value)
