"""Two profiles laid over one another."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from sdk_workflow.core.flamegraph_difference import (
    difference_to_collapsed,
    difference_to_html,
    difference_to_svg,
)
from sdk_workflow.core.noise_bound import NoiseBound
from sdk_workflow.core.profile_comparison import ProfileComparison, compare
from sdk_workflow.core.stacks import Frame, StackProfile, StackWeight
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from pathlib import Path

MS = 1_000_000
SVG = "{http://www.w3.org/2000/svg}"


def profile_of(samples: int = 1000, **own_ms: int) -> StackProfile:
    """Return a profile of functions that one `main` calls; `a__b` is b called by a."""
    return StackProfile(
        stacks={
            tuple(Frame(name, "/app/mod.py", 1) for name in ("main", *path.split("__"))): (
                StackWeight(ms, ms * MS)
            )
            for path, ms in own_ms.items()
        },
        effective_samples=samples,
    )


BEFORE = profile_of(parse=300, send=500, old__deep=200)
AFTER = profile_of(parse=600, send=500, fresh=5)


def fill_of(svg: str, label: str) -> str:
    for group in ET.fromstring(svg).iter(f"{SVG}g"):  # noqa: S314 - our own drawing
        title, box = group.find(f"{SVG}title"), group.find(f"{SVG}rect")
        assert title is not None
        assert box is not None
        if str(title.text).startswith(label):
            return box.attrib["fill"]
    raise AssertionError(label)


def test_what_grew_is_red_and_what_shrank_is_blue() -> None:
    svg = difference_to_svg(BEFORE, profile_of(parse=700, send=200, old__deep=100), "t")
    assert fill_of(svg, "parse").startswith("hsl(4,")
    assert fill_of(svg, "send").startswith("hsl(214,")


def test_larger_change_has_the_stronger_colour() -> None:
    svg = difference_to_svg(BEFORE, profile_of(parse=700, send=200, old__deep=100), "t")
    assert fill_of(svg, "parse").endswith("55%)")
    assert fill_of(svg, "old").endswith("80%)")


def test_change_that_noise_explains_is_pale() -> None:
    svg = difference_to_svg(BEFORE, profile_of(parse=305, send=495, old__deep=200), "t")
    assert fill_of(svg, "parse") == fill_of(svg, "send") == fill_of(svg, "main")


def test_equal_profiles_are_pale_all_over_and_nothing_is_gone() -> None:
    svg = difference_to_svg(BEFORE, BEFORE, "t")
    assert len({fill_of(svg, name) for name in ("main", "parse", "send", "old")}) == 1
    assert "gone" not in svg


def test_what_vanished_is_listed_once_with_its_callers() -> None:
    svg = difference_to_svg(BEFORE, AFTER, "t")
    gone = [text.text for text in ET.fromstring(svg).iter(f"{SVG}text")][-1]  # noqa: S314
    assert gone == "gone: main (app/mod.py:1) > old (app/mod.py:1) (20.0% before)"
    assert svg.count("gone:") == 1


def test_long_list_of_what_vanished_is_cut_and_says_so() -> None:
    many = profile_of(**{f"f{number}": 10 + number for number in range(30)})
    svg = difference_to_svg(many, profile_of(other=10), "t")
    assert svg.count("gone:") == 20
    assert "and 10 more" in svg
    assert "> f29 " in svg.replace("&gt;", ">")


def test_tip_says_what_share_a_function_had_before_or_that_it_is_new() -> None:
    svg = difference_to_svg(BEFORE, AFTER, "t")
    assert "54.3%, 600.0 ms, 30.0% before (+24.3%)" in svg
    assert "0.5%, 5.0 ms, new" in svg


def test_page_holds_the_difference_as_data() -> None:
    page = difference_to_html(BEFORE, AFTER, "<b>")
    data = page.split('id="data">')[1].split("</script>")[0]
    _, _, _, _, (main,) = json.loads(data)
    assert {child[0]: child[3] for child in main[4]} == {
        "parse (app/mod.py:1)": "30.0% before (+24.3%)",
        "send (app/mod.py:1)": "50.0% before (-4.8%)",
        "fresh (app/mod.py:1)": "new",
    }
    assert "<li>gone: main" in page
    assert "<b>" not in page


def test_collapsed_difference_has_both_counts() -> None:
    lines = difference_to_collapsed(BEFORE, AFTER).splitlines()
    assert "main (app/mod.py:1);parse (app/mod.py:1) 300000 600000" in lines
    assert "main (app/mod.py:1);old (app/mod.py:1);deep (app/mod.py:1) 200000 0" in lines
    assert "main (app/mod.py:1);fresh (app/mod.py:1) 0 5000" in lines


@pytest.mark.parametrize("before", [StackProfile(), BEFORE])
@pytest.mark.parametrize("after", [StackProfile(), AFTER])
def test_empty_profiles_can_be_drawn(before: StackProfile, after: StackProfile) -> None:
    ET.fromstring(difference_to_svg(before, after, "t"))  # noqa: S314 - our own drawing


@pytest.mark.parametrize("suffix", [".html", ".svg", ".collapsed"])
def test_comparison_writes_the_form_of_the_suffix(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"difference{suffix}"
    compare(BEFORE, AFTER).export_flamegraph(path)
    starts = {".html": "<!DOCTYPE html>", ".svg": "<svg ", ".collapsed": "main "}
    assert path.read_text().startswith(starts[suffix])


def test_comparison_refuses_a_form_that_holds_no_difference(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="suffix"):
        compare(BEFORE, AFTER).export_flamegraph(tmp_path / "difference.speedscope.json")


def test_planted_regression_is_the_first_row() -> None:
    doubled = profile_of(parse=600, send=500, old__deep=200)
    assert compare(BEFORE, doubled).changes[0].function == "parse"


def test_noise_bound_grows_with_the_number_of_comparisons_and_falls_with_samples() -> None:
    few, many = profile_of(100, a=1), profile_of(10_000, a=1)
    one = NoiseBound(few, few, comparisons=1).of(0.5, 0.5)
    assert one == pytest.approx(1.96 * (0.5 * 0.5 / 100 * 2) ** 0.5, rel=0.001)
    assert NoiseBound(few, few, comparisons=100).of(0.5, 0.5) > one
    assert NoiseBound(many, many, comparisons=1).of(0.5, 0.5) == pytest.approx(one / 10)


def test_comparison_without_stacks_is_only_a_table() -> None:
    found = ProfileComparison(changes=(), functions_tested=1, samples_before=1, samples_after=1)
    assert "No significant change" in str(found)
