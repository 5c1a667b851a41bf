"""How many tokens were used, by whom and how fast, and how long a conversation will still fit.

It counts what it is told. It sends nothing, knows no prices and no other manager; the parts that
it is made of are in `core.usage`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import SystemClock
from sdk_workflow._internal.counting import check_limit
from sdk_workflow._internal.sinks import SinkSet
from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.core.usage.documents import export_text, summary_text
from sdk_workflow.core.usage.pace import Conversation, slope
from sdk_workflow.core.usage.records import UsageRecord, checked_usage
from sdk_workflow.core.usage.totals import TotalsByName, TotalsOfAll
from sdk_workflow.core.usage.window import LONGEST_WINDOW_SECONDS, SlidingWindow
from sdk_workflow.events import ContextFilling, ModelCallFinished, shows_no_text
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.core.usage.records import TokenAnalytics
    from sdk_workflow.events import Event, EventSink
    from sdk_workflow.protocols import Clock
    from sdk_workflow.types import Usage

__all__ = ["TokenManager"]

_MAX_CONVERSATIONS = 1_024
_CALLS_OF_TREND = 50  # 100 would make get_analytics take 26 us instead of 17


class TokenManager:
    """Counts tokens exactly, each message once, and warns before a context window overflows.

    Sums are exact for ever; records and message ids are kept of the latest calls only. The calls
    of one session and one operation are a conversation: after each, its size is the whole prompt
    and the answer. All methods are thread-safe.

    Args:
        context_window: Tokens that fit into one conversation; the model's own by default.
        catalog: Knows the models' windows; the packaged models and the user's by default.
        sinks: Who is told of `ContextFilling`: once when a conversation passes `warn_at_pct`, and
            once when at its pace only `warn_turns` more turns fit.
        warn_at_pct: How full a window is when the first warning is given.
        warn_turns: How few turns are left when the second one is.
        max_records: How many of the latest calls are remembered, with their message ids.
        clock: Where times come from; the machine's clock by default.

    Raises:
        UsageError: If an argument is out of range.

    Example:
        >>> tokens = TokenManager()
        >>> usage = {"input_tokens": 100_000, "output_tokens": 20_000}
        >>> tokens.update_tokens(usage, message_id="msg_1", model="claude-haiku-4-5")
        >>> tokens.update_tokens(usage, message_id="msg_1", model="claude-haiku-4-5")
        >>> tokens.get_context_usage_pct(), tokens.predict_overflow(90_000)
        (60.0, (True, 105.0))
    """

    def __init__(
        self,
        *,
        context_window: int | None = None,
        catalog: ModelCatalog | None = None,
        sinks: Iterable[EventSink] = (),
        warn_at_pct: float = 80.0,
        warn_turns: int = 3,
        max_records: int = 10_000,
        clock: Clock | None = None,
    ) -> None:
        if context_window is not None:
            _check_whole("context_window", context_window, least=1)
        _check_whole("warn_turns", warn_turns)
        _check_whole("max_records", max_records, least=1)
        if type(warn_at_pct) not in {int, float} or not 0 < warn_at_pct <= 100:  # noqa: PLR2004 - %
            raise UsageError(f"warn_at_pct={warn_at_pct!r} is no percentage.", hint="Give 80.")
        self._window_tokens = context_window
        self._catalog = catalog
        self._sinks = SinkSet(sinks)
        self._warn_at_pct = warn_at_pct
        self._warn_turns = warn_turns
        self._max_records = max_records
        self._clock: Clock = clock or SystemClock()
        self._lock = Lock()
        self._forget()

    def update_tokens(
        self,
        usage: Usage | Mapping[str, Any],
        *,
        message_id: str | None = None,
        model: str | None = None,
        operation: str = "message",
        session_id: str | None = None,
    ) -> None:
        """Count the tokens of a call; the last report of a message takes the place of the others.

        Args:
            usage: A `Usage`, or the API's `usage` object.
            message_id: The id of the reply, by which it is counted once; without it, every report
                is a call of its own. An id is remembered for the latest `max_records` calls.
            model: The model that answered.
            operation: What the call was for.
            session_id: The session that called.

        Raises:
            UsageError: If a count makes no sense or a name is no text; nothing has changed then.
        """
        checked = checked_usage(usage)
        names = {"message_id": message_id, "model": model, "session_id": session_id}
        for name, value in names.items():
            _check_text(name, value)
        if operation is None:
            raise UsageError("operation=None names no operation.", hint='Leave it at "message".')
        _check_text("operation", operation)
        window_tokens = self._window_of(model)
        record = UsageRecord(at=self._clock.now(), usage=checked, operation=operation, **names)
        with self._lock:
            is_latest = self._count(record)
            event = self._follow(record, window_tokens) if is_latest else None
        if event is not None:
            self._sinks.emit(event)

    @shows_no_text
    def on_event(self, event: Event) -> None:
        """Count every finished call; an event sink.

        What a response cache answered was not used: it counts as saved.
        """
        if not isinstance(event, ModelCallFinished):
            return
        call, reply = event.call, event.reply
        if reply.cache_hit is not None:
            saved = checked_usage(reply.cache_hit.usage)
            with self._lock:
                self._saved_calls += 1
                self._saved_tokens += saved.prompt_tokens + saved.output_tokens
            return
        self.update_tokens(
            reply.usage,
            message_id=reply.id,
            model=reply.model,
            operation=call.operation,
            session_id=event.session_id,
        )

    def get_context_usage_pct(self, session_id: str | None = None) -> float:
        """Return how full the window of a conversation is, in percent; 0.0 before its first call.

        Args:
            session_id: Whose conversation; by default the one that reported last.

        Raises:
            UsageError: If the window of its model is not known.
        """
        return self.predict_overflow(0, session_id)[1]

    def predict_overflow(
        self, estimated_tokens: int, session_id: str | None = None
    ) -> tuple[bool, float]:
        """Return whether so many more tokens overflow the window, and how full it would be in percent.

        Args:
            estimated_tokens: What the next turn adds: its prompt and its answer.
            session_id: Whose conversation; by default the one that reported last.

        Raises:
            UsageError: If the count makes no sense, or the window of the model is not known.
        """
        _check_whole("estimated_tokens", estimated_tokens)
        with self._lock:
            found = self._conversation(session_id)
            used = 0 if found is None else found.used_tokens
            window_tokens = self._window_tokens if found is None else found.window_tokens
        if window_tokens is None:
            if found is None and not estimated_tokens:
                return False, 0.0
            raise UsageError(
                "The size of the context window is not known.",
                code="unknown_window",
                hint="Pass `context_window`, or report the `model` of each call; a model of your "
                "own belongs into models.toml in the state folder.",
            )
        after = used + estimated_tokens
        return after > window_tokens, 100 * after / window_tokens

    def get_usage_history(self, limit: int = 10) -> list[UsageRecord]:
        """Return the latest calls, the oldest of them first; one that was corrected keeps its place.

        Raises:
            UsageError: If the limit is no whole number that makes sense.
        """
        check_limit(limit)
        with self._lock:
            latest = self._latest(limit)
        return [record for record, _ in reversed(latest)]

    def check_rate_limit(self, window_seconds: float, max_tokens: int) -> bool:
        """Return whether no more than `max_tokens` were used in the last `window_seconds`.

        What was read from the prompt cache does not count, as in the API's own limits. The window
        reaches up to 1/64 (1.6 %) further back than asked for, never less far: True is always
        true.

        Args:
            window_seconds: From 1 second to 262,144 (three days).
            max_tokens: The limit.

        Raises:
            UsageError: If one of them is out of range.
        """
        is_number = type(window_seconds) in {int, float}
        if not is_number or not 1 <= window_seconds <= LONGEST_WINDOW_SECONDS:
            raise UsageError(
                f"window_seconds={window_seconds!r} cannot be looked back on.",
                hint=f"Give 1 to {LONGEST_WINDOW_SECONDS:.0f} seconds.",
            )
        _check_whole("max_tokens", max_tokens)
        with self._lock:
            used = self._used.total(window_seconds, at=self._clock.monotonic())
        return used <= max_tokens

    def get_analytics(self) -> TokenAnalytics:
        """Return sums, averages and trend; by model and by operation, the largest first."""
        with self._lock:
            latest = self._latest(_CALLS_OF_TREND)
            conversation = self._conversation(None)
            fill_pct = None if conversation is None else conversation.fill_pct
            saved_calls, saved_tokens = self._saved_calls, self._saved_tokens
            by_model, by_operation = self._by_model.shown(), self._by_operation.shown()
            totals = self._totals.shown()
        return {
            "totals": totals,
            "average_tokens": totals["total_tokens"] / max(totals["calls"], 1),
            "trend_tokens_per_call": slope([record.total_tokens for record, _ in reversed(latest)]),
            "saved_calls": saved_calls,
            "saved_tokens": saved_tokens,
            "context_usage_pct": fill_pct,
            "by_model": by_model,
            "by_operation": by_operation,
        }

    @trace_function(name="report.tokens")
    def export_metrics(self, format: str = "json") -> str:  # noqa: A002 - the promised name
        """Return the figures as text.

        Args:
            format: "json" for the analytics and the records that are remembered, "csv" for the
                records alone; no text in it can run as a spreadsheet's formula.

        Raises:
            UsageError: If there is no such format.
        """
        return export_text(format, self.get_analytics(), self.get_usage_history(self._max_records))

    def get_summary(self) -> str:
        """Return a few lines for people to read."""
        return summary_text(self.get_analytics())

    def reset(self) -> None:
        """Forget everything that was counted."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        self._records: OrderedDict[str | int, tuple[UsageRecord, float]] = OrderedDict()
        self._unnamed = 0
        self._totals = TotalsOfAll()
        self._by_model = TotalsByName()
        self._by_operation = TotalsByName()
        self._used = SlidingWindow()
        self._saved_calls = 0
        self._saved_tokens = 0
        self._conversations: OrderedDict[tuple[str | None, str], Conversation] = OrderedDict()

    def _latest(self, limit: int) -> list[tuple[UsageRecord, float]]:
        return list(islice(reversed(self._records.values()), max(limit, 0)))

    def _count(self, record: UsageRecord) -> bool:
        """Enter a record in the books; return whether its conversation goes on with it."""
        key = record.message_id
        before = None if key is None else self._records.get(key)
        if before is not None:
            self._book(*before, sign=-1)
            record = replace(record, at=before[0].at)
        if key is None:
            self._unnamed += 1
        entry = record, self._clock.monotonic()
        self._records[self._unnamed if key is None else key] = entry
        self._book(*entry, sign=1)
        if len(self._records) > self._max_records:
            self._records.popitem(last=False)
        return before is None or self._is_last_of_its_conversation(record)

    def _book(self, record: UsageRecord, monotonic: float, *, sign: int) -> None:
        usage = record.usage
        self._totals.add(usage, sign)
        self._by_model.add(record.model, usage, sign)
        self._by_operation.add(record.operation, usage, sign)
        used = usage.prompt_tokens - usage.cache_read_input_tokens + usage.output_tokens
        self._used.add(sign * used, at=monotonic)

    def _is_last_of_its_conversation(self, record: UsageRecord) -> bool:
        found = self._conversations.get((record.session_id, record.operation))
        return found is not None and found.message_id == record.message_id

    def _follow(self, record: UsageRecord, window_tokens: int | None) -> ContextFilling | None:
        """Let the conversation of a record grow; return what is to be told about it."""
        key = record.session_id, record.operation
        found = self._conversations.pop(key, None) or Conversation(window_tokens)
        self._conversations[key] = found  # at the end: it has reported last
        if len(self._conversations) > _MAX_CONVERSATIONS:
            self._conversations.popitem(last=False)
        if record.message_id is not None and found.message_id == record.message_id:
            found.amend(record.total_tokens)
        else:
            found.grow_to(record.total_tokens)
        found.message_id = record.message_id
        found.window_tokens = window_tokens
        if window_tokens is None or not found.has_news(
            warn_at_pct=self._warn_at_pct, warn_turns=self._warn_turns
        ):
            return None
        return ContextFilling(
            session_id=record.session_id,
            used_tokens=found.used_tokens,
            window_tokens=window_tokens,
            turns_left=found.turns_left,
        )

    def _conversation(self, session_id: str | None) -> Conversation | None:
        """Return the conversation of a session, or of all, that reported last."""
        for (owner, _), conversation in reversed(self._conversations.items()):
            if session_id is None or owner == session_id:
                return conversation
        return None

    def _window_of(self, model: str | None) -> int | None:
        if self._window_tokens is not None or model is None:
            return self._window_tokens
        if self._catalog is None:
            from sdk_workflow.config.models import default_catalog

            self._catalog = default_catalog()
        found = self._catalog.get(model)
        return None if found is None else found.context_window


def _check_whole(name: str, value: Any, *, least: int = 0) -> None:
    if type(value) is not int or value < least:
        raise UsageError(
            f"{name}={value!r} makes no sense.", hint=f"Give a whole number from {least} on."
        )


def _check_text(name: str, value: Any) -> None:
    if value is not None and not isinstance(value, str):
        raise UsageError(f"{name}={value!r} is no text.", hint="Pass the name as a string.")
