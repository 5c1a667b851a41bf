"""The choice of a sandbox: the strongest that works, or a refusal that helps."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sdk_workflow.exceptions import ToolDenied, UsageError
from sdk_workflow.protocols import Sandbox
from sdk_workflow.tools import sandbox as sandbox_module
from sdk_workflow.tools._secrets import system_secrets
from sdk_workflow.tools.builtin.bash import bash_tool
from sdk_workflow.tools.sandbox import (
    DirectSandbox,
    UnavailableSandbox,
    detect_sandbox,
    secret_paths,
)

if TYPE_CHECKING:

    from sdk_workflow.tools.workspace import Workspace


pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="the sandboxes are Linux's"),
]


async def test_an_unavailable_sandbox_refuses_with_its_reason(workspace: Workspace) -> None:
    sandbox = UnavailableSandbox("nothing works", hint="Install something.")
    assert isinstance(sandbox, Sandbox)
    with pytest.raises(ToolDenied, match="Commands cannot be run here: nothing works") as caught:
        await bash_tool(workspace, sandbox).run(command="true")
    assert (caught.value.code, caught.value.hint) == ("sandbox_unavailable", "Install something.")


def no_mechanism(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_module, "find_bubblewrap", lambda _hidden: None)
    monkeypatch.setattr(sandbox_module, "find_landlock", lambda _hidden: None)


@pytest.mark.parametrize(
    ("platform", "reason", "hint"),
    [
        ("linux", "neither bubblewrap nor Landlock", "Install bubblewrap"),
        ("darwin", "no confinement is implemented for the platform 'darwin'", "Run on Linux"),
        ("win32", "on Windows neither confinement", "Run in WSL."),
    ],
)
async def test_detection_fails_closed_and_says_what_to_do(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, platform: str, reason: str, hint: str
) -> None:
    no_mechanism(monkeypatch)
    monkeypatch.setattr(sys, "platform", platform)
    sandbox = detect_sandbox("required")
    monkeypatch.undo()
    assert sandbox.name == "unavailable"
    with pytest.raises(ToolDenied, match=reason) as caught:
        await bash_tool(workspace, sandbox).run(command="true")
    assert hint in caught.value.hint
    assert ("SDK_WORKFLOW_SANDBOX=off" in caught.value.hint) == (platform != "win32")


def test_off_must_be_chosen_and_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    no_mechanism(monkeypatch)
    assert detect_sandbox("off").name == "off"
    assert detect_sandbox().name == "unavailable"


def test_off_does_not_work_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert detect_sandbox("off").name == "unavailable"


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(UsageError, match="'require' is unknown") as caught:
        detect_sandbox("require")  # type: ignore[arg-type]
    assert caught.value.hint == "Did you mean 'required'? The modes are: required, off."


def test_bubblewrap_is_preferred_and_each_mechanism_is_tried_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[Path, ...]] = []

    def find(hidden: tuple[Path, ...]) -> Sandbox:
        asked.append(hidden)
        return DirectSandbox()

    no_mechanism(monkeypatch)
    monkeypatch.setattr(sandbox_module, "find_bubblewrap", find)
    first = detect_sandbox(hidden=[tmp_path])
    assert detect_sandbox(hidden=[tmp_path]) is first
    assert asked == [(tmp_path,)]


def test_secret_paths_are_the_existing_ones_of_the_home_and_the_state_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".netrc").touch()
    (tmp_path / "state").mkdir()
    (tmp_path / ".aws").symlink_to(tmp_path / "state")
    found = secret_paths({"SDK_WORKFLOW_HOME": str(tmp_path / "state")})
    system = {path for path in found if path.is_relative_to("/etc")}
    assert system == set(system_secrets())
    mine = [path for path in found if path.is_relative_to(tmp_path)]
    assert sorted(path.name for path in mine) == [".netrc", ".ssh", "state"]


def test_the_sockets_of_services_are_hidden_also_where_programs_live_beside_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = Path.exists
    shown = {"/run", "/run/current-system", "/run/user"}
    monkeypatch.setattr(Path, "exists", lambda path: str(path) in shown)
    nixos = secret_paths({})
    shown.remove("/run/current-system")
    other = secret_paths({})
    monkeypatch.setattr(Path, "exists", real)
    assert Path("/run/user").resolve() in nixos
    assert Path("/run").resolve() not in nixos
    assert other == (Path("/run").resolve(),)


def test_the_refusal_names_both_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    no_mechanism(monkeypatch)
    monkeypatch.setattr(sys, "platform", "linux")
    hint = detect_sandbox().hint  # type: ignore[attr-defined]
    assert hint == (
        "Install bubblewrap (for example: apt install bubblewrap), or set SDK_WORKFLOW_SANDBOX=off "
        "to run commands without confinement, at your own risk."
    )
