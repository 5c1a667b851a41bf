"""The names under which secrets stand in mappings, and the names of ours that only look like them."""

from __future__ import annotations

import re

__all__ = ["is_secret_name"]

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATOR = re.compile(r"[^a-z0-9]+")
_SECRET = re.compile(
    r"(?:^|_)(?:password|passwd|passphrase|passcode|pwd|secrets?|credentials?|auth|authorization"
    r"|bearer|jwt|cookies?|csrf|xsrf|ssn|session|sessionid|sessid|token|cvv|cvc)(?:_|$)"
    r"|(?:api|private|access|secret|signing|encryption|account|session)_?key"
    r"|password|authtoken|accesstoken|refreshtoken|csrftoken|phpsessid"
    r"|credit_?card|card_?number|social_security"
)
# Facts about a secret are none: session_id, token_count, auth_type, password_set_at, cookie_name.
_FACT = re.compile(
    r"_(?:ids?|counts?|total|ms|seconds|usd|types?|names?|at|ok|enabled|required|expired|limit"
    r"|length|size|status|state|version|source|method|mode|budget|usage|kind|hint|env|index)$"
)
_MOST_KNOWN = 4096
_known: dict[str, bool] = {}


def is_secret_name(name: str) -> bool:
    """Return whether what stands under a name is a secret, however it looks.

    Example:
        >>> [is_secret_name(name) for name in ("X-Api-Key", "clientSecret", "session", "cookie")]
        [True, True, True, True]
        >>> [is_secret_name(name) for name in ("author", "session_id", "input_tokens", "auth_type")]
        [False, False, False, False]
    """
    known = _known.get(name)
    if known is None:
        known = _judge(name)
        if len(_known) >= _MOST_KNOWN:  # names that are made up at run time must not pile up
            _known.clear()
        _known[name] = known
    return known


def _judge(name: str) -> bool:
    words = _SEPARATOR.sub("_", _WORD_START.sub("_", name[:200]).casefold()).strip("_")
    return bool(_SECRET.search(words)) and not _FACT.search(words)
