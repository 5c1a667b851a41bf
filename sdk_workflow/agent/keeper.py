"""What of a session outlives its process: the checkpoint of its state, and the journal of its runs.

It decides when a checkpoint is written and what is in it; records are the recorder's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.agent.journal import RunRecorder
from sdk_workflow.agent.resume import restore
from sdk_workflow.exceptions import UsageError
from sdk_workflow.types import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sdk_workflow.agent.resume import Restored, UnfinishedRun
    from sdk_workflow.agent.run_progress import RunProgress
    from sdk_workflow.protocols import RunJournal
    from sdk_workflow.types import Message

    Facts = Mapping[str, Any]

__all__ = ["SessionKeeper"]


class SessionKeeper:
    """Keeps one session on disk, or keeps nothing where there is no journal.

    Args:
        journal: Where it is kept; it is closed with the session.
        session_id: The session.
        describe: Returns what a checkpoint says of the session besides its history.

    Attributes:
        unfinished: The message of a run that can be resumed; None where there is none.
    """

    def __init__(
        self, journal: RunJournal | None, *, session_id: str, describe: Callable[[], Facts]
    ) -> None:
        self._journal = journal
        self._session_id = session_id
        self._describe = describe
        self._usage = Usage()
        self._turns = 0
        # What the last checkpoint says besides the history; None where the history has moved on.
        self._saved: Facts | None = None
        self.unfinished: str | None = None

    @trace_function(name="session.load_history")
    def load(self) -> list[Message]:
        """Return the history to go on with: the last checkpoint, and what a run has reached since.

        Raises:
            StorageError: If it cannot be read, or was not written by a session.
        """
        restored = self._restored()
        history = list(restored.history)
        self._usage, self._turns = restored.usage, restored.turns
        run = restored.unfinished
        if run is None:
            self._saved = restored.facts
            return history
        run.leave(history)
        self._usage += run.usage
        self._turns += len(run.replies)
        self.unfinished = run.text
        return history

    def begin(
        self, text: str, options: Mapping[str, Any], history: Sequence[Message]
    ) -> RunRecorder:
        """Return the recorder of a new run; its first record brings a checkpoint along if need be."""
        recorder = RunRecorder(self._journal, session_id=self._session_id)
        if self._journal is not None:
            facts = self._describe()
            totals = self._usage, self._turns
            state = None if self._saved == facts else _state(facts, history, *totals)
            recorder.begin(text, options, state=state)
        return recorder

    @trace_function(name="session.look_back")
    def look_back(self) -> tuple[Restored, UnfinishedRun]:
        """Return where the session stood before its last run, and that run, which was cut off.

        Raises:
            UsageError: If its last run has finished, or nothing was kept.
            StorageError: If it cannot be read.
        """
        restored = self._restored()
        if restored.unfinished is not None:
            return restored, restored.unfinished
        what = "its last run has finished" if restored.facts else "it has no run"
        raise UsageError(
            f"There is nothing to resume in session {self._session_id!r}: {what}.",
            code="nothing_to_resume",
            hint="Send a new message to go on with the conversation.",
        )

    def go_on(self, restored: Restored) -> RunRecorder:
        """Return the recorder of the run that was cut off."""
        self._usage, self._turns = restored.usage, restored.turns
        return RunRecorder(self._journal, session_id=self._session_id, earlier=restored.unfinished)

    async def finish(
        self,
        recorder: RunRecorder,
        progress: RunProgress,
        stop_reason: str | None,
        history: Sequence[Message],
    ) -> None:
        """Write the end of a run and the checkpoint, in one transaction.

        Raises:
            StorageError: If that fails; the run can be resumed.
        """
        if self._journal is None:
            return
        facts = self._describe()
        totals = self._usage + progress.usage(), self._turns + len(progress.replies)
        await recorder.finish(stop_reason, _state(facts, history, *totals))
        (self._usage, self._turns), self._saved, self.unfinished = totals, facts, None

    def fail(
        self, recorder: RunRecorder, progress: RunProgress, text: str, error: BaseException
    ) -> None:
        """Write that a run has stopped, so that it can be resumed; never raises for the disk."""
        self._usage += progress.usage()
        self._turns += len(progress.replies)
        self._saved = None
        self.unfinished = text if recorder.fail(error) else None

    def close(self) -> None:
        """Let go of the journal; a second call does nothing."""
        if self._journal is not None:
            self._journal.close()

    def _restored(self) -> Restored:
        if self._journal is None:
            return restore(None, ())
        return restore(self._journal.load_state(), self._journal.records())


def _state(facts: Facts, history: Sequence[Message], usage: Usage, turns: int) -> dict[str, Any]:
    return {**facts, "usage": usage.to_api(), "turns": turns, "history": list(history)}
