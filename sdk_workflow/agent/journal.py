"""What a run writes into its session's journal, and when: before each effect, after each result.

A record that nothing depends on yet waits for the next one that something does, so that both take
one sync: a turn with one tool takes two, the start and the end of a run one each.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.ids import new_id
from sdk_workflow.agent.record_bodies import reply_body, result_body
from sdk_workflow.exceptions import SdkWorkflowError
from sdk_workflow.types import JournalRecord

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    import anyio

    from sdk_workflow.agent.record_bodies import RecordedResult
    from sdk_workflow.agent.resume import UnfinishedRun
    from sdk_workflow.protocols import RunJournal
    from sdk_workflow.tools.registry import Tool
    from sdk_workflow.types import EffectClass, JournalKind, Reply, ToolCall, ToolResult

__all__ = ["RunRecorder"]

_log = logging.getLogger("sdk_workflow.agent")


class RunRecorder:
    """Writes down one run, and knows what an earlier part of it has written.

    Args:
        journal: Where the records go; None to keep none.
        session_id: The session, for the names of holds and effects.
        earlier: What is known of the run, where it goes on after a crash.

    Attributes:
        earlier: The same.
    """

    def __init__(
        self,
        journal: RunJournal | None,
        *,
        session_id: str,
        earlier: UnfinishedRun | None = None,
    ) -> None:
        self.earlier = earlier
        self._journal = journal
        self._run_id = earlier.run_id if earlier else new_id("run")
        self._place = f"{session_id}/{self._run_id}"
        self._step = len(earlier.replies) - 1 if earlier else -1
        self._first_state: Mapping[str, Any] | None = None
        self._waiting: list[JournalRecord] = []
        self._is_on_disk = earlier is not None
        self._running_tools = 0
        self._lock: anyio.Lock | None = None

    def begin(
        self, text: str, options: Mapping[str, Any], *, state: Mapping[str, Any] | None
    ) -> None:
        """Note what the run is to do; it is written with the first question to the model.

        Args:
            text: The user message.
            options: The limits that were given with it.
            state: What the session stands on, if no checkpoint holds that yet.
        """
        self._first_state = state
        # How a run is shown is the business of whoever looks on.
        kept = {name: value for name, value in options.items() if name != "stream"}
        self._note("run_started", body={"text": text, "options": kept})

    async def ask(self, send: Callable[[str | None], Awaitable[Reply]]) -> Reply:
        """Write that the model is asked, ask it, and note what it answers.

        Args:
            send: Asks it; told the name under which a budget may hold the cost, where that name
                is on the disk.
        """
        self._step += 1
        attempts = self.earlier.attempts.get(self._step, 0) if self.earlier else 0
        key = f"{self._step}.{attempts}"
        if self._journal is None:
            return await send(None)
        # Under this name a budget may hold the cost: where the answer stays unknown, all of it.
        hold_id = f"{self._place}/{key}"
        self._note("model_intent", key, {"hold_id": hold_id})
        await self._write()
        reply = await send(hold_id)
        self._note("model_result", key, reply_body(reply))
        return reply

    def expect_tools(self, count: int) -> None:
        """Prepare for the results of one reply's tools."""
        self._running_tools = count

    def known_result(self, call: ToolCall) -> RecordedResult | None:
        """Return the result of a call that has finished before the crash."""
        known = self.earlier.results.get((self._step, call.id)) if self.earlier else None
        if known is not None:
            self._running_tools -= 1
        return known

    def doubtful_effect(self, call: ToolCall) -> EffectClass | None:
        """Return the effect class of a call that was under way at the crash; None where it was not."""
        return self.earlier.intents.get((self._step, call.id)) if self.earlier else None

    def as_run(self, call: ToolCall) -> ToolCall:
        """Return a call that was under way at the crash as interceptors had left it."""
        changed = self.earlier.changed.get((self._step, call.id)) if self.earlier else None
        return call if changed is None else replace(call, **changed)

    def key_of(self, call: ToolCall) -> str:
        """Return the idempotency key of a call."""
        return f"{self._place}/{self._step}/{call.id}"

    async def intend_tool(self, call: ToolCall, tool: Tool, as_run: ToolCall) -> None:
        """Write that a tool is about to run; the disk knows when this returns.

        Args:
            call: The call that the model has asked for.
            tool: The tool.
            as_run: The call as interceptors left it.
        """
        if self._journal is None:
            return
        arguments = json.dumps(dict(as_run.input), sort_keys=True, default=repr)
        body = {
            "name": as_run.name,
            "effect": tool.effect,
            "arguments_sha256": hashlib.sha256(arguments.encode()).hexdigest(),
            "idempotency_key": self.key_of(call),
        }
        if as_run != call:  # else they are in the model's reply already
            body["arguments"] = json.loads(arguments)
        # Where this is not written, the tool does not run: nothing of it may be in doubt.
        await self._write_or_forget("tool_intent", call.id, body=body)

    async def finish_tool(self, call: ToolCall, result: ToolResult, duration_ms: float) -> None:
        """Note a tool's result; it is written now if other tools of the reply still run."""
        self._running_tools -= 1
        if self._journal is None:
            return
        self._note("tool_result", call.id, result_body(result, duration_ms))
        if self._running_tools:
            await self._write()

    async def finish(self, stop_reason: str | None, state: Mapping[str, Any]) -> None:
        """Write the end of the run together with the checkpoint of the session's state."""
        # An end without its checkpoint would lose the run: nothing would be left to resume.
        await self._write_or_forget("run_finished", body={"stop_reason": stop_reason}, state=state)

    def fail(self, error: BaseException) -> bool:
        """Write what waits, and why the run stopped; return whether it can be resumed.

        The error that stopped the run is the one to raise: another one is only logged.
        """
        code = error.code if isinstance(error, SdkWorkflowError) else "interrupted"
        self._note("run_failed", body={"error": type(error).__name__, "code": code})
        if self._journal is None:
            return False
        try:
            self._journal.append(*self._waiting, state=self._first_state)
        except SdkWorkflowError:
            _log.warning("%s: The end of a failed run could not be journalled.", self._place)
            return self._is_on_disk
        return True

    def _note(
        self, kind: JournalKind, key: str = "", body: Mapping[str, Any] | None = None
    ) -> None:
        if self._journal is None:
            return
        step = max(self._step, 0)
        record = JournalRecord(run_id=self._run_id, step=step, kind=kind, key=key, body=body or {})
        self._waiting.append(record)

    async def _write_or_forget(
        self,
        kind: JournalKind,
        key: str = "",
        *,
        body: Mapping[str, Any],
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a record with all that waits; where that fails, it is as if it had not been noted."""
        self._note(kind, key, body)
        record = self._waiting[-1] if self._waiting else None
        try:
            await self._write(state)
        except BaseException:
            self._waiting = [waiting for waiting in self._waiting if waiting is not record]
            raise

    async def _write(self, state: Mapping[str, Any] | None = None) -> None:
        """Write all that waits; tools that come at the same time share a sync.

        In a worker thread: a sync takes 0.2 to 5 ms (much more on a busy disk), in which an event
        loop can serve others; the way there and back 0.1 ms.
        """
        if self._journal is None:
            return
        from anyio import Lock, to_thread

        if self._lock is None:
            self._lock = Lock()
        async with self._lock:
            if not self._waiting:  # whoever held the lock took mine along
                return
            batch, self._waiting = self._waiting, []
            try:
                await to_thread.run_sync(
                    partial(self._journal.append, *batch, state=state or self._first_state)
                )
            except BaseException:
                self._waiting[:0] = batch  # written twice does no harm, written never would
                raise
            self._first_state = None
            self._is_on_disk = True
