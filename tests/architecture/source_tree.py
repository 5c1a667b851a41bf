"""The sources as syntax trees, and the measures that the architecture tests hold them to."""

from __future__ import annotations

import ast
import functools
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import sdk_workflow

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).resolve().parents[2]
PACKAGE = Path(sdk_workflow.__file__).resolve().parent

Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]  # noqa: UP007 - evaluated on 3.10
FUNCTION_TYPES = (ast.FunctionDef, ast.AsyncFunctionDef)

_FORKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.match_case)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file of the package, read and parsed."""

    name: str
    text: str
    tree: ast.Module

    @property
    def module(self) -> str:
        """The dotted name under which the file is imported."""
        return self.name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")

    @property
    def line_count(self) -> int:
        return len(self.text.splitlines())


def read_pyproject() -> dict[str, Any]:
    """Return the project's metadata and tool settings."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))


@functools.cache
def package_files() -> tuple[SourceFile, ...]:
    """Return every Python file of the package."""
    return tuple(
        read_source(path.read_text(encoding="utf-8"), path.relative_to(PACKAGE.parent).as_posix())
        for path in sorted(PACKAGE.rglob("*.py"))
    )


def importable_modules() -> list[str]:
    """Return the modules that can be imported here: one of them needs the OpenTelemetry SDK."""
    has_sdk = importlib.util.find_spec("opentelemetry.sdk") is not None
    return [
        file.module
        for file in package_files()
        if "__main__" not in file.module and (has_sdk or not file.module.endswith("otel_bridge"))
    ]


def read_source(text: str, name: str = "example.py") -> SourceFile:
    """Return a source text as a file of that name."""
    return SourceFile(name=name, text=text, tree=ast.parse(text))


def functions(file: SourceFile) -> Iterator[Function]:
    """Yield every function and method of a file, nested ones included."""
    for node in ast.walk(file.tree):
        if isinstance(node, FUNCTION_TYPES):
            yield node


def place(file: SourceFile, node: Function | ast.ClassDef) -> str:
    """Return where a definition stands, for a failure's message."""
    return f"{file.name}:{node.lineno} {node.name}"


def line_count(function: Function) -> int:
    """Return the lines of a definition from `def` to its last one, docstring included."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def complexity(function: Function) -> int:
    """Return the cyclomatic complexity: 1, and 1 more for each statement that forks the flow."""
    return 1 + sum(isinstance(node, _FORKS) for node in ast.walk(function))


def undocumented(file: SourceFile) -> Iterator[str]:
    """Yield what is public and has no docstring: the file itself, classes, functions, methods."""
    if ast.get_docstring(file.tree) is None:
        yield f"{file.name}:1 the module"
    for node in _public_definitions(file.tree):
        if ast.get_docstring(node) is None and not _is_overload(node):
            yield place(file, node)


def _public_definitions(parent: ast.AST) -> Iterator[Function | ast.ClassDef]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, (ast.If, ast.Try)):
            yield from _public_definitions(node)
        if isinstance(node, (*FUNCTION_TYPES, ast.ClassDef)) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from _public_definitions(node)


def _is_overload(node: Function | ast.ClassDef) -> bool:
    return any(
        isinstance(decorator, ast.Name) and decorator.id == "overload"
        for decorator in node.decorator_list
    )


def unannotated(function: Function, *, is_method: bool) -> list[str]:
    """Return the parameters without a type, and `return` where the result has none."""
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    if is_method and not _is_static(function):
        positional = positional[1:]
    extra = [item for item in (given.vararg, given.kwarg) if item is not None]
    missing = [
        item.arg for item in [*positional, *given.kwonlyargs, *extra] if item.annotation is None
    ]
    return missing if function.returns is not None else [*missing, "return"]


def methods(file: SourceFile) -> set[Function]:
    """Return the functions of a file whose first parameter is the instance or the class."""
    return {
        item
        for node in ast.walk(file.tree)
        if isinstance(node, ast.ClassDef)
        for item in node.body
        if isinstance(item, FUNCTION_TYPES)
    }


def _is_static(function: Function) -> bool:
    return any(
        isinstance(decorator, ast.Name) and decorator.id == "staticmethod"
        for decorator in function.decorator_list
    )
