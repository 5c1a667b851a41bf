"""What gets installed: the metadata, the locks, and the files of the wheel."""

from __future__ import annotations

import re
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import sdk_workflow
from scripts.lock_file import read_pins
from tests.architecture.source_tree import PROJECT, read_pyproject

if TYPE_CHECKING:
    from scripts.lock_file import Pin

PYPROJECT = read_pyproject()
GROUPS = PYPROJECT["dependency-groups"]
TOOL_GROUPS = ("audit", "safety")
# `semantic` brings torch: 750 MB that no test of the default run needs.
NOT_LOCKED = frozenset({"semantic"})
LOCKS = ("requirements-lock.txt", "requirements-dev.txt")
TOOL_LOCKS = ("requirements-audit.txt", "requirements-safety.txt")
LOWEST = "requirements-lowest.txt"
_HASH = re.compile(r"^sha256:[0-9a-f]{64}$")
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
LOCKED_PYTHONS = (*PYTHONS, "3.14")  # what the locks answer for; a classifier needs a green run


def applies_to(pin: Pin, python: str, platform: str = "linux") -> bool:
    """Return whether a pin is meant for a version of Python on a platform."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.1",
        "sys_platform": platform,
        "platform_system": platform.capitalize(),
    }
    return pin.marker is None or Marker(pin.marker).evaluate(environment)


def read_lock(name: str) -> list[Pin]:
    """Return the pins of one of our lock files; a line that is none fails the test."""
    return read_pins(PROJECT / name)


def requirements_of_project() -> list[Requirement]:
    return [Requirement(text) for text in PYPROJECT["project"]["dependencies"]]


def requirements_of_developers() -> list[Requirement]:
    """Return what the groups and the extras ask for, without the groups' references."""
    project, groups = PYPROJECT["project"], PYPROJECT["dependency-groups"]
    extras = project["optional-dependencies"]
    lists: list[list[Any]] = [extras[name] for name in extras if name not in NOT_LOCKED]
    lists += [groups[name] for name in groups if name not in TOOL_GROUPS]
    return [Requirement(text) for found in lists for text in found if isinstance(text, str)]


def requirements_of_tools() -> list[Requirement]:
    """Return what the groups ask for that have an environment and a lock of their own."""
    return [Requirement(text) for name in TOOL_GROUPS for text in GROUPS[name]]


def build_requirements() -> list[Requirement]:
    return [Requirement(text) for text in PYPROJECT["build-system"]["requires"]]


def unsatisfied(requirement: Requirement, pins: list[Pin], python: str) -> bool:
    """Return whether no pin, or a pin out of range, answers a requirement on that Python."""
    wanted = requirement.marker is None or requirement.marker.evaluate(
        {"python_version": python, "python_full_version": f"{python}.1"}
    )
    if not wanted:
        return False
    versions = [
        pin.version
        for pin in pins
        if canonicalize_name(pin.name) == canonicalize_name(requirement.name)
        and applies_to(pin, python)
    ]
    return len(versions) != 1 or not requirement.specifier.contains(versions[0], prereleases=True)


@pytest.mark.parametrize("lock", [*LOCKS, *TOOL_LOCKS, LOWEST])
def test_every_pin_of_a_lock_has_a_hash(lock: str) -> None:
    pins = read_lock(lock)
    assert len(pins) > 10
    assert [pin.name for pin in pins if not pin.hashes] == []
    assert [mark for pin in pins for mark in pin.hashes if not _HASH.match(mark)] == []


@pytest.mark.parametrize("lock", [*LOCKS, *TOOL_LOCKS, LOWEST])
def test_a_lock_names_no_place_to_fetch_from(lock: str) -> None:
    text = (PROJECT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert re.findall(r"^-(?!-hash).*", text, flags=re.MULTILINE) == []
    assert " @ " not in text


@pytest.mark.parametrize("python", LOCKED_PYTHONS)
def test_the_lock_satisfies_every_dependency_on_every_python(python: str) -> None:
    pins = read_lock("requirements-lock.txt")
    wanted = [*requirements_of_project(), *build_requirements()]
    assert [str(item) for item in wanted if unsatisfied(item, pins, python)] == []


@pytest.mark.parametrize("python", LOCKED_PYTHONS)
def test_the_lock_for_developers_satisfies_everything_on_every_python(python: str) -> None:
    pins = read_lock("requirements-dev.txt")
    wanted = [
        *requirements_of_project(),
        *requirements_of_developers(),
        *build_requirements(),
    ]
    assert [str(item) for item in wanted if unsatisfied(item, pins, python)] == []


@pytest.mark.parametrize("python", LOCKED_PYTHONS)
def test_the_lowest_lock_holds_the_declared_floors(python: str) -> None:
    pins = read_lock(LOWEST)
    versions = {canonicalize_name(pin.name): pin.version for pin in pins if applies_to(pin, python)}
    floors = {
        canonicalize_name(item.name): part.version
        for item in requirements_of_project()
        for part in item.specifier
        if part.operator == ">=" and (item.marker is None or python == "3.10")
    }
    assert {name: Version(versions[name]) for name in floors} == {
        name: Version(floor) for name, floor in floors.items()
    }


@pytest.mark.parametrize(("group", "lock"), list(zip(TOOL_GROUPS, TOOL_LOCKS, strict=True)))
@pytest.mark.parametrize("python", LOCKED_PYTHONS)
def test_the_lock_of_a_tool_holds_it(group: str, lock: str, python: str) -> None:
    wanted = [Requirement(text) for text in GROUPS[group]]
    assert [str(item) for item in wanted if unsatisfied(item, read_lock(lock), python)] == []


@pytest.mark.parametrize(
    ("requirement", "is_missing"),
    [
        ("anyio>=4.6", False),
        ("anyio>=99", True),
        ("not-there", True),
        ("tomli; python_version<'3'", False),
    ],
)
def test_what_a_lock_lacks_is_noticed(requirement: str, *, is_missing: bool) -> None:
    pins = read_lock("requirements-lock.txt")
    assert unsatisfied(Requirement(requirement), pins, "3.12") is is_missing


@pytest.mark.parametrize("python", LOCKED_PYTHONS)
@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_users_and_developers_get_the_same_versions(python: str, platform: str) -> None:
    users, developers = (
        {pin.name: pin.version for pin in read_lock(lock) if applies_to(pin, python, platform)}
        for lock in LOCKS
    )
    assert {name: developers.get(name) for name in users} == users


def test_every_direct_requirement_has_a_floor() -> None:
    wanted = [
        *requirements_of_project(),
        *requirements_of_developers(),
        *requirements_of_tools(),
        *build_requirements(),
    ]
    assert len(wanted) > 20
    assert [
        str(item) for item in wanted if not any(part.operator == ">=" for part in item.specifier)
    ] == []


def test_what_users_install_has_a_ceiling_and_no_pin() -> None:
    operators = {
        item.name: sorted(part.operator for part in item.specifier)
        for item in requirements_of_project()
    }
    assert {name: found for name, found in operators.items() if found != ["<", ">="]} == {}


def test_the_classifiers_name_the_pythons_that_are_supported() -> None:
    listed = re.findall(
        r"Programming Language :: Python :: (3\.\d+)",
        "\n".join(PYPROJECT["project"]["classifiers"]),
    )
    assert tuple(listed) == PYTHONS
    assert PYPROJECT["project"]["requires-python"] == f">={PYTHONS[0]}"
    floor = f"py{PYTHONS[0].replace('.', '')}"
    assert PYPROJECT["tool"]["ruff"]["target-version"] == floor
    assert PYPROJECT["tool"]["black"]["target-version"] == [floor]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Return the wheel, built by the build backend itself."""
    from hatchling.builders.wheel import WheelBuilder

    folder = tmp_path_factory.mktemp("dist")
    (path,) = WheelBuilder(str(PROJECT)).build(directory=str(folder), versions=["standard"])
    return zipfile.ZipFile(path)


def test_the_wheel_holds_the_package_with_its_data_and_nothing_else(
    wheel: zipfile.ZipFile,
) -> None:
    names = set(wheel.namelist())
    assert {"sdk_workflow/py.typed", "sdk_workflow/config/models.toml"} <= names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"sdk_workflow"}
    assert [name for name in names if name.endswith((".pyc", ".jsonl", ".gz"))] == []


def test_the_wheel_holds_every_module(wheel: zipfile.ZipFile) -> None:
    expected = {
        path.relative_to(PROJECT).as_posix() for path in (PROJECT / "sdk_workflow").rglob("*.py")
    }
    assert {name for name in wheel.namelist() if name.endswith(".py")} == expected


def test_the_wheel_offers_the_command_under_both_names(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    scripts = wheel.read(name).decode().splitlines()
    target = "sdk_workflow.__main__:main"
    assert {f"sdk-workflow = {target}", f"sdk_workflow = {target}"} <= set(scripts)


def test_the_wheel_has_the_version_of_the_code_and_its_licence(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("METADATA"))
    metadata = wheel.read(name).decode()
    assert f"\nVersion: {sdk_workflow.__version__}\n" in metadata
    assert "\nLicense-Expression: MIT\n" in metadata
    assert any(path.endswith("licenses/LICENSE") for path in wheel.namelist())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no executable bit")
def test_the_gate_can_be_started() -> None:
    assert (PROJECT / ".ci/run").stat().st_mode & 0o111
