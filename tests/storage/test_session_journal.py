"""The journal on its file: all or nothing, one runner at a time, and whatever a model may say."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.exceptions import StorageError, UsageError
from sdk_workflow.protocols import RunJournal
from sdk_workflow.storage.errors import SessionNotFound
from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.storage.session_folders import move_session
from sdk_workflow.storage.session_journal import SessionJournal
from sdk_workflow.storage.session_paths import session_path
from sdk_workflow.types import JournalRecord

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STARTED = JournalRecord(run_id="run_1", step=0, kind="run_started", body={"text": "Go"})
FINISHED = JournalRecord(run_id="run_2", step=3, kind="run_finished", key="k")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SessionJournal]:
    opened = SessionJournal.open(tmp_path, "ses-1", create=True)
    yield opened
    opened.close()


def reopened(home: Path, journal: SessionJournal) -> SessionJournal:
    journal.close()
    return SessionJournal.open(home, "ses-1")


def test_it_is_a_run_journal(journal: SessionJournal) -> None:
    assert isinstance(journal, RunJournal)
    assert journal.records() == []
    assert journal.load_state() is None


def test_records_and_states_come_back(tmp_path: Path, journal: SessionJournal) -> None:
    assert journal.append(STARTED) is None
    assert journal.append(FINISHED, state={"history": ["Hi"], "turns": 1}) == 1
    assert journal.append(state={"history": ["Hi", "Ho"], "turns": 2}) == 2

    again = reopened(tmp_path, journal)
    assert again.records() == [STARTED, FINISHED]
    assert again.records("run_2") == [FINISHED]
    assert again.load_state() == {"history": ["Hi", "Ho"], "turns": 2}
    again.close()


def test_records_and_state_are_written_together_or_not_at_all(journal: SessionJournal) -> None:
    journal.append(STARTED)

    with pytest.raises(UsageError, match="bytes"):
        journal.append(FINISHED, state={"history": [b"no text"]})

    assert journal.records() == [STARTED]
    assert journal.load_state() is None


@pytest.mark.parametrize(
    "value", [2**80, -(2**64), "half \ud83d", [[1, {"deep": 10**30}]], 1.5, None, {}]
)
def test_whatever_a_model_may_say_comes_back(
    value: Any, tmp_path: Path, journal: SessionJournal
) -> None:
    record = JournalRecord(run_id="r", step=0, kind="model_result", body={"content": [value]})
    state = {"history": [{"role": "user", "content": "Hi"}, {"content": value}], "system": value}

    journal.append(STARTED, record, state=state)

    again = reopened(tmp_path, journal)
    assert again.records() == [STARTED, record]
    assert again.load_state() == state
    again.close()


def test_not_a_number_comes_back(journal: SessionJournal) -> None:
    journal.append(state={"history": [{"input": math.nan}]})

    state = journal.load_state()
    assert state is not None
    assert math.isnan(state["history"][0]["input"])


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object()])
def test_what_no_json_is_is_refused_with_its_place(value: Any, journal: SessionJournal) -> None:
    with pytest.raises(UsageError) as caught:
        journal.append(JournalRecord(run_id="r", step=0, kind="run_started", body={"text": value}))

    assert caught.value.code == "not_json"
    assert ".text" in str(caught.value)
    assert journal.records() == []


def test_an_error_that_is_not_about_the_value_is_raised_as_it_is(journal: SessionJournal) -> None:
    journal.close()

    with pytest.raises(UsageError) as caught:
        journal.append(STARTED)
    assert caught.value.code != "not_json"


def test_only_one_may_run_a_session(tmp_path: Path, journal: SessionJournal) -> None:
    with pytest.raises(StorageError, match="'ses-1' is in use") as caught:
        SessionJournal.open(tmp_path, "ses-1")
    assert (caught.value.code, caught.value.retryable) == ("session_in_use", True)

    journal.append(STARTED)  # its holder is not disturbed
    again = reopened(tmp_path, journal)
    assert again.records() == [STARTED]
    again.close()
    again.close()


def test_a_claim_that_fails_for_another_reason_says_so(
    tmp_path: Path, journal: SessionJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_file: SessionFile) -> None:
        raise StorageError("No lock here.", code="lock_failed")

    journal.close()
    monkeypatch.setattr(SessionFile, "claim", fail)

    with pytest.raises(StorageError, match="No lock here") as caught:
        SessionJournal.open(tmp_path, "ses-1")
    assert caught.value.code == "lock_failed"


def test_a_session_that_is_not_there_is_not_begun_by_accident(tmp_path: Path) -> None:
    with pytest.raises(SessionNotFound):
        SessionJournal.open(tmp_path, "nobody")
    assert not session_path(tmp_path, "nobody").exists()


@pytest.mark.parametrize("name", ["../../x", "", ".", "CON", "con", "A", "x" * 129, "a\0b"])
def test_a_hostile_id_reaches_no_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        SessionJournal.open(tmp_path, name, create=True)
    assert list(tmp_path.iterdir()) == []


def test_a_session_that_was_put_away_is_not_begun_a_second_time(
    tmp_path: Path, journal: SessionJournal
) -> None:
    journal.append(STARTED, state={"history": []})
    journal.close()
    move_session(tmp_path, "ses-1", away=True)

    for create in (True, False):
        with pytest.raises(StorageError, match="put away") as caught:
            SessionJournal.open(tmp_path, "ses-1", create=create)
        assert caught.value.code == "session_archived"
        assert "archive --undo ses-1" in caught.value.hint
    assert not session_path(tmp_path, "ses-1").exists()

    move_session(tmp_path, "ses-1", away=False)
    back = reopened(tmp_path, journal)
    assert back.load_state() == {"history": []}
    back.close()
