"""The forms that secrets have in text, each with the literals without which it cannot be there.

It knows what to look for, not where: `redaction` decides which texts are worth a look.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CREDENTIALS", "PERSONAL", "RANDOM_CHARACTERS", "REDACTED", "Form"]

REDACTED = "[redacted]"


class Form(NamedTuple):
    """One form of a secret.

    Attributes:
        literals: Text without any of them, in lower case, cannot hold the form.
        pattern: Finds it; every repetition is bounded or cannot fail behind what it took, so that
            no text takes more than linear time.
        replacement: What takes its place.
        marks: What is left of a literal without lower case and most punctuation: capitals, digits
            and `@=:_-`. Text without any of them cannot hold the form either.
        is_random: Whether at least six characters of it are such ones.
        shapes: Where it has no literal: what is in every one once all digits are zeros.
    """

    literals: tuple[str, ...]
    pattern: re.Pattern[str]
    replacement: str | Callable[[re.Match[str]], str] = REDACTED
    marks: tuple[str, ...] = ("",)
    is_random: bool = False
    shapes: tuple[str, ...] = ()


RANDOM_CHARACTERS = 6
# A random token is no word, so that prose needs no search for one; and `eyJ` in a word is none.
_RANDOM = rf"(?=(?:[a-z]*[A-Z0-9_-]){{{RANDOM_CHARACTERS}}})"


def _token(literals: tuple[str, ...], start: str, rest: str, *, marks: tuple[str, ...]) -> Form:
    pattern = re.compile(rf"\b{start}{_RANDOM}{rest}")
    return Form(literals, pattern, marks=marks, is_random=True)


_ISSUED = {
    # First digits by length, ISO/IEC 7812: what nobody issues is an order number.
    13: re.compile(r"4"),
    14: re.compile(r"3(?:0[0-5]|[68])"),
    15: re.compile(r"3[47]"),
    16: re.compile(
        r"4|5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)|6(?:011|4[4-9]|5|2)|35(?:2[89]|[3-8])"
    ),
    19: re.compile(r"4|62"),
}
_LARGEST_DIGIT = 9


def _masked_card(match: re.Match[str]) -> str:
    digits = re.sub(r"[ -]", "", match.group())
    issued = _ISSUED.get(len(digits))
    is_card = issued is not None and issued.match(digits) and _luhn_holds(digits)
    return "[card]" if is_card else match.group()


def _luhn_holds(digits: str) -> bool:
    """Return whether the check digit fits: ISO/IEC 7812-1, annex B."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - _LARGEST_DIGIT if value > _LARGEST_DIGIT else value
    return total % 10 == 0


_NAMES = (
    r"pass(?:word|wd|phrase|code)|pwd(?!\W{1,4}[/~.])|secret|token|api[-_ ]?key|account[-_]?key"
    r"|(?:access|private|secret|signing|encryption|subscription|session)[-_]?key"
    r"|credentials?|(?<![a-z])auth|authorization|sess(?:ion)?id|jwt|[cx]srf"
    r"|(?<=[?&])(?:sig|signature|code|key)|x-amz-signature"
)
_NO_SECRETS = (
    r"none|null|nil|true|false|yes|no|ok|required|optional|missing|invalid|expired|unknown|empty"
    r"|unset|must|should|is|was|not|has|cannot|failed|error|str|string|int|integer|bool|boolean"
    r"|bytes|number|object|array|bearer|basic|digest|\d{1,5}"
)
# password=..., "api_key": "...", Authorization: Token ..., ?token=...&
_ASSIGNED = re.compile(
    rf"((?:{_NAMES})(?:\\?[\"'])?\s{{0,3}}(?:=>|[:=])\s{{0,3}}(?:\\?[\"'])?"
    r"(?:(?:bearer|basic|token|digest)\s{1,3})?)"
    rf"(?!\S{{0,16}}\[redacted\]|\*\*)(?!(?:{_NO_SECRETS})(?![\w-]))"
    # Between quotes a secret may hold spaces; without them it ends at the next one.
    r"(?:(?<=[\"'])[^\"'\\\r\n]+(?:\\[^\"'\r\n][^\"'\\\r\n]*)*|[^\s\"'&,;<>()\[\]{}\\]{3,})",
    re.IGNORECASE,
)
_ASSIGNED_NAMES = (
    "pass", "pwd", "secret", "token", "key", "credential", "auth", "sessid", "sessionid", "jwt",
    "srf", "sig", "code=",
)  # fmt: skip

CREDENTIALS = (
    Form(("sk-ant-",), re.compile(r"(?i:sk-ant-)[\w-]+"), f"sk-ant-{REDACTED}", ("-",)),
    Form(
        ("bearer",),
        # All in lower case it is English: a bearer certificate.
        re.compile(r"\b((?i:bearer))\s{1,8}(?=[a-z.~+/]*[A-Z0-9=_-])[\w.~+/=-]{8,}"),
        rf"\1 {REDACTED}",
    ),
    Form(
        ("basic ",),
        re.compile(r"\b((?i:basic)) (?=(?:[a-z+/]*[A-Z0-9=]){3})[\w+/]{12,}={0,2}"),
        rf"\1 {REDACTED}",
    ),
    _token(("sk-",), "sk-", r"[\w-]{16,}", marks=("-",)),
    _token(
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        "(?i:gh[pousr]|github_pat)_",
        r"\w{16,}",
        marks=("_",),
    ),
    _token(("glpat-",), "glpat-", r"[\w-]{16,}", marks=("-",)),
    _token(("akia", "asia"), "A[KS]IA", r"[A-Z0-9]{16}\b", marks=("AKIA", "ASIA")),
    _token(("aiza",), "AIza", r"[\w-]{32,}", marks=("AI",)),
    _token(("ya29.",), r"ya29\.", r"[\w-]{20,}", marks=("",)),
    _token(("gocspx-",), "GOCSPX-", r"[\w-]{20,}", marks=("GOCSPX-",)),
    _token(("xox", "xapp-"), "(?:xox[abeoprs]|xapp)-", r"[\w-]{10,}", marks=("-",)),
    _token(
        ("k_live_", "k_test_", "whsec_"),
        "(?:[sr]k_(?:live|test)|whsec)_",
        r"\w{16,}",
        marks=("_",),
    ),
    _token(("npm_", "hf_", "dop_v1_"), "(?:npm|hf|dop_v1)_", r"\w{20,}", marks=("_",)),
    _token(("pypi-",), "pypi-", r"[\w-]{16,}", marks=("-",)),
    _token(("sg.",), r"SG\.", r"[\w-]{16,}\.[\w-]{16,}", marks=("SG",)),
    _token(("hvs.",), r"hvs\.", r"[\w-]{20,}", marks=("",)),
    _token(("dapi",), "dapi", r"[0-9a-f]{32}\b", marks=("",)),
    _token(("sk",), "SK", r"[0-9a-f]{32}\b", marks=("SK",)),
    Form(
        ("hooks.slack.com/",),
        re.compile(r"(hooks\.slack\.com/)(?=(?:[a-z/]*[A-Z0-9]){6})[\w/]+"),
        rf"\1{REDACTED}",
        is_random=True,
    ),
    # Two parts are enough: a token that is cut off before its signature tells who somebody is.
    _token(("eyj",), "eyJ", r"[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?", marks=("J",)),
    Form(
        ("private key-----",),
        re.compile(
            r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----.*?"
            r"(?:-----END [A-Z ]{0,32}PRIVATE KEY-----|\Z)",
            re.DOTALL,
        ),
        marks=("-",),
    ),
    Form(
        ("://",),
        re.compile(r"(?<=://)([^\s/@:\"']{0,64}):[^\s/@\"']{1,256}@"),
        rf"\1:{REDACTED}@",
        ("@",),
    ),
    Form(
        ("cookie:",),
        re.compile(r"((?i:cookie): {0,3})[^\r\n\"']{4,}"),
        rf"\1{REDACTED}",
        (":",),
    ),
    Form(_ASSIGNED_NAMES, _ASSIGNED, rf"\1{REDACTED}", ("=", ":")),
)
"""What opens doors."""

# What stands beside a number would make it part of something longer. The look behind stands after
# the first digit, so that a search can skip to digits.
_BEGINS, _ENDS = r"(?<![\w.+-][0-9])", r"(?![\w-]|\.[0-9])"
PERSONAL = (
    Form(
        ("@",),
        re.compile(r"[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}"),
        "[e-mail]",
        ("@",),
    ),
    Form(
        (),
        re.compile(
            rf"[2-6]{_BEGINS}(?:[0-9]{{3}}([ -])[0-9]{{4}}\1[0-9]{{4}}\1[0-9]{{4}}"
            rf"|[0-9]{{3}}([ -])[0-9]{{6}}\2[0-9]{{5}}|[0-9]{{12,18}}){_ENDS}"
        ),
        _masked_card,
        shapes=("0" * 13, "0000 0000 ", "0000-0000-", "0000 000000 ", "0000-000000-"),
    ),
    Form(
        (),
        # The numbers that are issued: https://www.ssa.gov/employer/randomization.html
        re.compile(
            rf"[0-8]{_BEGINS}[0-9]{{2}}(?<!000)(?<!666)-(?!00)[0-9]{{2}}-(?!0000)[0-9]{{4}}{_ENDS}"
        ),
        "[ssn]",
        shapes=("000-00-0000",),
    ),
)
"""What says who somebody is: e-mail addresses, card numbers, US social security numbers."""
