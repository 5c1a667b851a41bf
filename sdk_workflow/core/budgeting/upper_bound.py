"""The most that a call can cost: what a budget holds back before the request is sent.

The bound on the prompt rests on one fact: the models' tokenizers work on bytes, so a token stands
for at least one byte of the text that is rendered. A prompt therefore has no more tokens than
bytes, plus what the API renders around it. Nothing about the text is guessed. The tokenizer that
was published for an older family folds text first (NFKC), which may lengthen it: the longer counts.

    part of the request                          tokens at most
    text, thinking, signatures, results          bytes in UTF-8
    tools, inputs of tools, schemas              bytes as ASCII JSON: no rendering escapes more
    every request / message / block              512 / 16 / 16 for the frame around it
    tools at all / each tool of the API's kind   1,024 / 2,048 for the API's own prompt about them
    an image                                     by its size in pixels: see `pictures`
    a PDF, or a file that the API holds          as much as the model's context window
    all of it                                    the context window: a longer prompt is refused

Each of those tokens costs at most the dearest of: plain input, a cache write for 5 minutes or an
hour where the request has such a marker, and all of these at the long-context rate where the prompt
can be long enough for it. Output costs at most `max_tokens` at the output rate, thinking included.
Multipliers of region and fast mode apply to everything; where a call names no region, its workspace
may have a default, so the dearest counts. Prices are those of the day or of the next one, whichever
are dearer. What only the server can bound, such as web search, which reads its own findings as
input, or a conversation that it keeps, has no such bound: `unbounded_part` names it.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sdk_workflow.config.models import multipliers_in
from sdk_workflow.core.budgeting.pictures import picture_tokens
from sdk_workflow.exceptions import UsageError
from sdk_workflow.types import Usage

if TYPE_CHECKING:
    from datetime import date

    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.types import Call

__all__ = ["Quote", "multipliers_of", "prompt_bound", "unbounded_part"]

_PER_REQUEST = 512
_PER_MESSAGE = 16
_PER_BLOCK = 16
_FOR_TOOLS = 1_024
_PER_API_TOOL = 2_048
# `count_tokens` calls its answer an estimate that may differ by a small amount.
_COUNT_MARGIN_PERCENT = 2
_COUNT_MARGIN = 64
_LEAST_CLAMPED_TOKENS = 256

_CLIENT_TOOLS = ("bash_", "computer_", "memory_", "text_editor_")
_SERVER_PARAMETERS = ("mcp_servers", "container", "fallbacks", "compaction")
_WHOLE_WINDOW = float("inf")


class Quote:
    """What one call can cost at most, for any cap on its output.

    Args:
        call: The call.
        catalog: Where prices and context windows come from.
        day: The day of the call, UTC.
        counted_prompt_tokens: What `count_tokens` said, where it was asked: a tighter bound than
            bytes, with 2 % and 64 tokens on top, and as true as that count.

    Raises:
        UsageError: If that is no count, or the call's `max_tokens` is none.

    Example:
        >>> from datetime import date
        >>> from sdk_workflow.config.models import ModelCatalog
        >>> from sdk_workflow.types import Call
        >>> message = {"role": "user", "content": "Hello"}
        >>> call = Call(model="sonnet", max_tokens=1000, messages=(message,))
        >>> quote = Quote(call, ModelCatalog.load(), date(2026, 11, 21))
        >>> quote.prompt_tokens, quote.amount(1000)
        (565, 12243000000)
    """

    def __init__(
        self,
        call: Call,
        catalog: ModelCatalog,
        day: date,
        counted_prompt_tokens: int | None = None,
    ) -> None:
        self._catalog = catalog
        self._model = call.model
        self._multipliers = multipliers_of(call)
        if self._multipliers.get("geo") is None:
            self._multipliers["geo"] = catalog.dearest_geo
        model = catalog.get(call.model, at=day)
        self.prompt_tokens = prompt_bound(call, 0 if model is None else model.context_window)
        if counted_prompt_tokens is not None:
            self.prompt_tokens = min(self.prompt_tokens, _with_margin(counted_prompt_tokens))
        self.max_tokens = _checked_cap(call.max_tokens)
        self.least_tokens = _least_tokens(call)
        tomorrow = day + timedelta(days=1)  # the request may reach the API after midnight
        later = catalog.get(call.model, at=tomorrow)
        prices = None if model is None else model.prices_on(day)
        next_prices = None if later is None else later.prices_on(tomorrow)
        self._days = (day,) if prices is next_prices else (day, tomorrow)
        self._sizes = [self.prompt_tokens]
        for period in (prices, next_prices):
            for tier in () if period is None else period.tiers:
                if tier.above_prompt_tokens < self.prompt_tokens:
                    self._sizes.append(tier.above_prompt_tokens)
        self._kinds = _kinds_of(call)

    @property
    def is_priced(self) -> bool:
        """Whether the model has a price; without one there is no bound."""
        day = self._days[0]
        return self._catalog.price(self._model, Usage(), at=day, **self._multipliers) is not None

    def amount(self, max_tokens: int) -> int:
        """Return the bound in pico-dollars if `max_tokens` are allowed."""
        # Within a tier the price only grows with the prompt, so its longest prompts are enough.
        amounts = [
            self._catalog.price(
                self._model,
                Usage(**{kind: size, "output_tokens": max_tokens}),
                at=day,
                **self._multipliers,
            )
            for day in self._days
            for size in self._sizes
            for kind in self._kinds
        ]
        return max(each.pico for each in amounts if each is not None)

    def tokens_within(self, room: int) -> int | None:
        """Return the largest output whose bound fits into `room` pico-dollars.

        None where not even the least sensible output fits: 256 tokens, and one more than
        `thinking.budget_tokens`, which the API demands.
        """
        low, high = self.least_tokens, self.max_tokens
        if low > high or self.amount(low) > room:
            return None
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.amount(middle) <= room else (low, middle - 1)
        return low


def multipliers_of(call: Call) -> dict[str, Any]:
    """Return what else the price of a call depends on, as arguments of `ModelCatalog.price`."""
    return multipliers_in(call.parameters)


def prompt_bound(call: Call, context_window: int) -> int:
    """Return the most tokens that the prompt of a call can have; see the module's text.

    Example:
        >>> from sdk_workflow.types import Call
        >>> call = Call(model="haiku", messages=({"role": "user", "content": "Hello"},))
        >>> prompt_bound(call, 200_000)
        565
    """
    size: float = _PER_REQUEST + _content_size(call.system)
    for message in call.messages:
        size += _PER_MESSAGE + _content_size(message.get("content"))
        if len(message) > 1:
            size += _json_size({key: item for key, item in message.items() if key != "content"})
    if call.tools:
        size += _FOR_TOOLS + sum(map(_tool_size, call.tools))
    if call.tool_choice is not None:
        size += _json_size(call.tool_choice)
    if call.parameters:
        size += _json_size(call.parameters)
    return int(min(size, context_window))


def unbounded_part(call: Call) -> str | None:
    """Return what of a call only the server can bound; None where nothing is.

    Example:
        >>> from sdk_workflow.types import Call
        >>> search = {"type": "web_search_20250305", "name": "web_search"}
        >>> unbounded_part(Call(model="sonnet", messages=(), tools=(search,)))
        'the tool web_search_20250305'
    """
    for tool in call.tools:
        kind = tool.get("type")
        if kind not in {None, "custom"} and not str(kind).startswith(_CLIENT_TOOLS):
            return f"the tool {kind}"
    for name in _SERVER_PARAMETERS:
        if call.parameters.get(name):
            return f"the parameter {name}"
    if (call.parameters.get("thread") or {}).get("previous_message_id"):
        return "the conversation that the server keeps (the parameter thread)"
    management = call.parameters.get("context_management") or {}
    for edit in management.get("edits") or ():
        if str(edit.get("type", "")).startswith("compact"):
            return f"the edit {edit['type']}"
    return None


def _with_margin(counted: int) -> int:
    if type(counted) is not int or counted < 0:
        raise UsageError(
            f"counted_prompt_tokens={counted!r} is no count of tokens.",
            hint="Pass what count_tokens has said.",
        )
    return counted + counted * _COUNT_MARGIN_PERCENT // 100 + _COUNT_MARGIN


def _checked_cap(max_tokens: object) -> int:
    if type(max_tokens) is not int or max_tokens < 0:
        raise UsageError(
            f"max_tokens={max_tokens!r} caps nothing.", hint="Give a whole number from 0 on."
        )
    return max_tokens


def _least_tokens(call: Call) -> int:
    thinking = call.parameters.get("thinking") or {}
    return max(_LEAST_CLAMPED_TOKENS, int(thinking.get("budget_tokens") or 0) + 1)


def _kinds_of(call: Call) -> list[str]:
    """Return the kinds of input tokens that can be dearest: writes only where a marker asks."""
    marks = _marks((call.system, call.tools, call.messages))
    automatic = call.parameters.get("cache_control")
    if automatic:
        marks.append(automatic)
    if not marks:
        return ["input_tokens"]
    kinds = ["input_tokens", "cache_write_5m_input_tokens"]
    if any(mark.get("ttl") == "1h" for mark in marks):
        kinds.append("cache_write_1h_input_tokens")
    return kinds


def _marks(value: Any) -> list[Mapping[str, Any]]:
    """Return every cache marker within a part of a request."""
    if isinstance(value, (list, tuple)):
        return [mark for each in value for mark in _marks(each)]
    if not isinstance(value, Mapping):
        return []
    own = [value["cache_control"]] if value.get("cache_control") else []
    return own + _marks(value.get("content")) + _marks(value.get("source"))


def _content_size(content: Any) -> float:
    if isinstance(content, (list, tuple)):
        return sum(map(_block_size, content))
    return 0 if content is None else _block_size(content)


def _block_size(block: Any) -> float:
    if not isinstance(block, Mapping):
        return _PER_BLOCK + (_text_size(block) if isinstance(block, str) else _json_size(block))
    kind = block.get("type")
    if kind == "image":
        return _PER_BLOCK + picture_tokens(block.get("source")) + _rest_size(block, "source")
    if kind == "document":
        return _PER_BLOCK + _document_size(block)
    if kind == "text":
        return _PER_BLOCK + _text_size(str(block.get("text", ""))) + _rest_size(block, "text")
    if kind == "tool_result":
        inner = block.get("content")
        return _PER_BLOCK + _content_size(inner) + _rest_size(block, "content")
    return _PER_BLOCK + _json_size(block)


def _document_size(block: Mapping[str, Any]) -> float:
    source: Mapping[str, Any] = block.get("source") or {}
    kind = source.get("type")
    if kind == "text":
        return _json_size(block)
    if kind == "content":
        return _content_size(source.get("content")) + _rest_size(block, "source")
    return _WHOLE_WINDOW


def _rest_size(block: Mapping[str, Any], counted: str) -> int:
    """Return the bytes of a block without the part that was counted, and without its marker."""
    if len(block) == 2:  # noqa: PLR2004 - its type and what was counted
        return 0
    hidden = ("type", "cache_control", counted)
    return _json_size({key: item for key, item in block.items() if key not in hidden})


def _tool_size(tool: Mapping[str, Any]) -> int:
    frame = _PER_BLOCK if tool.get("type") in {None, "custom"} else _PER_API_TOOL
    return frame + _json_size(tool)


def _text_size(text: str) -> int:
    if text.isascii():
        return len(text)
    folded = unicodedata.normalize("NFKC", text)
    return max(len(each.encode("utf-8", "surrogatepass")) for each in (text, folded))


def _json_size(value: Any) -> int:
    escaped = json.dumps(value, default=_plain)
    if "\\u" not in escaped:
        return len(escaped)
    return max(len(escaped), _text_size(json.dumps(value, default=_plain, ensure_ascii=False)))


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)
