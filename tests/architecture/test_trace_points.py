"""Where the library traces itself: enough places, each with a name of its own that is documented."""

from __future__ import annotations

import ast
import re
from collections import Counter

from tests.architecture.source_tree import PROJECT, package_files

_OPENERS = {"trace_span", "held_span"}
_DOCUMENTATION = PROJECT / "docs" / "tracing.md"


def trace_points() -> list[tuple[str, str]]:
    """Return the module and the name of each point; `{}` stands where a name varies."""
    return [
        (file.module, name)
        for file in package_files()
        if not file.module.startswith("sdk_workflow._internal.trac")
        for node in ast.walk(file.tree)
        if isinstance(node, ast.Call) and (name := _point_name(node)) is not None
    ]


def _point_name(call: ast.Call) -> str | None:
    if not isinstance(call.func, ast.Name):
        return None
    if call.func.id in _OPENERS:
        return _text(call.args[0])
    if call.func.id == "trace_function":
        return next(_text(word.value) for word in call.keywords if word.arg == "name")
    return None


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
        )
    assert isinstance(node, ast.Constant), ast.dump(node)
    return str(node.value)


def test_more_than_fifty_points_are_in_use() -> None:
    assert len({name for _, name in trace_points()}) > 50


def test_every_part_of_the_library_has_points() -> None:
    packages = Counter(module.split(".")[1] for module, _ in trace_points())
    assert {
        "agent", "core", "embedding", "executors", "managers", "middleware", "simulator",
        "storage", "tools", "transports", "wiring",
    } <= packages.keys()  # fmt: skip


def test_names_are_short_and_say_part_and_operation() -> None:
    for _, name in trace_points():
        assert re.fullmatch(r"[a-z_]+(\.[a-z_]+| \{\})?", name), name


def test_documentation_lists_exactly_the_points_of_the_code() -> None:
    table = re.findall(
        r"^\| `([^`]+)` \|", _DOCUMENTATION.read_text(encoding="utf-8"), re.MULTILINE
    )
    documented = [re.sub(r"<[a-z]+>", "{}", name) for name in table]
    assert sorted(documented) == sorted({name for _, name in trace_points()})
