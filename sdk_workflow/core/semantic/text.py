"""Cleans a text and cuts it into tokens: quotes folded, courtesy gone, quotations found."""

from __future__ import annotations

import re
import unicodedata

from sdk_workflow.core.semantic.word_lists import word_set

__all__ = [
    "find_day_halves",
    "find_operators",
    "find_quotations",
    "fold",
    "strip_courtesy",
    "tokenise",
]

_PLAIN_FORMS = str.maketrans(
    dict.fromkeys("\u2019\u2018\u02bc`\u00b4", "'")
    | dict.fromkeys("“”„«»", '"')
    | dict.fromkeys("\u2013\u2014\u2212", "-")
    | {"…": "."}
)
_SPLIT_ENDING = re.compile(r"(?<=\S)\s{1,3}(n't|'(?:s|m|re|ve|ll|d))\b", re.IGNORECASE)
_INITIALS = re.compile(r"\b(?:[A-Za-z]\.){2,}")
_LETTER_A = re.compile(r"\b([a-z]+) A\b")  # "vitamin A"; in Title Case it stays an article
_PREFIXED = re.compile(
    r"\b(non|anti|extra|pre|post|sub|super|ultra|inter|intra|multi|semi|co|ex|un|pro)-(?=[a-z])",
    re.IGNORECASE,
)

# Pairs of words that mean something else than either: one token each.
_EXCEPTING = re.compile(r"\b(?:other than|apart from|aside from)\b", re.IGNORECASE)
_A_FEW = re.compile(r"\ba (few|little)\b", re.IGNORECASE)

_PERSON = r"(?:you|some(?:one|body)|any(?:one|body))"
_ASKED = r"(?:what|how|why|when|where|who|which|whether|if)\b"
_OPENING = re.compile(
    rf"""
    \s*(?:(?:
        hi|hello|hey|greetings|good\s+(?:morning|afternoon|evening|day)
        |please|pls|plz|kindly|thanks|thank\s+you|btw|by\s+the\s+way|quick\s+question
        |(?:well|so|ok|okay|um+|hmm+|anyway|yes|yeah|no)(?=\s*[,.!])
        |(?:(?:can|could|would|will)\s+{_PERSON}\s+)?(?:please\s+|kindly\s+)?
            (?:tell|advise|inform)\s+(?:me|us)(?:\s+(?:if|whether)\b|\s+about(?=\s+{_ASKED}))?
        |(?:can|could|would|will)\s+{_PERSON}\s+(?:please\s+|kindly\s+)?
            (?:explain|help\s+(?:me|us)|show\s+(?:me|us))(?=\s+(?:to\s+)?{_ASKED})
        |i(?:\s+would|'d)?\s+(?:like|want|need)\s+to\s+know(?:\s+(?:if|whether)\b)?
        |(?:i(?:'m|\s+am|\s+was)\s+)?(?:just\s+)?(?:wondering|curious)(?:\s+(?:if|whether)\b)?
        |(?:do\s+you|does\s+any(?:one|body)|any(?:one|body))\s+knows?
            (?:\s+(?:if|whether)\b|(?=\s+{_ASKED}))
    )\b[\s,:!.;-]*)+(?=\S)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_CLOSING = re.compile(
    r"""
    (?:[\s,.!?;-]+(?:
        thanks|thank\s+you|thx|please|pls|plz|cheers|(?:best\s+|kind\s+)?regards|in\s+advance
        |(?:so|very)\s+much|a\s+lot|or\s+not|(?:and\s+)?why(?:\s+or\s+why\s+not|\s+not)?
    ))+[\s.!?]*\Z
    """,
    re.IGNORECASE | re.VERBOSE,
)
_CLOSING_LENGTH = 48  # a closing aside is at most this long
# The search costs 3 us; the last word says for 0.4 us whether it is worth it.
_LAST_WORDS = word_set("thanks you thx please pls plz cheers regards advance much lot not why")

_TOKEN = re.compile(
    r"""
    [^\W\d_]+(?:'[^\W\d_]+)*(?:\+\+|\#(?!\w))?   # a word, C++, C#
    |(?:(?<=\s)-)?[vV]?[.,]?\d+(?:[.,]\d+)*[^\W\d_]*  # a number with what is written against it
    |[.?!:;,/&()"$€£₹¥%-]
    """,
    re.VERBOSE,
)
# A hyphen or a slash counts where no range or date can be meant.
_OPERATOR = re.compile(
    r"(?<=\d)\s*([+*^=<>\u00d7\u00f7])\s*(?=[\w(.-])|(?<=\d)\s+(-)\s+(?=\d)|(?<=\d)\s*(/)\s*(?=\d)"
)
_DAY_HALF = re.compile(r"(?<=\d)\s*([ap]\.?m)\b", re.IGNORECASE)
_QUOTATION = re.compile(r"\"([^\"]+)\"|(?<![\w'])'([^']+)'(?![\w'])")


def fold(text: str) -> str:
    r"""Return the text in NFC with plain quotes and dashes, initials and prefixes closed up.

    >>> fold("Don\u2019t U.S. and non-EU rules differ?")
    "Don't US and nonEU rules differ?"
    """
    if text.isascii():
        text = text.replace("`", "'")
    else:
        text = unicodedata.normalize("NFC", text).translate(_PLAIN_FORMS)
    if "'" in text:
        text = _SPLIT_ENDING.sub(r"\1", text)
    if "." in text:
        text = _INITIALS.sub(lambda match: match.group().replace(".", ""), text)
    if " A" in text:
        text = _LETTER_A.sub(r"\1 A#", text)
    if "-" in text:
        text = _PREFIXED.sub(r"\1", text)
    if text.isupper():
        text = text.lower()
    return _join_phrases(text)


def _join_phrases(text: str) -> str:
    if " than" in text or " from" in text:
        text = _EXCEPTING.sub("except", text)
    if " few" in text or " little" in text:
        text = _A_FEW.sub(r"a\1", text)
    return text


def strip_courtesy(text: str) -> str:
    """Return the text without greeting, request and thanks at its ends; if that is all, the text.

    >>> strip_courtesy("Hi! Can you please tell me how glue works? Thanks")
    'how glue works'
    """
    opening = _OPENING.match(text)
    start = opening.end() if opening else 0
    if text.rstrip(" .?!").rpartition(" ")[2].lower() not in _LAST_WORDS:
        return text[start:]
    closing = _CLOSING.search(text, max(start, len(text) - _CLOSING_LENGTH))
    end = closing.start() if closing else len(text)
    return text[start:end] if end > start else text[start:]


def tokenise(text: str) -> list[str]:
    """Return words with their apostrophes, numerals with the letters at their end, and marks."""
    return _TOKEN.findall(text)


def find_quotations(text: str) -> list[str]:
    """Return what stands between quotation marks, without the marks and the stop at its end."""
    return [(double or single).strip(" .,") for double, single in _QUOTATION.findall(text)]


def find_operators(text: str) -> list[str]:
    """Return the signs of arithmetic that follow a digit: "2 + 2" is not "2 * 2"."""
    return ["".join(signs) for signs in _OPERATOR.findall(text)]


def find_day_halves(text: str) -> list[str]:
    """Return "am" or "pm" for every time of day that names its half: "at 8 p.m."."""
    return [half.lower().replace(".", "") for half in _DAY_HALF.findall(text)]
