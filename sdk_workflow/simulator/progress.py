"""One request on its way through a simulation: what was asked, and how far its answer has come."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sdk_workflow.simulator.journal import canonical_prompt, preview
from sdk_workflow.simulator.steps import Answer, Head, Reset, Send, Stall

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sdk_workflow.simulator.engine import EngineResponse
    from sdk_workflow.simulator.faults import Fault
    from sdk_workflow.simulator.journal import Ending, JournalEntry
    from sdk_workflow.simulator.limits import Ticket
    from sdk_workflow.simulator.prompt_cache import Breakpoint
    from sdk_workflow.simulator.records import RequestRecord
    from sdk_workflow.simulator.script import Taken
    from sdk_workflow.simulator.steps import Step


__all__ = ["Progress", "Request", "cache_facts", "journal_facts", "key_fingerprint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What reached the simulation; `ask` lets the engine answer it.

    `params` is None where the body is not needed or no JSON object; `key` tells clients apart.
    """

    path: str
    ask: Callable[[], EngineResponse]
    method: str = "POST"
    params: Mapping[str, Any] | None = None
    key: str = ""
    is_streamed: bool = False

    @property
    def model(self) -> str | None:
        """The name of the model that was asked."""
        model = None if self.params is None else self.params.get("model")
        return model if isinstance(model, str) else None


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far an answer has come; its journal entry is kept up to date."""

    request: Request
    index: int
    started: float
    entry: JournalEntry | None = None
    fault: Fault | None = None
    ticket: Ticket | None = None
    taken: Taken | None = None
    response: EngineResponse | None = None
    record: RequestRecord | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    message_id: str | None = None
    status: int | None = None
    is_complete: bool = False
    has_ended: bool = False
    last: Step | None = None
    _events: int = 0
    _text: list[str] = field(default_factory=list)
    _tool_ids: list[str] = field(default_factory=list)

    def take(self, response: EngineResponse) -> None:
        """Take the books of the engine's answer, before anything of it is sent."""
        self.response = response
        if response.generation is not None:
            self.record = response.generation.record
            self.usage = response.generation.usage
            self.message_id = response.generation.id

    def withdraw(self) -> None:
        """Drop the engine's answer: a limit stands before it."""
        if self.response is not None:
            self.response.withdraw()
        self.response = self.record = self.message_id = None
        self.usage = {}

    def note(self, step: Step, now: float) -> None:
        """Take notice of a step that is about to be carried out."""
        self.last = step
        if isinstance(step, Send):
            self._events += 1
            self._note_event(step.event)
        elif isinstance(step, (Answer, Head)):
            self._note_status(step, now)
        elif isinstance(step, Stall) and self.entry is not None:
            self.entry.silent_since_seconds = now - self.started

    @property
    def has_begun(self) -> bool:
        """Whether anything of a reply was sent, so that it counts and costs."""
        return bool(self.usage) and self.status is not None and self.status < 400  # noqa: PLR2004

    @property
    def has_arrived(self) -> bool:
        """Whether the client got the whole reply, as it was meant."""
        return self.is_complete and self.has_begun and self._is_intact

    @property
    def ending(self) -> Ending:
        """How the answer ended, once nothing more comes of it."""
        if self.is_complete:
            return "complete"
        if isinstance(self.last, Stall):
            return "stalled"
        if isinstance(self.last, Reset):
            return "reset"
        return "truncated" if self.has_ended else "client_left"

    def close(self, now: float) -> None:
        """Write what is known into the journal."""
        if self.response is not None:
            self.response.drop()
        entry = self.entry
        if entry is None:
            return
        entry.ending = self.ending
        entry.duration_seconds = now - self.started
        entry.events_sent = self._events
        entry.message_id = self.message_id
        if entry.ending != "complete" or entry.fault is not None:
            entry.partial_text = "".join(self._text)
            entry.partial_tool_ids = tuple(self._tool_ids)

    @property
    def _is_intact(self) -> bool:
        """Whether nothing takes from the answer: slow headers only come late."""
        return self.fault is None or self.fault.kind == "slow_headers"

    def _note_status(self, step: Answer | Head, now: float) -> None:
        self.status = step.status
        if self.entry is not None:
            self.entry.status = step.status
            self.entry.first_byte_seconds = now - self.started
            self.entry.request_id = step.headers.get("request-id", self.entry.request_id)
            _note_headers(self.entry, step.headers)
        if not isinstance(step, Answer):
            return
        self.has_ended = True  # whoever carries it out asks for no more
        if isinstance(step.body, bytes):
            self.is_complete = self._is_intact
            return
        self.is_complete = True
        self._note_body(step.body)

    def _note_body(self, body: Mapping[str, Any]) -> None:
        error = body.get("error")
        if self.entry is not None and isinstance(error, dict):
            self.entry.error_type = error.get("type")
            self.entry.error_code = (error.get("details") or {}).get("error_code")

    def _note_event(self, event: Mapping[str, Any]) -> None:
        kind = event["type"]
        if kind == "content_block_delta":
            self._text.append(event["delta"].get("text", ""))
        elif kind == "content_block_start" and event["content_block"]["type"] == "tool_use":
            self._tool_ids.append(event["content_block"]["id"])
        elif kind == "message_stop":
            self.is_complete = True
        elif kind == "error" and self.entry is not None:
            self.entry.error_type = event["error"]["type"]


def _note_headers(entry: JournalEntry, headers: Mapping[str, str]) -> None:
    if "retry-after" in headers or "retry-after-ms" in headers:
        from sdk_workflow._internal.api_errors import retry_after_seconds

        entry.retry_after_seconds = retry_after_seconds(headers)
    if "x-should-retry" in headers:
        entry.should_retry = headers["x-should-retry"] == "true"


def journal_facts(request: Request) -> dict[str, Any]:
    """Return what the journal notes of a request before it is answered."""
    facts: dict[str, Any] = {
        "method": request.method,
        "path": request.path,
        "key_id": key_fingerprint(request.key),
        "model": request.model,
        "is_streamed": request.is_streamed,
    }
    if request.params is not None:
        facts["prompt"], facts["prompt_digest"] = canonical_prompt(request.params)
        facts["prompt_preview"] = preview(request.params)
    return facts


def cache_facts(record: RequestRecord | None) -> dict[str, Any] | None:
    """Return what the prompt cache did as plain values; None where it was not asked."""
    if record is None:
        return None
    cache = record.cache
    paths = [position.path for position in cache.positions]
    return {
        "read_tokens": cache.read_tokens,
        "write_5m_tokens": cache.write_5m_tokens,
        "write_1h_tokens": cache.write_1h_tokens,
        "uncached_tokens": cache.uncached_tokens,
        "breakpoints": [_shown(paths, found) for found in cache.breakpoints],
        "too_short": [_shown(paths, found) for found in cache.ignored_breakpoints],
        "read_up_to": None if cache.hit_position is None else paths[cache.hit_position],
        "divergence": None if cache.divergence is None else dataclasses.asdict(cache.divergence),
    }


def _shown(paths: list[str], found: Breakpoint) -> str:
    kind = "automatic" if found.is_automatic else "explicit"
    return f"{paths[found.position]} ({found.ttl}, {kind})"


def key_fingerprint(key: str) -> str:
    """Return a short name for an API key that does not give it away; "" for none."""
    if not key:
        return ""
    return hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=4).hexdigest()
