"""`sdk_workflow doctor`: what a run needs, checked on this machine."""

from __future__ import annotations

import json
import os
import platform
import shutil
import stat
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from sdk_workflow._internal.version import __version__
from sdk_workflow.cli.exit_codes import ExitCode
from sdk_workflow.exceptions import SdkWorkflowError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sdk_workflow.cli.console import Console
    from sdk_workflow.config.settings import Settings

__all__ = ["doctor"]

DOCTOR_SCHEMA = "sdk_workflow.doctor/1"

_PACKAGES = ("anthropic", "httpx2", "anyio", "pydantic", "pydantic-settings", "typer", "rich")
_EXTRAS = {"server": ("uvicorn",), "fast": ("aiohttp",)}
_MIN_FREE_BYTES = 100 * 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What was looked at.
        ok: Whether a run can do with it; a missing option is no fault.
        detail: What was found.
        hint: What to do, where something is to be done.
    """

    name: str
    ok: bool
    detail: str
    hint: str = ""


def doctor(console: Console, *, as_json: bool) -> ExitCode:
    """Run every check and report; the exit code is 3 where something would stop a run."""
    checks = [_python(), *_packages(), *_extras(), *_settings_checks()]
    is_ok = all(check.ok for check in checks)
    if as_json:
        document = {
            "schema": DOCTOR_SCHEMA,
            "ok": is_ok,
            "version": __version__,
            "checks": [asdict(check) for check in checks],
        }
        console.result(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        for check in checks:
            console.result(f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.detail}")
            if check.hint:
                console.result(f"     {check.hint}")
    return ExitCode.OK if is_ok else ExitCode.CONFIGURATION


def _python() -> Check:
    detail = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Check(name="python", ok=sys.version_info >= (3, 10), detail=detail)


def _packages() -> list[Check]:
    return [
        Check(
            name=f"package {name}",
            ok=version is not None,
            detail=version or "not installed",
            hint="" if version else "Install sdk-workflow again; its dependencies are incomplete.",
        )
        for name, version in ((name, _version_of(name)) for name in _PACKAGES)
    ]


def _extras() -> list[Check]:
    return [
        Check(
            name=f"extra {extra}",
            ok=True,
            detail="installed" if all(map(_version_of, names)) else "not installed",
            hint=(
                ""
                if all(map(_version_of, names))
                else f"Optional: pip install 'sdk-workflow[{extra}]'."
            ),
        )
        for extra, names in _EXTRAS.items()
    ]


def _settings_checks() -> list[Check]:
    from sdk_workflow.cli.setup import check_names
    from sdk_workflow.config.settings import load_settings_with_origins

    try:
        loaded = load_settings_with_origins()
        check_names(loaded)
    except SdkWorkflowError as error:
        return [Check(name="settings", ok=False, detail=str(error), hint=error.hint)]
    settings = loaded.settings
    return [
        Check(name="settings", ok=True, detail=f"environment {settings.environment}"),
        _key(settings),
        _sandbox(settings),
        _file_tools(),
        _permissions(settings),
        _network(settings),
        _state_folder(settings.home),
        _disk(settings.home),
    ]


def _key(settings: Settings) -> Check:
    has_key = settings.api_key is not None or settings.auth_token is not None
    return Check(
        name="api key",
        ok=has_key or settings.backend != "anthropic",
        detail="set" if has_key else "not set: the simulator answers",
        hint="" if has_key else "Set ANTHROPIC_API_KEY to ask the real model.",
    )


def _sandbox(settings: Settings) -> Check:
    from sdk_workflow.tools.sandbox import UnavailableSandbox, detect_sandbox

    sandbox = detect_sandbox(settings.sandbox)
    if isinstance(sandbox, UnavailableSandbox):
        detail = f"unavailable, so bash refuses every command: {sandbox.reason}"
        return Check(name="sandbox", ok=True, detail=detail, hint=sandbox.hint)
    if sandbox.name == "off":
        return Check(
            name="sandbox",
            ok=True,
            detail="off: bash runs commands without confinement",
            hint="Remove the setting sandbox=off to have them confined.",
        )
    return Check(name="sandbox", ok=True, detail=sandbox.name)


def _file_tools() -> Check:
    from sdk_workflow.tools import _beneath

    if not _beneath.is_supported:
        return Check(
            name="file tools",
            ok=True,
            detail="unavailable: this platform cannot open files safely beneath a folder",
            hint="Run on Linux or macOS; on Windows, in WSL.",
        )
    detail = "openat2" if _beneath.has_openat2() else "no links are followed (no openat2)"
    return Check(name="file tools", ok=True, detail=detail)


def _permissions(settings: Settings) -> Check:
    rules = f"{len(settings.allow)} rules" if len(settings.allow) != 1 else "1 rule"
    return Check(name="permissions", ok=True, detail=f"{settings.permissions}, {rules}")


def _network(settings: Settings) -> Check:
    hosts = ", ".join(settings.network_hosts)
    detail = f"may reach {hosts}" if hosts else "off: network_hosts names no host"
    return Check(name="network tool", ok=True, detail=detail)


def _state_folder(home: Path) -> Check:
    if not home.exists():
        return Check(name="state folder", ok=True, detail=f"{home}: made at first use")
    return _checked_folder(home, lambda mode: mode & (stat.S_IWGRP | stat.S_IWOTH))


def _checked_folder(home: Path, is_open: Callable[[int], int]) -> Check:
    if not home.is_dir() or not os.access(home, os.W_OK):
        return Check(
            name="state folder",
            ok=False,
            detail=f"{home}: not a folder that can be written to",
            hint="Set SDK_WORKFLOW_HOME to a folder of your own.",
        )
    if os.name == "posix" and is_open(home.stat().st_mode):
        return Check(
            name="state folder",
            ok=False,
            detail=f"{home}: others may write to it",
            hint=f"chmod 700 {home}",
        )
    return Check(name="state folder", ok=True, detail=str(home))


def _disk(home: Path) -> Check:
    folder = next(path for path in (home, *home.absolute().parents) if path.exists())
    free = shutil.disk_usage(folder).free
    return Check(
        name="disk",
        ok=free >= _MIN_FREE_BYTES,
        detail=f"{free / 1024**3:.1f} GiB free at {folder}",
        hint="" if free >= _MIN_FREE_BYTES else "Free some space.",
    )


def _version_of(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None
