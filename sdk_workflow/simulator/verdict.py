"""Judges a client from the journal: what it made of the faults, limits and errors that it met.

It reads facts and reports findings; it punishes nobody.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from sdk_workflow.simulator.verdict_checks import (
    ALL_CHECKS,
    TOLERANCE_SECONDS,
    Case,
    Finding,
    end_of,
    found,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sdk_workflow.simulator.journal import Journal, JournalEntry

__all__ = ["CHECKS", "Finding", "Verdict", "judge"]

SCHEMA = "sdk_workflow.simulator.verdict/1"
CHECKS: dict[str, str] = {
    "retry_after_ignored": "sent a request again before the time that the answer had named",
    "retried_non_retryable": "sent a request again although waiting could not help",
    "retry_storm": "sent one request more than ten times",
    "truncated_stream_accepted": "took half an answer for a whole one",
    "no_backoff": "sent a failed request again at once",
    "gave_up": "did not try again although it could have helped",
    "no_read_timeout": "waited for a silent answer without end",
    "malformed_chunk_ignored": "took an answer with a broken piece for a whole one",
    "cache_breaking_prefix": "changed the beginning of a prompt that was in the cache",
    "missing_thread_replay": "did not send the whole conversation again after its thread was lost",
    "budget_overrun": "went on after its budget was spent",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found; nothing, for a client that held out.

    `request_count` requests were judged; `dropped_count` others were no longer in the journal, and
    nothing is known of what the client did with them.

    Example:
        >>> from sdk_workflow.simulator.journal import Journal
        >>> judge(Journal()).assert_resilient()
    """

    findings: tuple[Finding, ...]
    request_count: int
    dropped_count: int = 0

    @property
    def is_resilient(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def codes(self) -> frozenset[str]:
        """The kinds of findings."""
        return frozenset(finding.code for finding in self.findings)

    def assert_resilient(self, *, ignore: Iterable[str] = ()) -> None:
        """Fail a test where something was found.

        Args:
            ignore: Kinds of findings that do not count.

        Raises:
            AssertionError: It lists the findings.
            ValueError: There is no such kind of finding.
        """
        ignored = set(ignore)
        unknown = ignored - set(CHECKS)
        if unknown:
            raise ValueError(f"There is no check {min(unknown)!r}; there are {', '.join(CHECKS)}.")
        left = [finding for finding in self.findings if finding.code not in ignored]
        if left:
            raise AssertionError(
                f"The client is not resilient:\n{_listed(left)}{self._reservation}"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as plain JSON values."""
        return {
            "schema": SCHEMA,
            "is_resilient": self.is_resilient,
            "requests": self.request_count,
            "dropped": self.dropped_count,
            "findings": [
                {
                    "code": finding.code,
                    "message": finding.message,
                    "requests": list(finding.requests),
                    "evidence": dict(finding.evidence),
                }
                for finding in self.findings
            ],
        }

    def __str__(self) -> str:
        """Return the findings as a list."""
        if self.is_resilient:
            found = f"The client held out: nothing found in {self.request_count} requests."
            return f"{found}{self._reservation}"
        return f"The client is not resilient:\n{_listed(self.findings)}{self._reservation}"

    @property
    def _reservation(self) -> str:
        if not self.dropped_count:
            return ""
        return (
            f"\n{self.dropped_count} earlier requests were not judged: the journal keeps the last "
            "ones only."
        )


def _listed(findings: Iterable[Finding]) -> str:
    return "\n".join(f"- {finding.code}: {finding.message}" for finding in findings)


def judge(
    journal: Journal,
    *,
    accepted: Iterable[str] = (),
    now: float | None = None,
    min_backoff_seconds: float = 0.1,
    max_silence_seconds: float = 600.0,
    budget_usd: float | None = None,
) -> Verdict:
    """Judge the client whose requests are in a journal.

    Attempts belong together when client and prompt are the same. What a client did with an answer
    shows in its later requests only; where there are none, name what it gave out in `accepted`.

    Args:
        journal: What happened.
        accepted: The ids of the messages that the client gave out as finished answers.
        now: The simulation's time, for answers that are silent still.
        min_backoff_seconds: The shortest wait before another attempt.
        max_silence_seconds: The longest silence that a client may wait through.
        budget_usd: What the client was to spend at most; it may not start a request once the
            answers before have cost that much.
    """
    everything = journal.entries()
    # What is in a batch was not sent by itself, and cannot be sent again by itself.
    entries = [entry for entry in everything if entry.prompt_digest and entry.batch_id is None]
    given_out = frozenset(accepted)
    groups: dict[tuple[str, str, str], list[JournalEntry]] = defaultdict(list)
    for entry in entries:
        groups[entry.key_id, entry.path, entry.prompt_digest].append(entry)
    findings: list[Finding] = list(_budget_overrun(everything, budget_usd))
    for attempts in groups.values():
        case = Case(
            attempts=attempts,
            everything=entries,
            accepted=given_out,
            now=now,
            min_backoff_seconds=min_backoff_seconds,
            max_silence_seconds=max_silence_seconds,
        )
        for check in ALL_CHECKS:
            findings.extend(check(case))
    findings.sort(key=lambda finding: finding.requests)
    return Verdict(
        findings=tuple(findings), request_count=len(entries), dropped_count=journal.dropped
    )


def _budget_overrun(entries: Iterable[JournalEntry], budget_usd: float | None) -> Iterator[Finding]:
    """Find the requests that were sent when what had been answered cost the whole budget.

    The items of a batch cost too, but the client does not send them one by one.
    """
    if budget_usd is None:
        return
    over: list[JournalEntry] = []
    spent_at_first = 0.0
    for entry, spent in _with_spending(entries):
        if entry.prompt_digest and entry.batch_id is None and spent >= budget_usd:
            spent_at_first = spent_at_first if over else spent
            over.append(entry)
    if over:
        yield found(
            "budget_overrun",
            f"Request {over[0].index} came when ${spent_at_first:.6g} of a budget of "
            f"${budget_usd:g} were spent, one of {len(over)}.",
            over,
            spent_usd=spent_at_first,
            budget_usd=budget_usd,
        )


def _with_spending(entries: Iterable[JournalEntry]) -> Iterator[tuple[JournalEntry, float]]:
    """Yield each request with what those had cost that were answered when it came, in dollars."""
    under_way: list[tuple[float, int]] = []
    pico = 0
    for entry in entries:
        while under_way and under_way[0][0] <= entry.time + TOLERANCE_SECONDS:
            pico += heappop(under_way)[1]
        yield entry, pico / 10**12
        if entry.cost is not None:
            heappush(under_way, (end_of(entry), entry.cost.pico))
