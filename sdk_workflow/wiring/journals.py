"""Sessions that are kept on disk: opens the journal, and what a kept session remembers of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.ids import new_session_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from sdk_workflow.agent.session import AgentSession
    from sdk_workflow.protocols import Clock

__all__ = ["open_kept_session"]


def open_kept_session(
    make: Callable[..., AgentSession],
    home: Path,
    options: Mapping[str, Any],
    *,
    must_exist: bool = False,
    clock: Clock,
) -> AgentSession:
    """Open a session that is kept on disk: a new one, or one from where it stood.

    Model, system prompt, built-in tools and folder are those that the session had, unless the
    options name others.

    Args:
        make: Makes the session of options.
        home: The state folder.
        options: Arguments of `AgentSession`; without a `session_id` the session is new.
        must_exist: Refuse to begin a session.
        clock: Where the times of records come from.

    Raises:
        UsageError: If the id is not one.
        StorageError: If the session is in use or damaged, or cannot be opened or found.
    """
    from sdk_workflow.storage.session_journal import SessionJournal

    session_id = options.get("session_id")
    if session_id is None:
        session_id = new_session_id()
    journal = SessionJournal.open(home, session_id, create=not must_exist, clock=clock)
    try:
        remembered = _remembered(journal.load_state() or {})
        return make(**{**remembered, **options, "session_id": session_id, "journal": journal})
    except BaseException:
        journal.close()
        raise


def _remembered(state: Mapping[str, Any]) -> dict[str, Any]:
    from sdk_workflow.tools.builtin import BUILTIN_TOOLS

    known = {
        name: state[name] for name in ("model", "system", "working_directory") if name in state
    }
    if "tools" in state:  # functions cannot be kept: they are given anew
        known["tools"] = tuple(name for name in state["tools"] if name in BUILTIN_TOOLS)
    return known
