"""Asks the user about one tool call on the terminal: what it is, and whether it may run."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from sdk_workflow._internal.redaction import redact_text
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from sdk_workflow.cli.arguments import ExecutionArgs
    from sdk_workflow.cli.console import Console
    from sdk_workflow.config.settings import Settings
    from sdk_workflow.tools.permissions import Answer
    from sdk_workflow.types import ToolCall

__all__ = ["PermissionPrompt", "check_permissions"]

_ANSWERS: dict[str, Answer] = {
    "y": "yes",
    "yes": "yes",
    "a": "always",
    "always": "always",
    "n": "no",
    "no": "no",
    "q": "stop",
    "quit": "stop",
}
_CHOICES = "Allow it? [y]es, [a]lways this call, [n]o, [q]uit the run: "


class PermissionPrompt:
    """Asks on stderr and reads the answer from the terminal.

    Whoever ends the input ends the run: nobody is left who could be asked.

    Args:
        console: Where the question goes.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    def __call__(self, call: ToolCall) -> Answer:
        """Return what the user decided about a call; anything unclear is asked again."""
        self._console.problem(f"The model wants to call {call.name}:\n{_described(call)}")
        while True:
            self._console.problem(_CHOICES)
            line = sys.stdin.readline() if sys.stdin is not None else ""
            if not line:
                return "stop"
            answer = _ANSWERS.get(line.strip().lower())
            if answer is not None:
                return answer


def check_permissions(args: ExecutionArgs, settings: Settings) -> None:
    """Refuse what cannot work: a question without a terminal, rules that nothing looks at.

    Raises:
        UsageError: If so.
    """
    if settings.permissions == "allow" and "allow" in args.flags:
        raise UsageError(
            "--allow goes with --permissions ask or deny: every call may run as it is.",
            hint="Add --permissions deny, or leave --allow out.",
        )
    if settings.permissions != "ask":
        return
    if args.input_file is not None:
        raise UsageError(
            "--input goes without --permissions ask: nobody can answer for many prompts at once.",
            hint="Use --permissions deny, with --allow for what may run.",
        )
    if not _is_terminal():
        raise UsageError(
            "--permissions ask needs a terminal, and standard input or standard error is none.",
            code="nobody_to_ask",
            hint="Use --permissions deny, with --allow for what may run.",
        )


def _is_terminal() -> bool:
    streams = (sys.stdin, sys.stderr)
    return all(stream is not None and stream.isatty() for stream in streams)


def _described(call: ToolCall) -> str:
    """Return a call in full: what is not shown could not be allowed knowingly."""
    if call.name == "bash" and isinstance(call.input.get("command"), str):
        text = str(call.input["command"])
        others = {name: value for name, value in call.input.items() if name != "command"}
        text += f"\n{json.dumps(others, ensure_ascii=False)}" if others else ""
    else:
        text = json.dumps(dict(call.input), ensure_ascii=False, indent=2, default=str)
    return "\n".join(f"    {line}" for line in redact_text(text, personal=True).split("\n"))
