"""The checks of a verdict: each looks at the attempts at one request, and yields what it finds."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.redaction import redact, redact_text
from sdk_workflow.simulator.journal import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sdk_workflow.simulator.journal import JournalEntry

__all__ = ["ALL_CHECKS", "TOLERANCE_SECONDS", "Case", "Finding", "end_of", "found"]

_MAX_ATTEMPTS = 10
_PATIENCE_SECONDS = 60.0  # a client may well give up on a longer wait
TOLERANCE_SECONDS = 0.005  # two clocks, and the way between them
_SPENT = frozenset({"enforced_spend_limit_reached", "contract_spend_limit_reached"})
_IN_FLIGHT = "thread_continue_in_flight"  # no fault of the request: it may wait and come again
_LOST_THREAD = "thread_not_found"
_RETRYABLE_STATUSES = frozenset({408, 409, 429})
_MALFORMED = frozenset({"malformed_event", "malformed_body"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault of the client.

    Attributes:
        code: One of `CHECKS`.
        message: What it did, as a sentence.
        requests: The requests of the journal that show it, by index.
        evidence: The figures.
    """

    code: str
    message: str
    requests: tuple[int, ...]
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The attempts at one request, in order, and what the checks need beside them."""

    attempts: Sequence[JournalEntry]
    everything: Sequence[JournalEntry]
    accepted: frozenset[str]
    now: float | None
    min_backoff_seconds: float
    max_silence_seconds: float

    @property
    def pairs(self) -> Iterator[tuple[JournalEntry, JournalEntry]]:
        """Each attempt with the next one, if any failed before."""
        return zip(self.attempts, self.attempts[1:], strict=False)

    def later_than(self, entry: JournalEntry) -> Iterator[JournalEntry]:
        """Yield what the same client has sent behind a request."""
        for other in self.everything:
            if other.index > entry.index and other.key_id == entry.key_id:
                yield other


def found(code: str, message: str, entries: Iterable[JournalEntry], **evidence: Any) -> Finding:
    """Return a finding about some requests, without secrets."""
    numbers = tuple(entry.index for entry in entries)
    return Finding(
        code=code, message=redact_text(message), requests=numbers, evidence=redact(evidence)
    )


def end_of(entry: JournalEntry) -> float:
    """Return when an answer ended; while it is under way, when its request came."""
    return entry.time + (entry.duration_seconds or 0.0)


def _has_failed(entry: JournalEntry) -> bool:
    is_refused = entry.status is not None and entry.status >= 400  # noqa: PLR2004 - HTTP classes
    return is_refused or entry.fault in _MALFORMED or entry.ending in {
        "truncated", "reset", "stalled"
    }  # fmt: skip


def _may_be_retried(entry: JournalEntry) -> bool:
    if entry.should_retry is not None:
        return entry.should_retry
    if entry.error_code in _SPENT:
        return False
    status = entry.status
    if status is None or status < 400:  # noqa: PLR2004 - HTTP classes
        return True
    return status in _RETRYABLE_STATUSES or status >= 500  # noqa: PLR2004 - HTTP classes


def _retry_after_ignored(case: Case) -> Iterator[Finding]:
    for failed, again in case.pairs:
        wait, waited = failed.retry_after_seconds, again.time - end_of(failed)
        if wait is not None and _has_failed(failed) and waited < wait - TOLERANCE_SECONDS:
            yield found(
                "retry_after_ignored",
                f"Request {again.index} came {waited:.3g} s after an answer that asked for {wait:g} s.",
                (failed, again),
                waited_seconds=waited,
                retry_after_seconds=wait,
            )


def _retried_non_retryable(case: Case) -> Iterator[Finding]:
    for failed, again in case.pairs:
        is_final = failed.error_code != _IN_FLIGHT and not _may_be_retried(failed)
        if _has_failed(failed) and is_final:
            why = failed.error_code or failed.error_type
            yield found(
                "retried_non_retryable",
                f"Request {again.index} repeats one that was answered {failed.status} {why}.",
                (failed, again),
                status=failed.status,
                error_code=failed.error_code,
            )


def _retry_storm(case: Case) -> Iterator[Finding]:
    failed = [entry for entry in case.attempts if _has_failed(entry)]
    if len(failed) > _MAX_ATTEMPTS:
        yield found(
            "retry_storm",
            f"One request failed {len(failed)} times and was sent {len(case.attempts)} times.",
            case.attempts,
            attempts=len(case.attempts),
        )


def _no_backoff(case: Case) -> Iterator[Finding]:
    for failed, again in case.pairs:
        waited = again.time - end_of(failed)
        is_asked = failed.retry_after_seconds is not None
        if not _has_failed(failed) or is_asked or waited >= case.min_backoff_seconds:
            continue
        yield found(
            "no_backoff",
            f"Request {again.index} repeats a failed one after {waited * 1000:.3g} ms.",
            (failed, again),
            waited_seconds=waited,
        )


def _gave_up(case: Case) -> Iterator[Finding]:
    if len(case.attempts) > 1:
        return
    only = case.attempts[0]
    is_long = (only.retry_after_seconds or 0.0) > _PATIENCE_SECONDS
    has_shown_text = bool(only.partial_text)
    if not _has_failed(only) or not _may_be_retried(only) or is_long or has_shown_text:
        return
    yield found(
        "gave_up",
        f"Request {only.index} failed ({only.error_type or only.fault or only.ending}) and was "
        "not sent again.",
        (only,),
        status=only.status,
        ending=only.ending,
    )


def _no_read_timeout(case: Case) -> Iterator[Finding]:
    for entry in case.attempts:
        if entry.silent_since_seconds is None:
            continue
        end = end_of(entry) if entry.duration_seconds is not None else case.now
        silent = 0.0 if end is None else end - entry.time - entry.silent_since_seconds
        if silent > case.max_silence_seconds:
            yield found(
                "no_read_timeout",
                f"Request {entry.index} was waited for through {silent:.0f} s of silence.",
                (entry,),
                silent_seconds=silent,
            )


def _half_answer_accepted(case: Case) -> Iterator[Finding]:
    for entry in case.attempts:
        is_malformed = entry.fault in _MALFORMED
        if not is_malformed and entry.ending not in {"truncated", "reset", "stalled"}:
            continue
        proof = _proof_of_acceptance(entry, case)
        if proof is None:
            continue
        code = "malformed_chunk_ignored" if is_malformed else "truncated_stream_accepted"
        yield found(
            code,
            f"The answer to request {entry.index} was {'malformed' if is_malformed else 'cut off'}, "
            "and was taken for a whole one.",
            (entry, *proof),
            message_id=entry.message_id,
            text=entry.partial_text[:200],
        )


def _proof_of_acceptance(entry: JournalEntry, case: Case) -> tuple[JournalEntry, ...] | None:
    """Return the requests that go on from a broken answer; None where nothing shows that."""
    if entry.message_id in case.accepted:
        return ()
    said, calls = entry.partial_text.strip(), set(entry.partial_tool_ids)
    whole = [other.index for other in case.attempts if not _has_failed(other)]
    for later in case.later_than(entry):
        # A retry may have said the same to its end; the ids of its tool calls are its own.
        is_repeated = any(entry.index < index < later.index for index in whole)
        says_it = bool(said) and not is_repeated and said in _assistant_texts(later)
        if says_it or calls & _assistant_calls(later):
            return (later,)
    return None


def _assistant_contents(entry: JournalEntry) -> Iterator[Any]:
    """Yield what the client says in a request that the model has said."""
    for message in _prompt_of(entry).get("messages") or ():
        if isinstance(message, dict) and message.get("role") == "assistant":
            yield message.get("content")


def _assistant_texts(entry: JournalEntry) -> Iterator[str]:
    return (text_of(content).strip() for content in _assistant_contents(entry))


def _assistant_calls(entry: JournalEntry) -> set[Any]:
    return {
        block.get("id")
        for content in _assistant_contents(entry)
        for block in (content if isinstance(content, list) else ())
        if isinstance(block, dict) and block.get("type") == "tool_use"
    }


def _prompt_of(entry: JournalEntry) -> dict[str, Any]:
    """Return a request's parameters; nothing where the journal has let go of them."""
    prompt: dict[str, Any] = {} if entry.prompt is None else json.loads(entry.prompt)
    return prompt


def _cache_breaking_prefix(case: Case) -> Iterator[Finding]:
    first = case.attempts[0]
    cache = first.cache or {}
    broken = cache.get("divergence")
    is_marked = bool(cache.get("breakpoints"))
    if broken and broken["lost_tokens"] and is_marked and _goes_on(first):
        yield found(
            "cache_breaking_prefix",
            f"Request {first.index} changed {broken['path']}: {broken['description']}.",
            (first,),
            **broken,
        )


def _goes_on(entry: JournalEntry) -> bool:
    """Return whether a request continues a conversation: another may begin with the same words."""
    thread = _prompt_of(entry).get("thread")
    is_continued = isinstance(thread, dict) and thread.get("type") == "continue"
    return is_continued or any(True for _ in _assistant_contents(entry))


def _missing_thread_replay(case: Case) -> Iterator[Finding]:
    lost = next((each for each in case.attempts if each.error_code == _LOST_THREAD), None)
    if lost is None or lost.prompt is None:
        return
    turn = [_unmarked(message) for message in _prompt_of(lost).get("messages") or ()]
    if not any(_replays(_prompt_of(later), turn) for later in case.later_than(lost)):
        yield found(
            "missing_thread_replay",
            f"The thread of request {lost.index} was lost, and the conversation was not sent again.",
            (lost,),
        )


def _replays(prompt: Mapping[str, Any], turn: Sequence[str]) -> bool:
    """Return whether a request holds more than a turn, and all of the turn, without its thread."""
    thread = prompt.get("thread")
    if isinstance(thread, dict) and thread.get("type") == "continue":
        return False
    messages = [_unmarked(message) for message in prompt.get("messages") or ()]
    return len(messages) > len(turn) and set(turn) <= set(messages)


def _unmarked(message: Any) -> str:
    """Return a message as text without its cache markers, which move from turn to turn."""
    return json.dumps(_without_markers(message), sort_keys=True)


def _without_markers(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_markers(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {name: _without_markers(each) for name, each in value.items() if name != "cache_control"}


ALL_CHECKS: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    _retry_after_ignored,
    _retried_non_retryable,
    _retry_storm,
    _half_answer_accepted,
    _no_backoff,
    _gave_up,
    _no_read_timeout,
    _cache_breaking_prefix,
    _missing_thread_replay,
)
