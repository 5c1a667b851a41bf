"""One conversation: its history, its tools and its state; one message at a time."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import SystemClock
from sdk_workflow._internal.ids import new_session_id
from sdk_workflow._internal.portal import Portal
from sdk_workflow._internal.sinks import SinkSet
from sdk_workflow._internal.task_stream import TaskStream
from sdk_workflow._internal.tracing import trace_span
from sdk_workflow.agent.keeper import SessionKeeper
from sdk_workflow.agent.loop import TurnLoop
from sdk_workflow.agent.message_processor import MessageProcessor
from sdk_workflow.agent.model_caller import ModelCaller
from sdk_workflow.agent.options import RunOptions
from sdk_workflow.agent.run_progress import RunProgress, note_run
from sdk_workflow.agent.state import SessionState, StateMachine
from sdk_workflow.agent.tool_runner import ToolRunner
from sdk_workflow.agent.toolbox import Toolbox
from sdk_workflow.config.models import default_catalog
from sdk_workflow.core.genai_names import agent_attributes
from sdk_workflow.events import RunFinished, RunStarted, StateChanged
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from anyio.streams.memory import MemoryObjectSendStream
    from typing_extensions import Self

    from sdk_workflow._internal.tracing import NoopSpan, Span
    from sdk_workflow.agent.journal import RunRecorder
    from sdk_workflow.agent.loop import LoopOutcome
    from sdk_workflow.agent.toolbox import ToolLike
    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.core.agent_client import AgentClientManager
    from sdk_workflow.core.performance import PerformanceTracer
    from sdk_workflow.events import Event, EventSink
    from sdk_workflow.protocols import Clock, MemoryStrategy, RunJournal, Sandbox
    from sdk_workflow.tools.permissions import Permissions
    from sdk_workflow.types import Call, Message, Reply, RunResult, ToolSpec

__all__ = ["AgentSession"]

_logger = logging.getLogger("sdk_workflow.agent")


class AgentSession:
    """A conversation between a user, a model and its tools.

    Args:
        client: Sends the calls; it stays open when the session closes.
        model: Id, alias or tier of the model.
        system: The system prompt.
        tools: Names of built-in tools (`"read"`, `"write"`, `"bash"`, `"network"`), functions with `@tool`, or
            `Tool` objects.
        working_directory: The folder that the built-in tools are confined to; the current one by
            default.
        session_id: An id of your own; a new one by default.
        memory: Picks what of the history goes along with each call; everything by default.
        journal: Where the session is kept. What it holds already is taken up: the history, and a
            run that was cut off, for `resume`. It is closed with the session.
        sinks: Who sees the session's events.
        options: The limits of a run; `message` may change them for one message.
        catalog: Prices and limits of models; the packaged catalogue by default.
        tracer: Records one root span per run; without it, spans join the caller's trace, if any.
        sandbox: Runs the commands of `bash`; the strongest one of this machine by default.
        permissions: Decides which tool calls may run; all of them by default.
        tool_timeout_seconds: The time limit of one tool call.
        clock: Where times come from; the machine's clock by default.

    Example:
        >>> import anyio
        >>> from sdk_workflow.core.agent_client import AgentClientManager
        >>> from sdk_workflow.simulator.transport import SimulatorTransport
        >>> async def ask() -> str:
        ...     async with AgentClientManager(SimulatorTransport()) as client:
        ...         async with AgentSession(client, model="haiku") as session:
        ...             return (await session.message("Hello")).served_by
        >>> anyio.run(ask)
        'simulator'
    """

    def __init__(  # noqa: PLR0913 - each is a part that a user may replace
        self,
        client: AgentClientManager,
        *,
        model: str,
        system: str | None = None,
        tools: Sequence[ToolLike] = (),
        working_directory: Path | str | None = None,
        session_id: str | None = None,
        memory: MemoryStrategy | None = None,
        journal: RunJournal | None = None,
        sinks: Sequence[EventSink] = (),
        options: RunOptions | None = None,
        catalog: ModelCatalog | None = None,
        tracer: PerformanceTracer | None = None,
        sandbox: Sandbox | None = None,
        permissions: Permissions | None = None,
        tool_timeout_seconds: float = 120.0,
        clock: Clock | None = None,
    ) -> None:
        self.session_id = session_id or new_session_id()
        self._is_debug = False
        self._sinks = SinkSet(sinks)
        self._machine = StateMachine(self._on_state_change)
        self._catalog = catalog or default_catalog()
        known = self._catalog.get(model)
        self._processor = MessageProcessor.for_model(known)
        self._options = options or RunOptions()
        self._tracer = tracer
        self._clock: Clock = clock or SystemClock()
        self._machine.move(SessionState.CONFIGURED)
        self._toolbox = Toolbox(
            working_directory=working_directory,
            sandbox=sandbox,
            timeout_seconds=tool_timeout_seconds,
            permissions=permissions,
        )
        self._registry = self._toolbox.registry(tools)
        self._dispatcher = self._toolbox.dispatcher(self._registry, clock=self._clock)
        self._tools = ToolRunner(
            self._dispatcher, sinks=self._sinks, clock=self._clock, session_id=self.session_id
        )
        self._caller = self._make_caller(client, known.id if known else model, system, memory)
        self._is_busy = False
        self._keeper = SessionKeeper(journal, session_id=self.session_id, describe=self._describe)
        self._history: list[Message] = self._keeper.load()
        self._portal = Portal()
        self._machine.move(SessionState.READY)

    # Talking

    async def message(self, text: str, **options: Any) -> RunResult:
        """Send a user message and return the answer, after all the tool calls that it took.

        A run that was cut off before is left behind; what it has reached stays in the history.

        Args:
            text: What the user says.
            **options: Fields of `RunOptions` that differ for this message.

        Raises:
            UsageError: If the text or an option is unusable, or another message is under way.
            LLMError: If the model could not be asked; what was reached so far stays in the history.
            DeadlineExceeded: If the run took longer than `timeout_seconds`.
            StorageError: If the journal cannot be written; what was not journalled is not begun.
        """
        limits = self._options.changed(options)
        prompt = self._processor.process(text)
        self._refuse_if_busy()
        recorder = self._keeper.begin(prompt, options, self._history)
        history = [*self._history, {"role": "user", "content": prompt}]
        return await self._carry_out(prompt, history, recorder, limits)

    async def resume(self, **options: Any) -> RunResult:
        """Go on with the run that was cut off, by a crash or by an error, and return its answer.

        What the model has said and what tools have done is not asked for again. Of a tool call
        that was under way, its effect class decides (see `Tool`). The result counts the whole run.

        Args:
            **options: Fields of `RunOptions` that differ from those of the message.

        Raises:
            UsageError: If there is no such run (`nothing_to_resume`), or an option is unusable.
            SdkWorkflowError: As `message`.
        """
        self._refuse_if_busy()
        restored, run = self._keeper.look_back()
        limits = self._options.changed({**run.options, **options})
        run.check_limit(limits.max_turns)
        history = list(restored.history)
        run.extend(history)
        return await self._carry_out(run.text, history, self._keeper.go_on(restored), limits)

    def stream(self, text: str, **options: Any) -> TaskStream[Event, RunResult]:
        """Send a user message and yield the session's events while it is being answered.

        Enter the stream with `async with` to be able to stop early; `stream.result` is the
        `RunResult` once the iteration has ended. Arguments and errors are those of `message`.
        """

        async def run(events: MemoryObjectSendStream[Event]) -> RunResult:
            self._sinks.add(events.send_nowait)
            try:
                return await self.message(text, **options)
            finally:
                self._sinks.remove(events.send_nowait)

        return TaskStream(run, max_buffer_size=float("inf"))

    def message_sync(self, text: str, **options: Any) -> RunResult:
        """Do what `message` does, for callers without an event loop."""
        return self._portal.call(lambda: self.message(text, **options))

    def resume_sync(self, **options: Any) -> RunResult:
        """Do what `resume` does, for callers without an event loop."""
        return self._portal.call(lambda: self.resume(**options))

    async def close(self) -> None:
        """End the session; a second call does nothing."""
        self.close_sync()

    def close_sync(self) -> None:
        """Do what `close` does, for callers without an event loop."""
        if self._machine.state is not SessionState.CLOSED:
            self._machine.move(SessionState.CLOSED)
            self._toolbox.close()
            self._keeper.close()
        self._portal.close()

    async def __aenter__(self) -> Self:
        """Return the session itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the session."""
        await self.close()

    # Shaping

    def register_tool(self, tool: ToolLike) -> None:
        """Offer one more tool from the next call on; a name that is taken raises UsageError."""
        self._registry.register(self._toolbox.tool(tool))

    def unregister_tool(self, name: str) -> None:
        """Offer a tool no more; an unknown name raises ToolNotFound."""
        self._registry.unregister(name)

    def set_system_prompt(self, system: str | None) -> None:
        """Replace the system prompt from the next call on."""
        self._caller.system = system

    def on_before_tool_call(self, hook: Callable[..., Any]) -> None:
        """Let `hook(tool_call)` see each call first: it may return a changed one or raise ToolDenied."""
        self._dispatcher.on_before_tool_call(hook)

    def on_after_tool_execution(self, hook: Callable[..., Any]) -> None:
        """Let `hook(tool_call, result)` see each result: it may return a changed one."""
        self._dispatcher.on_after_tool_execution(hook)

    def register_validator(self, tool_name: str, validator: Callable[..., Any]) -> None:
        """Let `validator(arguments)` refuse a call of one tool, by raising or by returning a reason."""
        self._dispatcher.register_validator(tool_name, validator)

    def set_debug(self, enabled: bool) -> None:  # noqa: FBT001 - a switch
        """Log every state change and model call of this session at level DEBUG, without contents."""
        self._is_debug = enabled

    # Looking

    def get_state(self) -> SessionState:
        """Return where the session stands."""
        return self._machine.state

    def get_history(self) -> tuple[Message, ...]:
        """Return all messages so far."""
        return tuple(self._history)

    def get_tools(self) -> tuple[ToolSpec, ...]:
        """Return what the model is told about the tools."""
        return tuple(self._registry.specs())

    def get_last_request(self) -> Call | None:
        """Return the last call that was sent."""
        return self._caller.last_request

    def get_last_response(self) -> Reply | None:
        """Return the last reply that arrived."""
        return self._caller.last_response

    def get_unfinished(self) -> str | None:
        """Return the message of the run that `resume` would go on with; None where there is none."""
        return self._keeper.unfinished

    # Working

    def _make_caller(
        self,
        client: AgentClientManager,
        model: str,
        system: str | None,
        memory: MemoryStrategy | None,
    ) -> ModelCaller:
        return ModelCaller(
            client=client,
            model=model,
            system=system,
            registry=self._registry,
            memory=memory,
            sinks=self._sinks,
            session_id=self.session_id,
        )

    def _refuse_if_busy(self) -> None:
        if self._is_busy:
            raise UsageError(
                "Another message of this session is being answered.",
                code="session_busy",
                hint="Wait for its answer, or open another session.",
            )

    async def _carry_out(
        self, text: str, history: list[Message], recorder: RunRecorder, limits: RunOptions
    ) -> RunResult:
        """Run the loop over a history that ends with the message, or with what came of it."""
        self._machine.move(SessionState.AWAITING_MODEL)
        self._is_busy = True
        self._history = history
        last = history[-1]
        progress = RunProgress(clock=self._clock, parameters=limits.parameters)
        try:
            with self._root_span() as span:
                self._sinks.emit(self._start(text, recorder))
                outcome = await self._loop(recorder, limits, progress)
                trace_id = f"{span.trace_id:032x}" if span.trace_id else None
                result = progress.result(
                    outcome, self._catalog, session_id=self.session_id, trace_id=trace_id
                )
                note_run(span, result)
                await self._keeper.finish(recorder, progress, result.stop_reason, history)
                self._machine.move(SessionState.IDLE)
        except BaseException as error:
            if history[-1] is last and not progress.replies:
                history.pop()  # nothing came of the message: it may simply be sent again
            self._keeper.fail(recorder, progress, text, error)
            self._fail(error, progress)
            raise
        finally:
            self._is_busy = False
        self._sinks.emit(RunFinished(session_id=self.session_id, result=result))
        return result

    def _start(self, text: str, recorder: RunRecorder) -> RunStarted:
        return RunStarted(
            session_id=self.session_id,
            text=text,
            model=self._caller.model,
            resumed=recorder.earlier is not None,
        )

    async def _loop(
        self, recorder: RunRecorder, limits: RunOptions, progress: RunProgress
    ) -> LoopOutcome:
        async def send(history: Sequence[Message]) -> Reply:
            self._debug(f"asks {self._caller.model} about {len(history)} messages")
            return await recorder.ask(partial(self._caller.ask, history, limits, progress))

        loop = TurnLoop(
            send=send,
            run_tools=lambda calls: self._tools.run(calls, progress.records, recorder),
            move=self._machine.move,
            max_turns=limits.max_turns,
        )
        progress.take_up(recorder.earlier)
        replies = progress.replies
        with limits.in_time():
            return await loop.run(
                self._history, turns=len(replies), reply=replies[-1] if replies else None
            )

    def _describe(self) -> dict[str, Any]:
        return {
            "model": self._caller.model,
            "system": self._caller.system,
            "tools": list(self._registry.names()),
            "working_directory": self._toolbox.place,
        }

    def _fail(self, error: BaseException, progress: RunProgress) -> None:
        if self._machine.state is not SessionState.CLOSED:  # closed by someone while it ran
            self._machine.move(SessionState.ERROR)
        self._sinks.emit(progress.failure(error, session_id=self.session_id))

    def _root_span(self) -> Span | NoopSpan:
        attributes = agent_attributes(
            "sdk_workflow", model=self._caller.model, session_id=self.session_id
        )
        if self._tracer is None:
            return trace_span("invoke_agent", attributes)
        return self._tracer.span("invoke_agent", **attributes)

    def _on_state_change(self, before: SessionState, after: SessionState) -> None:
        self._debug(f"{before.value} -> {after.value}")
        self._sinks.emit(
            StateChanged(session_id=self.session_id, before=before.value, after=after.value)
        )

    def _debug(self, message: str) -> None:
        if self._is_debug:
            _logger.debug("%s: %s", self.session_id, message)
