from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

import pytest

from sdk_workflow.exceptions import StorageError
from sdk_workflow.storage.file_lock import FileLock

if TYPE_CHECKING:
    from pathlib import Path


def is_held(lock: FileLock) -> bool:
    return lock.held


def test_a_second_holder_is_refused_when_its_time_is_up_and_let_in_after(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "l"), FileLock(tmp_path / "l")
    with first:
        with pytest.raises(StorageError) as caught:
            second.acquire(timeout_seconds=0.002)
        assert (caught.value.code, caught.value.retryable) == ("session_in_use", True)
        assert not is_held(second)
    with second:
        assert is_held(second)
    first.close()
    second.close()


def test_a_holder_may_take_it_again_and_has_it_until_the_last_release(tmp_path: Path) -> None:
    lock, other = FileLock(tmp_path / "l"), FileLock(tmp_path / "l")
    with lock:
        with lock:
            pass
        assert is_held(lock)
        with pytest.raises(StorageError):
            other.acquire(timeout_seconds=0.0)
    assert not is_held(lock)
    lock.close()
    other.close()


def test_closing_lets_go(tmp_path: Path) -> None:
    lock, other = FileLock(tmp_path / "l"), FileLock(tmp_path / "l")
    lock.acquire()
    lock.close()
    other.acquire(timeout_seconds=0.0)
    other.close()


def test_a_lock_file_that_was_deleted_is_no_lock(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "l"), FileLock(tmp_path / "l")
    first.acquire()
    first.release()
    (tmp_path / "l").unlink()
    second.acquire()  # a new file
    with pytest.raises(StorageError):
        first.acquire(timeout_seconds=0.0)
    second.close()
    first.acquire()
    (tmp_path / "l").unlink()
    first.release()
    first.acquire()
    assert (tmp_path / "l").exists()
    first.close()


def test_a_lock_that_was_forgotten_is_let_go(tmp_path: Path) -> None:
    lock, other = FileLock(tmp_path / "l"), FileLock(tmp_path / "l")
    lock.acquire()
    del lock
    gc.collect()
    other.acquire(timeout_seconds=0.0)
    other.close()


def test_a_write_that_ends_early_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FileLock(tmp_path / "l") as lock:
        monkeypatch.setattr(os, "write", lambda _, data: len(data) - 1)
        with pytest.raises(OSError, match="No space"):
            lock.write(b"12", 0, sync=True)
        monkeypatch.undo()
    lock.close()


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="could not be locked"):
        FileLock(tmp_path / "no" / "l").acquire()


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "win32", reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_does_not_keep_the_lock_of_its_parent(tmp_path: Path) -> None:
    lock, other = FileLock(tmp_path / "l"), FileLock(tmp_path / "l")
    lock.acquire()
    ready, wait = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(ready, 1)
        os._exit(0 if not lock.held else 1)
    lock.close()
    other.acquire(timeout_seconds=5.0)
    other.close()
    os.write(wait, b"x")
    assert os.waitpid(child, 0)[1] == 0
    os.close(ready)
    os.close(wait)
