"""The snapshot of the public API: what is gone, changed or new is noticed."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

import pytest

from scripts import public_api
from scripts.public_api import Difference, compare, describe, main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CODE = """
from typing import Any

__all__ = ["LIMIT", "Shape", "draw"]
__version__ = "1"
LIMIT: int = 3


class Base:
    def area(self) -> float: ...


class Shape(Base):
    corners: int

    def __init__(self, corners: int) -> None: ...

    def _secret(self) -> None: ...


async def draw(shape: Shape, *, colour: str = "red") -> None: ...
"""


@pytest.fixture
def described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], list[str]]]:
    """Describe a package of one module with the given code."""
    pytest.importorskip("griffe", reason="the public API is read on Python 3.11 or newer")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "shapes_example").mkdir()

    def describe_it(code: str) -> list[str]:
        (tmp_path / "shapes_example/__init__.py").write_text(code, encoding="utf-8")
        sys.modules.pop("shapes_example", None)
        importlib.invalidate_caches()
        return describe(["shapes_example"], tmp_path)

    yield describe_it
    sys.modules.pop("shapes_example", None)


def test_a_module_is_described_by_signature_and_with_inherited_members(
    described: Callable[[str], list[str]],
) -> None:
    assert described(CODE) == [
        "shapes_example.LIMIT: int = 3",
        "shapes_example.Shape(Base): Shape(corners: int)",
        "shapes_example.Shape.area: area() -> float",
        "shapes_example.Shape.corners: int",
        "shapes_example.draw: async draw(shape: Shape, *, colour: str = 'red') -> None",
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"Shape", "draw"', '"Shape"'),
        ("corners: int\n", "sides: int\n"),
        ("colour: str", "color: str"),
        ('= "red"', '= "blue"'),
        ("def area", "def size"),
        ("async def", "def"),
        ("LIMIT: int = 3", "LIMIT: int = 4"),
        ("-> float", "-> int"),
        ("class Shape(Base)", "class Shape"),
    ],
)
def test_a_break_is_noticed(before: str, after: str, described: Callable[[str], list[str]]) -> None:
    assert before in CODE
    assert compare(described(CODE), described(CODE.replace(before, after))).broken != ()


@pytest.mark.parametrize(
    ("before", "after"), [("_secret", "_hidden"), ('= "1"', '= "2"'), ("Any\n", "Any, Union\n")]
)
def test_what_is_not_public_may_change(
    before: str, after: str, described: Callable[[str], list[str]]
) -> None:
    assert before in CODE
    assert described(CODE) == described(CODE.replace(before, after))


def test_what_is_new_breaks_nothing() -> None:
    assert compare(["a"], ["a", "b"]) == Difference(broken=(), added=("b",))


def test_the_check_says_what_moved_and_how_to_accept_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(public_api, "PROJECT", tmp_path)
    monkeypatch.setattr(public_api, "SNAPSHOT", tmp_path / "api.txt")
    monkeypatch.setattr(public_api, "describe", lambda _: ["run(prompt)", "new()"])
    (tmp_path / "api.txt").write_text("run(question)\n", encoding="utf-8")
    assert main(["--check"]) == 1
    said = capsys.readouterr().out
    assert "gone or changed: run(question)" in said
    assert "new: run(prompt)" in said
    assert "make api" in said
    assert main([]) == 0
    assert main(["--check"]) == 0


def test_the_snapshot_lists_what_the_readme_shows() -> None:
    text = public_api.SNAPSHOT.read_text(encoding="utf-8")
    for name in ("sdk_workflow.run_sync", "sdk_workflow.open_session", "sdk_workflow.tool"):
        assert f"\n{name} = " in text
