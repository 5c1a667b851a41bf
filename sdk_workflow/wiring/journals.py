"""Sessions that are kept on disk: opens the journal, and what a kept session remembers of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.ids import new_session_id
from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.wiring.budgets import session_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from sdk_workflow.agent.session import AgentSession
    from sdk_workflow.protocols import Clock
    from sdk_workflow.storage.open_files import OpenFiles
    from sdk_workflow.storage.session_journal import SessionJournal
    from sdk_workflow.types import JournalRecord
    from sdk_workflow.wiring.managers import Managers

__all__ = ["open_kept_session", "remembered_limit"]

_LIMIT = "max_cost_usd"


@trace_function(name="session.open_kept")
def open_kept_session(
    make: Callable[..., AgentSession],
    home: Path,
    options: Mapping[str, Any],
    *,
    must_exist: bool = False,
    clock: Clock,
    managers: Managers,
) -> AgentSession:
    """Open a session that is kept on disk: a new one, or one from where it stood.

    Model, system prompt, built-in tools and folder are those that the session had, unless the
    options name others. What a call may have cost that was under way when its process died counts
    in full from now on.

    Args:
        make: Makes the session of options.
        home: The state folder.
        options: Arguments of `AgentSession`; without a `session_id` the session is new.
        must_exist: Refuse to begin a session.
        clock: Where the times of records come from.
        managers: Where the session is looked up, its budget counts, and its events go.

    Raises:
        UsageError: If the id is not one.
        CheckpointCorrupt: If its file went further once than it does now.
        StorageError: If the session is in use or damaged, or cannot be opened or found.
    """
    from sdk_workflow.storage.session_journal import SessionJournal

    session_id = options.get("session_id")
    if session_id is None:
        session_id = new_session_id()
    journal = SessionJournal.open(home, session_id, create=not must_exist, clock=clock)
    try:
        facts = journal.file.meta()
        managers.sessions.check_head(session_id, facts["last_version"], facts["chain"])
        managers.budgets.forfeit(_holds_in_doubt(journal))
        limit = _limit_of(session_id, managers)
        state = journal.load_state() or {}
        _keep_limit(journal, state, limit)
        kept = _KeptJournal(journal, managers.files, limit)
        given = {**_remembered(state), **options}
        sinks = (*given.pop("sinks", ()), managers.sessions.on_event)
        return make(**{**given, "session_id": session_id, "journal": kept, "sinks": sinks})
    except BaseException:
        managers.files.let_go(journal.file)
        journal.close()
        raise


def remembered_limit(home: Path, session_id: str) -> float | None:
    """Return the limit under which a session was kept last; None where there was none.

    Raises:
        UsageError: If the id is not one.
        StorageError: If the session is damaged or cannot be opened.
    """
    from sdk_workflow.storage.errors import SessionNotFound
    from sdk_workflow.storage.session_file import SessionFile
    from sdk_workflow.storage.session_paths import session_path

    path = session_path(home, session_id)
    try:
        with SessionFile.open(path, session_id=session_id, read_only=True) as file:
            limit = (file.load() or {}).get(_LIMIT)
    except SessionNotFound:
        return None
    return limit if isinstance(limit, (int, float)) else None


class _KeptJournal:
    """A session's journal that adds the session's limit to what a checkpoint remembers.

    While it is open, whoever else in this runtime needs the session's file uses the same one.
    """

    def __init__(
        self, journal: SessionJournal, files: OpenFiles, limit: Mapping[str, float]
    ) -> None:
        self._journal = journal
        self._files = files
        self._limit = limit
        files.adopt(journal.file)

    def append(self, *records: JournalRecord, state: Mapping[str, Any] | None = None) -> int | None:
        return self._journal.append(*records, state=state and {**state, **self._limit})

    def records(self, run_id: str | None = None) -> Sequence[JournalRecord]:
        return self._journal.records(run_id)

    def load_state(self) -> dict[str, Any] | None:
        state = self._journal.load_state()
        known = None if state is None else state.get(_LIMIT)
        if known is not None and not self._limit:
            self._limit = {_LIMIT: known}  # of another runtime: it is not this one's to forget
        # A limit that has changed is left in, so that the state counts as one to be saved.
        if state is not None and known == self._limit.get(_LIMIT):
            state.pop(_LIMIT, None)
        return state

    def close(self) -> None:
        self._files.let_go(self._journal.file)
        self._journal.close()


def _keep_limit(
    journal: SessionJournal, state: Mapping[str, Any], limit: Mapping[str, float]
) -> None:
    """Write a limit that is new to the session now: its run may not come to a checkpoint."""
    if state and limit and state.get(_LIMIT) != limit[_LIMIT]:
        journal.append(state={**state, **limit})


def _limit_of(session_id: str, managers: Managers) -> dict[str, float]:
    own = managers.budgets.allowance
    if own.max_cost_usd is None or own.scope != session_scope(session_id):
        return {}
    return {_LIMIT: own.max_cost_usd}


def _holds_in_doubt(journal: SessionJournal) -> Iterator[str]:
    """Yield the names under which calls of the last run may be held that have no known answer."""
    records = journal.records()
    last = [record for record in records if record.run_id == records[-1].run_id]
    answered = {record.key for record in last if record.kind == "model_result"}
    for record in last:
        if record.kind == "model_intent" and record.key not in answered:
            yield record.body["hold_id"]


def _remembered(state: Mapping[str, Any]) -> dict[str, Any]:
    from sdk_workflow.tools.builtin import BUILTIN_TOOLS

    known = {
        name: state[name] for name in ("model", "system", "working_directory") if name in state
    }
    if "tools" in state:  # functions cannot be kept: they are given anew
        known["tools"] = tuple(name for name in state["tools"] if name in BUILTIN_TOOLS)
    return known
