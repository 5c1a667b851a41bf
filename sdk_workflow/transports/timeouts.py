"""How long a transport waits for a server: for a connection, a first piece of content, the next one.

Only waits for the server end a request. Whoever listens to a stream may take as much time as they
like, but it counts towards the total.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdk_workflow.exceptions import DeadlineExceeded, ServiceUnavailable, StreamInterrupted

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from sdk_workflow.exceptions import LLMError

__all__ = ["Timeouts", "Watch", "out_of_time"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """The limits of one request, in seconds.

    A reply that is not streamed says nothing before it is whole, so that slow and stuck look alike:
    of these, only `connect_seconds` and `total_seconds` hold there.

    Attributes:
        connect_seconds: Until the connection stands.
        first_token_seconds: From the start until a streamed reply opens its first block.
        idle_seconds: Between two pieces of a streamed reply; a `ping` is one.
        total_seconds: For the whole request.

    Example:
        >>> Timeouts(idle_seconds=10).first_token_seconds
        120.0
    """

    connect_seconds: float = 5.0
    first_token_seconds: float = 120.0
    idle_seconds: float = 60.0
    total_seconds: float = 600.0


def out_of_time(limits: Timeouts) -> DeadlineExceeded:
    """Return the error of a request that took longer than it may in all."""
    return DeadlineExceeded(
        f"The API did not finish its reply within {limits.total_seconds:g} s.",
        hint="Raise request_timeout_seconds, or ask for less at once.",
    )


class Watch:
    """Ends a streamed request that the server lets wait for too long; a context manager.

    What follows the `with` block is reached only where it did: raise `error` there.

    Args:
        timeouts: The limits.

    Example:
        >>> import anyio
        >>> async def read_nothing() -> str:
        ...     with (watch := Watch(Timeouts(first_token_seconds=0.01))):
        ...         await anyio.sleep_forever()
        ...     return watch.error("").code
        >>> anyio.run(read_nothing)
        'first_token_timeout'
    """

    __slots__ = ("_end_at", "_expected", "_first_at", "_scope", "_timeouts")

    def __init__(self, timeouts: Timeouts) -> None:
        import anyio

        self._timeouts = timeouts
        now = anyio.current_time()
        self._first_at = now + timeouts.first_token_seconds
        self._end_at = now + timeouts.total_seconds
        self._scope = anyio.CancelScope()
        self._expected = ""

    def __enter__(self) -> Self:
        """Start to wait for the first piece of content."""
        self._scope.__enter__()
        self.wait(has_content=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Swallow the cancellation that a limit caused, and nothing else."""
        return bool(self._scope.__exit__(kind, error, trace))

    def wait(self, *, has_content: bool) -> None:
        """Begin to wait for the server, before or after its first content."""
        import anyio

        limit = self._first_at
        if has_content:
            limit = anyio.current_time() + self._timeouts.idle_seconds
        self._expected = "idle" if has_content else "first_token"
        if self._end_at <= limit:
            limit, self._expected = self._end_at, "total"
        self._scope.deadline = limit

    def rest(self) -> None:
        """Stop waiting: it is the listener's turn."""
        self._scope.deadline = float("inf")

    def error(self, partial_text: str, *, request_id: str | None = None) -> LLMError:
        """Return what the limit that was reached comes to."""
        limits = self._timeouts
        if self._expected == "total":
            return out_of_time(limits)
        if self._expected == "idle":
            return StreamInterrupted(
                f"The API sent nothing for {limits.idle_seconds:g} s in the middle of its reply.",
                partial_text=partial_text,
                request_id=request_id,
                code="idle_timeout",
                hint="Send the request again; what arrived so far is not the answer.",
            )
        return ServiceUnavailable(
            f"The API sent no content within {limits.first_token_seconds:g} s.",
            code="first_token_timeout",
            hint="Try again, or raise first_token_timeout_seconds for very long prompts.",
        )
