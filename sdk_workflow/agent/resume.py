"""From a session's last checkpoint and its journal back to where the session stood.

Pure: it reads what was recorded and decides what a history is made of; it runs and writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.agent.history import (
    UNKNOWN_OUTCOME,
    append_answer,
    append_tool_turn,
    asks_for_tools,
    failed_results,
    paired,
)
from sdk_workflow.agent.record_bodies import reply_of, result_of
from sdk_workflow.exceptions import StorageError, UsageError
from sdk_workflow.types import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sdk_workflow.agent.record_bodies import RecordedResult
    from sdk_workflow.types import (
        EffectClass,
        JournalRecord,
        Message,
        Reply,
        ToolRecord,
        ToolResult,
    )

__all__ = ["Restored", "UnfinishedRun", "restore"]

_ROLES = frozenset({"user", "assistant"})


@dataclass(slots=True, kw_only=True)
class UnfinishedRun:
    """What the journal knows of a run that did not reach its end.

    Attributes:
        run_id: The run.
        text: The user message that it answers.
        options: The limits that were given with that message.
        replies: What the model has answered so far, by step.
        attempts: By step, how often the model was asked.
        intents: By step and call, the effect class of each tool call that was about to run.
        changed: By step and call, name and input of those that interceptors had changed.
        results: By step and call, the tool calls that have finished.
    """

    run_id: str
    text: str
    options: Mapping[str, Any]
    replies: list[Reply] = field(default_factory=list)
    attempts: dict[int, int] = field(default_factory=dict)
    intents: dict[tuple[int, str], EffectClass] = field(default_factory=dict)
    changed: dict[tuple[int, str], Mapping[str, Any]] = field(default_factory=dict)
    results: dict[tuple[int, str], RecordedResult] = field(default_factory=dict)

    @property
    def usage(self) -> Usage:
        """The tokens of all replies."""
        return sum((reply.usage for reply in self.replies), Usage())

    def check_limit(self, max_turns: int) -> None:
        """Refuse a limit under which tools that have begun could not be seen through.

        Raises:
            UsageError: If the run has made that many model calls already.
        """
        last = len(self.replies) - 1
        if max_turns <= len(self.replies) and any(
            step == last for step, _ in (*self.intents, *self.results)
        ):
            raise UsageError(
                f"The run has made {len(self.replies)} model calls already, and max_turns is "
                f"{max_turns}.",
                hint=f"Resume it with max_turns above {len(self.replies)}.",
            )

    def extend(self, history: list[Message]) -> None:
        """Append the message and all that followed, up to the last reply and without it."""
        history.append({"role": "user", "content": self.text})
        for step in range(len(self.replies) - 1):
            self._append(history, step)

    def leave(self, history: list[Message]) -> None:
        """Append what the run has reached, to go on with something else; nothing if it has nothing."""
        if self.replies:
            self.extend(history)
            self._append(history, len(self.replies) - 1)

    def records(self) -> list[ToolRecord]:
        """Return the tool calls of all replies but the last."""
        return [
            self.results[step, call.id].record_of(call)
            for step, reply in enumerate(self.replies[:-1])
            for call in reply.tool_calls
            if (step, call.id) in self.results
        ]

    def _append(self, history: list[Message], step: int) -> None:
        reply = self.replies[step]
        if asks_for_tools(reply):
            known = {call: each.result for (at, call), each in self.results.items() if at == step}
            results: list[ToolResult] = failed_results(
                reply.tool_calls, UNKNOWN_OUTCOME, known=known
            )
            append_tool_turn(history, reply, results)
        else:
            append_answer(history, reply)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A session as its last checkpoint holds it, and the run that was begun after it.

    Attributes:
        history: The messages of the checkpoint.
        usage: The tokens of all its runs.
        turns: The model calls of all its runs.
        facts: What else the checkpoint holds: model, system prompt, tools, folder.
        unfinished: The last run, unless it has finished.
    """

    history: tuple[Message, ...] = ()
    usage: Usage = field(default_factory=Usage)
    turns: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)
    unfinished: UnfinishedRun | None = None


@trace_function(name="session.restore")
def restore(state: Mapping[str, Any] | None, records: Sequence[JournalRecord]) -> Restored:
    """Return where a session stood.

    Args:
        state: Its last checkpoint; None where there is none.
        records: Its whole journal, in order.

    Raises:
        StorageError: If the checkpoint was not written by a session, or a record by a release
            that writes other ones.

    Example:
        >>> restore({"history": [{"role": "user", "content": "Hi"}]}, []).history
        ({'role': 'user', 'content': 'Hi'},)
    """
    if state is None:
        return Restored()
    facts = dict(state)
    history = _checked_history(facts.pop("history", None))
    usage, turns = facts.pop("usage", {}), facts.pop("turns", 0)
    if not isinstance(usage, dict) or type(turns) is not int:
        raise _not_a_session("its 'usage' is no object, or its 'turns' no whole number")
    return Restored(
        history=tuple(paired(history)),
        usage=Usage.from_api(usage),
        turns=turns,
        facts=facts,
        unfinished=_last_run(records),
    )


def _checked_history(value: Any) -> list[Message]:
    if not isinstance(value, list) or not all(_is_message(item) for item in value):
        raise _not_a_session("it holds no list of messages under 'history'")
    return value


def _not_a_session(why: str) -> StorageError:
    return StorageError(
        f"The last checkpoint of the session was not written by a session: {why}.",
        code="not_a_session",
        hint="Give the session another id, or load the checkpoint with CheckpointManager.",
    )


def _is_message(item: Any) -> bool:
    if not isinstance(item, dict) or item.get("role") not in _ROLES:
        return False
    content = item.get("content")
    return isinstance(content, str) or (isinstance(content, list) and all(map(_is_block, content)))


def _is_block(item: Any) -> bool:
    if not isinstance(item, dict):
        return False
    return item.get("type") != "tool_use" or isinstance(item.get("id"), str)


def _last_run(records: Sequence[JournalRecord]) -> UnfinishedRun | None:
    """Return the run that was begun last; None where it has finished."""
    run: UnfinishedRun | None = None
    begun: set[str] = set()
    for record in records:
        if record.kind == "run_started" and record.run_id in begun:
            continue  # a record may be there twice
        begun.add(record.run_id)
        try:
            run = _after(run, record)
        except (KeyError, TypeError, AttributeError) as error:
            raise StorageError(
                f"A record of run {record.run_id!r} ({record.kind}) is not one that this release "
                f"writes: {type(error).__name__}: {error}.",
                code="journal_not_known",
                hint="Resume the session with the release that has written it.",
            ) from error
    return run


def _after(run: UnfinishedRun | None, record: JournalRecord) -> UnfinishedRun | None:
    if record.kind == "run_started":
        text, options = record.body["text"], record.body["options"]
        return UnfinishedRun(run_id=record.run_id, text=text, options=options)
    if run is None or record.run_id != run.run_id:
        return run
    if record.kind == "run_finished":
        return None
    _take(run, record)
    return run


def _take(run: UnfinishedRun, record: JournalRecord) -> None:
    if record.kind == "model_intent":
        run.attempts[record.step] = run.attempts.get(record.step, 0) + 1
    elif record.kind == "model_result" and record.step == len(run.replies):
        run.replies.append(reply_of(record.body))
    elif record.kind == "tool_intent":
        place = record.step, record.key
        run.intents[place] = record.body["effect"]
        if "arguments" in record.body:
            run.changed[place] = {"name": record.body["name"], "input": record.body["arguments"]}
    elif record.kind == "tool_result":
        run.results[record.step, record.key] = result_of(record.key, record.body)
