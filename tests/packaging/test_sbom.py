"""The bill of materials: every locked package, with its hashes, and the same bytes each time."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from scripts.lock_file import read_pins
from scripts.make_sbom import LOCKS, main, sbom
from tests.architecture.source_tree import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

ALL_LOCKS = {path.name for path in PROJECT.glob("requirements-*.txt")}


def test_every_lock_is_read() -> None:
    assert {name for name, _ in LOCKS} == ALL_LOCKS


@pytest.mark.parametrize("lock", sorted(ALL_LOCKS))
def test_it_lists_every_locked_package_with_its_version_and_hashes(lock: str) -> None:
    listed = {
        (each["name"], each["version"]): {
            f"sha256:{mark['content']}"
            for place in each["externalReferences"]
            for mark in place["hashes"]
        }
        for each in sbom()["components"]
    }
    pins = read_pins(PROJECT / lock)
    assert pins
    for pin in pins:
        assert listed[canonicalize_name(pin.name), pin.version] >= set(pin.hashes)


def test_it_lists_nothing_twice_and_nothing_that_is_not_locked() -> None:
    names = [each["bom-ref"] for each in sbom()["components"]]
    locked = {
        f"pkg:pypi/{canonicalize_name(pin.name)}@{pin.version}"
        for lock in ALL_LOCKS
        for pin in read_pins(PROJECT / lock)
    }
    assert len(names) == len(set(names))
    assert set(names) == locked


def test_what_users_install_is_required_and_the_rest_excluded() -> None:
    users = {
        (canonicalize_name(pin.name), pin.version)
        for pin in read_pins(PROJECT / "requirements-lock.txt")
    }
    found = sbom()["components"]
    assert {each["scope"] for each in found} == {"required", "excluded"}
    required = {(each["name"], each["version"]) for each in found if each["scope"] == "required"}
    assert required == users


def test_the_same_locks_give_the_same_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "new/a.json", tmp_path / "b.json"
    assert (main([str(first)]), main([str(second)])) == (0, 0)
    assert first.read_bytes() == second.read_bytes()
    found = json.loads(first.read_text(encoding="utf-8"))
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", found["serialNumber"])
    assert f"{len(found['components'])} locked packages" in capsys.readouterr().out


def test_another_lock_gives_another_serial_number(tmp_path: Path) -> None:
    (tmp_path / "sdk_workflow/_internal").mkdir(parents=True)
    version = "sdk_workflow/_internal/version.py"
    (tmp_path / version).write_bytes((PROJECT / version).read_bytes())
    for name in ALL_LOCKS:
        (tmp_path / name).write_text(f"pkg==1 \\\n    --hash=sha256:{'0' * 64}\n", encoding="utf-8")
    found = sbom(tmp_path)
    assert [each["purl"] for each in found["components"]] == ["pkg:pypi/pkg@1"]
    assert found["serialNumber"] != sbom()["serialNumber"]


def test_without_a_file_name_it_says_how_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "FILE" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["anyio>=4", "--extra x", "git+ssh://a/b", "a @ file:b"])
def test_a_line_that_is_no_pin_is_refused(line: str, tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="is no pin"):
        read_pins(path)
