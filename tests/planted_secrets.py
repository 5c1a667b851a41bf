"""Secrets to plant and ordinary values to leave alone: made up here, drawn from a fixed seed."""

from __future__ import annotations

import base64
import hashlib
import random
import string
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_dice = random.Random()  # noqa: S311 - has to be repeatable, not unguessable
_WORD = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"
PER_KIND = 10
CLEAN_PER_KIND = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A secret in the form in which it may turn up.

    Attributes:
        kind: Which one it is.
        text: The secret with what belongs to it, such as `Bearer`.
        core: What must never be seen.
    """

    kind: str
    text: str
    core: str


def _draw(alphabet: str, count: int) -> str:
    return "".join(_dice.choices(alphabet, k=count))


def _secret(count: int) -> str:
    """Return random letters and digits with something of each, as every generator of keys does."""
    return "aB3dE6" + _draw(_WORD, count - 6)


def _card() -> str:
    digits = "4" + _draw(string.digits, 14)
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 - place % 2)
        total += value - 9 if value > 9 else value
    return digits + str(-total % 10)


def _spaced(digits: str) -> str:
    return _dice.choice(" -").join(digits[start : start + 4] for start in range(0, 16, 4))


def _jwt() -> str:
    parts = [b'{"alg":"HS256","typ":"JWT"}', _draw(_WORD, 40).encode(), _draw(_WORD, 32).encode()]
    head, body, sign = (base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    return f"{head}.eyJ{body}.{sign}"


def _pem() -> str:
    lines = "\n".join(_draw(_WORD + "+/", 64) for _ in range(3))
    kind = _dice.choice(["RSA ", "EC ", ""])
    begin, end = f"-----BEGIN {kind}PRIVATE KEY-----", f"-----END {kind}PRIVATE KEY-----"
    return f"{begin}\n{lines}\n{end}"


def _basic() -> str:
    pair = f"{_draw(string.ascii_lowercase, 6)}:{_secret(12)}"
    return base64.b64encode(pair.encode()).decode().rstrip("=")


def _email() -> str:
    letters = string.ascii_lowercase
    return f"{_draw(letters, 5)}.{_draw(letters, 7)}@{_draw(letters, 8)}.example"


def _ssn() -> str:
    return f"{_dice.randint(100, 665)}-{_dice.randint(10, 99)}-{_dice.randint(1000, 9999)}"


_FORMS: dict[str, tuple[Callable[[], str], str]] = {
    "anthropic": (lambda: f"api03-{_secret(40)}", "sk-ant-{}"),
    "openai": (lambda: _secret(40), "sk-proj-{}"),
    "stripe": (lambda: _secret(24), "sk_live_{}"),
    "github": (lambda: _secret(36), "ghp_{}"),
    "github server": (lambda: _secret(36), "ghs_{}"),
    "github fine-grained": (lambda: _secret(60), "github_pat_{}"),
    "gitlab": (lambda: _secret(20), "glpat-{}"),
    "aws key id": (lambda: _draw(string.ascii_uppercase + string.digits, 16), "AKIA{}"),
    "aws secret": (lambda: _secret(40), "aws_secret_access_key={}"),
    "google": (lambda: _secret(35), "AIza{}"),
    "google oauth": (lambda: _secret(40), "ya29.{}"),
    "slack": (lambda: f"{_draw(string.digits, 12)}-{_secret(24)}", "xoxb-{}"),
    "slack hook": (
        lambda: f"T{_secret(9)}/B{_secret(9)}/{_secret(24)}",
        "https://hooks.slack.com/services/{}",
    ),
    "npm": (lambda: _secret(36), "npm_{}"),
    "hugging face": (lambda: _secret(34), "hf_{}"),
    "pypi": (lambda: f"AgEI{_secret(60)}", "pypi-{}"),
    "sendgrid": (lambda: f"{_secret(22)}.{_secret(43)}", "SG.{}"),
    "vault": (lambda: _secret(28), "hvs.{}"),
    "databricks": (lambda: f"12a34b56{_draw(_HEX, 24)}", "dapi{}"),
    "jwt": (_jwt, "{}"),
    "private key": (_pem, "{}"),
    "bearer": (lambda: _secret(30), "Authorization: Bearer {}"),
    "basic": (_basic, "Authorization: Basic {}"),
    "url": (lambda: _secret(12), "postgres://app:{}@db.internal:5432/shop"),
    "query": (lambda: _secret(20), "https://api.example/v1?page=2&access_token={}&sort=up"),
    "azure": (lambda: f"{_secret(86)}==", "DefaultEndpointsProtocol=https;AccountKey={}"),
    "header": (lambda: _draw(string.ascii_lowercase, 24), "x-api-key: {}"),
    "cookie": (lambda: _secret(32), "Cookie: sid={}"),
    "password": (lambda: f"{_draw(string.ascii_lowercase, 9)}!", "password={}"),
    "json": (lambda: f"{_draw(string.ascii_lowercase, 5)} horse", '{{"client_secret": "{}"}}'),
    "e-mail": (_email, "{}"),
    "card": (_card, "{}"),
    "card in groups": (lambda: _spaced(_card()), "{}"),
    "ssn": (_ssn, "{}"),
}


def planted() -> list[Planted]:
    """Return ten secrets of each kind, the same ones each time."""
    _dice.seed(11)
    found = []
    for kind, (make, form) in _FORMS.items():
        for _ in range(PER_KIND):
            core = make()
            # A key is seen when its lines are, whatever stands around them.
            seen = core.split("\n")[1] if kind == "private key" else core
            found.append(Planted(kind=kind, text=form.format(core), core=seen))
    return found


_PROSE = """the tool finished after a retry and basic understanding of tokens is required before
secret santa opens the session while bearer instruments carry risk so authors discuss password
policy in cookie recipes without any key turns or credentials being shown to the assistant"""
_WORDS = _PROSE.split()

_CLEAN: dict[str, Callable[[], str]] = {
    "uuid": lambda: str(uuid.UUID(int=_dice.getrandbits(128), version=4)),
    "sha256": lambda: hashlib.sha256(_dice.randbytes(8)).hexdigest(),
    "git sha": lambda: _draw(_HEX, 40),
    "short sha": lambda: _draw(_HEX, 8),
    "trace id": lambda: f"00-{_draw(_HEX, 32)}-{_draw(_HEX, 16)}-01",
    "timestamp": lambda: f"2026-{_dice.randint(10, 12)}-{_dice.randint(10, 28)}T08:06:15.{_draw(string.digits, 6)}Z",
    "milliseconds": lambda: f"17{_draw(string.digits, 11)}",
    "order number": lambda: f"{_dice.randint(100, 999)}-{_draw(string.digits, 3)}-{_draw(string.digits, 4)}",
    "long order number": lambda: _draw(string.digits, 12),
    "phone": lambda: f"+49 {_draw(string.digits, 3)} {_draw(string.digits, 7)}",
    "image": lambda: base64.b64encode(_dice.randbytes(300)).decode(),
    "prose": lambda: " ".join(_dice.choices(_WORDS, k=14)),
    "model": lambda: f"claude-{_dice.choice(['sonnet', 'opus', 'haiku'])}-{_dice.randint(3, 9)}-{_dice.randint(1, 9)}",
    "path": lambda: f"/srv/{_draw(string.ascii_lowercase, 6)}/token_counter_{_draw(_HEX, 4)}.py:{_dice.randint(1, 400)}",
    "address": lambda: f"https://example.com/v1/{_draw(string.ascii_lowercase, 8)}?page={_dice.randint(1, 99)}",
    "figures": lambda: f"input_tokens={_dice.randint(1, 99999)} max_tokens: {_dice.randint(1, 8192)}",
    "package": lambda: f"chalk@{_dice.randint(1, 9)}.{_dice.randint(0, 20)}.{_dice.randint(0, 9)}",
    "id": lambda: f"msg_{_draw(_WORD, 24)}",
    "session": lambda: f"ses_{_draw(string.ascii_lowercase + string.digits, 24)}",
    "code": lambda: f"def f(token: str, password: str | None = None) -> {_dice.choice(['int', 'str'])}:",
}


def clean_values() -> list[str]:
    """Return ordinary values of many kinds, some of which look like secrets at first."""
    _dice.seed(12)
    return [make() for make in _CLEAN.values() for _ in range(CLEAN_PER_KIND)]
