"""The network tool: one page of a host that the user has opened, as text.

Off unless it is named among the tools, and of no use until `network_hosts` names a host. Where a
request may lead is `web_fetch`'s business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow.exceptions import ToolFailed
from sdk_workflow.tools._text import strip_terminal_codes
from sdk_workflow.tools.registry import Tool
from sdk_workflow.tools.web_fetch import WebFetcher
from sdk_workflow.types import ToolSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk_workflow.tools.web_fetch import Page

__all__ = ["NETWORK_SPEC", "network_tool"]

_TIMEOUT_SECONDS = 30.0
_BAD_STATUS = 400

NETWORK_SPEC = ToolSpec(
    name="network",
    description=(
        "Fetch a page by http or https (GET) and return its text. Only hosts that the user has "
        "allowed can be reached; nothing can be sent."
    ),
    input_schema={
        "type": "object",
        "properties": {
            "url": {"type": "string", "minLength": 1, "description": "The address of the page."}
        },
        "required": ["url"],
        "additionalProperties": False,
    },
)


def network_tool(hosts: Sequence[str], *, fetcher: WebFetcher | None = None) -> Tool:
    """Return the tool that fetches pages.

    Args:
        hosts: The hosts that may be asked, as `WebFetcher` takes them.
        fetcher: What fetches; one of its own by default.
    """
    chosen = fetcher or WebFetcher(hosts=hosts, timeout_seconds=_TIMEOUT_SECONDS)

    async def run(url: str) -> str:
        page = await chosen.fetch(url)
        text = _text_of(page)
        if page.status >= _BAD_STATUS:
            raise ToolFailed(f"{page.url} answered with status {page.status}.\n{text[:2000]}")
        return text

    # The fetcher keeps the time itself; the dispatcher's limit is the safety net.
    return Tool(spec=NETWORK_SPEC, run=run, timeout_seconds=_TIMEOUT_SECONDS * 2, effect="pure")


def _text_of(page: Page) -> str:
    if b"\0" in page.body:
        raise ToolFailed(
            f"{page.url} is no text: {len(page.body):,} bytes of {page.content_type!r}.",
            code="binary_page",
            hint="Fetch a page of text.",
        )
    return strip_terminal_codes(page.body.decode("utf-8", "replace"))
