"""Whatever a file holds, the document has every key, finite numbers and harmless texts."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow.monitor.live_shape import clean_text, live_document, parse_time
from tests.monitor.live_files import NOW, live, time_text

if TYPE_CHECKING:
    from collections.abc import Iterator

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def damaged() -> st.SearchStrategy[Any]:
    """Return documents of which any part may be anything."""
    good = live()
    parts = {
        name: st.one_of(
            st.just(value),
            anything,
            *([_damaged_record(value)] if isinstance(value, dict) else []),
            *([st.lists(_damaged_record(value[0]) | anything)] if _is_rows(value) else []),
        )
        for name, value in good.items()
    }
    return st.fixed_dictionaries({}, optional=parts)


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _damaged_record(record: dict[str, Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {}, optional={name: st.just(value) | anything for name, value in record.items()}
    )


def texts_of(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else []:
        yield from texts_of(inner)
    for inner in value if isinstance(value, list) else []:
        yield from texts_of(inner)


def shape_of(value: object) -> object:
    if isinstance(value, dict):
        return {name: shape_of(inner) for name, inner in value.items()}
    return [shape_of(inner) for inner in value] if isinstance(value, list) else None


def test_a_whole_document_stays_as_it_is() -> None:
    assert live_document(live()) == live()


@given(damaged() | anything)
def test_any_value_becomes_a_document_with_every_key_and_no_control_character(
    value: object,
) -> None:
    document = live_document(value)

    assert set(document) == set(live())
    assert set(document["windows"]["5m"]) == set(live()["windows"]["5m"])
    assert all(text.isprintable() for text in texts_of(document))
    json.dumps(document, allow_nan=False)


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, 10**400, 1e300, True, "12", [1], None]
)
def test_what_is_no_usable_number_is_not_known_and_adds_nothing(value: object) -> None:
    changed = live(uptime_seconds=value, saved_usd=value)

    document = live_document(changed)

    assert (document["uptime_seconds"], document["saved_usd"]) == (None, 0)


def test_an_amount_is_never_negative_and_a_figure_may_be() -> None:
    document = live_document(live(saved_usd=-3.0, uptime_seconds=-3.0))

    assert (document["saved_usd"], document["uptime_seconds"]) == (0, -3.0)


def test_long_texts_are_cut_and_of_many_rows_the_last_are_kept() -> None:
    rows = [{"type": f"error {number}" + "x" * 1000} for number in range(500)]

    errors = live_document(live(errors=rows))["errors"]

    assert [len(errors), len(errors[0]["type"]), errors[-1]["type"][:9]] == [100, 300, "error 499"]


def test_rows_that_are_none_are_left_out() -> None:
    document = live_document(live(tools=[1, None, "x", {"tool": "bash"}]))

    assert [row["tool"] for row in document["tools"]] == ["bash"]


def test_no_budget_is_none_and_a_flag_is_only_what_is_one() -> None:
    without, odd = live_document(live(budget=None)), live_document(live(budget={"is_exhausted": 1}))

    assert without["budget"] is None
    assert odd["budget"]["is_exhausted"] is None
    assert live_document(live(budget={"is_exhausted": True}))["budget"]["is_exhausted"] is True


@pytest.mark.parametrize(
    "text", ["\x1b[2J", "\x9b2J", "\x07", "\r", "\n", "\u202e", "\u2028", "\ud800", "\x00"]
)
def test_what_could_drive_a_terminal_is_replaced(text: str) -> None:
    assert clean_text(f"a{text[0]}b") == "a\N{REPLACEMENT CHARACTER}b"


def test_ordinary_text_of_any_language_stays() -> None:
    assert clean_text("Grüße, 世界 👋 [bold]") == "Grüße, 世界 👋 [bold]"


def test_a_time_is_read_back() -> None:
    assert parse_time(time_text(NOW)) == NOW
    assert parse_time("2026-11-21T10:13:00+01:00") == NOW


@pytest.mark.parametrize(
    "text", [None, "", "soon", "2026-11-21T09:13:00", "0001-01-01T00:00:00+23:59", "Z"]
)
def test_what_is_no_time_with_a_zone_is_not_known(text: str | None) -> None:
    assert parse_time(text) is None
    assert live_document(live(written_at=text))["written_at"] is None
