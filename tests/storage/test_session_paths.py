from __future__ import annotations

import hashlib
import stat
import sys
from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow.exceptions import StorageError, UsageError
from sdk_workflow.storage.session_paths import (
    check_session_id,
    head_path,
    make_private_folder,
    session_files,
    session_path,
)

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = [
    *(
        "",
        ".",
        "..",
        "../../x",
        "a/b",
        "a\\b",
        "a\0b",
        "a.b",
        "A",
        "Ä",
        "\uff41",
        "\u0430bc",
        "a b",
        "a\n",
    ),
    *("con", "nul", "prn", "aux", "com1", "lpt9", "CON", "a" * 129, "x" * 4096, "\ud800", "%2e"),
    *(None, 7, b"abc", ["a"], True),
]


@pytest.mark.parametrize("session_id", HOSTILE, ids=lambda value: ascii(value)[:20])
def test_an_id_that_is_not_plainly_harmless_never_reaches_a_path(
    session_id: Any, tmp_path: Path
) -> None:
    for use in (check_session_id, lambda value: session_path(tmp_path, value)):
        with pytest.raises(UsageError) as caught:
            use(session_id)
        assert caught.value.code == "invalid_session_id"
        assert len(str(caught.value)) < 250
        assert str(caught.value).isascii()


def test_an_id_is_the_text_that_was_checked_whatever_it_says_of_itself(tmp_path: Path) -> None:
    class Names(str, Enum):
        REVIEW = "review"

    assert str(Names.REVIEW) != "review"
    assert type(check_session_id(Names.REVIEW)) is str
    assert session_path(tmp_path, Names.REVIEW).name == "review.sqlite"


@given(st.from_regex(r"[a-z0-9_-]{1,128}", fullmatch=True))
def test_a_harmless_id_stays_inside_the_state_folder(session_id: str) -> None:
    from pathlib import Path

    if session_id in {"con", "prn", "aux", "nul"} or session_id[:3] in {"com", "lpt"}:
        return
    home = Path("/state")
    path = session_path(home, session_id)
    assert path.parent.parent == home / "sessions"
    assert path.name == f"{session_id}.sqlite"
    assert head_path(path).name == f"{session_id}.head"


def test_only_files_that_sessions_could_have_are_listed(tmp_path: Path) -> None:
    expected = []
    for name in ("a", "b-2"):
        path = session_path(tmp_path, name)
        make_private_folder(path.parent)
        path.touch()
        expected.append((name, path))
    (session_path(tmp_path, "a").parent / "B.sqlite").touch()
    (session_path(tmp_path, "a").parent / ".a.sqlite.new").touch()
    (tmp_path / "sessions" / "a.sqlite").touch()
    device = tmp_path / "sessions" / hashlib.sha256(b"con").hexdigest()[:2] / "con.sqlite"
    make_private_folder(device.parent)
    device.touch()
    assert sorted(session_files(tmp_path)) == expected


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX rights")
def test_folders_are_private(tmp_path: Path) -> None:
    make_private_folder(tmp_path / "a" / "b")
    make_private_folder(tmp_path / "a" / "b")
    for folder in (tmp_path / "a", tmp_path / "a" / "b"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="could not be created"):
        make_private_folder(tmp_path / "file" / "sub")
