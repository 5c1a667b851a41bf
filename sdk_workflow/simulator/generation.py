"""One generated message: shown whole or as a stream of events, and what it tells when it begins.

Both forms come from the same record, so that they cannot disagree.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sdk_workflow.simulator.records import RequestRecord

__all__ = ["Generation", "Lifecycle", "Speech"]

_WORDS_PER_DELTA = 3
_JSON_PER_DELTA = 24
_WORD = re.compile(r"\s*\S+|\s+$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """What was said before something ended it."""

    content: tuple[Mapping[str, Any], ...]
    output_tokens: int
    stop_reason: str
    stop_sequence: str | None = None
    thinking_tokens: int = 0


class Lifecycle:
    """What happens around an answer: it begins once, and then it is either finished or dropped.

    What the answer's request writes into the prompt cache becomes readable when it begins; the
    state of its thread is stored when it is finished. Later calls of the same kind do nothing.

    Example:
        >>> told = []
        >>> life = Lifecycle(on_begin=lambda: told.append("begun"))
        >>> life.begin()
        >>> life.begin()
        >>> life.drop()
        >>> told, life.has_begun
        (['begun'], True)
    """

    __slots__ = ("_on_begin", "_on_drop", "_on_finish", "_on_withdraw", "has_begun", "is_over")

    def __init__(
        self,
        on_begin: Callable[[], None] | None = None,
        on_finish: Callable[[], None] | None = None,
        on_drop: Callable[[], None] | None = None,
        on_withdraw: Callable[[], None] | None = None,
    ) -> None:
        self._on_begin = on_begin
        self._on_finish = on_finish
        self._on_drop = on_drop
        self._on_withdraw = on_withdraw
        self.has_begun = False
        self.is_over = False

    def begin(self) -> None:
        """Note that the first byte of the answer leaves."""
        if self.has_begun or self.is_over:
            return
        self.has_begun = True
        _call(self._on_begin)

    def finish(self) -> None:
        """Note that the answer is complete."""
        self.begin()
        if not self.is_over:
            self.is_over = True
            _call(self._on_finish)

    def drop(self) -> None:
        """Note that no more of the answer will leave, and maybe nothing has."""
        if not self.is_over:
            self.is_over = True
            _call(self._on_drop)

    def withdraw(self) -> None:
        """Drop the answer as if its request had never been let in."""
        if not self.has_begun and not self.is_over:
            _call(self._on_withdraw)
        self.drop()


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A finished message with its books; `usage` is the API's object, `output_tokens` included.

    `fields` are further fields of the message, such as `diagnostics`. `life` tells the engine when
    the answer begins and ends; `record` is what the engine tells about the request.
    """

    id: str
    request_id: str
    model: str
    speech: Speech
    usage: Mapping[str, Any]
    fields: Mapping[str, Any] = field(default_factory=dict)
    record: RequestRecord | None = None
    life: Lifecycle = field(default_factory=Lifecycle, compare=False, repr=False)

    def begin(self) -> None:
        """Note that the first byte leaves: from now on what was written to the cache is readable.

        `message` and `events` call it; calling it again does nothing.
        """
        self.life.begin()

    def drop(self) -> None:
        """Note that the answer never leaves, or not completely; what never began writes nothing."""
        self.life.drop()

    def message(self) -> dict[str, Any]:
        """Return the message as a plain answer holds it; the answer counts as given."""
        self.life.finish()
        return self.preview()

    def preview(self) -> dict[str, Any]:
        """Return the message without giving the answer."""
        return self._frame(
            content=[dict(block) for block in self.speech.content],
            stop_reason=self.speech.stop_reason,
            stop_sequence=self.speech.stop_sequence,
            usage=dict(self.usage),
        )

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the events of a streamed answer; each is made when it is asked for.

        The answer begins with the first event. One that is closed before its last is dropped.
        """
        try:
            yield from self._events()
        finally:
            self.life.drop()

    def _events(self) -> Iterator[dict[str, Any]]:
        started = {**self.usage, "output_tokens": 1}
        started.pop("output_tokens_details", None)
        message = self._frame(content=[], stop_reason=None, stop_sequence=None, usage=started)
        self.life.begin()
        yield {"type": "message_start", "message": message}
        yield {"type": "ping"}
        for index, block in enumerate(self.speech.content):
            yield from _block_events(index, block)
        yield {
            "type": "message_delta",
            "delta": {
                "stop_reason": self.speech.stop_reason,
                "stop_sequence": self.speech.stop_sequence,
            },
            "usage": self._final_usage(),
        }
        # Before the event leaves: its reader may send the next turn at once.
        self.life.finish()
        yield {"type": "message_stop"}

    def _final_usage(self) -> dict[str, Any]:
        usage: dict[str, Any] = {"output_tokens": self.speech.output_tokens}
        if "output_tokens_details" in self.usage:
            usage["output_tokens_details"] = self.usage["output_tokens_details"]
        return usage

    def _frame(self, **fields: Any) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "stop_details": None,
            **self.fields,
            **fields,
        }


def _call(hook: Callable[[], None] | None) -> None:
    if hook is not None:
        hook()


def _block_events(index: int, block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    opened, deltas = _OPENED[block["type"]], _DELTAS[block["type"]]
    yield {"type": "content_block_start", "index": index, "content_block": {**block, **opened}}
    for delta in deltas(block):
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _text_deltas(block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for piece in _pieces(block["text"]):
        yield {"type": "text_delta", "text": piece}


def _thinking_deltas(block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for piece in _pieces(block["thinking"]):
        yield {"type": "thinking_delta", "thinking": piece}
    yield {"type": "signature_delta", "signature": block["signature"]}


def _json_deltas(block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"type": "input_json_delta", "partial_json": ""}
    text = json.dumps(block["input"], ensure_ascii=False)
    for start in range(0, len(text), _JSON_PER_DELTA):
        yield {"type": "input_json_delta", "partial_json": text[start : start + _JSON_PER_DELTA]}


def _pieces(text: str) -> Iterator[str]:
    words = _WORD.findall(text)
    for start in range(0, len(words), _WORDS_PER_DELTA):
        yield "".join(words[start : start + _WORDS_PER_DELTA])


_OPENED: dict[str, dict[str, Any]] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
}
_DELTAS: dict[str, Callable[[Mapping[str, Any]], Iterator[dict[str, Any]]]] = {
    "text": _text_deltas,
    "thinking": _thinking_deltas,
    "tool_use": _json_deltas,
}
