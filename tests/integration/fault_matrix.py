"""Every fault of the network against the client as it is wired, and the table of what comes of it.

python tests/integration/fault_matrix.py            prints the table as it was observed
python tests/integration/fault_matrix.py --write    writes it into docs/resilience.md as well
"""

from __future__ import annotations

import argparse
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
from typing_extensions import override

from sdk_workflow._internal.clock import SystemClock
from sdk_workflow._internal.sse import encode_event
from sdk_workflow.config.settings import Settings
from sdk_workflow.exceptions import LLMError
from sdk_workflow.runtime import build_runtime
from sdk_workflow.types import Call, ToolSpec
from tests.stub_api import (
    StubApi,
    aborting,
    error,
    events_of,
    message_of,
    raw,
    silent,
    streamed,
    stub_api,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from sdk_workflow.core.agent_client import AgentClientManager
    from sdk_workflow.types import Reply, StreamEvent
    from tests.stub_api import Answer

__all__ = ["FAULTS", "MODES", "PAGE", "Cell", "Fault", "HurriedClock", "Mode", "run_cell", "table"]

PAGE = Path(__file__).parents[2] / "docs" / "resilience.md"
LIMITS: dict[str, Any] = {"first_token_timeout_seconds": 0.3, "idle_timeout_seconds": 0.3}
_MARKS = ("<!-- fault matrix: begin -->", "<!-- fault matrix: end -->")
_READ = ToolSpec(
    name="read",
    description="Read a file.",
    input_schema={"type": "object", "properties": {"path": {"type": "string"}}},
)


class HurriedClock(SystemClock):
    """A clock on which waiting is over at once: it jumps ahead instead."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    @override
    def monotonic(self) -> float:
        return super().monotonic() + sum(self.waits)

    @override
    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await anyio.lowlevel.checkpoint()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One way to ask."""

    is_streamed: bool
    has_tools: bool

    @property
    def name(self) -> str:
        return ("streamed" if self.is_streamed else "plain") + (
            " with tools" if self.has_tools else ""
        )


MODES = [
    Mode(is_streamed=is_streamed, has_tools=has_tools)
    for is_streamed, has_tools in product((False, True), (False, True))
]

OK = "recovered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of fault: what the server does, and what the documented outcome is.

    Attributes:
        name: As the table shows it.
        scripts: What the server answers before it answers well; several where the fault can
            happen at several places.
        plain: The outcome of a reply that is not streamed: `recovered` or an error with its code.
        streamed: The outcome of one that is; the same by default.
        requests: How many requests the server sees, with and without streaming.
        of_streams: Whether only streams can have it; a plain call is streamed unseen then.
        limit_seconds: The time limit of the call.
    """

    name: str
    scripts: Sequence[Sequence[Answer]]
    plain: str = OK
    streamed: str = ""
    requests: tuple[int, int] = (2, 2)
    of_streams: bool = False
    limit_seconds: float = 30.0

    def expected(self, mode: Mode) -> str:
        """Return the documented outcome."""
        return (self.streamed or self.plain) if mode.is_streamed else self.plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What one call under one fault came to."""

    outcome: str
    requests: int
    reply: Reply | None
    events: Sequence[StreamEvent]
    seconds: float
    body: dict[str, Any]

    @property
    def shown_text(self) -> str:
        """The text that the listener was shown."""
        return "".join((event.get("delta") or {}).get("text", "") for event in self.events)

    @property
    def starts(self) -> int:
        """How often the listener saw a message start."""
        return sum(event["type"] == "message_start" for event in self.events)

    def check(self) -> None:
        """Refuse an answer that is not whole, and anything that was shown twice."""
        whole = message_of(self.body)
        text = whole["content"][0]["text"]
        assert self.starts <= 1, "a message starts once"
        assert text.startswith(self.shown_text), "nothing is shown twice"
        if self.reply is None:
            return
        assert list(self.reply.content) == whole["content"], "no answer is shortened"
        assert self.reply.stop_reason == whole["stop_reason"]
        assert list(self.events) in ([], events_of(self.body)), "every event is shown once"


_CONTENT_AT = 3  # the index of the first event with content
_OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
_OVERLOADED_EVENT = encode_event(_OVERLOADED)
_MALFORMED_EVENT = b"event: content_block_delta\ndata: {oops\n\n"
_DATES = {
    "date": "Sat, 21 Nov 2026 07:28:00 GMT",
    "retry_after": "Sat, 21 Nov 2026 07:28:01 GMT",
}
_SPENT = "enforced_spend_limit_reached"
_BROKEN = "StreamInterrupted (stream_interrupted)"
_BUSY = error(529, "overloaded_error")
_PART_OF_HEAD = b"HTTP/1.1 200 OK\r\ncontent-ty"
_PART_OF_BODY = b'HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{"id": "msg_1", '

FAULTS = (
    Fault(name="429, retry-after 1 s", scripts=[[error(429, "rate_limit_error", retry_after="1")]]),
    Fault(name="429, retry-after as a date", scripts=[[error(429, "rate_limit_error", **_DATES)]]),
    Fault(
        name="429, retry-after 1 h",
        scripts=[[error(429, "rate_limit_error", retry_after="3600")]],
        plain="RateLimitError (rate_limited)",
        requests=(1, 1),
    ),
    Fault(
        name="429, spend limit",
        scripts=[[error(429, "rate_limit_error", code=_SPENT)]],
        plain=f"RateLimitError ({_SPENT})",
        requests=(1, 1),
    ),
    Fault(name="529 three times", scripts=[[_BUSY] * 3], requests=(4, 4)),
    Fault(
        name="529 for ever",
        scripts=[[_BUSY] * 9],
        plain="OverloadedError (overloaded)",
        requests=(5, 5),
    ),
    Fault(name="500", scripts=[[error(500, "api_error")]]),
    Fault(name="503, HTML", scripts=[[raw(503, b"<html>no</html>", content_type="text/html")]]),
    Fault(
        name="400",
        scripts=[[error(400, "invalid_request_error")]],
        plain="RequestRejected (request_rejected)",
        requests=(1, 1),
    ),
    Fault(
        name="401",
        scripts=[[error(401, "authentication_error")]],
        plain="AuthenticationFailed (authentication_failed)",
        requests=(1, 1),
    ),
    Fault(
        name="no headers",
        scripts=[[silent]],
        plain="DeadlineExceeded (deadline_exceeded)",
        streamed=OK,
        requests=(1, 2),
        limit_seconds=0.8,
    ),
    Fault(name="connection reset at once", scripts=[[aborting()]]),
    Fault(name="reset in the headers", scripts=[[aborting(_PART_OF_HEAD)]]),
    Fault(name="reset in the body", scripts=[[aborting(_PART_OF_BODY)]]),
    Fault(name="body is no JSON", scripts=[[raw(200, b"{oops", content_type="application/json")]]),
    Fault(name="body is HTML", scripts=[[raw(200, b"<html>hi</html>", content_type="text/html")]]),
    Fault(
        name="stall before content",
        scripts=[[streamed(count, silent)] for count in (0, _CONTENT_AT - 1)],
        of_streams=True,
    ),
    Fault(
        name="stall after content",
        scripts=[[streamed(_CONTENT_AT + 1, silent)]],
        streamed="StreamInterrupted (idle_timeout)",
        requests=(2, 1),
        of_streams=True,
    ),
    Fault(
        name="reset before content",
        scripts=[[streamed(count, aborting())] for count in range(_CONTENT_AT + 1)],
        of_streams=True,
    ),
    Fault(
        name="reset after content",
        scripts=[[streamed(_CONTENT_AT + 1, aborting(b"event: con"))]],
        streamed=_BROKEN,
        requests=(2, 1),
        of_streams=True,
    ),
    Fault(
        name="end before content, at every event",
        scripts=[[streamed(count)] for count in range(_CONTENT_AT + 1)],
        of_streams=True,
    ),
    Fault(
        name="end after content, at every event",
        scripts=[[streamed(-count)] for count in range(1, 5)] + [[streamed(_CONTENT_AT + 1)]],
        streamed=_BROKEN,
        requests=(2, 1),
        of_streams=True,
    ),
    Fault(
        name="error event before content",
        scripts=[[streamed(count, extra=_OVERLOADED_EVENT)] for count in (0, 1, _CONTENT_AT)],
        of_streams=True,
    ),
    Fault(
        name="error event after content",
        scripts=[[streamed(_CONTENT_AT + 1, extra=_OVERLOADED_EVENT)]],
        streamed="OverloadedError (overloaded)",
        requests=(2, 1),
        of_streams=True,
    ),
    Fault(
        name="malformed event before content",
        scripts=[[streamed(_CONTENT_AT, extra=_MALFORMED_EVENT)]],
        of_streams=True,
    ),
    Fault(
        name="malformed event after content",
        scripts=[[streamed(_CONTENT_AT + 1, extra=_MALFORMED_EVENT)]],
        streamed=_BROKEN,
        requests=(2, 1),
        of_streams=True,
    ),
    Fault(
        name="stall after the whole reply",
        scripts=[[streamed(None, silent)]],
        requests=(1, 1),
        of_streams=True,
    ),
    Fault(
        name="reset after the whole reply",
        scripts=[[streamed(None, aborting(b"event: con"))]],
        requests=(1, 1),
        of_streams=True,
    ),
    Fault(
        name="connection refused",
        scripts=[],
        plain="ServiceUnavailable (connection_failed)",
        requests=(0, 0),
    ),
)


async def run_cell(fault: Fault, mode: Mode, script: Sequence[Answer] | None) -> Cell:
    """Make one call under one fault; None for a server that is not there."""
    call = _call(fault, mode)
    events: list[StreamEvent] = []
    reply, outcome = None, OK
    async with _nobody() if script is None else stub_api(*script) as api:
        settings = Settings(
            api_key="sk-ant-not-a-real-key",
            base_url=api.url,
            request_timeout_seconds=fault.limit_seconds,
            **LIMITS,
        )
        async with build_runtime(settings, clock=HurriedClock()) as runtime:
            started = monotonic()
            try:
                reply = await _ask(runtime.client, call, events if mode.is_streamed else None)
            except LLMError as failure:
                outcome = f"{type(failure).__name__} ({failure.code})"
            seconds = monotonic() - started
    return Cell(
        outcome=outcome,
        requests=len(api.requests),
        reply=reply,
        events=events,
        seconds=seconds,
        body=call.to_params(),
    )


async def _ask(client: AgentClientManager, call: Call, events: list[StreamEvent] | None) -> Reply:
    if events is None:
        return await client.create(call)
    async with client.stream(call) as stream:
        async for event in stream:
            events.append(event)
    return stream.reply


def _call(fault: Fault, mode: Mode) -> Call:
    return Call(
        model="claude-haiku-5-5",
        messages=({"role": "user", "content": "When is the tide high?"},),
        tools=(_READ.to_api(),) if mode.has_tools else (),
        # A long reply is streamed although nobody listens.
        max_tokens=20_000 if fault.of_streams and not mode.is_streamed else 1_000,
    )


@asynccontextmanager
async def _nobody() -> AsyncIterator[StubApi]:
    with socket.socket() as reserved:  # bound and not listening: connections are refused
        reserved.bind(("127.0.0.1", 0))
        yield StubApi(script=[], url=f"http://127.0.0.1:{reserved.getsockname()[1]}")


async def run_cells(fault: Fault, mode: Mode) -> list[Cell]:
    """Make one call for each place at which a fault can happen."""
    scripts: Sequence[Sequence[Answer] | None] = fault.scripts or [None]
    return [await run_cell(fault, mode, script) for script in scripts]


def table(outcomes: dict[tuple[str, str], str]) -> str:
    """Return the outcomes by fault and mode as a Markdown table."""
    names = [mode.name for mode in MODES]
    rows = [[fault.name, *(outcomes[fault.name, name] for name in names)] for fault in FAULTS]
    lines = [["fault", *names], ["---"] * (len(names) + 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def documented() -> dict[tuple[str, str], str]:
    """Return what each cell is documented to come to."""
    return {(fault.name, mode.name): describe(fault, mode) for fault in FAULTS for mode in MODES}


def describe(fault: Fault, mode: Mode) -> str:
    """Return one cell of the table: the outcome, and after how many requests."""
    return _words(fault.expected(mode), fault.requests[mode.is_streamed])


def _words(outcome: str, requests: int) -> str:
    return f"{outcome}, {requests} request{'' if requests == 1 else 's'}"


def table_of_page() -> str:
    """Return the table as the page holds it."""
    before, after = _MARKS
    return PAGE.read_text(encoding="utf-8").partition(before)[2].partition(after)[0].strip()


def write_page(new: str) -> None:
    """Put the table into the page."""
    before, after = _MARKS
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(before)
    tail = rest.partition(after)[2]
    PAGE.write_text(f"{head}{before}\n{new}\n{after}{tail}", encoding="utf-8")


async def _observed() -> dict[tuple[str, str], str]:
    """Run the whole matrix and return what each cell really came to."""
    found = {}
    for fault, mode in product(FAULTS, MODES):
        cells = await run_cells(fault, mode)
        for cell in cells:
            cell.check()
        found[fault.name, mode.name] = " or ".join(
            sorted({_words(cell.outcome, cell.requests) for cell in cells})
        )
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description="Every fault against the client.")
    parser.add_argument("--write", action="store_true", help="put the table into the page as well")
    chosen = parser.parse_args(arguments)
    found = table(anyio.run(_observed))
    print(found)  # noqa: T201 - what it was asked for
    if chosen.write:
        write_page(found)


if __name__ == "__main__":
    main()
