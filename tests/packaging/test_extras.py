"""Each extra brings what it says, is documented, and is named by whatever misses it."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement

from sdk_workflow.exceptions import ConfigError
from tests.architecture.source_tree import PROJECT, package_files, read_pyproject

if TYPE_CHECKING:
    from collections.abc import Callable

EXTRAS = read_pyproject()["project"]["optional-dependencies"]
# extra -> what is imported from it
MODULES = {
    "semantic-lite": ("numpy", "tokenizers"),
    "semantic": ("numpy", "sentence_transformers"),
    "server": ("uvicorn",),
    "pdf": ("fpdf",),
    "crypto": ("cryptography.hazmat.primitives.ciphers.aead",),
    "zstd": ("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd",),
    "fast": ("aiohttp",),
    "otel": ("opentelemetry.sdk",),
}
# Nothing breaks without these: another library does the work, or the application's own is asked.
OPTIONAL = frozenset({"fast", "otel"})
NOTHING: Any = None  # a library is asked for before anything else is looked at
NOT_INSTALLED_BY_DEFAULT = frozenset({"semantic"})


def _encrypt() -> None:
    from sdk_workflow.storage.encryption import AesGcm

    AesGcm(bytes(32), "review-42")


def _print_pdf() -> None:
    from sdk_workflow.core.cost_pdf import to_pdf

    to_pdf(NOTHING)


def _serve() -> None:
    from sdk_workflow.simulator.app import SimulatorServer

    SimulatorServer()


def _unpack_zstd() -> None:
    from sdk_workflow.storage.codecs import _zstd

    _zstd()


def _encode_lightly() -> None:
    from sdk_workflow.embedding.minilm import _load_tokenizer

    _load_tokenizer(NOTHING)


def _encode_with_torch() -> None:
    from sdk_workflow.embedding.choose import _load_heavy

    _load_heavy(Path("no-such-model"))


USES: dict[str, tuple[str, Callable[[], None]]] = {
    "crypto": ("cryptography.hazmat.primitives.ciphers.aead", _encrypt),
    "pdf": ("fpdf", _print_pdf),
    "server": ("uvicorn", _serve),
    "zstd": (MODULES["zstd"][0], _unpack_zstd),
    "semantic-lite": ("tokenizers", _encode_lightly),
    "semantic": ("sentence_transformers", _encode_with_torch),
}


def test_every_extra_is_known_here() -> None:
    assert set(EXTRAS) == set(MODULES)
    assert set(USES) | OPTIONAL == set(EXTRAS)


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_has_a_floor_and_one_requirement_for_each_module(extra: str) -> None:
    wanted = [Requirement(text) for text in EXTRAS[extra]]
    assert len(wanted) == len(MODULES[extra])
    assert [str(each) for each in wanted if ">=" not in str(each.specifier)] == []


@pytest.mark.parametrize("extra", sorted(set(EXTRAS) - NOT_INSTALLED_BY_DEFAULT))
def test_what_an_extra_brings_can_be_imported(extra: str) -> None:
    for name in MODULES[extra]:
        importlib.import_module(name)


@pytest.mark.parametrize("extra", sorted(NOT_INSTALLED_BY_DEFAULT))
def test_what_a_large_extra_brings_can_be_imported_where_it_is_installed(extra: str) -> None:
    for name in MODULES[extra]:
        pytest.importorskip(name)


@pytest.mark.parametrize("extra", sorted(USES))
def test_without_an_extra_its_use_is_an_error_that_names_it(
    extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, use = USES[extra]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError) as caught:
        use()
    assert caught.value.code == "extra_missing"
    assert caught.value.hint == f"Install it with: pip install 'sdk-workflow[{extra}]'."


def test_without_any_extra_a_run_answers() -> None:
    """The whole of what is optional is hidden, in a process of its own."""
    hidden = sorted({name for names in MODULES.values() for name in names})
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({hidden!r}))\n"
        "from sdk_workflow import run_sync\n"
        "print(run_sync('Hello', backend='simulator').served_by)"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (0, "simulator\n"), result.stderr


@pytest.mark.parametrize("page", ["README.md", "docs/upgrading.md"])
def test_every_extra_is_documented(page: str) -> None:
    text = (PROJECT / page).read_text(encoding="utf-8")
    assert [extra for extra in EXTRAS if f"| `{extra}` |" not in text] == []


def test_the_code_names_no_extra_that_does_not_exist() -> None:
    pattern = re.compile(r"extra=\"([\w-]+)\"|sdk-workflow\[([\w-]+)\]")
    named = {
        found
        for file in package_files()
        for pair in pattern.findall(file.text)
        for found in pair
        if found and "pydantic" not in found
    }
    assert named - {"forbid", "ignore", "allow"} <= set(EXTRAS)
    assert len(named) > 5
