"""What gets installed: the metadata, the locks, and the files of the wheel."""

from __future__ import annotations

import re
import sys
import zipfile
from dataclasses import dataclass
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import sdk_workflow
from tests.architecture.source_tree import PROJECT, read_pyproject

PYPROJECT = read_pyproject()
LOCKS = ("requirements-lock.txt", "requirements-dev.txt")
_PIN = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>[^\s;]+)(?:\s*;\s*(?P<marker>.+))?$")
_HASH = re.compile(r"^--hash=sha256:[0-9a-f]{64}$")
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One entry of a lock file."""

    name: str
    version: str
    marker: str | None
    hashes: tuple[str, ...]

    def applies_to(self, python: str, platform: str = "linux") -> bool:
        """Return whether the pin is meant for a version of Python on a platform."""
        environment = {
            "python_version": python,
            "python_full_version": f"{python}.1",
            "sys_platform": platform,
            "platform_system": platform.capitalize(),
        }
        return self.marker is None or Marker(self.marker).evaluate(environment)


def read_lock(name: str) -> list[Pin]:
    """Return the pins of a lock file; a line that is no pin and no hash fails the test."""
    text = (PROJECT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    pins = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        head, *hashes = re.split(r"\s+(?=--hash)", line.strip())
        match = _PIN.match(head.strip())
        assert match, f"{name} holds {line!r}, which is no pin"
        name_, version, marker = match.group("name", "version", "marker")
        pins.append(Pin(name=name_, version=version, marker=marker, hashes=tuple(hashes)))
    return pins


def requirements_of_project() -> list[Requirement]:
    return [Requirement(text) for text in PYPROJECT["project"]["dependencies"]]


def requirements_of_developers() -> list[Requirement]:
    """Return what the groups and the extras ask for, without the groups' references."""
    project, groups = PYPROJECT["project"], PYPROJECT["dependency-groups"]
    extras = project["optional-dependencies"]
    # `semantic` brings torch: 750 MB that no test of the default run needs.
    lists: list[list[Any]] = [extras[name] for name in extras if name != "semantic"]
    lists += groups.values()
    return [Requirement(text) for found in lists for text in found if isinstance(text, str)]


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
        and pin.applies_to(python)
    ]
    return len(versions) != 1 or not requirement.specifier.contains(versions[0], prereleases=True)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_of_a_lock_has_a_hash(lock: str) -> None:
    pins = read_lock(lock)
    assert len(pins) > 10
    assert [pin.name for pin in pins if not pin.hashes] == []
    assert [mark for pin in pins for mark in pin.hashes if not _HASH.match(mark)] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_place_to_fetch_from(lock: str) -> None:
    text = (PROJECT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert re.findall(r"^-(?!-hash).*", text, flags=re.MULTILINE) == []
    assert " @ " not in text


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_satisfies_every_dependency_on_every_python(python: str) -> None:
    pins = read_lock("requirements-lock.txt")
    wanted = [*requirements_of_project(), *build_requirements()]
    assert [str(item) for item in wanted if unsatisfied(item, pins, python)] == []


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_for_developers_satisfies_everything_on_every_python(python: str) -> None:
    pins = read_lock("requirements-dev.txt")
    wanted = [
        *requirements_of_project(),
        *requirements_of_developers(),
        *build_requirements(),
    ]
    assert [str(item) for item in wanted if unsatisfied(item, pins, python)] == []


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


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_users_and_developers_get_the_same_versions(python: str, platform: str) -> None:
    users, developers = (
        {pin.name: pin.version for pin in read_lock(lock) if pin.applies_to(python, platform)}
        for lock in LOCKS
    )
    assert {name: developers.get(name) for name in users} == users


def test_every_direct_requirement_has_a_floor() -> None:
    wanted = [*requirements_of_project(), *requirements_of_developers(), *build_requirements()]
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
