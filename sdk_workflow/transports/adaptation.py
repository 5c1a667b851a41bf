"""Says less to a server that understands less: features it refuses are left out, and remembered.

Only what changes nothing about the answer is ever left out or said in another way.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from sdk_workflow.exceptions import ContextOverflow, RequestRejected

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from sdk_workflow.exceptions import LLMError
    from sdk_workflow.transports.capabilities import CapabilityProfile

__all__ = ["FEATURES", "Endpoint", "without"]

ResultT = TypeVar("ResultT")
Body = dict[str, Any]

_logger = logging.getLogger("sdk_workflow.transports")


class Endpoint:
    """What is known about one server, and the way to send it what it understands.

    A refused request is sent once more without what the refusal names. Where that is accepted, it
    stays so: for the server, or, where models differ, for the model. Servers that are not
    Anthropic's own may refuse without a reason; there everything optional is left out at once.

    Args:
        profile: What to expect of the server.
        address: Its base URL, for the log.

    Example:
        >>> from sdk_workflow.transports.capabilities import profile_of
        >>> endpoint = Endpoint(profile_of("https://bedrock-mantle.eu.api.aws"), "Bedrock")
        >>> endpoint.adapted({"model": "m", "diagnostics": {}})
        {'model': 'm'}
    """

    def __init__(self, profile: CapabilityProfile, address: str) -> None:
        self._profile = profile
        self._address = address
        self._missing = {name for name in FEATURES if not getattr(profile, name)}
        self._missing_of_model: dict[str, set[str]] = {}
        self.counts_tokens = profile.count_tokens

    def adapted(self, body: Body) -> Body:
        """Return the body without what the server is known not to understand."""
        names = self._missing | self._missing_of_model.get(str(body.get("model")), set())
        return without(body, names) if names else body

    async def send(self, body: Body, send: Callable[[Body], Awaitable[ResultT]]) -> ResultT:
        """Send a body, and once more with less in it where the server refuses a part of it.

        Raises:
            RequestRejected: The first refusal, where sending less does not help.
        """
        first = self.adapted(body)
        try:
            return await send(first)
        except RequestRejected as error:
            names = self._to_leave_out(first, error)
            if not names:
                raise
            refusal = error
        try:
            result = await send(without(first, names))
        except RequestRejected:
            raise refusal from refusal.__cause__  # what was left out was not to blame
        self._remember(names, str(body.get("model")))
        return result

    def lacks_counting(self, error: LLMError, model: str) -> bool:
        """Tell whether a refusal to count means that there is no such endpoint.

        An unknown model is a 404 as well. The API's own envelope says which it is; other servers
        at least name the model.
        """
        if error.status not in _NO_ENDPOINT:
            return False
        if self._profile.is_first_party:
            return not _speaks_api(error)
        return model not in error.message

    def note_no_counting(self) -> None:
        """Remember that the server counts no tokens."""
        self.counts_tokens = False
        _logger.warning("%s counts no tokens: they are estimated from now on.", self._address)

    def _to_leave_out(self, body: Body, error: RequestRejected) -> set[str]:
        if error.status not in _REFUSALS or isinstance(error, ContextOverflow):
            return set()
        used = {name for name, feature in FEATURES.items() if feature.is_used(body)}
        named = {name for name in used if FEATURES[name].named.search(error.message)}
        if self._profile.is_first_party:
            return named if _NOT_UNDERSTOOD.search(error.message) else set()
        # Who answers in the API's own envelope names what it refuses; other servers just refuse.
        return named if named or _speaks_api(error) else used

    def _remember(self, names: Iterable[str], model: str) -> None:
        for name in names:
            if FEATURES[name].differs_by_model:
                self._missing_of_model.setdefault(model, set()).add(name)
            else:
                self._missing.add(name)
            _logger.warning(
                "%s does not understand %s: %s from now on.",
                self._address,
                FEATURES[name].title,
                FEATURES[name].instead,
            )


def _speaks_api(error: LLMError) -> bool:
    """Tell whether an error came in the API's own envelope, which begins with its type."""
    return "_error" in error.message.partition(":")[0]


_REFUSALS = frozenset({400, 404, 422})
_NO_ENDPOINT = frozenset({404, 405, 501})
_NOT_UNDERSTOOD = re.compile(
    r"extra inputs|not permitted|n[o']t supported|unsupported|unexpected role|input should be"
    r"|unrecognized|unknown",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Feature:
    """One optional part of a request: how to find it, to leave it out, and to hear it refused."""

    title: str
    named: re.Pattern[str]
    is_used: Callable[[Mapping[str, Any]], bool]
    leave_out: Callable[[Body], Body]
    instead: str = "it is left out"
    differs_by_model: bool = False


def without(body: Body, names: Iterable[str]) -> Body:
    """Return a body without some features; the original stays as it is.

    Example:
        >>> messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
        >>> (changed,) = without({"messages": messages}, ["role_system"])["messages"]
        >>> changed["role"], [block["text"].split() for block in changed["content"]]
        ('user', [['<system>', 'Be', 'brief.', '</system>'], ['Hi']])
    """
    for name in names:
        if FEATURES[name].is_used(body):
            body = FEATURES[name].leave_out(body)
    return body


def _dropping(field: str) -> Callable[[Body], Body]:
    return lambda body: {name: value for name, value in body.items() if name != field}


def _has_marks(value: Any, *, is_top: bool = True) -> bool:
    """Tell whether any block of a request carries a `cache_control`."""
    if isinstance(value, dict):
        if "cache_control" in value and not is_top:
            return True
        parts = (value.get(name) for name in ("tools", "system", "messages", "content"))
        return any(_has_marks(part, is_top=False) for part in parts)
    return isinstance(value, (list, tuple)) and any(_has_marks(x, is_top=False) for x in value)


def _without_marks(value: Any, *, is_top: bool = True) -> Any:
    if isinstance(value, (list, tuple)):
        return [_without_marks(item, is_top=False) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {k: v for k, v in value.items() if is_top or k != "cache_control"}
    for name in ("tools", "system", "messages", "content"):
        if name in kept:
            kept[name] = _without_marks(kept[name], is_top=False)
    return kept


def _speaks_as_system(body: Mapping[str, Any]) -> bool:
    messages = body.get("messages")
    if not isinstance(messages, (list, tuple)) or not all(map(_is_message, messages)):
        return False  # what is malformed stays as it is: the server says what is wrong with it
    return any(message["role"] == "system" for message in messages)


def _is_message(value: Any) -> bool:
    if not isinstance(value, Mapping) or "role" not in value:
        return False
    content = value.get("content")
    if isinstance(content, (list, tuple)):
        return all(isinstance(block, Mapping) for block in content)
    return isinstance(content, str)


def _as_tagged_user_text(body: Body) -> Body:
    """Let the user say what the system says, under a tag, in one message with its neighbours.

    Results of tools stay in front, where the API wants them.
    """
    messages: list[dict[str, Any]] = []
    is_open = False  # whether the last message may be added to
    for message in body["messages"]:
        is_system = message["role"] == "system"
        role = "user" if is_system else message["role"]
        if messages and role == "user" == messages[-1]["role"] and (is_system or is_open):
            content = [*_blocks(messages[-1]), *_blocks(message)]
            content.sort(key=lambda block: block.get("type") != "tool_result")
            messages[-1] = {**messages[-1], "content": content}
        else:
            content_of_system = {"role": role, "content": _blocks(message)}
            messages.append(content_of_system if is_system else dict(message))
        is_open = is_system
    return {**body, "messages": messages}


def _blocks(message: Mapping[str, Any]) -> list[Any]:
    content = message["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    if message["role"] != "system":
        return blocks
    text = "\n".join(str(block.get("text", "")) for block in blocks if block.get("type") == "text")
    marks = [block["cache_control"] for block in blocks if "cache_control" in block]
    mark = {"cache_control": marks[-1]} if marks else {}
    return [{"type": "text", "text": f"<system>\n{text}\n</system>", **mark}]


FEATURES: Mapping[str, _Feature] = {
    "auto_cache": _Feature(
        title="cache_control at the top of a request",
        named=re.compile(r"(?<![\w.\]])cache_control"),
        is_used=lambda body: "cache_control" in body,
        leave_out=_dropping("cache_control"),
    ),
    "explicit_cache": _Feature(
        title="cache_control on content blocks",
        named=re.compile(r"[.\]]cache_control"),
        is_used=_has_marks,
        leave_out=_without_marks,
    ),
    "diagnostics": _Feature(
        title="diagnostics",
        named=re.compile(r"\bdiagnostics\b"),
        is_used=lambda body: "diagnostics" in body,
        leave_out=_dropping("diagnostics"),
    ),
    "role_system": _Feature(
        title="messages with the role system",
        named=re.compile(r"\brole\b"),
        is_used=_speaks_as_system,
        leave_out=_as_tagged_user_text,
        instead="the user says them under a tag",
        differs_by_model=True,
    ),
}
"""What may be left out of a request, by the name of its capability."""
