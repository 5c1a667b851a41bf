"""What the engine tells about each answered request: its prompt, the cache decision, the books.

Frozen facts for journals and tests; nothing here decides anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sdk_workflow.types import Usage

if TYPE_CHECKING:
    from sdk_workflow.simulator.prompt_cache import Breakpoint

__all__ = ["CacheDecision", "Divergence", "Position", "RequestRecord"]


@dataclass(frozen=True, slots=True)
class Position:
    """One block of a rendered prompt.

    `digest` is the hexadecimal digest of what is rendered, `label` a few words of it.
    """

    tier: str
    path: str
    digest: str
    tokens: int
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """Where a prompt stopped being the continuation of an earlier one, and how.

    `position` is None where no block differs but a parameter that the whole tier depends on.
    `lost_tokens` were in the cache behind that place: what this prompt could have read, unchanged.
    """

    previous_message_id: str
    tier: str
    position: int | None
    path: str
    description: str
    lost_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheDecision:
    """What the prompt cache did for one request, and why.

    `hit_breakpoint` numbers the breakpoint that found an entry, `hit_position` is the last block
    that was read. `divergence` compares with the previous request of the same conversation.
    """

    positions: tuple[Position, ...] = ()
    breakpoints: tuple[Breakpoint, ...] = ()
    ignored_breakpoints: tuple[Breakpoint, ...] = ()
    hit_breakpoint: int | None = None
    hit_position: int | None = None
    read_tokens: int = 0
    write_5m_tokens: int = 0
    write_1h_tokens: int = 0
    uncached_tokens: int = 0
    divergence: Divergence | None = None

    @property
    def prompt_tokens(self) -> int:
        """The size of the prompt: read, written and uncached."""
        written = self.write_5m_tokens + self.write_1h_tokens
        return self.read_tokens + written + self.uncached_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One answered request.

    Example:
        >>> from sdk_workflow._internal.clock import VirtualClock
        >>> from sdk_workflow.simulator.engine import Engine
        >>> hello = {"role": "user", "content": "Hello"}
        >>> params = {"model": "claude-haiku-5-5", "max_tokens": 50, "messages": [hello]}
        >>> record = Engine(clock=VirtualClock()).create(params).record
        >>> [position.label for position in record.cache.positions]
        ["user: text 'Hello'"]
    """

    request_id: str
    message_id: str
    model: str
    workspace: str
    started_at: float
    cache: CacheDecision
    usage: Usage = field(default_factory=Usage)
    service_tier: str = "standard"
    speed: str = "standard"
    inference_geo: str = "global"
    thread: str | None = None
