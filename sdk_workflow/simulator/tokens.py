"""The simulator's one tokenizer: `count_tokens`, usage, cache and truncation all ask it.

It is no model's real tokenizer. It is deterministic, grows with the text and costs microseconds;
each part of a prompt is counted by itself, so the parts always add up to the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdk_workflow.simulator.parts import blocks_of, dump, iter_parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.simulator.parts import Part

__all__ = ["PseudoTokenizer", "truncate"]

_BYTES_PER_TOKEN = 4
_TOKENS_PER_MESSAGE = 4
# Published pair: 61 characters of message and 494 of tool JSON came to 656 tokens on haiku-4-5.
_TOKENS_FOR_TOOL_USE = 480
_TOKENS_PER_IMAGE = 1_500
# A PDF is counted by the page; how many it has can only be guessed from its size.
_TOKENS_PER_PAGE = 2_000
_BYTES_PER_PAGE = 50_000
_FRAME_TOKENS = 12  # around a tool call or a tool result
_UNSEEN = frozenset({"cache_control", "citations"})


class PseudoTokenizer:
    """Counts the tokens of requests and replies; a `TokenCounter`.

    Args:
        catalog: Where a model's `token_factor` is looked up; None loads the built-in one.

    Example:
        >>> counter = PseudoTokenizer()
        >>> counter.count({"messages": [{"role": "user", "content": "Good morning"}]})
        7
    """

    def __init__(self, catalog: ModelCatalog | None = None) -> None:
        if catalog is None:
            from sdk_workflow.config.models import default_catalog

            catalog = default_catalog()
        self._catalog = catalog

    def count(self, params: Mapping[str, Any]) -> int:
        """Return the tokens of a prompt; an unknown model counts with factor 1."""
        name = params.get("model")
        model = self._catalog.get(name) if isinstance(name, str) else None
        factor = 1.0 if model is None else model.token_factor
        strips = model is not None and model.strips_thinking
        parts = iter_parts(params, strips_thinking=strips)
        return sum(self.count_part(part, factor) for part in parts)

    def factor(self, model_name: Any) -> float:
        """Return how many tokens the model makes of a text, relative to the base tokenizer."""
        model = self._catalog.get(model_name) if isinstance(model_name, str) else None
        return 1.0 if model is None else model.token_factor

    def count_part(self, part: Part, factor: float = 1.0) -> int:
        """Return the tokens of one part of a prompt, with what opens a turn or the tools."""
        if part.tier == "tools":
            frame = _TOKENS_FOR_TOOL_USE if part.is_opening else 0
            return frame + _json_tokens(_seen(part.block), factor)
        if part.is_hidden:
            return 0
        frame = _TOKENS_PER_MESSAGE if part.is_opening else 0
        return frame + _block_tokens(part.block, factor)

    def count_block(self, block: Mapping[str, Any], factor: float = 1.0) -> int:
        """Return the tokens of one content block."""
        return _block_tokens(block, factor)


def truncate(text: str, max_tokens: int, factor: float = 1.0) -> str:
    """Return the longest beginning of `text` that has at most `max_tokens` tokens."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if _text_tokens(text[:middle], factor) <= max_tokens:
            low = middle
        else:
            high = middle - 1
    return text[:low]


def _text_tokens(text: str, factor: float) -> int:
    if not text:
        return 0
    # All three run in C: 100 KB in about 30 microseconds, so nothing needs to be remembered.
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    words = text.count(" ") + text.count("\n") + 1
    base = max(words, -(-size // _BYTES_PER_TOKEN))
    return min(-int(-base * factor // 1), size)  # a token stands for a byte at least


def _json_tokens(value: Any, factor: float) -> int:
    return _text_tokens(dump(value), factor)


def _seen(block: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is no part of the prompt: a marker for the cache, what is null."""
    return {
        name: value for name, value in block.items() if value is not None and name not in _UNSEEN
    }


def _blocks_tokens(content: Any, factor: float) -> int:
    return sum(_block_tokens(block, factor) for block in blocks_of(content))


def _block_tokens(block: Mapping[str, Any], factor: float) -> int:
    kind = block.get("type")
    if kind in {"text", "thinking"}:
        return _text_tokens(f"{block[kind]}{block.get('signature', '')}", factor)
    if kind == "tool_use":
        return _FRAME_TOKENS + _json_tokens([block["name"], block["input"]], factor)
    if kind == "tool_result":
        return _FRAME_TOKENS + _blocks_tokens(block.get("content"), factor)
    if kind == "image":
        return _TOKENS_PER_IMAGE
    if kind == "document":
        return _document_tokens(block, factor)
    return _json_tokens(_seen(block), factor)


def _document_tokens(block: Mapping[str, Any], factor: float) -> int:
    source: Mapping[str, Any] = block.get("source") or {}
    heading = {name: block[name] for name in ("title", "context") if block.get(name)}
    frame = _FRAME_TOKENS + (_json_tokens(heading, factor) if heading else 0)
    kind = source.get("type")
    if kind == "text":
        return frame + _text_tokens(str(source.get("data", "")), factor)
    if kind == "content":
        return frame + _blocks_tokens(source.get("content"), factor)
    size: int = source.get("size_bytes", len(str(source.get("data", "")).rstrip("=")) * 3 // 4)
    return frame + max(1, -(-size // _BYTES_PER_PAGE)) * _TOKENS_PER_PAGE
