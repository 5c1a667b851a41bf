"""The built-in tools by name, and how little their modules load."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sdk_workflow.exceptions import UsageError
from sdk_workflow.tools.builtin import BUILTIN_TOOLS, builtin_tools
from sdk_workflow.tools.registry import ToolRegistry
from sdk_workflow.tools.sandbox import UnavailableSandbox

if TYPE_CHECKING:
    from sdk_workflow.tools.workspace import Workspace

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs directory descriptors")

SANDBOX = UnavailableSandbox("a test")


def test_builtin_tools_come_in_the_order_of_the_names_and_once_each(workspace: Workspace) -> None:
    tools = builtin_tools(["bash", "read", "bash"], workspace, sandbox=SANDBOX)
    assert [tool.name for tool in tools] == ["bash", "read"]


def test_every_builtin_tool_can_be_registered(workspace: Workspace) -> None:
    registry = ToolRegistry(builtin_tools(BUILTIN_TOOLS, workspace, sandbox=SANDBOX))
    assert registry.names() == BUILTIN_TOOLS


def test_an_unknown_name_is_refused_with_the_closest_one(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="no built-in tool named 'raed'") as caught:
        builtin_tools(["raed"], workspace, sandbox=SANDBOX)
    expected = "Did you mean 'read'? The built-in tools are: read, write, bash, network."
    assert caught.value.hint == expected
    assert caught.value.code == "unknown_tool"


def test_the_modules_of_the_layer_load_nothing_heavy() -> None:
    program = """
import sys
import sdk_workflow.tools.builtin, sdk_workflow.tools.dispatcher, sdk_workflow.tools.registry
import sdk_workflow.tools.sandbox, sdk_workflow.tools.schema, sdk_workflow.tools.workspace
heavy = {"anyio", "asyncio", "anthropic", "httpx2", "pydantic", "jsonschema_rs", "numpy", "rich",
         "typer", "docstring_parser", "opentelemetry", "ctypes", "fcntl", "resource", "termios"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
