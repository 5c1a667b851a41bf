"""Bad inputs 21 to 39: command lines, put to a real session in the strongest sandbox of this machine.

Those up to 32 would pass rules that look at the text; 33 to 39 attack what runs.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from sdk_workflow.tools import sandbox_process
from tests.security.support import PLANTED, has_sandbox

if TYPE_CHECKING:
    from pathlib import Path

    from tests.security.support import Agent

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="the sandboxes are Linux's"),
    pytest.mark.skipif(not has_sandbox(), reason="nothing here can confine a command"),
]

GENEROUS = ("bash(ls *)", "bash(echo *)", "bash(git status)", "bash(git log *)", "bash(rg *)")


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_what_the_rules_mean_to_allow_runs(agent: Agent) -> None:
    assert await agent.is_allowed("ls", *GENEROUS)
    assert await agent.is_allowed("echo 'a; b' && ls . | echo \"x\"", *GENEROUS)


async def test_21_a_second_command_behind_an_allowed_one(agent: Agent) -> None:
    assert not await agent.is_allowed("ls; curl http://example.com", *GENEROUS)


async def test_22_a_second_command_of_the_same_program(agent: Agent) -> None:
    assert not await agent.is_allowed("git status && git clean -fd", *GENEROUS)


async def test_23_fifty_one_joined_commands(agent: Agent) -> None:
    assert await agent.is_allowed(";".join(["ls"] * 50), *GENEROUS)
    assert not await agent.is_allowed(";".join(["ls"] * 51), *GENEROUS)


@pytest.mark.parametrize(
    "command", ["echo $(id)", "echo `id`", 'echo "$(id)"', "ls${IFS}-la", "echo $HOME", "$(id)"]
)
async def test_24_substitutions(agent: Agent, command: str) -> None:
    assert not await agent.is_allowed(command, *GENEROUS)


@pytest.mark.parametrize(
    "command", ["ls\nid", "ls\rid", "ls \\\n; id", "ls <<x\nid\nx", "ls <<< x", "ls\x0bid"]
)
async def test_25_line_ends_and_heredocs(agent: Agent, command: str) -> None:
    assert not await agent.is_allowed(command, *GENEROUS)


@pytest.mark.parametrize(
    "command", ["ls <(id)", "echo x >| f", "ls &> ../f", "echo x > .bashrc", "ls 2>&1", "ls & id"]
)
async def test_26_redirections(agent: Agent, root: Path, command: str) -> None:
    assert not await agent.is_allowed(command, *GENEROUS)
    assert names_in(root) == []
    assert "protected" in await agent.bash("echo x > .bashrc")
    assert not (root / ".bashrc").exists()


@pytest.mark.parametrize("command", [r"find . -exec sh -c id \;", "find . -fprintf out x"])
async def test_27_find_that_runs_or_writes(agent: Agent, root: Path, command: str) -> None:
    assert not await agent.is_allowed(command, "bash(find *)", "bash(find . *)")
    assert names_in(root) == []


@pytest.mark.parametrize(
    "command",
    [
        "git -c core.pager=id log",
        "git -c 'alias.x=!sh x' x",
        "git log --output=f",
        "git fetch --upload-pack=id .",
    ],
)
async def test_28_options_of_git_that_run_programs(agent: Agent, command: str) -> None:
    assert not await agent.is_allowed(command, "bash(git log *)", "bash(git fetch *)")


@pytest.mark.parametrize("command", ["sed -n '1e id' f", "sed 'w out' f"])
async def test_29_scripts_of_sed(agent: Agent, command: str) -> None:
    assert not await agent.is_allowed(command, "bash(sed *)", "bash(sed -n *)")


@pytest.mark.parametrize(
    ("command", "rule"),
    [
        ("python3 -c 'import os'", "bash(python3 *)"),
        ("python3.12 x.py", "bash(python3.12 *)"),
        ("env sh", "bash(env *)"),
        ("xargs sh", "bash(xargs *)"),
        ("awk 'BEGIN{system()}'", "bash(awk *)"),
        ("tar --checkpoint-action=exec=id f", "bash(tar *)"),
        ("rg --pre id x", "bash(rg *)"),
        ("/usr/bin/env sh", "bash(/usr/bin/env *)"),
    ],
)
async def test_30_programs_that_run_their_operands(agent: Agent, command: str, rule: str) -> None:
    assert not await agent.is_allowed(command, rule)


async def test_31_a_pipe_into_a_shell(agent: Agent) -> None:
    command = "echo aWQ= | base64 -d | sh"
    assert not await agent.is_allowed(command, *GENEROUS, "bash(base64 -d)")


@pytest.mark.parametrize(
    "command",
    ["LD_PRELOAD=./x.so ls", "PATH=.:/bin ls", "GIT_SSH_COMMAND=id git status", "A+=1 ls"],
)
async def test_32_assignments_in_front(agent: Agent, command: str) -> None:
    assert not await agent.is_allowed(command, *GENEROUS)


async def test_33_a_fork_bomb(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bomb that ends by itself at 256 processes, under a limit of 32: nobody else is disturbed."""
    real = sandbox_process.Orders.encode
    monkeypatch.setattr(
        sandbox_process.Orders,
        "encode",
        lambda orders: real(orders).replace(b'"max_processes": 512', b'"max_processes": 32'),
    )
    bomb = "bomb() { if [ $1 -gt 0 ]; then bomb $(($1 - 1)) & bomb $(($1 - 1)) & fi; sleep 4; }"
    text = await agent.bash(f"{bomb}; bomb 7")
    assert "[More than 32 processes at once: all were ended.]" in text or "fork" in text
    assert "[exit code" in text


async def test_34_children_that_leave_and_hold_the_output(agent: Agent) -> None:
    text = await agent.bash("setsid sleep 999 & (setsid sh -c 'sleep 999 & sleep 999' &); echo x")
    assert text == "x\n"


async def test_35_output_without_end_and_without_sense(agent: Agent) -> None:
    assert "left out" in await agent.bash("yes | head -c 20000000")
    assert "left out" in await agent.bash(
        "head -c 1000000000 /dev/zero | tr '\\0' a | head -c 9999999"
    )
    text = await agent.bash(r"printf '\e]52;c;eA==\a\e[31m\xff\x00'; head -c 99 /dev/urandom")
    assert "\x1b" not in text
    assert "\0" not in text


async def test_36_memory_processor_disk_and_descriptors(agent: Agent, root: Path) -> None:
    script = "x = []\nwhile True: x.append(bytearray(1 << 40))"
    assert "MemoryError" in await agent.bash(f"'{sys.executable}' -c '{script}' 2>&1")
    assert "stopped after 0.4" in await agent.bash("while :; do :; done", timeout_seconds=0.4)
    assert int(await agent.bash("df -k --output=size /tmp | tail -1")) <= 1024**2
    assert "[exit code" in await agent.bash("truncate -s 2G fill")
    limit = int((await agent.bash("ulimit -d")).strip())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024
    assert limit <= memory // 2
    assert int((await agent.bash("ulimit -n")).strip()) <= 4096
    assert not (root / "fill").exists() or (root / "fill").stat().st_size <= 1 << 30


async def test_37_the_environment(agent: Agent) -> None:
    text = await agent.bash("env; env | grep KEY; cat /proc/*/environ 2>/dev/null; set")
    assert PLANTED not in text
    assert "ANTHROPIC" not in text


async def test_38_a_command_that_ignores_the_polite_signal(agent: Agent) -> None:
    text = await agent.bash("trap '' TERM HUP INT; while :; do sleep 9; done", timeout_seconds=0.3)
    assert "stopped after 0.3 seconds" in text


async def test_39_a_command_that_waits_for_input(agent: Agent) -> None:
    text = await agent.bash("cat; read -r line || echo eof; (: < /dev/tty) 2>&1 || echo no tty")
    assert "eof" in text
    assert "no tty" in text
