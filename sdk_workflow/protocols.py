"""The replaceable parts, and the shape of a middleware.

Three seams and no fourth: a middleware may change, refuse or answer a call; an event sink
(`events.EventSink`) may only look; a protocol of this module may be replaced.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from typing_extensions import Buffer

    from sdk_workflow.types import Call, JournalRecord, Message, Reply

__all__ = [
    "Clock",
    "CountMiddleware",
    "Embedder",
    "Ledger",
    "MemoryStrategy",
    "Middleware",
    "Proceed",
    "RunJournal",
    "Sandbox",
    "SandboxResult",
    "Standing",
    "TokenCounter",
    "Transport",
]

Proceed = Callable[["Call"], Awaitable["Reply"]]
"""The rest of the chain: the next middleware, or the transport behind the last one."""

Middleware = Callable[["Call", Proceed], Awaitable["Reply"]]
"""One concern around one call: `async (call, proceed) -> Reply`."""

CountMiddleware = Callable[["Call", Callable[["Call"], Awaitable[int]]], Awaitable[int]]
"""One concern around counting a prompt; what never looks at a reply can be both."""


@runtime_checkable
class Clock(Protocol):
    """Where time comes from, so that tests need no waiting."""

    def now(self) -> float:
        """Return seconds since the Unix epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go backwards; only differences mean anything."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@runtime_checkable
class Transport(Protocol):
    """The way to a model.

    Every failure leaves as an `LLMError`; cancellation closes what is open.
    """

    async def send(self, call: Call) -> Reply:
        """Send one request and return the finished reply.

        Where `call.emit` is set, the reply is streamed: each event of the API goes through
        `call.emit`, in order and as it arrives, before the finished reply is returned.
        """
        ...

    async def count_tokens(self, call: Call) -> int:
        """Return the size of the prompt in tokens."""
        ...

    async def aclose(self) -> None:
        """Release connections; a second call does nothing."""
        ...


@runtime_checkable
class TokenCounter(Protocol):
    """Estimates the size of a prompt without asking the API."""

    def count(self, params: Mapping[str, Any]) -> int:
        """Return the tokens of a request given as Messages-API parameters."""
        ...


@runtime_checkable
class Embedder(Protocol):
    """Turns a text into a vector, so that texts of like meaning lie close together."""

    @property
    def tag(self) -> str:
        """Name the vector space: vectors of other tags are never compared with these."""
        ...

    @property
    def dimension(self) -> int:
        """The count of numbers in a vector."""
        ...

    def encode(self, text: str) -> Buffer:
        """Return `dimension` float32 numbers in native byte order, with an L2 norm of 1.

        Any object with the buffer protocol will do, such as a numpy array.
        """
        ...


@runtime_checkable
class MemoryStrategy(Protocol):
    """Picks what of the history goes along with the next call."""

    def select(self, history: Sequence[Message]) -> Sequence[Message]:
        """Return the messages to send; the last one stays the last one."""
        ...


@runtime_checkable
class RunJournal(Protocol):
    """Where the runs of one session write what they are about to do, and what came of it."""

    def append(self, *records: JournalRecord, state: Mapping[str, Any] | None = None) -> int | None:
        """Write records, and a checkpoint of the session's state if given, all or nothing.

        Everything is on disk when this returns. Returns the version of the checkpoint.
        """
        ...

    def records(self, run_id: str | None = None) -> Sequence[JournalRecord]:
        """Return the records of one run, or of all, in the order in which they were written."""
        ...

    def load_state(self) -> dict[str, Any] | None:
        """Return the state of the latest checkpoint; None where there is none."""
        ...

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        ...


class Standing(NamedTuple):
    """How a budget stands after a question to its ledger, in pico-dollars.

    Attributes:
        is_done: Whether the question was answered by a change: the hold is there, or has ended
            by this very call.
        spent: What was settled, and in full whatever has an unknown outcome.
        held: What is in flight and may still come back.
        amount: What the hold in question counts for now.
    """

    is_done: bool
    spent: int
    held: int
    amount: int = 0


@runtime_checkable
class Ledger(Protocol):
    """Counts what is spent and what is held, one counter for each scope; each call is atomic.

    Amounts are pico-dollars. A hold that nobody ends by `expires_at` counts as spent in full from
    then on; it never becomes free by itself.
    """

    @property
    def is_shared(self) -> bool:
        """Whether other processes write to it: calls may wait for a disk."""
        ...

    def reserve(
        self, scope: str, hold_id: str, amount: int, *, limit: int, expires_at: float, now: float
    ) -> Standing:
        """Hold an amount if `spent + held + amount <= limit`; the same id again holds it once."""
        ...

    def settle(self, scope: str, hold_id: str, cost: int, *, now: float) -> Standing:
        """Replace a hold by what was spent; of a hold that is settled already, nothing changes.

        An unknown id counts as a hold of nothing: what was spent is never lost.
        """
        ...

    def forfeit(self, scope: str, hold_id: str, *, now: float) -> Standing:
        """Count a hold as spent in full, because its outcome is unknown; it can be settled later."""
        ...

    def standing(self, scope: str, *, now: float) -> Standing:
        """Return how the budget of a scope stands."""
        ...

    def close(self) -> None:
        """Let go of what is open; a second call does nothing."""
        ...


class SandboxResult(Protocol):
    """How a sandboxed command ended; output is decoded and already cut to the cap."""

    @property
    def output(self) -> str:
        """Standard output and standard error, in the order in which they were written."""
        ...

    @property
    def exit_code(self) -> int | None:
        """The exit status; None when the command was stopped at its time limit."""
        ...


@runtime_checkable
class Sandbox(Protocol):
    """Runs a command confined to a folder, and leaves no process behind."""

    @property
    def name(self) -> str:
        """The mechanism, as `doctor` shows it."""
        ...

    async def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        timeout_seconds: float,
        max_output_bytes: int,
    ) -> SandboxResult:
        """Run a command to its end or its time limit, then end everything that it started."""
        ...
