"""Names a request, so that two requests share an answer only if the model would read the same.

The key holds everything that can change the answer, fields that nobody here knows included. It
knows neither caches nor which requests may be cached.
"""

from __future__ import annotations

import hashlib
import json
import marshal
import threading
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdk_workflow.core.forks import renew_after_fork
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sdk_workflow.types import Block, Call, Message

__all__ = ["RequestKey", "RequestKeys"]

_VERSION = "sdk_workflow.request_key/1"
_DIGEST_BYTES = 16
_MIN_SECRET_BYTES = 16
# They change what is billed, reported or sent how, and never the answer.
_NOT_IN_KEY = frozenset({"cache_control", "diagnostics", "metadata", "stream"})
# marshal's last format without references: from version 3 on, the bytes depend on who else holds
# the same strings.
_MARSHAL_VERSION = 2
_MEMO_ENTRIES = 4_096
_MEMO_BYTES = 8 * 2**20
_MEMO_PART_BYTES = 256 * 2**10


@dataclass(frozen=True, slots=True)
class RequestKey:
    """What a request is called in the caches; every field but `text` is a keyed digest.

    Attributes:
        exact: Names the whole request.
        scope: Names all of it but `text`: requests of one scope differ in nothing else.
        text: The last text of the user, NFC; None where the request does not end in one.
    """

    exact: str
    scope: str
    text: str | None


class RequestKeys:
    """Makes the keys of one tenant and one backend.

    Args:
        tenant_secret: At least 16 random bytes. Without it nobody can compute a key, and so nobody
            can find out what another tenant has asked.
        namespace: Who answers, such as a backend and its address. Keys of two namespaces never meet.

    Raises:
        UsageError: If the secret is too short.

    Example:
        >>> from sdk_workflow.types import Call
        >>> keys = RequestKeys(b"sixteen or more.", "api")
        >>> def ask(text, **fields):
        ...     message = {"role": "user", "content": text}
        ...     return keys.key_of(Call(model="m", messages=(message,), **fields))
        >>> ask("Hi") == ask("Hi"), ask("Hi").exact == ask("Ho").exact
        (True, False)
        >>> ask("Hi").scope == ask("Ho").scope, ask("Hi").scope == ask("Hi", system="Sing.").scope
        (True, False)
    """

    def __init__(self, tenant_secret: bytes, namespace: str) -> None:
        if len(tenant_secret) < _MIN_SECRET_BYTES:
            raise UsageError(
                f"The tenant secret has {len(tenant_secret)} bytes, which can be guessed.",
                code="weak_tenant_secret",
                hint="Pass secrets.token_bytes(32), and keep it where the cache is kept.",
            )
        secret = hashlib.blake2b(tenant_secret, digest_size=32).digest()
        key = hashlib.blake2b(namespace.encode(), key=secret, digest_size=32).digest()
        self._keyed = hashlib.blake2b(key=key, digest_size=_DIGEST_BYTES)
        self._settings = _PartDigests(self._keyed, _canonical)
        self._tools = _PartDigests(self._keyed, _without_markers)
        self._system = _PartDigests(self._keyed, _blocks)
        self._message = _PartDigests(self._keyed, _message)

    def key_of(self, call: Call) -> RequestKey:
        """Return the key of a request; 17 KB take 20 microseconds where all but its end is known.

        Raises:
            UsageError: If the request is no JSON, so that no key can stand for it
                (`request_not_keyable`).
        """
        try:
            return self._key_of(call)
        except (TypeError, ValueError, AttributeError, KeyError, RecursionError) as error:
            # Not chained, and without the error's own text: both may quote the prompt.
            raise UsageError(
                f"The request cannot be put into one form of JSON ({type(error).__name__}).",
                code="request_not_keyable",
                hint="Use text, numbers, lists and dictionaries with text as keys only.",
            ) from None

    def _key_of(self, call: Call) -> RequestKey:
        last, text = _apart(call.messages[-1]) if call.messages else ({}, None)
        digest = self._message.digest
        parts = [self._settings.digest(_settings(call))]
        parts.append(self._tools.digest(call.tools))
        parts.append(self._system.digest(call.system or ()))
        # Each part has a digest of its own: a new turn leaves those of all earlier ones as they are.
        parts += [digest(message) for message in call.messages[:-1]]
        parts.append(digest(last))
        scope = self._hash(b"scope" + b"".join(parts))
        ending = b"" if text is None else b"text" + _utf8(text)
        exact = self._hash(b"exact" + scope + ending)
        return RequestKey(exact.hex(), scope.hex(), text)

    def _hash(self, data: bytes) -> bytes:
        hasher = self._keyed.copy()
        hasher.update(data)
        return hasher.digest()


class _PartDigests:
    """The digests of one kind of part, remembered by what the part holds.

    Not by its identity: messages are dictionaries, and their owner may change them at any time.
    marshal writes the content down 15 times faster than it takes to bring it into one form, and
    equal bytes are equal content, so a remembered digest is never an old one. Nothing is ever
    read with marshal.
    """

    __slots__ = ("__weakref__", "_bytes", "_canonical", "_keyed", "_known", "_lock")

    def __init__(self, keyed: hashlib.blake2b, canonical: Callable[[Any], Any]) -> None:
        self._keyed = keyed
        self._canonical = canonical
        self._known: dict[bytes, bytes] = {}
        self._bytes = 0
        self._lock = threading.Lock()
        renew_after_fork(self)

    def renew(self) -> None:
        """Start with a free lock in a forked process."""
        self._lock = threading.Lock()

    def digest(self, part: Any) -> bytes:
        """Return the keyed digest of a part."""
        try:
            content = marshal.dumps(part, _MARSHAL_VERSION)
        except ValueError:  # other mappings than dict, say: correct all the same, only slower
            return self._computed(part)
        known = self._known.get(content)
        if known is not None:
            return known
        digest = self._computed(part)
        if len(content) <= _MEMO_PART_BYTES:
            self._remember(content, digest)
        return digest

    def _computed(self, part: Any) -> bytes:
        text = json.dumps(
            self._canonical(part),
            sort_keys=True,
            allow_nan=False,
            ensure_ascii=False,
            separators=(",", ":"),
        )
        hasher = self._keyed.copy()
        hasher.update(_utf8(text))
        return hasher.digest()

    def _remember(self, content: bytes, digest: bytes) -> None:
        with self._lock:
            if content in self._known:
                return
            self._known[content] = digest
            self._bytes += len(content)
            while self._bytes > _MEMO_BYTES or len(self._known) > _MEMO_ENTRIES:
                oldest = next(iter(self._known))
                del self._known[oldest]
                self._bytes -= len(oldest)


def _settings(call: Call) -> tuple[Any, ...]:
    parameters = call.parameters
    if not _NOT_IN_KEY.isdisjoint(parameters):
        parameters = {name: parameters[name] for name in parameters if name not in _NOT_IN_KEY}
    return (_VERSION, call.tenant, call.model, call.max_tokens, call.tool_choice, parameters)


def _apart(message: Message) -> tuple[Message, str | None]:
    """Return a message without the text that it ends in, and that text."""
    blocks = _as_blocks(message["content"])
    if message["role"] != "user" or not blocks or blocks[-1].get("type") != "text":
        return message, None
    text = _one_form(blocks[-1]["text"])
    return {**message, "content": [*blocks[:-1], {**blocks[-1], "text": ""}]}, text


def _as_blocks(content: str | Sequence[Block]) -> Sequence[Block]:
    """Return content as blocks: to the API, a text is short for one text block."""
    return ({"type": "text", "text": content},) if isinstance(content, str) else content


def _message(message: Message) -> Any:
    if not message:  # stands where a request has no message at all
        return {}
    fields = {name: value for name, value in message.items() if name != "content"}
    return {**_canonical(fields), "content": _blocks(message["content"])}


def _blocks(content: str | Sequence[Block]) -> list[Any]:
    return [_block(block) for block in _as_blocks(content)]


def _block(block: Block) -> dict[str, Any]:
    plain = _without_marker(block)
    if isinstance(plain.get("content"), list):  # of a tool's result, or a search's
        plain["content"] = _without_markers(plain["content"])
    source = plain.get("source")
    if isinstance(source, dict) and isinstance(source.get("content"), list):  # of a document
        plain["source"] = {**source, "content": _without_markers(source["content"])}
    return plain


def _without_markers(items: Sequence[Mapping[str, Any]]) -> list[Any]:
    return [_without_marker(item) for item in items]


def _without_marker(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return a block or tool without its own marker; deeper ones may be a tool's own field."""
    return {name: _canonical(value) for name, value in item.items() if name != "cache_control"}


def _canonical(value: Any) -> Any:
    """Return a JSON value with one form for each text and each number."""
    if isinstance(value, str):
        return _one_form(value)
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, Mapping):
        return {_checked_name(name): _canonical(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(item) for item in value]
    raise TypeError("not a JSON value")


def _checked_name(name: object) -> str:
    # Left as it is: two names that become one would let a field disappear from the key.
    if not isinstance(name, str):
        raise TypeError("not a name")
    return name


def _one_form(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
