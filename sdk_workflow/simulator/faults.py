"""What goes wrong with which request: faults, and the plan that hands them out.

Every fault has a form for a plain answer and one for a stream, so that none is silently skipped.
It decides and carries nothing out: `delivery` turns a fault into steps.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args

from sdk_workflow._internal.suggest import did_you_mean
from sdk_workflow.exceptions import UsageError
from sdk_workflow.simulator.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from dataclasses import Field

__all__ = [
    "MESSAGES_PATH",
    "Fault",
    "FaultKind",
    "FaultPlan",
    "FaultRule",
    "IndexRange",
    "check_options",
]

MESSAGES_PATH = "/v1/messages"

FaultKind = Literal[
    "status",
    "storm",
    "slow_headers",
    "stall",
    "reset",
    "truncate",
    "error_event",
    "malformed_event",
    "malformed_body",
]
KINDS: tuple[str, ...] = get_args(FaultKind)
_PLACES = frozenset({"after_events", "after_bytes"})
_ERROR = frozenset({"headers", "error_type", "error_code", "message"})
_OPTIONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "status": _ERROR | {"status"},
        "storm": _ERROR | {"seconds"},
        "slow_headers": frozenset({"seconds"}),
        "stall": _PLACES | {"before_headers"},
        "reset": _PLACES | {"before_headers"},
        "truncate": _PLACES,
        "error_event": _ERROR | _PLACES,
        "malformed_event": _PLACES,
        "malformed_body": frozenset(),
    }
)
_STORM_SECONDS = 30.0
_DEFAULT_EVENTS = (
    3  # behind message_start, ping and content_block_start: just before the first text
)

ERROR_STATUS: Mapping[str, int] = MappingProxyType(
    {
        "invalid_request_error": 400,
        "authentication_error": 401,
        "billing_error": 402,
        "permission_error": 403,
        "not_found_error": 404,
        "conflict_error": 409,
        "request_too_large": 413,
        "rate_limit_error": 429,
        "api_error": 500,
        "timeout_error": 504,
        "overloaded_error": 529,
    }
)
_TYPE_OF_STATUS = {status: kind for kind, status in ERROR_STATUS.items()}
_MESSAGES = {429: "This request would exceed your rate limit.", 529: "Overloaded"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        kind: What happens:
            `status`: an error answer instead of a reply.
            `storm`: the same with 529, and again for every request in the next `seconds`.
            `slow_headers`: `seconds` of silence before the answer.
            `stall`: the answer stops coming, the connection stays open.
            `reset`: the connection breaks.
            `truncate`: the answer ends early, as if it were complete.
            `error_event`: a stream breaks off with an `error` event; a plain request gets the error.
            `malformed_event`: one event of a stream is broken JSON; the stream goes on. A plain
                answer gets a broken body.
            `malformed_body`: the same from the first byte on.
        status: The HTTP status of `status`.
        headers: Further headers of an error answer, such as `retry-after` or `x-should-retry`.
        error_type: The error's type; that of the status by default.
        error_code: `details.error_code` of the error; none by default.
        message: The error's text.
        seconds: How long `slow_headers` waits and `storm` lasts.
        after_events: How many events arrive first; at the latest, the fault strikes before the last.
        after_bytes: How many bytes of the body arrive first, in place of `after_events`.
        before_headers: Whether `stall` and `reset` strike before anything has arrived.
    """

    kind: FaultKind
    status: int = 529
    headers: Mapping[str, str] = field(default_factory=dict)
    error_type: str | None = None
    error_code: str | None = None
    message: str | None = None
    seconds: float | None = None
    after_events: int = _DEFAULT_EVENTS
    after_bytes: int | None = None
    before_headers: bool = False

    def __post_init__(self) -> None:
        """Refuse a kind or an error type that does not exist, and what a kind would ignore."""
        if self.kind not in KINDS:
            raise UsageError(
                f"There is no fault {self.kind!r}.",
                code="unknown_fault",
                hint=f"{did_you_mean(self.kind, KINDS)} The faults are {', '.join(KINDS)}.".lstrip(),
            )
        if self.error_type is not None and self.error_type not in ERROR_STATUS:
            raise UsageError(
                f"There is no error type {self.error_type!r}.",
                hint=f"{did_you_mean(self.error_type, ERROR_STATUS)} "
                f"The types are {', '.join(ERROR_STATUS)}.".lstrip(),
            )
        check_options(self.kind, [item.name for item in fields(self) if _is_given(self, item)])

    @property
    def answers_itself(self) -> bool:
        """Whether an error answer comes in place of a reply, streamed or not."""
        return self.kind in {"status", "storm"}

    @property
    def error_status(self) -> int:
        """The HTTP status of the error answer."""
        if self.kind == "error_event":
            return ERROR_STATUS[self.error_type or "overloaded_error"]
        return self.status if self.kind == "status" else ERROR_STATUS["overloaded_error"]

    def error(self) -> ApiError:
        """Return the error that is answered, or that a stream breaks off with."""
        status = self.error_status
        by_class = "api_error" if status >= 500 else "invalid_request_error"  # noqa: PLR2004 - HTTP
        kind = self.error_type or _TYPE_OF_STATUS.get(status, by_class)
        message = self.message or _MESSAGES.get(status, f"Simulated fault: {status}")
        details = {} if self.error_code is None else {"error_code": self.error_code}
        return ApiError(status, kind, message, details=details)


def check_options(kind: str, names: Collection[str]) -> None:
    """Refuse options that a kind of fault would ignore.

    Raises:
        UsageError: It names one of them, and those that the kind has.
    """
    known = _OPTIONS[kind]
    for name in sorted(set(names) - known - {"kind"}):
        choices = f"It takes {', '.join(sorted(known))}." if known else "It takes none."
        raise UsageError(f"The fault {kind!r} has no use for {name!r}.", hint=choices)
    places = [name for name in ("before_headers", "after_events", "after_bytes") if name in names]
    if len(places) > 1:
        raise UsageError(
            f"The fault {kind!r} has both {places[0]!r} and {places[1]!r}.",
            hint="Each says when it strikes: leave one of them out.",
        )


def _is_given(fault: Fault, item: Field[Any]) -> bool:
    value = getattr(fault, item.name)
    return bool(value) if item.name == "headers" else value != item.default


@dataclass(frozen=True, slots=True)
class IndexRange:
    """Requests by their number, from 0; an open `last` reaches to the end.

    Example:
        >>> [index in IndexRange(1, 2) for index in range(4)]
        [False, True, True, False]
    """

    first: int
    last: int | None

    def __post_init__(self) -> None:
        """Refuse a range that holds nothing."""
        if self.last is not None and self.last < self.first:
            raise UsageError(
                f"The requests {self.first}-{self.last} are none: the last comes before the first.",
                hint=f"Write {self.last}-{self.first}.",
            )

    def __contains__(self, index: int) -> bool:
        """Return whether a request is meant."""
        return self.first <= index and (self.last is None or index <= self.last)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """Which requests a fault strikes.

    Attributes:
        fault: What goes wrong.
        requests: The requests by number, counted from 0 for each path; None for all.
        probability: The chance that one of them is struck.
        path: The endpoint.
        times: How often it strikes at most; None for always.
    """

    fault: Fault
    requests: tuple[IndexRange, ...] | None = None
    probability: float = 1.0
    path: str = MESSAGES_PATH
    times: int | None = None


class FaultPlan:
    """Hands out the faults of a simulation, the same ones for the same seed.

    Args:
        rules: What strikes which requests; of several that fit, the first.
        script: What happens to the first, second, ... request of `/v1/messages`: a fault, or None
            for nothing. It goes before the rules; requests behind its end are left to them.
        seed: Decides where a probability decides.

    Example:
        >>> plan = FaultPlan(script=[None, Fault(kind="truncate")])
        >>> [plan.pick("/v1/messages", now=0.0) for _ in range(3)][1].kind
        'truncate'
    """

    def __init__(
        self,
        rules: Sequence[FaultRule] = (),
        *,
        script: Sequence[Fault | None] = (),
        seed: int = 0,
    ) -> None:
        self.rules = tuple(rules)
        self.script = tuple(script)
        self.seed = seed
        self._counts: dict[str, int] = {}
        self._strikes: dict[int, int] = {}
        self._storm: tuple[Fault, float] | None = None

    def pick(self, path: str, *, now: float) -> Fault | None:
        """Return what goes wrong with the next request of a path; None for nothing.

        Args:
            path: The endpoint.
            now: Seconds on the simulation's clock, for storms.
        """
        index = self._counts.get(path, 0)
        self._counts[path] = index + 1
        fault = self._chosen(path, index, now)
        if fault is not None and fault.kind == "storm" and self._storm is None:
            self._storm = (
                fault,
                now + (_STORM_SECONDS if fault.seconds is None else fault.seconds),
            )
        return fault

    def reset(self) -> None:
        """Count from 0 again, and end a storm."""
        self._counts.clear()
        self._strikes.clear()
        self._storm = None

    def _chosen(self, path: str, index: int, now: float) -> Fault | None:
        if path == MESSAGES_PATH:
            if self._storm is not None:
                fault, until = self._storm
                if now < until:
                    return fault
                self._storm = None
            if index < len(self.script):
                return self.script[index]
        for number, rule in enumerate(self.rules):
            if self._strikes_now(number, rule, path, index):
                self._strikes[number] = self._strikes.get(number, 0) + 1
                return rule.fault
        return None

    def _strikes_now(self, number: int, rule: FaultRule, path: str, index: int) -> bool:
        if rule.path != path:
            return False
        if rule.requests is not None and not any(index in each for each in rule.requests):
            return False
        if rule.times is not None and self._strikes.get(number, 0) >= rule.times:
            return False
        # One die per rule and request: what another request does cannot change the outcome.
        source = f"{self.seed}/{number}/{index}"
        dice = random.Random(source)  # noqa: S311 # nosec B311 # repeatable
        return rule.probability >= 1 or dice.random() < rule.probability
