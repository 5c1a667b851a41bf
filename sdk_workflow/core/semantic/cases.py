"""Knows where the case of a word tells it from another: symbols, units, initials, names."""

from __future__ import annotations

import re

from sdk_workflow.core.semantic.lexicon import FUNCTION_WORDS, NEGATIONS
from sdk_workflow.core.semantic.word_lists import word_set

__all__ = ["has_recased", "is_cased_form"]

_MAX_SYMBOL = 4
_WORDS_IN_CAPITALS = FUNCTION_WORDS | NEGATIONS
"""In capitals these are stressed, not other words; "No" within a sentence is no stress."""
# Written in any case, and never meant otherwise.
_ONE_MEANING = word_set("km kms kg kgs cm gm gms hz khz ghz mph kmh lb lbs oz ft ml pm am tv pc ok")
# Without a capital these are written in haste and stand for bits and bytes alike.
_DATA_UNITS = word_set("kb mb gb tb pb kbps mbps gbps tbps")
_HASTY = _DATA_UNITS | {"mhz"}
# Other words with one capital at their start are left to the rules for names.
_CAPITALISED_SYMBOLS = frozenset({"No", "As", "In", "At", "He", "Mg"}) | frozenset(
    unit.capitalize() for unit in _DATA_UNITS
)


def is_cased_form(token: str) -> bool:
    """Return whether a word is written so that its case may matter.

    >>> [token for token in ["CO", "mW", "Rome", "Turkey's", "HELLO"] if is_cased_form(token)]
    ['CO', 'mW', "Turkey's"]
    """
    if not token or token.islower() or token in {"I", "A"}:
        return False
    if token.endswith("'s"):
        return token[0].isupper() and token[1:].islower() and len(token) > len("I's")
    if len(token) > _MAX_SYMBOL or not token.isalpha():
        return False
    return token in _CAPITALISED_SYMBOLS or len(token) == 1 or not token[1:].islower()


def has_recased(forms: frozenset[str], others: frozenset[str], spoken: str) -> bool:
    """Return whether a text writes one of these forms in another case.

    Args:
        forms: What the first text writes.
        others: The forms that the second text writes.
        spoken: The words of the second text, lower-cased.
    """
    missing = forms - others
    return any(_is_recased(form, others, spoken) for form in missing)


def _is_recased(form: str, others: frozenset[str], spoken: str) -> bool:
    lower = form.lower()
    if lower in _ONE_MEANING:
        return False
    forms = [other for other in others if other.lower() == lower]
    if not forms:
        return _is_recased_from_lower(lower, spoken)
    return not any(_are_one(form, other) for other in forms)


def _is_recased_from_lower(lower: str, spoken: str) -> bool:
    if lower in _WORDS_IN_CAPITALS or lower in _HASTY:
        return False
    words = re.escape(lower.replace("'s", " 's"))
    return re.search(rf"(?<![^\W\d]){words}(?!\w)", spoken) is not None


def _are_one(form: str, other: str) -> bool:
    if form.lower() in _DATA_UNITS:
        return ("B" in form) == ("B" in other)
    return form == other
