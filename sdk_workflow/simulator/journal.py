"""The record of every request that reached the simulator: what was asked, answered, done to it.

It only keeps facts. `verdict` judges them; `simulation` writes them.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal

from sdk_workflow._internal.redaction import redact, redact_text
from sdk_workflow.types import Usage

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.types import Money

__all__ = [
    "SCHEMA",
    "Ending",
    "Journal",
    "JournalEntry",
    "canonical_prompt",
    "preview",
    "text_of",
]

SCHEMA = "sdk_workflow.simulator.journal/1"
_PREVIEW_CHARACTERS = 200

Ending = Literal["open", "complete", "truncated", "stalled", "reset", "client_left"]
"""How an answer ended: `open` is under way; `client_left` before the answer was complete."""


@dataclass(slots=True, kw_only=True)
class JournalEntry:
    """One request; it changes until `ending` is no longer `"open"`. Times are seconds.

    Attributes:
        index: Which request of the journal this is, from 0.
        request_id: The id that the answer names; empty where nothing was answered.
        time: When it arrived, since the Unix epoch.
        method: The HTTP method.
        path: The endpoint, without its query.
        key_id: A fingerprint of the API key or tenant; never the key.
        model: The model that was asked; None where the request names none.
        is_streamed: Whether a stream was asked for.
        prompt_digest: Names the canonical prompt: the same request has the same digest.
        prompt_preview: The beginning of the last user text, without secrets.
        prompt: The canonical prompt as JSON; None once the journal has let go of it.
        status: The HTTP status; None where none was sent.
        error_type: The type of the error that was answered.
        error_code: Its `details.error_code`.
        retry_after_seconds: What the answer asked the client to wait.
        should_retry: What the header `x-should-retry` said.
        message_id: The id of the message that was generated.
        usage: The tokens of an answer that began: all that were generated, even if it was cut off.
        cost: What they cost, exactly; None where nothing began or no price is known.
        cache: What the prompt cache did, as plain values.
        fault: The kind of fault that struck.
        batch_id: The message batch that the request is an item of; None where it came by itself.
        custom_id: The item's name in its batch.
        ending: How the answer ended.
        events_sent: How many events of a stream were sent.
        partial_text: The text that a broken stream had sent.
        partial_tool_ids: The ids of the tool calls that it had begun.
        first_byte_seconds: From the request's arrival to the answer's first byte.
        silent_since_seconds: From its arrival to the start of a stall.
        duration_seconds: From its arrival to the end.
    """

    index: int
    time: float
    method: str
    path: str
    request_id: str = ""
    key_id: str = ""
    model: str | None = None
    is_streamed: bool = False
    prompt_digest: str = ""
    prompt_preview: str = ""
    prompt: str | None = field(default=None, repr=False)
    status: int | None = None
    error_type: str | None = None
    error_code: str | None = None
    retry_after_seconds: float | None = None
    should_retry: bool | None = None
    message_id: str | None = None
    usage: Usage | None = None
    cost: Money | None = None
    cache: Mapping[str, Any] | None = None
    fault: str | None = None
    batch_id: str | None = None
    custom_id: str | None = None
    ending: Ending = "open"
    events_sent: int = 0
    partial_text: str = field(default="", repr=False)
    partial_tool_ids: tuple[str, ...] = ()
    first_byte_seconds: float | None = None
    silent_since_seconds: float | None = None
    duration_seconds: float | None = None

    def to_json(self, *, with_prompt: bool = False) -> dict[str, Any]:
        """Return the entry as plain JSON values without secrets; the prompt only when asked for."""
        plain: dict[str, Any] = {
            item.name: getattr(self, item.name) for item in fields(self) if item.name != "prompt"
        }
        when = datetime.fromtimestamp(self.time, timezone.utc)
        plain["time"] = when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        plain["usage"] = None if self.usage is None else self.usage.to_api()
        del plain["cost"]
        plain["cost_usd"] = None if self.cost is None else self.cost.usd
        if with_prompt:
            plain["prompt"] = None if self.prompt is None else json.loads(self.prompt)
        redacted: dict[str, Any] = redact(plain)
        return redacted


class Journal:
    """The last requests of a simulation, oldest first; safe to read from any thread.

    Args:
        capacity: How many requests it keeps.
        max_prompt_characters: How much of their prompts it keeps; the oldest ones go first.

    Example:
        >>> journal = Journal()
        >>> entry = journal.open(time=0.0, method="GET", path="/v1/models")
        >>> entry.status, entry.ending = 200, "complete"
        >>> journal.to_json()["requests"][0]["path"]
        '/v1/models'
    """

    def __init__(self, *, capacity: int = 1000, max_prompt_characters: int = 16_000_000) -> None:
        self._entries: deque[JournalEntry] = deque()
        self._capacity = capacity
        self._max_prompt_characters = max_prompt_characters
        self._prompts: deque[JournalEntry] = deque()
        self._prompt_characters = 0
        self._count = 0
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """How many requests there were, those included that are no longer kept."""
        return self._count

    @property
    def dropped(self) -> int:
        """How many requests are no longer kept."""
        with self._lock:
            return self._count - len(self._entries)

    def entries(self) -> list[JournalEntry]:
        """Return the requests that are kept, oldest first."""
        with self._lock:
            return list(self._entries)

    def open(self, **facts: Any) -> JournalEntry:
        """Begin a request and return its entry; `facts` are fields of `JournalEntry`."""
        with self._lock:
            entry = JournalEntry(index=self._count, **facts)
            self._count += 1
            self._entries.append(entry)
            if len(self._entries) > self._capacity:
                self._entries.popleft()
            self._keep_prompt(entry)
            return entry

    def clear(self) -> None:
        """Forget everything, and count from 0 again."""
        with self._lock:
            self._entries.clear()
            self._prompts.clear()
            self._prompt_characters = 0
            self._count = 0

    def to_json(self, *, with_prompts: bool = False) -> dict[str, Any]:
        """Return the journal as plain JSON values, without secrets."""
        entries = self.entries()
        return {
            "schema": SCHEMA,
            "count": self._count,
            "dropped": self._count - len(entries),
            "totals": _totals(entries),
            "requests": [entry.to_json(with_prompt=with_prompts) for entry in entries],
        }

    def write(self, path: Path) -> None:
        """Write the journal with its prompts to a file, whole or not at all.

        Raises:
            StorageError: It could not be written.
        """
        from sdk_workflow._internal.atomic_file import write_atomically

        text = json.dumps(self.to_json(with_prompts=True), ensure_ascii=False, indent=1)
        write_atomically(path, text.encode("utf-8", "replace").decode() + "\n")

    def _keep_prompt(self, entry: JournalEntry) -> None:
        if entry.prompt is None:
            return
        self._prompts.append(entry)
        self._prompt_characters += len(entry.prompt)
        while self._prompts and self._prompt_characters > self._max_prompt_characters:
            oldest = self._prompts.popleft()
            self._prompt_characters -= len(oldest.prompt or "")
            oldest.prompt = None


def _totals(entries: list[JournalEntry]) -> dict[str, Any]:
    costs = [entry.cost for entry in entries if entry.cost is not None]
    usage = sum((entry.usage for entry in entries if entry.usage is not None), start=Usage())
    return {
        "usage": usage.to_api(),
        "cost_usd": sum(cost.pico for cost in costs) / 10**12,
        "failed": sum(_has_failed(entry) for entry in entries),
        "faults": sum(entry.fault is not None for entry in entries),
    }


def _has_failed(entry: JournalEntry) -> bool:
    is_refused = entry.status is not None and entry.status >= 400  # noqa: PLR2004 - HTTP classes
    return is_refused or entry.ending not in {"open", "complete"}


def canonical_prompt(params: Mapping[str, Any]) -> tuple[str, str]:
    """Return a request as canonical JSON, and a digest of it; `stream` makes no difference."""
    shown = {name: value for name, value in params.items() if name != "stream"}
    text = json.dumps(
        shown, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_plain
    )
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16)
    return text, digest.hexdigest()


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


def preview(params: Mapping[str, Any]) -> str:
    """Return the beginning of the last user text, on one line and without secrets."""
    for message in reversed(params.get("messages") or ()):
        if isinstance(message, dict) and message.get("role") == "user":
            text = text_of(message.get("content"))
            if text:
                # More than is shown is redacted, so that a secret at the cut is seen whole.
                start = redact_text(" ".join(text[: 4 * _PREVIEW_CHARACTERS].split()))
                return start[:_PREVIEW_CHARACTERS]
    return ""


def text_of(content: Any) -> str:
    """Return the text of a message's content, whatever that looks like."""
    if isinstance(content, str):
        return content
    if not isinstance(content, (list, tuple)):
        return ""
    texts = (block.get("text") for block in content if isinstance(block, dict))
    return "\n".join(text for text in texts if isinstance(text, str))
