"""How the tests put a bad input to the real session: one scripted model, real tools, real sandbox."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from sdk_workflow.agent.session import AgentSession
from sdk_workflow.core.agent_client import AgentClientManager
from sdk_workflow.events import ToolFinished
from sdk_workflow.tools._launcher import descendants
from sdk_workflow.tools.permissions import Permissions
from sdk_workflow.tools.sandbox import detect_sandbox
from tests.scripted import ScriptedTransport, text_reply, tool_reply

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.events import Event
    from sdk_workflow.types import ToolResult

PLANTED = "planted-secret-4711-of-the-environment"
VARIABLES = (
    *("ANTHROPIC_API_KEY", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "MY_DB_PASSWORD"),
    *("LD_LIBRARY_PATH_X", "PYTHONSTARTUP_X", "GIT_ASKPASS_X"),
)
ANSWER_SECONDS = 5.0


@dataclass(slots=True)
class Agent:
    """A session whose model asks for one call; remembers every text that came out of it."""

    root: Path
    tools: tuple[Any, ...] = ("read", "write", "bash", "network")
    seen: list[str] = field(default_factory=list)

    async def call(
        self,
        tool: str,
        arguments: dict[str, Any],
        *,
        permissions: Permissions | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> ToolResult:
        """Return what the model is told about a call; it must come within `seconds`."""
        results: list[ToolResult] = []

        def note(event: Event) -> None:
            if isinstance(event, ToolFinished):
                results.append(event.result)

        client = AgentClientManager(
            ScriptedTransport(tool_reply((tool, arguments)), text_reply("done"))
        )
        session = AgentSession(
            client,
            model="haiku",
            tools=self.tools,
            working_directory=self.root,
            permissions=permissions,
            sinks=[note],
        )
        async with client, session:
            with anyio.fail_after(seconds):
                answer = await session.message("go")
        assert answer.text == "done"
        (result,) = results
        self.seen.append(result.content)
        return result

    async def refused(self, tool: str, **arguments: Any) -> str:
        """Check that a call is refused with words that help, and return them."""
        result = await self.call(tool, arguments)
        assert result.is_error, result.content
        assert "Traceback" not in result.content
        assert len(result.content) > 20
        return result.content

    async def bash(self, command: str, *, seconds: float = ANSWER_SECONDS, **more: Any) -> str:
        """Return what the model is told of a command, whether it succeeded or not."""
        return (await self.call("bash", {"command": command, **more}, seconds=seconds)).content

    async def is_allowed(self, command: str, *rules: str) -> bool:
        """Tell whether rules let a command of `bash` run; it does not matter what it then does."""
        permissions = Permissions("deny", rules=rules)
        result = await self.call("bash", {"command": command}, permissions=permissions)
        return result.error_code not in {"permission_denied", "unparsable_command"}


def has_sandbox() -> bool:
    """Tell whether commands can be confined here."""
    return sys.platform == "linux" and detect_sandbox().name != "unavailable"


def left_behind() -> dict[int, str]:
    """Return the processes beneath this one, but for what coverage or the test runner started."""
    return {number: name for number, name in descendants(os.getpid()).items() if name != "git"}
