"""What `doctor` says about the tools: what confines them, and what is not available here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.tools import _beneath, sandbox
from sdk_workflow.tools.sandbox import UnavailableSandbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Invoke


@pytest.fixture
def check(invoke: Invoke) -> Callable[[str], dict[str, Any]]:
    """Return one check of `doctor --json`."""

    def named(name: str) -> dict[str, Any]:
        checks = invoke("doctor", "--json").document["checks"]
        (found,) = (each for each in checks if each["name"] == name)
        return dict(found)

    return named


def test_a_missing_sandbox_is_named_with_its_reason_and_the_way_out(
    check: Callable[[str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = UnavailableSandbox("there is no bubblewrap", hint="Install bubblewrap.")
    monkeypatch.setattr(sandbox, "_strongest", lambda _hidden: missing)
    found = check("sandbox")
    assert found["detail"].startswith("unavailable, so bash refuses every command: there is no")
    assert (found["ok"], found["hint"]) == (True, "Install bubblewrap.")


def test_a_sandbox_that_is_off_is_not_passed_over(
    check: Callable[[str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDK_WORKFLOW_SANDBOX", "off")
    assert "without confinement" in check("sandbox")["detail"]


@pytest.mark.parametrize(
    ("is_supported", "has_openat2", "detail"),
    [
        (True, True, "openat2"),
        (True, False, "no links are followed"),
        (False, False, "unavailable"),
    ],
)
def test_the_way_of_opening_files_is_named(
    check: Callable[[str], dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_supported: bool,
    has_openat2: bool,
    detail: str,
) -> None:
    monkeypatch.setattr(_beneath, "is_supported", is_supported)
    monkeypatch.setattr(_beneath, "has_openat2", lambda: has_openat2)
    found = check("file tools")
    assert found["detail"].startswith(detail)
    assert bool(found["hint"]) is not is_supported


def test_permissions_and_hosts_are_shown(
    check: Callable[[str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check("permissions")["detail"] == "allow, 0 rules"
    assert check("network tool")["detail"] == "off: network_hosts names no host"
    monkeypatch.setenv("SDK_WORKFLOW_PERMISSIONS", "deny")
    monkeypatch.setenv("SDK_WORKFLOW_ALLOW", "read")
    monkeypatch.setenv("SDK_WORKFLOW_NETWORK_HOSTS", "docs.python.org,*.example.com")
    assert check("permissions")["detail"] == "deny, 1 rule"
    assert check("network tool")["detail"] == "may reach docs.python.org, *.example.com"
