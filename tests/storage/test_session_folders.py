from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from sdk_workflow.exceptions import StorageError
from sdk_workflow.storage import session_folders
from sdk_workflow.storage.file_lock import FileLock
from sdk_workflow.storage.head_file import read_head_file
from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.storage.session_folders import delete_session
from sdk_workflow.storage.session_paths import head_path, session_path

if TYPE_CHECKING:
    from pathlib import Path


def filled(home: Path) -> Path:
    path = session_path(home, "s")
    with SessionFile.open(path, session_id="s", create=True) as file:
        file.append_state({"n": 1})
    return path


def test_a_deleted_session_leaves_nothing_and_starts_anew(tmp_path: Path) -> None:
    path = filled(tmp_path)
    delete_session(tmp_path, "s")
    assert [each for each in path.parent.iterdir() if each != head_path(path)] == []
    assert read_head_file(head_path(path)).writes == 0
    delete_session(tmp_path, "s")
    with SessionFile.open(path, session_id="s", create=True) as file:
        assert file.append_state({"n": 2}) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps the file")
def test_whoever_waits_for_a_session_that_is_deleted_gets_a_lock_that_others_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock file goes while it is locked: gone later, two processes could each hold one."""
    path = filled(tmp_path)
    waiting, third = FileLock(head_path(path)), FileLock(head_path(path))
    real = FileLock.close

    def close_and_let_the_next_one_in(lock: FileLock) -> None:
        real(lock)
        if lock not in {waiting, third} and not waiting.held:
            waiting.acquire(timeout_seconds=0.0)

    monkeypatch.setattr(FileLock, "close", close_and_let_the_next_one_in)
    delete_session(tmp_path, "s")
    assert waiting.held
    with pytest.raises(StorageError, match="in use"):
        third.acquire(timeout_seconds=0.0)
    monkeypatch.undo()
    waiting.close()
    third.close()


def test_a_deletion_that_was_cut_short_is_no_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = filled(tmp_path)

    def cut_short(target: Path) -> None:
        target.unlink()
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(session_folders, "remove_database", cut_short)
    with pytest.raises(StorageError):
        delete_session(tmp_path, "s")
    monkeypatch.undo()
    with SessionFile.open(path, session_id="s", create=True) as file:
        assert file.load() is None
