"""What a user may say: checked and trimmed before anything costs money."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from typing_extensions import Self

    from sdk_workflow.config.models import Model

__all__ = ["MessageProcessor"]

# Even text that a tokenizer likes best has fewer than this many characters to a token on average.
_MAX_CHARACTERS_PER_TOKEN = 8
_UNKNOWN_CONTEXT_TOKENS = 1_000_000


class MessageProcessor:
    """Checks one user message.

    Args:
        max_characters: The longest message that can possibly fit the model.

    Example:
        >>> MessageProcessor(max_characters=100).process("  Hello  ")
        'Hello'
    """

    def __init__(self, *, max_characters: int) -> None:
        self._max_characters = max_characters

    @classmethod
    def for_model(cls, model: Model | None) -> Self:
        """Return the check that fits a model's window; None for a model that nobody knows."""
        window = model.context_window if model else _UNKNOWN_CONTEXT_TOKENS
        return cls(max_characters=window * _MAX_CHARACTERS_PER_TOKEN)

    def process(self, text: object) -> str:
        """Return the text to send.

        Raises:
            UsageError: If it is not text, is empty, is longer than the model could ever read, or
                holds what no encoding can carry.
        """
        if not isinstance(text, str):
            raise UsageError(
                f"A message is text, not {type(text).__name__}.",
                code="message_not_text",
                hint="Decode bytes first, for example with .decode('utf-8').",
            )
        text = text.strip()
        if not text:
            raise UsageError(
                "The message is empty.", code="message_empty", hint="Say what you want to know."
            )
        if len(text) > self._max_characters:
            raise UsageError(
                f"The message has {len(text):,} characters; the model cannot read more than "
                f"{self._max_characters:,}.",
                code="message_too_long",
                hint="Put the material into files and let the model read the parts it needs.",
            )
        self._check_encodable(text)
        return text

    def _check_encodable(self, text: str) -> None:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UsageError(
                f"The message holds a lone surrogate at character {error.start}, which UTF-8 "
                "cannot carry.",
                code="message_not_encodable",
                hint="Read the input as UTF-8 with errors='replace'.",
            ) from error
