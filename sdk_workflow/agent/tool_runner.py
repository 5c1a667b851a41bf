"""Runs the tool calls of one reply side by side; journals each, shows it to sinks and trace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow._internal.tracing import trace_span
from sdk_workflow.agent.in_doubt import settle
from sdk_workflow.agent.record_bodies import RecordedResult
from sdk_workflow.core.genai_content import tool_input_content, tool_result_content
from sdk_workflow.core.genai_names import tool_attributes
from sdk_workflow.events import ToolFinished, ToolStarted
from sdk_workflow.tools.effects import keyed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk_workflow._internal.sinks import SinkSet
    from sdk_workflow.agent.journal import RunRecorder
    from sdk_workflow.protocols import Clock
    from sdk_workflow.tools.dispatcher import ToolDispatcher
    from sdk_workflow.tools.registry import Tool
    from sdk_workflow.types import ToolCall, ToolRecord, ToolResult

__all__ = ["ToolRunner"]


class ToolRunner:
    """Observes a dispatcher at work.

    Args:
        dispatcher: Runs one call and always returns a result.
        sinks: Who sees `ToolStarted` and `ToolFinished`.
        clock: Where durations come from.
        session_id: The session that the events name.
    """

    def __init__(
        self,
        dispatcher: ToolDispatcher,
        *,
        sinks: SinkSet,
        clock: Clock,
        session_id: str,
    ) -> None:
        self._dispatcher = dispatcher
        self._sinks = sinks
        self._clock = clock
        self._session_id = session_id

    async def run(
        self, calls: Sequence[ToolCall], records: list[ToolRecord], recorder: RunRecorder
    ) -> Sequence[ToolResult]:
        """Run all calls and return their results in order; `records` grows in that order too.

        A call that finished before a crash is not run: its recorded result is returned.
        """
        finished: dict[str, RecordedResult] = {}

        async def run_one(call: ToolCall) -> ToolResult:
            known = recorder.known_result(call)
            if known is None:
                return await self._run_one(call, finished, recorder)
            finished[call.id] = known
            return known.result

        recorder.expect_tools(len(calls))
        try:
            return await self._dispatcher.dispatch_all(calls, run_one=run_one)
        finally:
            records.extend(
                finished[call.id].record_of(call) for call in calls if call.id in finished
            )

    async def _run_one(
        self, call: ToolCall, finished: dict[str, RecordedResult], recorder: RunRecorder
    ) -> ToolResult:
        self._sinks.emit(ToolStarted(session_id=self._session_id, tool_call=call))
        started = self._clock.monotonic()
        with trace_span(f"execute_tool {call.name}", tool_attributes(call)) as span:
            if span.records_content:
                span.set(**tool_input_content(call))
            result = await self._result_of(call, recorder)
            if span.records_content:
                span.set(**tool_result_content(result))
            if result.is_error:
                span.fail(result.error_code or "tool_error")
        duration_ms = (self._clock.monotonic() - started) * 1000
        finished[call.id] = RecordedResult(result=result, duration_ms=duration_ms)
        self._sinks.emit(
            ToolFinished(
                session_id=self._session_id, tool_call=call, result=result, duration_ms=duration_ms
            )
        )
        await recorder.finish_tool(call, result, duration_ms)
        return result

    async def _result_of(self, call: ToolCall, recorder: RunRecorder) -> ToolResult:
        key = recorder.key_of(call)
        noted = recorder.doubtful_effect(call)
        if noted is not None:
            settled = await settle(recorder.as_run(call), key, noted, dispatcher=self._dispatcher)
            if settled is not None:
                return settled

        async def write_intent(tool: Tool, as_run: ToolCall) -> None:
            await recorder.intend_tool(call, tool, as_run)

        with keyed(key):
            return await self._dispatcher.dispatch(call, before_run=write_intent)
