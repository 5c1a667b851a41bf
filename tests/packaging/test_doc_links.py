"""Every relative link of a page leads to a file that exists, and to a heading that it has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from tests.architecture.source_tree import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

PAGES = [*sorted(PROJECT.glob("*.md")), *sorted((PROJECT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^ *(```+).*?^ *\1 *$", flags=re.MULTILINE | re.DOTALL)
_LINK = re.compile(
    r"!?\[[^\]]*\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)|^\[[^\]]+\]: *(\S+)", re.MULTILINE
)
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", flags=re.MULTILINE)
# A page or picture of ours that the text names in backticks.
_NAMED = re.compile(
    r"`((?:docs/)?[\w-]+\.(?:md|png|toml)|(?:docs|scripts|tests|benchmarks)/[\w./-]+\.\w+)`"
)
_SOMEBODY_ELSES = frozenset({"NOTES.md", "sdk_workflow.toml", "config.toml"})


def links(text: str) -> list[str]:
    """Return the targets of a page's links, leaving out its blocks of code."""
    return [first or second for first, second in _LINK.findall(_FENCE.sub("", text))]


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as a renderer makes them."""
    names = (
        re.sub(r"[^\w\- ]", "", title.lower()) for title in _HEADING.findall(_FENCE.sub("", text))
    )
    return {name.replace(" ", "-") for name in names}


def problem(page: Path, target: str) -> str | None:
    """Return what is wrong with a link; None for one that leads somewhere, or off this project."""
    if re.match(r"[a-z][a-z0-9+.-]*:", target):
        return None
    name, _, anchor = unquote(target).partition("#")
    file = (page.parent / name) if name else page
    if not file.exists():
        return f"{page.name}: {target} leads to no file"
    if anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
        return f"{page.name}: {target} leads to no heading"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    found = links(page.read_text(encoding="utf-8"))
    assert [wrong for target in found if (wrong := problem(page, target))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_files_that_a_page_names_exist(page: Path) -> None:
    named = set(_NAMED.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))))
    places = (PROJECT, page.parent, PROJECT / "sdk_workflow")
    missing = {name for name in named if not any((place / name).exists() for place in places)}
    assert missing - _SOMEBODY_ELSES == set()


PAGE = """# Tides & moons

See [the moon](other.md#its-phases "title"), ![a picture](a.png) and [above](#tides--moons).

```md
[not a link](nowhere.md)
```

[ref]: gone.md
"""


def test_links_and_anchors_are_found_outside_of_code() -> None:
    assert links(PAGE) == ["other.md#its-phases", "a.png", "#tides--moons", "gone.md"]
    assert anchors(PAGE) == {"tides--moons"}


@pytest.mark.parametrize(
    ("target", "is_wrong"),
    [
        ("other.md", False),
        ("other.md#its-phases", False),
        ("other.md#its-faces", True),
        ("#tides--moons", False),
        ("#moons", True),
        ("gone.md", True),
        ("https://example.com/x", False),
        ("mailto:a@example.com", False),
    ],
)
def test_a_link_that_leads_nowhere_is_noticed(
    target: str, *, is_wrong: bool, tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    (tmp_path / "other.md").write_text("## Its phases\n", encoding="utf-8")
    assert (problem(page, target) is not None) is is_wrong
