"""Which session a run belongs to: a new one, a named one, or one that is resumed."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from sdk_workflow.cli.permission_prompt import PermissionPrompt
from sdk_workflow.exceptions import BudgetExceeded, StorageError, UsageError

if TYPE_CHECKING:
    from sdk_workflow.agent.session import AgentSession
    from sdk_workflow.cli.arguments import ExecutionArgs
    from sdk_workflow.cli.console import Console
    from sdk_workflow.cli.setup import Prepared
    from sdk_workflow.exceptions import SdkWorkflowError
    from sdk_workflow.runtime import Runtime

__all__ = ["SessionChoice"]


class SessionChoice:
    """Opens the session that the command line asks for; every one is kept, so that it can be resumed.

    Args:
        args: What was asked for.
        prepared: The runtime, and the tools that a new session offers.
        console: Told what the user should know of the session.
    """

    def __init__(self, args: ExecutionArgs, prepared: Prepared, console: Console) -> None:
        self._args = args
        self._console = console
        self._new_id = prepared.session_id
        self._has_limit = prepared.has_limit
        settings = prepared.runtime.settings.model_copy(update={"tools": prepared.tools})
        self._runtime: Runtime = dataclasses.replace(prepared.runtime, settings=settings)
        self._ask = PermissionPrompt(console)
        self._session: AgentSession | None = None

    def open(self, **options: Any) -> AgentSession:
        """Open the session.

        Raises:
            UsageError: If it cannot be gone on with as asked.
            StorageError: If it is unknown, in use or damaged.
        """
        options = {**self._args.session_options, **options, "ask": self._ask}
        if self._args.resume_id is not None:
            session = self._runtime.resume(self._args.resume_id, **options)
        elif self._args.session_id is not None:
            session = self._runtime.session(
                journal=True, session_id=self._args.session_id, **options
            )
        else:
            session = self._open_new(options)
        self._session = session
        try:
            self._look_back(session)
        except BaseException:
            session.close_sync()
            raise
        return session

    @property
    def session_id(self) -> str | None:
        """The session; None where none was opened."""
        return None if self._session is None else self._session.session_id

    def tell_how_to_resume(self, error: SdkWorkflowError | None = None) -> None:
        """Say with which command a run that was cut off goes on, if it can."""
        session = self._session
        if session is None or session.get_unfinished() is None:
            return
        command = f"sdk_workflow run --resume {session.session_id}"
        if self._has_limit and isinstance(error, BudgetExceeded):
            command += " --budget USD (with more than it had)"
        self._console.problem(f"To go on where it stood: {command}")

    def _open_new(self, options: dict[str, Any]) -> AgentSession:
        """Keep the session where that is possible; a run is worth more than its journal."""
        try:
            return self._runtime.session(journal=True, session_id=self._new_id, **options)
        except StorageError as error:
            self._console.notice(f"This run cannot be resumed, because it cannot be kept: {error}")
            return self._runtime.session(session_id=self._new_id, **options)

    def _look_back(self, session: AgentSession) -> None:
        is_cut_off = session.get_unfinished() is not None
        has_prompt = self._args.prompt is not None
        if self._args.resume_id is not None and is_cut_off and has_prompt:
            raise UsageError(
                f"The last run of session {session.session_id!r} was cut off; it goes on with its "
                "own prompt.",
                hint="Leave PROMPT out, or give --session instead of --resume to leave that run "
                "behind.",
            )
        if self._args.resume_id is not None and not is_cut_off and has_prompt:
            self._console.notice(
                f"The last run of session {session.session_id} had finished; the conversation "
                "goes on."
            )
        if self._args.resume_id is None and is_cut_off:
            self._console.notice(
                f"The last run of session {session.session_id} was cut off; what it reached stays "
                "in the conversation."
            )
