"""What a command creates under a protected name is moved aside when it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sdk_workflow.exceptions import ToolDenied, ToolFailed, ToolTimeout
from sdk_workflow.tools import _appeared
from sdk_workflow.tools._appeared import protected_names, set_aside
from sdk_workflow.tools._protected import PLACEHOLDER_MODE
from sdk_workflow.tools.builtin.bash import bash_tool
from sdk_workflow.tools.sandbox import DirectSandbox
from tests.tools.test_protected import plant

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.protocols import Sandbox
    from sdk_workflow.tools.workspace import Workspace

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the sandboxes need POSIX")


def moved(workspace: Workspace, before: dict[str, _appeared.Identity]) -> list[str]:
    return sorted(old for old, _ in set_aside(workspace, before))


def test_what_appeared_gets_a_name_that_no_program_acts_on(
    workspace: Workspace, root: Path
) -> None:
    plant(root, "old/.env", ".vscode/settings.json")
    before = protected_names(root)
    plant(root, ".bashrc", "sub/.MCP.json", "sub/.idea/x", ".claude/agents/a", "fine", "old/.envrc")
    (root / ".profile").symlink_to("fine")
    (old, new), *_ = sorted(set_aside(workspace, before))
    assert (old, new.startswith(".bashrc.held-")) == (".bashrc", True)
    names = sorted(
        str(path.relative_to(root)).split(".held-")[0] for path in root.rglob("*.held-*")
    )
    assert names == [
        ".bashrc",
        ".claude/agents",
        ".profile",
        "old/.envrc",
        "sub/.MCP.json",
        "sub/.idea",
    ]
    assert (root / "old/.env").exists()
    assert (root / ".vscode/settings.json").exists()
    assert (root / "fine").exists()
    assert moved(workspace, protected_names(root)) == []


def test_what_was_there_may_be_moved_with_its_folder_but_not_replaced(
    workspace: Workspace, root: Path
) -> None:
    plant(root, "a/.env", "b/.env", "c/.env")
    before = protected_names(root)
    (root / "a").rename(root / "moved")
    (root / "b").rename(root / "away")
    plant(root, "b/.env")
    (root / "c/.env").unlink()
    (root / "c/.env").symlink_to("../moved")
    os.link(root / "moved/.env", root / ".ripgreprc")
    assert moved(workspace, before) == [".ripgreprc", "b/.env", "c/.env", "moved/.env"]
    assert (root / "away/.env").exists()


def test_links_that_were_there_are_left_and_those_that_were_changed_are_not(
    workspace: Workspace, root: Path
) -> None:
    plant(root, "one", "two")
    (root / ".env").symlink_to("one")
    (root / ".bashrc").symlink_to("one")
    before = protected_names(root)
    (root / ".bashrc").unlink()
    (root / ".bashrc").symlink_to("two")
    assert moved(workspace, before) == [".bashrc"]


def test_a_repository_as_git_makes_it_keeps_working(workspace: Workspace, root: Path) -> None:
    before = protected_names(root)
    git = ["git", "-c", "init.defaultBranch=main", "init", "-q"]
    subprocess.run([*git, str(root / "new")], check=True, env={"PATH": os.environ["PATH"]})
    with (root / "new/.git/config").open("a") as file:
        file.write('# mine\n[remote "origin"]\n\turl = /srv/x\n\tfetch = +refs/heads/*:refs/*\n')
    assert moved(workspace, before) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (".git/config", "[core]\n\tfsmonitor = ./evil\n"),
        (".git/config", "[core] pager = ./evil\n"),
        (".git/config", '[alias]\n\tstatus = "!evil"\n'),
        (".git/config", "[core]\n\tbare = \\\nfalse\n"),
        (".git/config", '[remote "x"]\n\turl = ext::sh -c evil\n'),
        (".git/config", "[include]\n\tpath = ../x\n"),
        (".git/config", "\udcff"),
        (".git/config", "\n" * 70_000),
        (".git/config.worktree", "[core]\n"),
        (".git/hooks/pre-commit", "evil"),
        (".git/hooks/post-x.SAMPLE", "evil"),
        (".git/commondir", "../..\n"),
        (".git/modules/m/config", "[core]\n\teditor = evil\n"),
        ("sub/.git/hooks/pre-push", "evil"),
        ("sub/.git", "gitdir: ../evil"),
    ],
)
def test_what_git_would_run_is_moved_aside(
    workspace: Workspace, root: Path, path: str, text: str
) -> None:
    before = protected_names(root)
    target = root / path
    target.parent.mkdir(parents=True)
    target.write_bytes(text.encode(errors="surrogateescape"))
    held = target.parent if "hooks" in path else target
    assert moved(workspace, before) == [str(held.relative_to(root))]
    assert not held.exists()


def test_harmless_parts_of_a_work_tree_stay(workspace: Workspace, root: Path) -> None:
    before = protected_names(root)
    plant(root, ".git/hooks/pre-commit.sample", ".git/worktrees/w/commondir", ".git/modules/file")
    (root / ".git/worktrees/w/commondir").write_text("../..\n")
    (root / ".git/worktrees/linked").symlink_to("w")
    placeholder = root / "other" / ".git" / "hooks"
    placeholder.mkdir(parents=True)
    placeholder.chmod(PLACEHOLDER_MODE)
    assert moved(workspace, before) == []
    (root / "x").write_text("[core]\n")  # harmless as it is, but a later command could change it
    (root / ".git/config").symlink_to("../x")
    (root / ".git/modules").rename(root / ".git/m")
    (root / ".git/modules").symlink_to("m")
    assert moved(workspace, before) == [".git/config"]


def test_the_look_is_bounded_and_what_cannot_be_moved_is_passed_over(
    workspace: Workspace, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(root, ".env", "a/b/.env", "node_modules/x/.env")
    monkeypatch.setattr(_appeared, "MAX_FOLDERS", 2)
    assert list(protected_names(root)) == [".env"]

    def gone(_path: str, _other: str) -> None:
        raise ToolFailed("gone")

    monkeypatch.setattr(workspace, "rename", gone)
    assert set_aside(workspace, {}) == []
    assert protected_names(root / "nowhere") == {}


def test_a_file_that_goes_away_while_it_is_looked_at_is_passed_over(
    tmp_path: Path,
) -> None:
    assert _appeared._identified(tmp_path, "gone") == {}
    assert not _appeared._has_more_names(tmp_path / "gone")
    assert not _appeared._is_harmless(tmp_path / "gone" / "config")


def test_a_name_is_changed_beneath_the_workspace_only(workspace: Workspace, root: Path) -> None:
    plant(root, "a/x", "top")
    workspace.rename("a/x", "a/y")
    workspace.rename("top", "other")
    assert (root / "a/y").exists()
    assert (root / "other").exists()
    (root / "link").symlink_to("..")
    for path in ("../x", "link/secret"):
        with pytest.raises(ToolDenied):
            workspace.rename(path, path)
    with pytest.raises(ToolFailed, match="does not exist"):
        workspace.rename("a/gone", "a/z")


@pytest.mark.anyio
@pytest.mark.skipif(sys.platform != "linux", reason="the sandboxes are Linux's")
async def test_bash_tells_what_it_moved_aside_also_when_the_command_was_stopped(
    confining: Sandbox, workspace: Workspace, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tool = bash_tool(workspace, confining)
    text = await tool.run(command="echo evil > .bashrc; mkdir -p a; ln -s x a/.env; echo said")
    assert text.startswith(
        "[.bashrc is protected, so what the command put there is now .bashrc.held-"
    )
    assert text.endswith("\nsaid\n")
    assert not (root / ".bashrc").exists()
    assert not (root / "a/.env").is_symlink()
    assert "which is protected" in caplog.text
    with pytest.raises(ToolTimeout, match=r"\.zshrc is protected"):
        await tool.run(command="echo evil > .zshrc; sleep 60", timeout_seconds=0.4)
    assert not (root / ".zshrc").exists()


@pytest.mark.anyio
async def test_without_confinement_nothing_is_moved(workspace: Workspace, root: Path) -> None:
    text = await bash_tool(workspace, DirectSandbox()).run(command="echo x > .bashrc")
    assert text == ""
    assert (root / ".bashrc").exists()
