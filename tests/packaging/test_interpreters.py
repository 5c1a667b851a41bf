"""The check of the wheel on every Python: what it looks for, and what it does not let pass."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from scripts import check_interpreters
from scripts.check_interpreters import CheckError, find_interpreter, main

if TYPE_CHECKING:
    from pathlib import Path

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """A folder with something that is called a wheel."""
    (tmp_path / "sdk_workflow-1-py3-none-any.whl").touch()
    return tmp_path


def test_the_python_that_runs_is_found() -> None:
    assert find_interpreter(HERE) == sys.executable


def test_a_program_of_another_version_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "versions/3.99.1/bin"
    place.mkdir(parents=True)
    (place / "python").symlink_to(sys.executable)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert find_interpreter("3.99") is None


def test_an_interpreter_of_pyenv_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "versions/3.99.1/bin"
    place.mkdir(parents=True)
    (place / "python").write_text("#!/bin/sh\necho 3.99\n", encoding="utf-8")
    (place / "python").chmod(0o755)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert find_interpreter("3.99") == str(place / "python")


def test_an_absent_interpreter_is_named_as_skipped(
    dist: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check_interpreters, "find_interpreter", lambda _: None)
    assert main([str(dist)]) == 0
    said = capsys.readouterr().out
    for version in check_interpreters.PYTHONS:
        assert f"{version}: skipped" in said


def test_one_that_fails_fails_the_whole(
    dist: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> str:
        raise CheckError("it does not answer")

    monkeypatch.setattr(check_interpreters, "check_wheel", fail)
    assert main([str(dist), "--only", HERE]) == 1
    assert f"{HERE}: FAILED, it does not answer" in capsys.readouterr().out


@pytest.mark.parametrize("count", [0, 2])
def test_there_has_to_be_one_wheel(
    count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(count):
        (tmp_path / f"{number}.whl").touch()
    assert main([str(tmp_path)]) == 1
    assert f"{count} wheels" in capsys.readouterr().err


def test_more_than_thirty_distributions_fail() -> None:
    def listing(count: int) -> str:
        return json.dumps([{"name": "pip"}, *({"name": f"d{each}"} for each in range(count))])

    assert check_interpreters._count_distributions(listing(30)) == 30
    with pytest.raises(CheckError, match="31 distributions"):
        check_interpreters._count_distributions(listing(31))


def test_an_answer_that_read_nothing_fails() -> None:
    check_interpreters._check_answer("README.md begins with: # Tides")
    with pytest.raises(CheckError, match="did not read"):
        check_interpreters._check_answer("Hello")


def test_a_step_that_fails_is_told_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="ended with 3: no such luck"):
        check_interpreters._run(
            [
                sys.executable,
                "-c",
                "import sys; print('no such luck', file=sys.stderr); sys.exit(3)",
            ],
            tmp_path,
        )


def test_a_step_sees_no_key_and_not_the_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-planted")
    monkeypatch.setenv("PYTHONPATH", "somewhere")
    program = (
        "import os; print([n for n in os.environ if n in ('ANTHROPIC_API_KEY', 'PYTHONPATH')])"
    )
    assert check_interpreters._run([sys.executable, "-c", program], tmp_path) == "[]\n"
