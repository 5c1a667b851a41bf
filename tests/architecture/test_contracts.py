"""The layers hold: the contracts are kept, and each of them notices when it is broken."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.architecture.source_tree import PACKAGE, PROJECT, read_pyproject

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="import-linter needs Python 3.11"
)

LAYERS = "Layers point downwards; siblings joined by | never see each other"
CYCLES = "No cycles between siblings, at any depth"
ENGINES = "The engines of core do not know one another"
MIDDLEWARE = "Middleware do not know one another"
ROOT_ONLY = "Only the composition root names transports and middleware"
SDK = "The official SDK and its HTTP stack are imported in their adapter only"
MANAGERS = "Managers do not know one another"
STORAGE = "Storage is reached through the managers and the composition root"
NUMERIC = "The numeric libraries are imported in the embedders only"
TERMINAL = "The terminal's libraries stay in the CLI"
OTEL = "OpenTelemetry is imported in its bridge only"
ALL = (
    LAYERS, CYCLES, ENGINES, MIDDLEWARE, ROOT_ONLY, MANAGERS, STORAGE, NUMERIC, SDK, TERMINAL, OTEL,
)  # fmt: skip

_LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"
_LAZY = "\n\ndef _planted() -> None:\n    import {module}\n"
_TYPED = "\n\nfrom typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import {module}\n"
_PLAIN = "\nimport {module}\n"


def lint(project: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of a project folder; a fresh process, because imports are remembered."""
    return subprocess.run(
        [sys.executable, "-c", _LINT, "--no-logo", "--no-cache"],
        capture_output=True,
        text=True,
        check=False,
        cwd=project,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the package with its contracts, to break."""
    shutil.copytree(PACKAGE, tmp_path / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    return tmp_path


def plant(module: str, *, into: str, form: str = _PLAIN) -> Callable[[Path], None]:
    """Return a step that adds an import to a file of the copied package."""

    def change(package: Path) -> None:
        target = package / into
        target.parent.mkdir(exist_ok=True)
        with target.open("a", encoding="utf-8") as file:
            file.write(form.format(module=module))

    return change


def test_every_contract_is_kept(project: Path) -> None:
    report = lint(project)
    assert report.returncode == 0, report.stdout + report.stderr
    assert {name for name in ALL if f"{name} KEPT" in report.stdout} == set(ALL)
    assert f"Contracts: {len(ALL)} kept, 0 broken." in report.stdout


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        pytest.param(
            plant("sdk_workflow.tools.registry", into="simulator/words.py"),
            LAYERS,
            id="the simulator knows the tools",
        ),
        pytest.param(
            plant("sdk_workflow.cli.console", into="agent/state.py"),
            LAYERS,
            id="the agent knows the command line",
        ),
        pytest.param(
            plant("sdk_workflow.config.home", into="_internal/ids.py", form=_LAZY),
            LAYERS,
            id="a lower layer reaches up inside a function",
        ),
        pytest.param(
            plant("sdk_workflow.runtime", into="events.py", form=_TYPED),
            LAYERS,
            id="the vocabulary reaches up for a type",
        ),
        pytest.param(
            plant("sdk_workflow.types", into="extras/__init__.py"),
            LAYERS,
            id="a package that no layer declares",
        ),
        pytest.param(
            plant("sdk_workflow.config.settings", into="config/home.py", form=_LAZY),
            CYCLES,
            id="a cycle through an import inside a function",
        ),
        pytest.param(
            plant("sdk_workflow.agent.session", into="agent/state.py", form=_TYPED),
            CYCLES,
            id="a cycle through an import for a type",
        ),
        pytest.param(
            plant("sdk_workflow.core.profiling", into="core/performance.py"),
            ENGINES,
            id="the tracer knows the profiler",
        ),
        pytest.param(
            plant("sdk_workflow.middleware.tracing", into="middleware/planted.py"),
            MIDDLEWARE,
            id="one middleware knows another",
        ),
        pytest.param(
            plant("sdk_workflow.middleware.tracing", into="agent/loop.py", form=_LAZY),
            ROOT_ONLY,
            id="the agent picks a middleware",
        ),
        pytest.param(
            plant("sdk_workflow.transports.anthropic_sdk", into="executors/batch.py"),
            ROOT_ONLY,
            id="an executor picks a transport",
        ),
        pytest.param(
            plant("anthropic", into="agent/session.py", form=_LAZY),
            SDK,
            id="the agent imports the official SDK",
        ),
        pytest.param(
            plant("numpy", into="core/semantic_cache.py", form=_LAZY),
            NUMERIC,
            id="the semantic cache computes with numpy itself",
        ),
        pytest.param(
            plant("sdk_workflow.managers.cost_manager", into="managers/token_manager.py"),
            MANAGERS,
            id="one manager asks another",
        ),
        pytest.param(
            plant("sdk_workflow.storage.ledger_file", into="agent/session.py", form=_LAZY),
            STORAGE,
            id="the agent opens a file by itself",
        ),
        pytest.param(
            plant("httpx2", into="simulator/app.py", form=_TYPED),
            SDK,
            id="the simulator imports the HTTP stack for a type",
        ),
        pytest.param(
            plant("opentelemetry.trace", into="core/performance.py", form=_LAZY),
            OTEL,
            id="the tracer imports OpenTelemetry itself",
        ),
        pytest.param(
            plant("rich.console", into="executors/streaming_example.py", form=_LAZY),
            TERMINAL,
            id="an executor draws on the terminal",
        ),
    ],
)
def test_a_planted_violation_is_reported(
    project: Path, change: Callable[[Path], None], broken: str
) -> None:
    change(project / PACKAGE.name)
    report = lint(project)
    assert report.returncode == 1
    assert f"{broken} BROKEN" in report.stdout, report.stdout + report.stderr


@pytest.mark.parametrize(
    ("name", "exempt"),
    [
        (NUMERIC, {"embedding", "__main__"}),
        (SDK, {"transports", "__main__"}),
        (TERMINAL, {"cli", "__main__"}),
        (OTEL, {"__main__"}),
    ],
    ids=["NUMERIC", "SDK", "TERMINAL", "OTEL"],
)
def test_a_ban_leaves_no_package_out_but_the_one_that_it_protects(
    name: str, exempt: set[str]
) -> None:
    contracts = read_pyproject()["tool"]["importlinter"]["contracts"]
    (ban,) = (contract for contract in contracts if contract["name"] == name)
    banned = {module.removeprefix("sdk_workflow.") for module in ban["source_modules"]}
    assert banned == top_level_names() - exempt


def top_level_names() -> set[str]:
    """Return the names of the modules and packages directly under the package."""
    return {
        path.stem
        for path in PACKAGE.iterdir()
        if (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").is_file()
    }
