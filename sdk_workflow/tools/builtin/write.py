"""The write tool: one whole file at a time, old or new and never half.

Where a path may lead, and how a file is replaced, is the workspace's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow.exceptions import InvalidToolInput
from sdk_workflow.tools.registry import Tool
from sdk_workflow.types import ToolSpec

if TYPE_CHECKING:
    from sdk_workflow.tools.workspace import Workspace

__all__ = ["WRITE_SPEC", "write_tool"]

WRITE_SPEC = ToolSpec(
    name="write",
    description=(
        "Write a text file: create it, or replace its whole content. Missing folders are created."
    ),
    input_schema={
        "type": "object",
        "properties": {
            "path": {
                "type": "string",
                "minLength": 1,
                "description": "Path relative to the working directory.",
            },
            "content": {"type": "string", "description": "The whole text of the file."},
        },
        "required": ["path", "content"],
        "additionalProperties": False,
    },
)


def write_tool(workspace: Workspace) -> Tool:
    """Return the tool that writes files beneath a workspace."""

    def run(path: str, content: str) -> str:
        data = _encode(content)
        workspace.write(path, data)
        return f"Wrote {len(data)} bytes to {path}"

    # Idempotent as an HTTP PUT is: twice the same whole file. What somebody else wrote to it between
    # a crash and the resumed run is replaced, just as by the same call a moment later.
    return Tool(spec=WRITE_SPEC, run=run, effect="idempotent")


def _encode(content: str) -> bytes:
    try:
        return content.encode()
    except UnicodeEncodeError as error:
        raise InvalidToolInput(
            f"The content holds a lone surrogate, which is no character, at index {error.start}.",
            hint="Write valid Unicode.",
        ) from None
