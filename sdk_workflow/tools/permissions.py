"""Who decides whether a tool call may run: the rules of the user, and somebody who can be asked.

Rules keep questions few; the sandbox is the boundary. It runs nothing and shows nothing.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from sdk_workflow._internal.suggest import did_you_mean
from sdk_workflow.exceptions import ToolDenied, UsageError
from sdk_workflow.tools._shell_words import simple_commands

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sdk_workflow.types import ToolCall

__all__ = ["STOPPED", "Answer", "Ask", "PermissionMode", "Permissions", "Rule"]

PermissionMode = Literal["allow", "ask", "deny"]
Answer = Literal["yes", "always", "no", "stop"]
Ask = Callable[["ToolCall"], Answer]
"""Asks somebody about one call; "always" holds for the same call again, "stop" ends the run."""

STOPPED = "stopped_by_user"
"""The code of the one refusal that the model never reads: it ends the run."""

_RULE = re.compile(r"([a-zA-Z0-9_-]{1,64})(?:\((.*)\))?")
# Programs whose operands are programs, or that run what their operands say. No wildcard stands for
# those. The list cannot be complete, which is one reason why rules are no boundary.
_LAUNCHERS = frozenset(
    {"sh", "bash", "dash", "zsh", "ksh", "fish", "csh", "tcsh", "busybox", "env", "xargs", "sudo"}
    | {"doas", "su", "nohup", "setsid", "timeout", "nice", "ionice", "chrt", "taskset", "stdbuf"}
    | {"watch", "parallel", "command", "builtin", "exec", "eval", "source", ".", "trap", "alias"}
    | {"awk", "gawk", "mawk", "nawk", "sed", "ed", "ex", "vi", "vim", "nvim", "emacs", "perl"}
    | {"ruby", "node", "nodejs", "deno", "bun", "php", "lua", "tclsh", "expect", "make", "gmake"}
    | {"ssh", "scp", "rsync", "gdb", "strace", "ltrace", "unshare", "nsenter", "chroot", "script"}
    | {"flock", "find", "tar", "printf", "declare", "typeset", "export", "local", "readonly"}
    | {"enable", "hash", "mapfile", "readarray", "read", "complete", "compgen", "bind", "fc", "set"}
    | {"npx", "uvx", "pipx", "npm", "pip", "dd", "install", "ld.so", "man", "less", "more", "jobs"}
)
_PYTHON = re.compile(r"(?:python|pypy)[0-9.]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A kind of call that may run: one tool, or some commands of `bash`.

    Attributes:
        tool: The tool's name.
        words: The words of the command; None for every call of the tool. "*" stands for one word,
            as the last word for any number of them, and never for an option.
    """

    tool: str
    words: tuple[str, ...] | None = None

    @classmethod
    def parse(cls, text: str) -> Rule:
        """Read a rule: the name of a tool, or `bash(...)` with the words of a command.

        Raises:
            UsageError: If it is neither.

        Example:
            >>> Rule.parse("bash(git log *)").words
            ('git', 'log', '*')
        """
        found = _RULE.fullmatch(text.strip())
        if found is None or (found[2] is not None and found[1] != "bash"):
            raise _malformed(text, "it is neither the name of a tool nor bash(...)")
        if found[2] is None:
            return cls(tool=found[1])
        try:
            commands = simple_commands(found[2], has_wildcards=True)
        except ToolDenied as error:
            raise _malformed(text, error.message) from None
        if len(commands) != 1 or "*" in commands[0][0]:
            raise _malformed(text, "it must name one command")
        return cls(tool="bash", words=tuple(commands[0]))

    def covers(self, words: Sequence[str]) -> bool:
        """Tell whether the words of one simple command are what the rule means."""
        if self.words is None:
            return True
        wanted, *_ = self.words
        if not words or words[0] != wanted:
            return False
        return _match(self.words, words, has_wildcards=not _is_launcher(wanted))


class Permissions:
    """Decides about tool calls, one after the other.

    Args:
        mode: What becomes of a call that no rule covers: "allow" lets everything pass, "ask" asks,
            "deny" refuses.
        rules: What may run in any case.
        ask: Asks about one call; "ask" needs it. It may block.
        hosts: What the `network` tool may reach: names, `*.example.com`, or `*`.

    Attributes:
        hosts: The same.

    Raises:
        UsageError: If the mode is unknown, a rule malformed, or there is nobody to ask.

    Example:
        >>> from sdk_workflow.types import ToolCall
        >>> permissions = Permissions("deny", rules=["bash(git status)"])
        >>> permissions.check(ToolCall(id="1", name="bash", input={"command": "git status"}))
        >>> permissions.check(ToolCall(id="2", name="bash", input={"command": "git push"}))
        Traceback (most recent call last):
            ...
        sdk_workflow.exceptions.ToolDenied: No rule allows this call of tool 'bash'.
    """

    def __init__(
        self,
        mode: PermissionMode = "allow",
        *,
        rules: Iterable[str] = (),
        ask: Ask | None = None,
        hosts: Iterable[str] = (),
    ) -> None:
        modes = get_args(PermissionMode)
        if mode not in modes:
            raise UsageError(
                f"There is no permission mode {mode!r}.",
                hint=did_you_mean(str(mode), modes) or f"Choose one of {', '.join(modes)}.",
            )
        if mode == "ask" and ask is None:
            raise UsageError(
                "permissions='ask' needs somebody who can be asked.",
                code="nobody_to_ask",
                hint="Give a function as ask=..., or choose permissions='deny' with rules.",
            )
        self.hosts = tuple(hosts)
        self._mode = mode
        self._rules = tuple(map(Rule.parse, rules))
        self._ask = ask
        self._asking = threading.Lock()
        self._always: list[tuple[str, object]] = []

    @property
    def may_block(self) -> bool:
        """Whether a decision may take as long as a person takes."""
        return self._mode == "ask"

    def check(self, call: ToolCall) -> None:
        """Return where the call may run; one question at a time.

        Raises:
            ToolDenied: If it may not.
        """
        if self._mode == "allow":
            return
        refusal = self._refusal(call)
        if refusal is None:
            return
        if self._mode == "deny" or self._ask is None:
            raise refusal
        with self._asking:
            self._follow(self._ask, call)

    def _refusal(self, call: ToolCall) -> ToolDenied | None:
        rules = [rule for rule in self._rules if rule.tool == call.name]
        if any(rule.words is None for rule in rules):
            return None
        if rules:
            try:
                commands = simple_commands(str(call.input.get("command", "")))
            except ToolDenied as error:
                return error
            if all(any(rule.covers(words) for rule in rules) for words in commands):
                return None
        return ToolDenied(
            f"No rule allows this call of tool {call.name!r}.",
            code="permission_denied",
            hint="Go on without it, or say what the user would have to allow.",
        )

    def _follow(self, ask: Ask, call: ToolCall) -> None:
        """Ask, unless the very same call was allowed for good while this one waited."""
        same = (call.name, dict(call.input))
        if same in self._always:
            return
        answer = ask(call)
        if answer == "always":
            self._always.append(same)
        elif answer == "stop":
            raise ToolDenied(
                f"The run was stopped at a call of tool {call.name!r}, which was not allowed.",
                code=STOPPED,
                hint="Run it again with rules that allow the call, or with another prompt.",
            )
        elif answer != "yes":
            raise ToolDenied(
                f"The user did not allow this call of tool {call.name!r}.",
                code="permission_denied",
                hint="Go on without it, or ask what to do instead.",
            )


def _match(pattern: Sequence[str], words: Sequence[str], *, has_wildcards: bool) -> bool:
    is_open = has_wildcards and pattern[-1] == "*"
    fixed = pattern[:-1] if is_open else pattern
    if len(words) < len(fixed) or (len(words) > len(fixed) and not is_open):
        return False
    rest = words[len(fixed) :]
    return all(
        _match_word(wanted, word, is_wild=has_wildcards)
        for wanted, word in zip(fixed, words, strict=False)
    ) and not any(word.startswith("-") for word in rest)


def _match_word(wanted: str, word: str, *, is_wild: bool) -> bool:
    if is_wild and wanted == "*":
        return not word.startswith("-")
    return wanted == word


def _is_launcher(program: str) -> bool:
    name = program.rpartition("/")[2]
    return name in _LAUNCHERS or _PYTHON.fullmatch(name) is not None


def _malformed(text: str, reason: str) -> UsageError:
    return UsageError(
        f"{text!r} is no rule of what may run: {reason.removesuffix('.')}.",
        code="malformed_rule",
        hint="Write the name of a tool, or for example bash(git log *).",
    )
