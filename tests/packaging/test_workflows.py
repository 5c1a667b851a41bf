"""What the workflows and hooks may do: call make, with the permissions that they need."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.architecture.source_tree import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORKFLOWS = sorted((PROJECT / ".github/workflows").glob("*.yml"))
NAMES = {"tests.yml", "security-scan.yml", "release.yml", "codeql.yml", "scorecard.yml"}
MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")
HOOKS = (PROJECT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
_ACTION = re.compile(r"^[\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


def targets() -> set[str]:
    """Return what the Makefile declares as a target that is no file, and has a rule for."""
    declared = {
        name
        for line in re.findall(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)
        for name in line.split()
    }
    return {name for name in declared if re.search(rf"^{name}:", MAKEFILE, re.MULTILINE)}


def values(path: Path, key: str) -> Iterator[str]:
    """Yield what stands behind a key anywhere in a workflow."""
    for match in re.finditer(
        rf"^\s*(?:- )?{key}:(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE
    ):
        yield match[1].strip()


def test_the_workflows_are_those_that_we_know() -> None:
    assert {path.name for path in WORKFLOWS} == NAMES


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_step_of_ours_calls_make_with_a_target_that_exists(path: Path) -> None:
    steps = [value for value in values(path, "run") if value]  # `run:` alone sets a default
    assert [step for step in steps if not re.match(r"make [a-z-]+( [A-Z]+=\S+)*$", step)] == []
    assert {step.split()[1] for step in steps} <= targets()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_an_action_is_pinned_by_its_whole_commit_and_says_its_version(path: Path) -> None:
    used = list(values(path, "uses"))
    assert used
    assert [action for action in used if not _ACTION.match(action)] == []


def test_an_action_is_the_same_commit_everywhere() -> None:
    pins = {
        (action.split("@")[0].split("/")[1], action.split("@")[1])
        for path in WORKFLOWS
        for action in values(path, "uses")
    }
    names = [name for name, _ in pins]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_starts_without_permissions_and_keeps_no_credentials(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "\npermissions: {}\n" in text
    assert "pull_request_target" not in text
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")


def test_a_release_stores_no_token() -> None:
    text = (PROJECT / ".github/workflows/release.yml").read_text(encoding="utf-8")
    assert "secrets." not in text
    assert "id-token: write" in text


def test_the_suite_runs_on_every_python_system_and_resolution() -> None:
    text = (PROJECT / ".github/workflows/tests.yml").read_text(encoding="utf-8")
    assert text.count('python: ["3.10", "3.11", "3.12", "3.13", "3.14"]') == 2
    assert text.count("os: [ubuntu-24.04, macos-15, windows-2025]") == 2
    for resolution in ("locked", "lowest-direct", "highest"):
        assert re.search(rf"resolution: \[?{resolution}\b", text)


def test_each_part_of_the_gate_is_a_hook() -> None:
    gate = re.search(r"^check: (.+)$", MAKEFILE, re.MULTILINE)
    assert gate is not None
    assert set(gate[1].split()) | {"test"} == set(
        re.findall(r"entry: make ([a-z-]+)$", HOOKS, re.MULTILINE)
    )


def test_what_asks_a_service_is_no_part_of_the_gate() -> None:
    gate = re.search(r"^check: (.+)$", MAKEFILE, re.MULTILINE)
    assert gate is not None
    assert {"audit", "safety", "interpreters"}.isdisjoint(gate[1].split())
    assert {"audit", "safety", "interpreters"} <= targets()


def test_help_names_the_targets_for_people() -> None:
    for name in ("run", "test", "check", "api", "sbom", "audit", "interpreters", "dist"):
        assert f"@echo 'make {name} " in MAKEFILE
