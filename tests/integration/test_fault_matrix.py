"""Every fault x plain or streamed x with or without tools: recovered, or the documented error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anthropic
import pytest

from tests.integration import fault_matrix
from tests.integration.fault_matrix import (
    FAULTS,
    MODES,
    documented,
    run_cells,
    table,
    table_of_page,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.fault_matrix import Fault, Mode

pytestmark = pytest.mark.socket

_MARGIN_SECONDS = 1.5  # for a machine that does other things as well


@pytest.fixture(scope="module", autouse=True)
def loaded_sdk() -> str:
    """Load the official SDK before a time limit runs: that takes longer than a whole cell."""
    return anthropic.__version__


@pytest.mark.anyio
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_a_fault_is_recovered_from_or_told_as_documented(fault: Fault, mode: Mode) -> None:
    for cell in await run_cells(fault, mode):
        cell.check()
        assert cell.outcome == fault.expected(mode)
        assert cell.requests == fault.requests[mode.is_streamed]
        assert (cell.reply is not None) == (cell.outcome == "recovered")
        assert cell.seconds < fault.limit_seconds + _MARGIN_SECONDS


@pytest.mark.parametrize("arguments", [[], ["--write"]])
def test_the_matrix_is_printed_and_written_only_when_asked(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def observed() -> dict[tuple[str, str], str]:
        return dict.fromkeys(documented(), "observed")

    page = tmp_path / "page.md"
    page.write_bytes(fault_matrix.PAGE.read_bytes())
    monkeypatch.setattr(fault_matrix, "PAGE", page)
    monkeypatch.setattr(fault_matrix, "_observed", observed)
    fault_matrix.main(arguments)
    printed = capsys.readouterr().out.strip()
    assert printed.startswith("| fault | plain |")
    assert printed.endswith("| connection refused | observed | observed | observed | observed |")
    assert (table_of_page() == printed) == bool(arguments)


def test_the_page_shows_the_matrix() -> None:
    print("\n" + table(documented()))  # noqa: T201 - shown with -s
    assert table_of_page() == table(documented())
