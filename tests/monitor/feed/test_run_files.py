from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sdk_workflow.monitor.run_files import RunFiles
from sdk_workflow.monitor.run_folder import RunName

if TYPE_CHECKING:
    from pathlib import Path

LINE = '{"kind":"run_started"}\n'
has_modes = pytest.mark.skipif(os.name == "nt", reason="the system has no such modes")


@pytest.fixture
def files(tmp_path: Path) -> RunFiles:
    return RunFiles(tmp_path / "home", RunName(1, "ab"), {"pid": 1}, max_events_bytes=200)


def events(files: RunFiles, name: str = "events.jsonl") -> list[str]:
    return (files.folder / name).read_text().splitlines()


def test_nothing_is_made_before_the_first_write(files: RunFiles, tmp_path: Path) -> None:
    assert files.append_events([])
    assert list(tmp_path.iterdir()) == []


@has_modes
def test_folder_and_files_are_for_their_owner_only(files: RunFiles, tmp_path: Path) -> None:
    assert files.write_live("{}\n")
    assert files.append_events([LINE])
    assert files.folder == tmp_path / "home" / "run" / "1-ab"
    modes = {
        path.name: path.stat().st_mode & 0o777 for path in (*files.folder.iterdir(), files.folder)
    }
    assert modes == {"live.json": 0o600, "events.jsonl": 0o600, "1-ab": 0o700}
    assert files.folder.parent.stat().st_mode & 0o777 == 0o700


def test_the_live_document_is_replaced_and_leaves_nothing_beside_it(files: RunFiles) -> None:
    files.write_live("one")
    files.write_live("two")
    assert [path.name for path in files.folder.iterdir()] == ["live.json"]
    assert (files.folder / "live.json").read_text() == "two"


def test_the_first_line_of_the_events_says_their_schema(files: RunFiles) -> None:
    files.append_events([LINE])
    files.append_events([LINE])
    head, *lines = events(files)
    assert json.loads(head) == {"schema": "sdk_workflow.events/1", "pid": 1}
    assert lines == [LINE.strip()] * 2


def test_a_full_file_makes_room_and_the_one_before_it_is_kept(files: RunFiles) -> None:
    for number in range(30):
        files.append_events([f'{{"n":{number}}}\n'])
    older, newer = events(files, "events.1.jsonl"), events(files)
    assert json.loads(older[0]) == json.loads(newer[0])
    assert [json.loads(line)["n"] for line in (*older[1:], *newer[1:])][-1] == 29
    assert sum(path.stat().st_size for path in files.folder.iterdir()) < 500


def test_a_folder_that_was_removed_is_made_again(files: RunFiles) -> None:
    files.write_live("one")
    (files.folder / "live.json").unlink()
    files.folder.rmdir()
    assert files.write_live("two")
    assert files.append_events([LINE])
    assert files.failed_writes == 0


def test_what_cannot_be_written_is_counted_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")
    files = RunFiles(tmp_path, RunName(1, "ab"), {})
    written = [files.write_live("{}"), files.append_events([LINE] * 3), files.write_live("{}")]
    assert written == [False, False, False]
    assert (files.failed_writes, files.lost_lines) == (3, 3)
    assert len(caplog.records) == 1
    assert caplog.records[0].name == "sdk_workflow.monitor"


def test_writing_goes_on_when_there_is_room_again(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")
    files = RunFiles(tmp_path, RunName(1, "ab"), {})
    files.append_events([LINE])
    (tmp_path / "run").unlink()
    assert files.append_events([LINE])
    assert len(events(files)) == 2


def test_a_line_that_was_torn_by_a_full_disk_spoils_no_later_one(
    files: RunFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.append_events([LINE])
    write = os.write

    def half(descriptor: int, data: bytes) -> int:
        if len(data) < len(LINE):
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:10])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        assert not files.append_events([LINE])
    assert files.append_events([LINE])
    assert events(files)[1:] == [LINE.strip(), LINE[:10], LINE.strip()]


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="there are no links")
def test_a_link_in_place_of_a_file_is_not_followed(files: RunFiles, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("untouched")
    files.write_live("{}")
    (files.folder / "live.json").unlink()
    for name in ("live.json", "events.jsonl"):
        (files.folder / name).symlink_to(target)
    assert files.write_live("{}")
    assert not files.append_events([LINE])
    assert target.read_text() == "untouched"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit for files")
def test_a_process_that_may_write_no_more_goes_on_and_counts_it(tmp_path: Path) -> None:
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from sdk_workflow.monitor.run_files import RunFiles\n"
        "from sdk_workflow.monitor.run_folder import RunName\n"
        "files = RunFiles(Path(sys.argv[1]), RunName(1, 'ab'), {})\n"
        "files.write_live('whole')\n"
        "files.append_events(['x' * 99 + chr(10)])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))\n"
        "for _ in range(5):\n"
        "    files.write_live('y' * 1000)\n"
        "    files.append_events(['x' * 99 + chr(10)])\n"
        "print(files.failed_writes, files.lost_lines)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert found.stdout == "9 4\n"
    assert found.stderr.count("cannot write") == 1
    folder = tmp_path / "run" / "1-ab"
    assert (folder / "live.json").read_text() == "whole"
    assert sorted(path.name for path in folder.iterdir()) == ["events.jsonl", "live.json"]
