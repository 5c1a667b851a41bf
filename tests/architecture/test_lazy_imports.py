"""`import sdk_workflow` costs next to nothing: what is heavy loads where it is used."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import sdk_workflow
from sdk_workflow import core
from tests.architecture.source_tree import PACKAGE, importable_modules, package_files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HEAVY = (
    *("anthropic", "httpx2", "pydantic", "numpy", "torch", "rich", "typer"),
    *("opentelemetry", "anyio", "asyncio"),
)
LOADS_PYDANTIC = "sdk_workflow.config"
LOADS_TYPER = "sdk_workflow.cli"
LOADS_FPDF = "sdk_workflow.core.pdf_page"
LOADS_OTEL = "sdk_workflow.core.otel_bridge"
LOADS_NUMPY = tuple(
    f"sdk_workflow.embedding.{name}"
    for name in ("bert_layers", "index", "minilm", "safetensors_file", "sentence_transformers")
)


def loaded_by(program: str, *, cwd: Path | None = None) -> set[str]:
    """Run a program in a fresh interpreter and return which of the heavy libraries it loaded."""
    # At the exit: a command leaves by SystemExit.
    report = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print([name for name in {HEAVY!r} if name in sys.modules]))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", report + program],
        capture_output=True,
        text=True,
        check=True,
        cwd=cwd,
    )
    loaded: set[str] = set(ast.literal_eval(result.stdout.splitlines()[-1]))
    return loaded


def typed_names(path: Path) -> dict[str, str]:
    """Return the names that a module's TYPE_CHECKING block imports, with their modules."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    (block,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    return {
        alias.asname or alias.name: node.module or ""
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_the_package_alone_loads_nothing_heavy() -> None:
    assert loaded_by("import sdk_workflow; dir(sdk_workflow)") == set()


def test_the_vocabulary_and_the_engines_load_nothing_heavy() -> None:
    names = [
        file.module
        for file in package_files()
        if not file.module.startswith(
            (LOADS_PYDANTIC, LOADS_TYPER, LOADS_FPDF, LOADS_OTEL, *LOADS_NUMPY)
        )
        and not file.module.endswith("__main__")
        and not file.module.endswith("tools._launcher")  # the program that bash starts
        and not file.module.endswith(("testing.virtual_time", "simulator.resettable"))  # asyncio
    ]
    assert len(names) > 80
    assert loaded_by("\n".join(f"import {name}" for name in names)) == set()


def test_the_version_is_answered_without_the_command_line() -> None:
    program = (
        "import sys; sys.argv = ['sdk_workflow', '--version']\n"
        "from sdk_workflow.__main__ import main; main()"
    )
    assert loaded_by(program) == set()


def test_a_run_on_the_simulator_never_loads_the_official_sdk(tmp_path: Path) -> None:
    program = "from sdk_workflow import run_sync; run_sync('Hello', backend='simulator')"
    assert loaded_by(program, cwd=tmp_path) == {"anyio", "asyncio", "pydantic"}


def test_the_command_on_the_simulator_never_loads_the_official_sdk(tmp_path: Path) -> None:
    program = (
        "import sys; sys.argv = ['sdk_workflow', 'run', '--backend', 'simulator', 'Hello']\n"
        "from sdk_workflow.__main__ import main; main()"
    )
    assert loaded_by(program, cwd=tmp_path).isdisjoint({"anthropic", "httpx2", "numpy", "torch"})


def test_the_transport_loads_the_official_sdk_only_when_it_sends() -> None:
    program = (
        "from sdk_workflow.transports.anthropic_sdk import AnthropicTransport\n"
        "AnthropicTransport(api_key='sk-ant-not-a-real-key')"
    )
    assert loaded_by(program) == set()


@pytest.mark.parametrize("name", sdk_workflow.__all__)
def test_every_public_name_is_what_its_module_defines(name: str) -> None:
    if name == "__version__":
        assert sdk_workflow.__version__.count(".") == 2
        return
    source = importlib.import_module(sdk_workflow._SOURCES[name])
    assert getattr(sdk_workflow, name) is getattr(source, name)
    assert name in source.__all__


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'sdk_workflow' has no attribute 'nothing'"):
        _ = sdk_workflow.nothing


@pytest.mark.parametrize(
    ("path", "sources"),
    [
        (PACKAGE / "__init__.py", sdk_workflow._SOURCES),
        (PACKAGE / "core/__init__.py", core.MODULE_REGISTRY),
    ],
    ids=["sdk_workflow", "sdk_workflow.core"],
)
def test_what_type_checkers_see_is_what_loads_at_run_time(
    path: Path, sources: Mapping[str, str]
) -> None:
    assert typed_names(path) == dict(sources)


def test_the_list_of_public_names_is_the_table_of_their_modules() -> None:
    assert sdk_workflow.__all__ == sorted([*sdk_workflow._SOURCES, "__version__"])
    assert core.__all__[0] == "MODULE_REGISTRY"
    assert core.__all__[1:] == sorted(core.MODULE_REGISTRY)


def test_every_name_that_a_module_declares_public_is_there() -> None:
    missing = []
    for name in importable_modules():
        module = importlib.import_module(name)
        public = getattr(module, "__all__", ())
        missing += [f"{name}.{each}" for each in public if not hasattr(module, each)]
    assert missing == []
