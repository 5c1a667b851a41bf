"""The heart of the Messages API: checks a request, books its prompt, and makes its answer.

Pure but for the clock. It knows no HTTP: `engine` gives it decoded parameters and who asks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import utc_day
from sdk_workflow._internal.ids import new_id
from sdk_workflow.simulator.feature_rules import check_thread
from sdk_workflow.simulator.fingerprints import (
    Fingerprint,
    FingerprintStore,
    cache_miss_reason,
    divergence,
)
from sdk_workflow.simulator.generation import Generation, Lifecycle
from sdk_workflow.simulator.parameters import cleaned
from sdk_workflow.simulator.prompt import effort_of, render, thinking_of
from sdk_workflow.simulator.prompt_cache import PromptCache
from sdk_workflow.simulator.records import CacheDecision, RequestRecord
from sdk_workflow.simulator.shapes import check_object
from sdk_workflow.simulator.situation import read_situation
from sdk_workflow.simulator.speech import Thinking, prewarmed, speak
from sdk_workflow.simulator.thoughts import Checked, check_thoughts
from sdk_workflow.simulator.threads import ThreadStore
from sdk_workflow.simulator.tool_changes import available_tools
from sdk_workflow.simulator.validation import (
    LATEST_VERSION,
    Ground,
    check_fields,
    check_request,
    check_size,
)
from sdk_workflow.types import Usage

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping
    from datetime import date

    from sdk_workflow.config.models import Model, ModelCatalog
    from sdk_workflow.protocols import Clock, TokenCounter
    from sdk_workflow.simulator.brain import Brain, Thought
    from sdk_workflow.simulator.files import FileStore
    from sdk_workflow.simulator.generation import Speech
    from sdk_workflow.simulator.prompt import Prompt
    from sdk_workflow.simulator.prompt_cache import Books
    from sdk_workflow.simulator.threads import OpenedThread
    from sdk_workflow.simulator.tokens import PseudoTokenizer

__all__ = ["Caller", "MessageService"]

_BINDING_BETA = "thinking-binding-controls-2026-08-01"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, and under which rules."""

    request_id: str
    version: str = LATEST_VERSION
    betas: frozenset[str] = frozenset()
    workspace: str = "default"
    is_batch: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A checked request, ready to be answered; `params` holds the whole conversation."""

    caller: Caller
    params: Mapping[str, Any]
    model: Model
    prompt: Prompt
    started: float
    workspace: str
    dropped: tuple[str, ...] = ()
    thread: OpenedThread | None = None


@dataclass(slots=True, kw_only=True)
class MessageService:
    """Answers requests of `POST /v1/messages` and counts those of `count_tokens`.

    `token_counter` counts prompts where it is not `tokenizer`; the cache's books are scaled to it.
    """

    clock: Clock
    catalog: ModelCatalog
    brain: Brain
    tokenizer: PseudoTokenizer
    ids: random.Random
    files: FileStore
    token_counter: TokenCounter | None = None
    is_lenient: bool = False
    cache: PromptCache = field(default_factory=PromptCache)
    threads: ThreadStore = field(default_factory=ThreadStore)
    fingerprints: FingerprintStore = field(default_factory=FingerprintStore)

    def today(self) -> date:
        """Return the day that the clock shows, in UTC."""
        return utc_day(self.clock)

    def create(self, params: Mapping[str, Any], caller: Caller) -> Generation:
        """Answer a request.

        Raises:
            ApiError: The request is refused.
        """
        ground = self._ground(caller)
        check_object("body", params)
        params = cleaned(params, caller.betas, is_lenient=self.is_lenient)
        started = self.clock.now()
        if "thread" not in params:
            return self._answer(self._asked(params, caller, ground, started))
        check_fields(params, ground)
        check_thread(params["thread"])
        workspace = _workspace(params, caller)
        opened = self.threads.open(params, workspace=workspace, now=started)
        try:
            asked = self._asked(opened.params, caller, ground, started, thread=opened)
            return self._answer(asked)
        except BaseException:
            self.threads.release(opened)
            raise

    def count(self, params: Mapping[str, Any], caller: Caller, *, is_count: bool = True) -> int:
        """Return the size of a prompt; nothing is cached by it.

        Raises:
            ApiError: The request is refused.
        """
        check_object("body", params)
        params = cleaned(params, caller.betas, is_count=is_count, is_lenient=self.is_lenient)
        ground = self._ground(caller, is_count=is_count)
        return self._asked(params, caller, ground, self.clock.now()).prompt.tokens

    def _ground(self, caller: Caller, *, is_count: bool = False) -> Ground:
        return Ground(
            version=caller.version,
            betas=caller.betas,
            is_count=is_count,
            is_batch=caller.is_batch,
            is_lenient=self.is_lenient,
        )

    def _asked(
        self,
        params: Mapping[str, Any],
        caller: Caller,
        ground: Ground,
        started: float,
        *,
        thread: OpenedThread | None = None,
    ) -> _Asked:
        model = check_request(params, self.catalog, today=self.today(), ground=ground)
        workspace = _workspace(params, caller)
        messages = self.files.resolved(params["messages"], workspace=workspace, now=started)
        checked = self._checked_thoughts(params, messages, caller)
        params = {**params, "messages": checked.messages}
        counter = self.token_counter
        total = None if counter is None else counter.count(params)
        prompt = render(params, model, self.tokenizer, total_tokens=total)
        return _Asked(
            caller=caller,
            params=params,
            model=model,
            prompt=prompt,
            started=started,
            workspace=workspace,
            dropped=checked.dropped,
            thread=thread,
        )

    def _checked_thoughts(
        self, params: Mapping[str, Any], messages: Any, caller: Caller
    ) -> Checked:
        if self.is_lenient:
            return Checked(messages)
        binding = (params.get("thinking") or {}).get("block_binding") or {}
        drops = binding.get("prefix_mismatch_behavior") == "drop_block"
        return check_thoughts(messages, drops=drops and _BINDING_BETA in caller.betas)

    def _answer(self, asked: _Asked) -> Generation:
        prompt, model = asked.prompt, asked.model
        check_size(prompt.tokens, model)
        speech = self._speech(asked)
        lookup = prompt.lookup(workspace=asked.workspace, min_tokens=model.min_cacheable_tokens)
        books = self.cache.look_up(lookup, now=asked.started)
        message_id = new_id("msg", self.ids)
        usage = _usage(asked, books, speech)
        return Generation(
            id=message_id,
            request_id=asked.caller.request_id,
            model=asked.params["model"],
            speech=speech,
            usage=usage,
            fields=self._fields(asked, books),
            record=self._record(asked, books, message_id, usage),
            life=self._life(asked, books, message_id, speech),
        )

    def _speech(self, asked: _Asked) -> Speech:
        params, model = asked.params, asked.model
        if params["max_tokens"] == 0:
            return prewarmed()
        tools = available_tools(params, asked.caller.betas)
        seen = {**params, "tools": tools} if tools or "tools" in params else params
        thought = self._thought(seen)
        thinking = _thinking(params, model)
        return speak(
            thought,
            params,
            self.tokenizer,
            self.ids,
            thinking=thinking,
            window=model.context_window - asked.prompt.tokens,
            question=read_situation(seen).question if thinking.is_on else "",
        )

    def _thought(self, params: Mapping[str, Any]) -> Thought:
        try:
            return self.brain.think(params)
        except RecursionError as error:
            # Elsewhere this error means a request that is nested too deeply, and a refusal.
            raise RuntimeError("The simulator's brain recursed without end.") from error

    def _fields(self, asked: _Asked, books: Books) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        if "diagnostics" in asked.params:
            fields["diagnostics"] = self._diagnostics(asked, books)
        if "context_management" in asked.params:
            fields["context_management"] = {"applied_edits": []}
        if _BINDING_BETA in asked.caller.betas:
            fields["input_transformations"] = [
                {"type": "thinking_dropped", "path": path, "reason": "prefix_binding_mismatch"}
                for path in asked.dropped
            ]
        return fields

    def _diagnostics(self, asked: _Asked, books: Books) -> dict[str, Any] | None:
        name = asked.params["diagnostics"].get("previous_message_id")
        if name is None:
            return None
        previous = self.fingerprints.get(name, asked.workspace)
        reason = cache_miss_reason(previous, asked.prompt, books.read_tokens)
        return None if reason is None else {"cache_miss_reason": reason}

    def _record(
        self, asked: _Asked, books: Books, message_id: str, usage: Mapping[str, Any]
    ) -> RequestRecord:
        previous = self._previous(asked)
        breakpoints = asked.prompt.breakpoints
        decision = CacheDecision(
            positions=asked.prompt.positions,
            breakpoints=breakpoints,
            ignored_breakpoints=tuple(b for b in breakpoints if b not in books.cacheable),
            hit_breakpoint=books.hit_breakpoint,
            hit_position=books.hit,
            read_tokens=books.read_tokens,
            write_5m_tokens=books.write_5m_tokens,
            write_1h_tokens=books.write_1h_tokens,
            uncached_tokens=books.uncached_tokens,
            divergence=None if previous is None else divergence(previous, asked.prompt),
        )
        return RequestRecord(
            request_id=asked.caller.request_id,
            message_id=message_id,
            model=asked.model.id,
            workspace=asked.workspace,
            started_at=asked.started,
            cache=decision,
            usage=Usage.from_api(usage),
            service_tier=usage["service_tier"],
            speed=asked.params.get("speed", "standard"),
            inference_geo=usage["inference_geo"],
            thread=None if asked.thread is None else asked.thread.kind,
        )

    def _previous(self, asked: _Asked) -> Fingerprint | None:
        """Return the request that this one continues: the named one, else the conversation's last."""
        named = (asked.params.get("diagnostics") or {}).get("previous_message_id")
        if named is None and asked.thread is not None:
            named = asked.thread.previous_id
        if named is not None:
            return self.fingerprints.get(named, asked.workspace)
        probe = _fingerprint(asked, "", 0)
        return self.fingerprints.latest(probe.conversation)

    def _life(self, asked: _Asked, books: Books, message_id: str, speech: Speech) -> Lifecycle:
        left = books.total_tokens - books.uncached_tokens

        def begin() -> None:
            self.cache.commit(books.pending)
            self.fingerprints.add(_fingerprint(asked, message_id, left))

        def finish() -> None:
            if asked.thread is not None:
                now = self.clock.now()
                self.threads.store(asked.thread, message_id, speech.content, now=now)

        def drop() -> None:
            if asked.thread is not None:
                self.threads.release(asked.thread)

        def withdraw() -> None:
            self.cache.take_back(books)

        return Lifecycle(on_begin=begin, on_finish=finish, on_drop=drop, on_withdraw=withdraw)


def _workspace(params: Mapping[str, Any], caller: Caller) -> str:
    named = params.get("workspace_id")
    return named if isinstance(named, str) and named else caller.workspace


def _fingerprint(asked: _Asked, message_id: str, cached_tokens: int) -> Fingerprint:
    return Fingerprint(
        message_id=message_id,
        workspace=asked.workspace,
        prompt=asked.prompt,
        cached_tokens=cached_tokens,
    )


def _thinking(params: Mapping[str, Any], model: Model) -> Thinking:
    thinking = thinking_of(params, model)
    return Thinking(
        kind=thinking["type"],
        budget_tokens=thinking.get("budget_tokens"),
        is_shown=thinking.get("display") != "omitted",
        effort=effort_of(params, model),
    )


def _usage(asked: _Asked, books: Books, speech: Speech) -> dict[str, Any]:
    params = asked.params
    usage: dict[str, Any] = {
        "input_tokens": books.uncached_tokens,
        "cache_creation_input_tokens": books.write_5m_tokens + books.write_1h_tokens,
        "cache_read_input_tokens": books.read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": books.write_5m_tokens,
            "ephemeral_1h_input_tokens": books.write_1h_tokens,
        },
        "output_tokens": speech.output_tokens,
        "service_tier": "batch" if asked.caller.is_batch else "standard",
        "inference_geo": params.get("inference_geo", "global"),
    }
    if speech.thinking_tokens:
        usage["output_tokens_details"] = {"thinking_tokens": speech.thinking_tokens}
    return usage | ({"speed": params["speed"]} if "speed" in params else {})
