"""Bad inputs 1 to 20: paths, put to a real session. The details stand in tests/tools."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from sdk_workflow.exceptions import ToolError
from sdk_workflow.tools.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from tests.security.support import Agent

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="the file tools need POSIX"),
]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def neither_read_nor_written(agent: Agent, path: str) -> None:
    await agent.refused("read", path=path)
    await agent.refused("write", path=path, content="x")


async def test_01_a_path_that_climbs_out(agent: Agent) -> None:
    await neither_read_nor_written(agent, "../secret.txt")


async def test_02_a_path_that_climbs_out_from_below(agent: Agent) -> None:
    await neither_read_nor_written(agent, "a/../../secret.txt")


async def test_03_an_absolute_path(agent: Agent) -> None:
    await neither_read_nor_written(agent, "/etc/passwd")


async def test_04_a_key_in_the_home(agent: Agent) -> None:
    await neither_read_nor_written(agent, "~/.ssh/id_rsa")


async def test_05_a_link_to_a_file_outside(agent: Agent, root: Path) -> None:
    (root / "link").symlink_to("/etc/passwd")
    await neither_read_nor_written(agent, "link")


async def test_06_a_linked_folder_on_the_way(agent: Agent, root: Path) -> None:
    (root / "folder").symlink_to("..")
    await neither_read_nor_written(agent, "folder/secret.txt")


@pytest.mark.skipif(sys.platform != "linux", reason="needs renameat2 to exchange two names")
async def test_07_a_link_swapped_between_check_and_open_ten_thousand_times(
    agent: Agent, root: Path
) -> None:
    """The other process swaps a folder with a link to the outside all the time."""
    (root / "inner").mkdir()
    (root / "inner" / "secret.txt").write_bytes(b"inside")
    (root / "link").symlink_to("..")
    names = [str(root / name).encode() for name in ("inner", "link")]
    libc = ctypes.CDLL(None, use_errno=True)
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            libc.renameat2(-100, names[0], -100, names[1], 2)

    thread = threading.Thread(target=swap)
    thread.start()
    outcomes = set()
    try:
        with Workspace(root) as workspace:
            for number in range(10_000):
                outcomes.add(attempt(workspace, is_write=number % 50 == 0))
    finally:
        done.set()
        thread.join()
    assert outcomes == {b"inside", b"refused"}
    assert agent.root == root


def attempt(workspace: Workspace, *, is_write: bool) -> bytes:
    try:
        if is_write:
            workspace.write("inner/secret.txt", b"inside")
        with workspace.opened("inner/secret.txt") as (descriptor, _):
            return os.read(descriptor, 100)
    except ToolError:
        return b"refused"


async def test_08_a_hard_link_to_a_file_outside(agent: Agent, root: Path, outside: Path) -> None:
    os.link(outside, root / "hard")
    assert "hard links" in await agent.refused("write", path="hard", content="x")


@pytest.mark.parametrize("path", ["/proc/self/root/etc/passwd", "/proc/self/environ", "/dev/fd/0"])
async def test_09_the_magic_of_proc(agent: Agent, root: Path, path: str) -> None:
    await neither_read_nor_written(agent, path)
    (root / "magic").symlink_to(path)
    await neither_read_nor_written(agent, "magic")


async def test_10_a_sibling_with_the_same_prefix(agent: Agent, root: Path) -> None:
    sibling = root.parent / "ws-evil"
    sibling.mkdir()
    await neither_read_nor_written(agent, f"{sibling}/x")


async def test_11_a_nul_in_a_name(agent: Agent) -> None:
    await neither_read_nor_written(agent, "a\0b")


@pytest.mark.parametrize("path", ["a" * 256, "a/" * 2500])
async def test_12_a_name_or_path_that_is_too_long(agent: Agent, path: str) -> None:
    await neither_read_nor_written(agent, path)


async def test_13_a_fifo(agent: Agent, root: Path) -> None:
    os.mkfifo(root / "pipe")
    await neither_read_nor_written(agent, "pipe")


async def test_14_an_endless_device(agent: Agent, root: Path) -> None:
    await neither_read_nor_written(agent, "/dev/zero")
    (root / "zero").symlink_to("/dev/zero")
    await neither_read_nor_written(agent, "zero")


async def test_15_a_sparse_file_of_ten_gigabytes(agent: Agent, root: Path) -> None:
    with (root / "sparse").open("wb") as file:
        file.truncate(10 * 1024**3)
    assert "binary" in await agent.refused("read", path="sparse")


@pytest.mark.parametrize("path", [".git/hooks/pre-commit", ".GIT/Hooks/pre-commit"])
async def test_16_a_hook_of_git(agent: Agent, root: Path, path: str) -> None:
    assert "protected" in await agent.refused("write", path=path, content="x")
    assert names_in(root) == []


@pytest.mark.parametrize("path", [".mcp.json", ".env", ".bashrc", "sub/.BASHRC"])
async def test_17_files_that_programs_obey(agent: Agent, root: Path, path: str) -> None:
    assert "protected" in await agent.refused("write", path=path, content="x")
    assert names_in(root) == []


@pytest.mark.parametrize("name", ["safe\u202etxt.exe", "zero\u200bwidth"])
async def test_18_a_name_that_looks_like_another(agent: Agent, name: str) -> None:
    assert "invisible" in await agent.refused("write", path=name, content="x")


async def test_19_a_lone_surrogate_in_a_name_or_in_content(agent: Agent, root: Path) -> None:
    await neither_read_nor_written(agent, "a\ud800b")
    await agent.refused("write", path="file", content="a\ud800b")
    assert names_in(root) == []


async def test_20_a_dangling_link(agent: Agent, root: Path) -> None:
    (root / "dangling").symlink_to("../planted.txt")
    await neither_read_nor_written(agent, "dangling")
    assert not (root.parent / "planted.txt").exists()
