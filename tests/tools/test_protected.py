"""Which files of a workspace a command may not change."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sdk_workflow.exceptions import ToolDenied
from sdk_workflow.tools import _paths, _protected
from sdk_workflow.tools._protected import PLACEHOLDER_MODE, find_protected

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the sandboxes need POSIX")


def plant(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names_of(root: Path, paths: list[str]) -> list[str]:
    return sorted(str(Path(path).relative_to(root)) for path in paths)


def test_whatever_the_write_tool_refuses_is_found(tmp_path: Path) -> None:
    for parts in _paths.PROTECTED:
        name = "/".join(("sub", *parts))
        with pytest.raises(ToolDenied):
            _paths.check_writable(name)
        if parts != (".git",):
            plant(tmp_path, name)
    found = find_protected(tmp_path)
    expected = sorted("/".join(("sub", *parts)) for parts in _paths.PROTECTED if parts != (".git",))
    assert names_of(tmp_path, found.read_only) == expected
    assert names_of(tmp_path, found.pinned) == ["sub/.claude"]
    assert found.placeholders == []


def test_the_project_settings_are_protected() -> None:
    with pytest.raises(ToolDenied, match=r"sdk_workflow\.toml"):
        _paths.check_writable("sub/SDK_Workflow.toml")


def test_names_are_found_in_any_case_and_links_are_left_alone(tmp_path: Path) -> None:
    plant(tmp_path, ".ENV", "real", "out/.env")
    (tmp_path / ".profile").symlink_to("real")
    (tmp_path / "link").symlink_to("out")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").symlink_to("../real")
    (tmp_path / ".git" / "hooks").symlink_to("../out")
    plant(tmp_path, "out/.ssh-like/config")
    (tmp_path / ".git" / "modules").symlink_to("../out")
    assert names_of(tmp_path, find_protected(tmp_path).read_only) == [".ENV", "out/.env"]


def test_of_a_repository_only_what_git_obeys_is_protected(tmp_path: Path) -> None:
    plant(
        tmp_path, ".git/config", ".git/HEAD", ".git/index", ".git/objects/ab/c", ".git/hooks/sample"
    )
    plant(tmp_path, ".git/modules/lib/config", ".git/modules/lib/HEAD", ".git/modules/bare/HEAD")
    plant(tmp_path, ".git/worktrees/w/config.worktree", ".git/modules/file")
    found = find_protected(tmp_path)
    assert names_of(tmp_path, found.read_only) == [
        ".git/config",
        ".git/hooks",
        ".git/modules/lib/config",
        ".git/worktrees/w/config.worktree",
    ]
    assert names_of(tmp_path, found.pinned) == [".git", ".git/modules/lib", ".git/worktrees/w"]
    assert found.placeholders == []


def test_missing_hooks_get_a_placeholder_where_the_user_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path, ".git/config")
    assert names_of(tmp_path, find_protected(tmp_path).placeholders) == [".git/hooks"]
    (tmp_path / ".git" / "hooks").mkdir()
    assert find_protected(tmp_path).placeholders == []
    (tmp_path / ".git" / "hooks").chmod(PLACEHOLDER_MODE)  # another command's
    assert names_of(tmp_path, find_protected(tmp_path).placeholders) == [".git/hooks"]
    (tmp_path / ".git" / "hooks").rmdir()
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert find_protected(tmp_path).placeholders == []


def test_a_git_file_of_a_submodule_is_protected_itself(tmp_path: Path) -> None:
    plant(tmp_path, "lib/.git")
    assert names_of(tmp_path, find_protected(tmp_path).read_only) == ["lib/.git"]


def test_the_search_is_bounded_and_the_nearest_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path, ".env", "a/.env", "a/b/.env", "node_modules/x/.env")
    monkeypatch.setattr(_protected, "MAX_FOLDERS", 2)
    assert names_of(tmp_path, find_protected(tmp_path).read_only) == [".env", "a/.env"]
    monkeypatch.setattr(_protected, "_MAX_FOUND", 1)
    assert names_of(tmp_path, find_protected(tmp_path).read_only) == [".env"]


def test_a_folder_that_cannot_be_listed_is_passed_over(tmp_path: Path) -> None:
    assert find_protected(tmp_path / "gone").read_only == []
