from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from sdk_workflow._internal.atomic_file import check_writable, write_atomically
from sdk_workflow.exceptions import StorageError, UsageError

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the platform has no FIFOs")
needs_rights = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="everything may be written to here"
)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_atomically(tmp_path / "out.json", "{}\n ✓")
    assert (tmp_path / "out.json").read_bytes() == "{}\n ✓".encode()
    assert names_in(tmp_path) == ["out.json"]


def test_a_file_that_is_there_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    path.write_text("a much longer text than the new one", encoding="utf-8")
    write_atomically(path, "new")
    assert path.read_text(encoding="utf-8") == "new"


def test_whoever_reads_the_old_file_goes_on_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    path.write_text("old", encoding="utf-8")
    with path.open(encoding="utf-8") as reader:
        write_atomically(path, "new")
        assert reader.read() == "old"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such rights")
def test_a_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    write_atomically(tmp_path / "out.json", "secret")
    assert stat.S_IMODE((tmp_path / "out.json").stat().st_mode) == 0o600


def test_a_link_stays_and_the_file_that_it_names_is_replaced(tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text("old", encoding="utf-8")
    link.symlink_to(real)
    write_atomically(link, "new")
    assert link.is_symlink()
    assert real.read_text(encoding="utf-8") == "new"


def test_a_link_is_replaced_itself_where_links_are_not_followed(tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text("old", encoding="utf-8")
    link.symlink_to(real)
    write_atomically(link, "new", follows_links=False)
    assert not link.is_symlink()
    assert (real.read_text(encoding="utf-8"), link.read_text(encoding="utf-8")) == ("old", "new")


@needs_pipes
def test_a_pipe_is_replaced_where_links_are_not_followed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    write_atomically(tmp_path / "pipe", b"new", follows_links=False)
    assert (tmp_path / "pipe").read_bytes() == b"new"


def test_bytes_are_written_as_they_are(tmp_path: Path) -> None:
    write_atomically(tmp_path / "out.bin", b"\x00\r\n\xff")
    assert (tmp_path / "out.bin").read_bytes() == b"\x00\r\n\xff"


@pytest.mark.parametrize("step", ["create", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_scraps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "out.json"
    path.write_text("old", encoding="utf-8")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if step == "create":
        monkeypatch.setattr(tempfile, "mkstemp", full)
    elif step == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StorageError, match="No space left on device") as caught:
        write_atomically(path, "new")
    monkeypatch.undo()
    assert path.read_text(encoding="utf-8") == "old"
    assert names_in(tmp_path) == ["out.json"]
    assert caught.value.code == "file_not_written"
    assert "free space" in caught.value.hint
    assert isinstance(caught.value.__cause__, OSError)


def test_an_interrupt_leaves_no_scraps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "out.json", "new")
    assert names_in(tmp_path) == []


def test_a_missing_folder_is_a_storage_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"missing.*No such file or directory"):
        write_atomically(tmp_path / "missing" / "out.json", "new")


@needs_pipes
def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", list[str]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text(encoding="utf-8")))
    reader.start()
    write_atomically(pipe, "through the pipe")
    reader.join(timeout=10)
    assert read == ["through the pipe"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the platform has no /dev/full")
def test_a_device_that_is_full_is_a_storage_error() -> None:
    with pytest.raises(StorageError, match="No space left"):
        write_atomically(Path("/dev/full"), "new")


def test_a_place_that_can_be_written_to_passes(tmp_path: Path) -> None:
    check_writable(tmp_path / "out.json", "--trace-output")
    (tmp_path / "out.json").touch()
    check_writable(tmp_path / "out.json", "--trace-output")
    assert names_in(tmp_path) == ["out.json"]


def test_a_bare_name_is_looked_for_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check_writable(Path("out.json"), "--trace-output")


def test_a_folder_is_no_file_to_write(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--trace-output '.*' is a folder") as caught:
        check_writable(tmp_path, "--trace-output")
    assert caught.value.hint == "Name a file in it."


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no folder '.*missing'") as caught:
        check_writable(tmp_path / "missing" / "out.json", "--trace-output")
    assert caught.value.hint == "Create it first."


def test_a_folder_that_is_closed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: (path, mode) != (tmp_path, os.W_OK))
    with pytest.raises(UsageError, match="cannot be written to") as caught:
        check_writable(tmp_path / "out.json", "--profile-output")
    assert caught.value.hint == "Choose another folder."


@needs_rights
def test_a_folder_without_the_right_to_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="cannot be written to"):
        check_writable(tmp_path / "out.json", "--profile-output")
    tmp_path.chmod(0o700)


@needs_pipes
def test_a_pipe_in_a_closed_folder_can_still_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(os, "access", lambda *_: False)
    check_writable(tmp_path / "pipe", "--trace-output")
