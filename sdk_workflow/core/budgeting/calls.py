"""What a budget reads off a call, and the entries that it makes of calls, holds and costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.ids import new_trace_id
from sdk_workflow.core.budgeting.desk import Claim
from sdk_workflow.core.budgeting.upper_bound import multipliers_of
from sdk_workflow.core.cost_records import Cost, CostEntry, Reservation
from sdk_workflow.types import Money, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk_workflow.core.budgeting.upper_bound import Quote
    from sdk_workflow.types import Call, Message

__all__ = [
    "CallClaim",
    "as_booked",
    "entry_of",
    "new_hold_id",
    "reservation_of",
    "tools_read_by",
    "unknown_cost",
]


def new_hold_id() -> str:
    """Return a name that no other hold has, in any process: 0.5 us, where letters take 4."""
    return f"hold_{new_trace_id():032x}"


class CallClaim(Claim):
    """The claim of one call; where its output may be clamped, it takes less when it has to.

    Args:
        hold_id: Names the hold.
        quote: What the call can cost.
        may_clamp: Whether fewer output tokens will do.
    """

    __slots__ = ("_clamped_tokens", "_quote")

    def __init__(self, hold_id: str, quote: Quote, *, may_clamp: bool) -> None:
        amount = quote.amount(quote.max_tokens)
        super().__init__(
            hold_id,
            amount,
            least=min(quote.amount(quote.least_tokens), amount) if may_clamp else None,
            shrink=self._shrink if may_clamp else None,
        )
        self._quote = quote
        self._clamped_tokens = quote.max_tokens

    @property
    def max_tokens(self) -> int:
        """How many tokens the amount that was granted allows."""
        return self._quote.max_tokens if self.granted == self.amount else self._clamped_tokens

    def _shrink(self, room: int) -> int | None:
        tokens = self._quote.tokens_within(room)
        if tokens is None:
            return None
        self._clamped_tokens = tokens
        return self._quote.amount(tokens)


def reservation_of(call: Call, claim: CallClaim | None, *, now: float) -> Reservation:
    """Return the reservation of a call whose claim was granted; None claims nothing."""
    max_tokens = call.max_tokens if claim is None else claim.max_tokens
    return Reservation(
        hold_id=new_hold_id() if claim is None else claim.hold_id,
        model=call.model,
        held=Money(0 if claim is None else claim.granted),
        max_tokens=max_tokens,
        is_clamped=max_tokens < call.max_tokens,
        reserved_at=now,
        operation=call.operation,
        session_id=call.session_id,
        tenant=call.tenant,
        tool=tools_read_by(call.messages),
        multipliers=multipliers_of(call),
    )


def entry_of(
    cost: Cost,
    origin: Reservation | Call | None,
    *,
    at: float,
    is_cache_hit: bool = False,
    **facts: Any,
) -> CostEntry:
    """Return the entry of a cost.

    Args:
        cost: What was spent.
        origin: Where operation, session, tenant and tool come from.
        at: When, in seconds since the Unix epoch.
        is_cache_hit: Whether a response cache answered.
        **facts: Fields of the entry, where there is no origin.
    """
    if isinstance(origin, Reservation):
        facts = {"tool": origin.tool, "is_clamped": origin.is_clamped}
    elif origin is not None:
        facts = {"tool": tools_read_by(origin.messages)}
    if origin is not None:
        facts["operation"] = origin.operation
        facts["session_id"] = origin.session_id
        facts["tenant"] = origin.tenant
    return CostEntry(
        at=at,
        model=cost.model,
        usage=cost.usage,
        cost=cost.total,
        saved=cost.saved,
        is_cache_hit=is_cache_hit,
        is_upper_bound=cost.is_upper_bound,
        **facts,
    )


def unknown_cost(reservation: Reservation, *, is_held: bool) -> Cost:
    """Return the cost of a call of which nobody knows what it has cost: its hold, if it has one."""
    return Cost(
        model=reservation.model,
        usage=Usage(),
        total=reservation.held if is_held else None,
        saved=None,
        is_upper_bound=True,
    )


def as_booked(cost: Cost, pico: int) -> Cost:
    """Return the cost that stands in the books, where another one of that call was entered before.

    Of that one only the amount is still known; a cost of the same amount is taken for the same.
    """
    if cost.total is None or cost.total.pico == pico:
        return cost
    return Cost(model=cost.model, usage=Usage(), total=Money(pico), saved=None)


def tools_read_by(messages: Sequence[Message]) -> str | None:
    """Return the names of the tools whose results the last message brings, joined by `+`.

    Example:
        >>> use = {"type": "tool_use", "id": "t1", "name": "read", "input": {}}
        >>> result = {"type": "tool_result", "tool_use_id": "t1", "content": "text"}
        >>> tools_read_by(
        ...     ({"role": "assistant", "content": [use]}, {"role": "user", "content": [result]})
        ... )
        'read'
    """
    if not messages or isinstance(messages[-1].get("content"), str):
        return None
    ids = {block.get("tool_use_id") for block in _blocks(messages[-1], "tool_result")}
    if not ids or len(messages) == 1:
        return None
    names = {
        str(block.get("name"))
        for block in _blocks(messages[-2], "tool_use")
        if block.get("id") in ids
    }
    return "+".join(sorted(names)) or None


def _blocks(message: Message, kind: str) -> list[Mapping[str, Any]]:
    content = message.get("content")
    if not isinstance(content, (list, tuple)):
        return []
    return [each for each in content if isinstance(each, Mapping) and each.get("type") == kind]
