"""A file that is missing, torn, foreign, newer, huge or no file is said to be so, never raised."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest

from sdk_workflow.monitor.reader import MOST_BYTES, open_regular, read_live, stamp_of
from tests.monitor.live_files import live

if TYPE_CHECKING:
    from pathlib import Path


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "live.json").write_text(json.dumps(live()), "utf-8")

    assert read_live(tmp_path / "live.json") == (live(), None)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be read (yet)"),
        (json.dumps(live()).encode()[:-40], "cannot be read (yet)"),
        (b"\xff\xfe\x00", "cannot be read (yet)"),
        (b"[" * 200_000, "cannot be read (yet)"),
        (b'{"schema": ' + b"9" * 5000 + b"}", "cannot be read (yet)"),
        (b"[]", "not a live document"),
        (b"null", "not a live document"),
        (b'{"schema": 7}', "not a live document"),
        (b'{"schema": "sdk_workflow.events/1"}', "not a live document"),
        (b'{"schema": "sdk_workflow.live/2"}', "sdk_workflow.live/2): update"),
        (b" " * (MOST_BYTES + 1), "too large"),
    ],
    ids=lambda value: value[:24].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_a_file_that_cannot_be_used_is_explained(
    content: bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "live.json"
    path.write_bytes(content)

    reading = read_live(path)

    assert reading.live is None
    assert words in (reading.problem or "")


def test_the_largest_file_that_is_read_is_read(tmp_path: Path) -> None:
    path = tmp_path / "live.json"
    text = json.dumps(live())
    path.write_text(text + " " * (MOST_BYTES - len(text)), "utf-8")

    assert read_live(path).problem is None


def test_numbers_that_json_does_not_have_are_not_known(tmp_path: Path) -> None:
    path = tmp_path / "live.json"
    path.write_text(json.dumps(live(uptime_seconds=float("nan"))), "utf-8")

    document, problem = read_live(path)

    assert problem is None
    assert document is not None
    assert document["uptime_seconds"] is None


def test_a_schema_with_escapes_in_it_does_not_reach_the_explanation(tmp_path: Path) -> None:
    path = tmp_path / "live.json"
    path.write_text('{"schema": "sdk_workflow.live/\\u001b[2J"}', "utf-8")

    assert (read_live(path).problem or "").isprintable()


def test_a_missing_file_is_explained_and_has_no_stamp(tmp_path: Path) -> None:
    assert read_live(tmp_path / "none").problem == "has written nothing yet"
    assert stamp_of(tmp_path / "none") is None


def test_a_folder_in_place_of_the_file_is_explained(tmp_path: Path) -> None:
    assert "cannot be read" in (read_live(tmp_path).problem or "")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a named pipe")
def test_a_pipe_is_refused_without_waiting_for_who_writes_to_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "live.json")

    assert "no regular file" in (read_live(tmp_path / "live.json").problem or "")
    with pytest.raises(OSError, match="no regular file"):
        open_regular(tmp_path / "live.json")


def test_a_stamp_tells_one_version_from_the_next(tmp_path: Path) -> None:
    path = tmp_path / "live.json"
    path.write_text("a", "utf-8")
    first = stamp_of(path)
    (tmp_path / "new").write_text("b", "utf-8")
    (tmp_path / "new").replace(path)

    assert stamp_of(path) != first
