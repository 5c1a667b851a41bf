"""Folds the events of a streamed reply into the finished reply, and accepts nothing less.

The official SDK takes a stream that breaks off for a finished message. Here a reply is finished
when `message_stop` has arrived, and not before.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.api_errors import error_from_envelope
from sdk_workflow.exceptions import StreamInterrupted
from sdk_workflow.types import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk_workflow.types import StreamEvent

__all__ = ["ReplyBuilder", "read_message"]

# Under these stop reasons the last tool call may break off in the middle: it is left out.
_CUT_SHORT = frozenset({"max_tokens", "model_context_window_exceeded", "refusal"})
_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
)
_COUNTS_OF_WRITES = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
_APPENDED = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "partial_json",
}


def read_message(message: Any, **facts: Any) -> Reply:
    """Return the reply that the API's `message` object holds, once it is known to be one.

    Args:
        message: The decoded JSON.
        **facts: Fields of `Reply` that the message does not hold.

    Raises:
        ValueError: If it is not a finished message.

    Example:
        >>> read_message({"id": "msg_1", "model": "m", "content": "Hello"})
        Traceback (most recent call last):
            ...
        ValueError: This must hold: the content is a list.
    """
    _require(isinstance(message, dict), "a message is an object")
    named = isinstance(message.get("id"), str) and isinstance(message.get("model"), str)
    _require(named, "the message names itself and its model")
    _require(isinstance(message.get("content"), list), "the content is a list")
    for block in message["content"]:
        _check_block(block)
    reason = message.get("stop_reason")
    _require(isinstance(reason, str) and reason != "", "a finished message says why it stopped")
    _check_usage(message.get("usage") or {})
    return Reply.from_api(message, **facts)


def _check_block(block: Any) -> None:
    _require(isinstance(block, dict) and isinstance(block.get("type"), str), "a block has a type")
    if block["type"] == "text":
        _require(isinstance(block.get("text"), str), "a text block holds text")
    if block["type"] == "tool_use":
        texts = isinstance(block.get("id"), str) and isinstance(block.get("name"), str)
        _require(texts and isinstance(block.get("input"), dict), "a tool call is complete")


def _check_usage(usage: Any) -> None:
    split = usage.get("cache_creation") or {}
    for count in (*map(usage.get, _COUNTS), *map(split.get, _COUNTS_OF_WRITES)):
        _require(count is None or type(count) is int, "what is counted is a whole number")


class ReplyBuilder:
    """Collects one reply, event by event.

    Attributes:
        request_id: The API's id of the request, for its errors; set it once it is known.

    Example:
        >>> builder = ReplyBuilder()
        >>> builder.add({"type": "ping"})
        >>> builder.finish()
        Traceback (most recent call last):
            ...
        sdk_workflow.exceptions.StreamInterrupted: The stream ended before the reply was complete.
    """

    def __init__(self) -> None:
        self.request_id: str | None = None
        self._message: dict[str, Any] | None = None
        self._blocks: dict[int, dict[str, Any]] = {}
        # What arrived of the open blocks, joined when they close: joining at each delta took 5 s
        # for 100,000 deltas.
        self._open: dict[int, dict[str, list[str]]] = {}
        self._cut: set[int] = set()
        self._is_stopped = False

    @property
    def has_content(self) -> bool:
        """Whether any content block has been opened."""
        return bool(self._blocks)

    @property
    def is_finished(self) -> bool:
        """Whether the reply is whole; what comes after that is ignored."""
        return self._is_stopped

    @property
    def partial_text(self) -> str:
        """The text that has arrived so far."""
        return "".join(
            block.get("text", "") + "".join(self._open.get(index, {}).get("text", ()))
            for index, block in sorted(self._blocks.items())
            if block.get("type") == "text"
        )

    def add(self, event: StreamEvent) -> None:
        """Take the next event; unknown types are ignored, as the API asks of its clients.

        Raises:
            LLMError: The typed form of an `error` event.
            StreamInterrupted: If the events do not form a reply.
        """
        if self._is_stopped:
            return
        kind = event.get("type")
        if kind == "error":
            raise error_from_envelope(
                event, partial_text=self.partial_text, request_id=self.request_id
            )
        handler = _HANDLERS.get(str(kind))
        if handler is None:
            return
        try:
            handler(self, event)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self.interrupted(f"The stream is malformed at a {kind!r} event.") from error

    def finish(self, **facts: Any) -> Reply:
        """Return the reply; `facts` are fields that the stream does not hold.

        Raises:
            StreamInterrupted: If `message_stop` has not arrived.
        """
        if self._message is None or not self._is_stopped:
            raise self.interrupted("The stream ended before the reply was complete.")
        content = [block for _, block in sorted(self._blocks.items())]
        try:
            return read_message({**self._message, "content": content}, **facts)
        except (ValueError, AttributeError) as error:
            raise self.interrupted("The stream holds no finished message.") from error

    def interrupted(self, message: str) -> StreamInterrupted:
        """Return the error of a stream that broke off here; `message` says how."""
        return StreamInterrupted(
            message,
            partial_text=self.partial_text,
            request_id=self.request_id,
            hint="Send the request again; what arrived so far is not the answer.",
        )

    def _start(self, event: StreamEvent) -> None:
        _require(self._message is None, "a reply starts once")
        message = dict(event["message"])
        _require("id" in message and "model" in message, "the message names itself and its model")
        self._message = message

    def _open_block(self, event: StreamEvent) -> None:
        self._started()
        index = event["index"]
        _require(type(index) is int and index not in self._blocks, "an index is opened once")
        block = dict(event["content_block"])
        _require(isinstance(block.get("text", ""), str), "text is text")
        self._open[index] = {}
        self._blocks[index] = block

    def _extend_block(self, event: StreamEvent) -> None:
        index, delta = event["index"], event["delta"]
        arrived = self._open[index]
        if delta["type"] == "citations_delta":
            block = self._blocks[index]
            block["citations"] = [*(block.get("citations") or []), delta["citation"]]
            return
        name = _APPENDED.get(delta["type"])
        if name is not None:
            _require(isinstance(delta[name], str), "what is appended is text")
            arrived.setdefault(name, []).append(delta[name])

    def _close_block(self, event: StreamEvent) -> None:
        block = self._blocks[event["index"]]
        arrived = self._open.pop(event["index"])
        arguments = "".join(arrived.pop("partial_json", ()))
        for name, pieces in arrived.items():
            block[name] = block.get(name, "") + "".join(pieces)
        if not arguments:
            return
        try:
            block["input"] = json.loads(arguments)
        except (ValueError, RecursionError):
            # Only the stop reason, which comes later, tells a cut from a fault.
            self._cut.add(event["index"])
            return
        _require(isinstance(block["input"], dict), "the arguments of a tool call are an object")

    def _update_message(self, event: StreamEvent) -> None:
        message = self._started()
        message.update(event["delta"])
        # Absent fields keep what `message_start` said; output_tokens is cumulative.
        known = message.get("usage") or {}
        new = event.get("usage") or {}
        message["usage"] = {**known, **{k: v for k, v in new.items() if v is not None}}

    def _stop(self, _event: StreamEvent) -> None:
        message = self._started()
        _require(not self._open, "every block is closed")
        is_cut_short = message.get("stop_reason") in _CUT_SHORT
        _require(is_cut_short or not self._cut, "the arguments of a tool call are JSON")
        for index in self._cut:
            del self._blocks[index]
        self._is_stopped = True

    def _started(self) -> dict[str, Any]:
        if self._message is None:
            raise ValueError("message_start is missing")
        return self._message


def _require(holds: bool, rule: str) -> None:  # noqa: FBT001 - a condition reads best first
    if not holds:
        raise ValueError(f"This must hold: {rule}.")


_HANDLERS: dict[str, Callable[[ReplyBuilder, StreamEvent], None]] = {
    "message_start": ReplyBuilder._start,  # noqa: SLF001 - its own dispatch table
    "content_block_start": ReplyBuilder._open_block,  # noqa: SLF001
    "content_block_delta": ReplyBuilder._extend_block,  # noqa: SLF001
    "content_block_stop": ReplyBuilder._close_block,  # noqa: SLF001
    "message_delta": ReplyBuilder._update_message,  # noqa: SLF001
    "message_stop": ReplyBuilder._stop,  # noqa: SLF001
}
