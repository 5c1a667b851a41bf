"""Cache files on disk: private, shared between processes, and never trusted."""

from __future__ import annotations

import errno
import logging
import os
import stat
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from sdk_workflow.core.caching import private_files, snapshot_file
from sdk_workflow.core.caching.private_files import (
    folder_secret,
    locked,
    make_private_folder,
    read_private,
)
from sdk_workflow.core.caching.snapshot import Snapshot
from sdk_workflow.core.caching.snapshot_file import SnapshotFile
from sdk_workflow.exceptions import StorageError
from tests.caching.fakes import NOW, SECRET, entry

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such rights")
WHOLE = Snapshot(entries=(entry("a"), entry("b")))


def save(path: Path, snapshot: Snapshot = WHOLE, secret: bytes = SECRET, **options: Any) -> None:
    SnapshotFile(path).save(snapshot, secret, **{"now": NOW, "max_entries": 10, **options})


def keys(path: Path) -> set[str]:
    return {each.stored.key for each in SnapshotFile(path).load(SECRET).entries}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    save(tmp_path / "cache")
    assert SnapshotFile(tmp_path / "cache").load(SECRET) == WHOLE


def test_a_folder_stands_for_the_file_in_it(tmp_path: Path) -> None:
    save(tmp_path)
    assert (tmp_path / "responses.cache").is_file()
    assert keys(tmp_path) == {"a", "b"}


def test_no_file_is_an_empty_cache(tmp_path: Path) -> None:
    assert SnapshotFile(tmp_path / "none" / "cache").load(SECRET) == Snapshot()


@posix
def test_files_and_folders_are_for_their_owner_only(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        save(tmp_path / "one" / "two" / "cache")
        folder_secret(tmp_path / "three")
    finally:
        os.umask(old)
    folders = [tmp_path / "one", tmp_path / "one" / "two", tmp_path / "three"]
    assert {mode(folder) for folder in folders} == {0o700}
    files = [path for folder in folders for path in folder.iterdir() if path.is_file()]
    assert len(files) == 4
    assert {mode(path) for path in files} == {0o600}


def test_what_others_wrote_meanwhile_stays(tmp_path: Path) -> None:
    save(tmp_path, Snapshot(entries=(entry("a"),)))
    save(tmp_path, Snapshot(entries=(entry("b"),)))
    assert keys(tmp_path) == {"a", "b"}


def test_eight_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    names = [f"{writer}-{item}" for writer in range(8) for item in range(3)]

    def write(writer: int) -> None:
        for item in range(3):
            save(tmp_path, Snapshot(entries=(entry(f"{writer}-{item}"),)), max_entries=100)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert keys(tmp_path) == set(names)


def test_a_damaged_file_is_moved_aside_and_the_next_one_starts_fresh(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    path.write_bytes(b"\x80\x04no cache")
    path.chmod(0o600)
    with pytest.raises(StorageError, match="damaged"):
        SnapshotFile(path).load(SECRET)
    assert not path.exists()
    assert (tmp_path / "cache.refused").read_bytes() == b"\x80\x04no cache"
    save(path)
    assert keys(path) == {"a", "b"}


def test_saving_over_a_damaged_file_keeps_it_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_bytes(b"no cache")
    with caplog.at_level(logging.WARNING):
        save(tmp_path / "cache")
    assert "damaged" in caplog.text
    assert keys(tmp_path / "cache") == {"a", "b"}
    assert (tmp_path / "cache.refused").exists()


def test_the_file_of_another_tenant_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    save(path, secret=b"another")
    before = path.read_bytes()
    with pytest.raises(StorageError, match="another tenant"):
        SnapshotFile(path).load(SECRET)
    with pytest.raises(StorageError, match="another tenant"):
        save(path)
    assert path.read_bytes() == before


def test_a_file_that_cannot_be_moved_aside_is_refused_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def stuck(*_: object) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    (tmp_path / "cache").write_bytes(b"no cache")
    monkeypatch.setattr(Path, "rename", stuck)
    with pytest.raises(StorageError, match="damaged"):
        SnapshotFile(tmp_path / "cache").load(SECRET)
    assert "could not be moved aside" in caplog.text


def test_a_full_disk_is_a_storage_error_and_the_old_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    save(tmp_path, Snapshot(entries=(entry("a"),)))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        save(tmp_path)
    monkeypatch.undo()
    assert keys(tmp_path) == {"a"}


def test_a_file_that_is_too_large_is_never_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path)
    monkeypatch.setattr(snapshot_file, "_MAX_FILE_BYTES", 10)
    with pytest.raises(StorageError, match="no more than 10 are read"):
        SnapshotFile(tmp_path).load(SECRET)


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(StorageError) as caught:
        read_private(path, **{"max_bytes": 100, **options})
    assert caught.value.code == "file_not_private"
    return str(caught.value)


@posix
def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert "symbolic link" in refusal(tmp_path / "link")


@posix
def test_a_link_in_place_of_the_file_is_replaced_and_what_it_names_untouched(
    tmp_path: Path,
) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "cache").symlink_to(tmp_path / "precious")
    save(tmp_path / "cache")
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert not (tmp_path / "cache").is_symlink()
    assert keys(tmp_path / "cache") == {"a", "b"}


@posix
def test_a_link_in_place_of_the_lock_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cache.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match=r"cache\.lock"):
        save(tmp_path / "cache")
    assert not (tmp_path / "elsewhere").exists()


@posix
def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "no plain file" in refusal(tmp_path / "pipe")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "no plain file" in refusal(tmp_path)


@posix
@pytest.mark.parametrize("rights", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_not_trusted(tmp_path: Path, rights: int) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "file").chmod(rights)
    assert "open to other users" in refusal(tmp_path / "file")


@posix
def test_the_file_of_another_user_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    status = os.stat_result((stat.S_IFREG | 0o600, 0, 0, 1, 4321, 0, 1, 0, 0, 0))
    monkeypatch.setattr(os, "fstat", lambda _: status)
    assert "belongs to another user" in refusal(tmp_path / "file")


def test_where_users_have_no_numbers_only_kind_and_size_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "file").chmod(0o666)
    monkeypatch.setattr(sys, "platform", "win32")
    assert read_private(tmp_path / "file", max_bytes=100) == b"x"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_a_file_that_cannot_be_read_is_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def failing(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", failing)
    with pytest.raises(StorageError, match="could not be read") as caught:
        read_private(tmp_path / "file", max_bytes=100)
    assert caught.value.code == "file_not_read"


def test_a_folder_open_that_says_so_is_no_plain_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> int:
        raise OSError(errno.EISDIR, "Is a directory")

    monkeypatch.setattr(os, "open", failing)
    assert "no plain file" in refusal(tmp_path)


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(StorageError, match="could not be made"):
        make_private_folder(tmp_path / "file" / "folder")


def test_a_folder_has_one_secret(tmp_path: Path) -> None:
    secret = folder_secret(tmp_path / "cache")
    assert len(secret) == 32
    assert folder_secret(tmp_path / "cache") == secret
    assert folder_secret(tmp_path / "cache", default=b"x" * 32) == secret
    assert folder_secret(tmp_path / "other") != secret
    assert folder_secret(tmp_path / "third", default=b"x" * 32) == b"x" * 32


def test_threads_that_come_first_get_the_same_secret(tmp_path: Path) -> None:
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(folder_secret(tmp_path))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_a_damaged_secret_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tenant.secret").write_bytes(content)
    (tmp_path / "tenant.secret").chmod(0o600)
    with pytest.raises(StorageError, match="damaged"):
        folder_secret(tmp_path)


def test_a_secret_that_is_far_too_long_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tenant.secret").write_bytes(b"x" * 1_000)
    (tmp_path / "tenant.secret").chmod(0o600)
    with pytest.raises(StorageError, match="has 1,000 bytes"):
        folder_secret(tmp_path)


@posix
@pytest.mark.parametrize("rights", [0o640, 0o604, 0o660])
def test_a_secret_that_others_may_read_is_none(tmp_path: Path, rights: int) -> None:
    folder_secret(tmp_path)
    (tmp_path / "tenant.secret").chmod(rights)
    with pytest.raises(StorageError, match="open to other users"):
        folder_secret(tmp_path)


def test_a_lock_is_given_up_when_the_block_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with locked(tmp_path / "lock"):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with locked(tmp_path / "lock"):
        assert (tmp_path / "lock").exists()


def test_a_lock_that_fails_leaves_no_open_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[int] = []
    close = os.close

    def noted(descriptor: int) -> None:
        closed.append(descriptor)
        close(descriptor)

    def failing(_descriptor: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(os, "close", noted)
    monkeypatch.setattr(private_files, "_lock", failing)
    with pytest.raises(StorageError, match="No locks available"), locked(tmp_path / "lock"):
        raise AssertionError
    assert len(closed) == 1
