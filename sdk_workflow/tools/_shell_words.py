"""Reads a command line as the simple commands that bash would run, or refuses to.

A small part of the shell's grammar: words, quotes, and the operators `;`, `&&`, `||` and `|`. All that
could run, write or expand something else (substitutions, redirections, globs, assignments, reserved
words, `&`, backslashes, line ends) is refused rather than understood: what it returns is what runs.
"""

from __future__ import annotations

import re

from sdk_workflow.exceptions import ToolDenied

MAX_COMMANDS = 50

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
_PLAIN_OR_WILD = re.compile(r"[A-Za-z0-9_@%+=:,./*-]+")
_SINGLE = re.compile(r"'([^']*)'")
_DOUBLE = re.compile(r'"([^"$`\\!]*)"')
_OPERATOR = re.compile(r"&&|\|\||[;|]")
_BLANK = re.compile(r"[ \t]+")

# Words that begin a compound command where a command's name is expected, quoted or not.
_RESERVED = frozenset(
    {"if", "then", "else", "elif", "fi", "case", "esac", "for", "select", "while", "until", "do"}
    | {"done", "in", "function", "time", "coproc"}
)


def simple_commands(command: str, *, has_wildcards: bool = False) -> list[list[str]]:
    """Return the words of each simple command of a command line, in their order.

    Args:
        command: The command line.
        has_wildcards: Whether "*" is a character like others, as in the rules about commands.

    Raises:
        ToolDenied: If the line holds anything that is not plain words and simple operators
            (`unparsable_command`).

    Example:
        >>> simple_commands("git status && ls -l 'a b' | wc -l")
        [['git', 'status'], ['ls', '-l', 'a b'], ['wc', '-l']]
    """
    for character in command:
        if ord(character) < ord(" ") and character != "\t":
            raise _refused(f"it holds the control character U+{ord(character):04X}")
    plain = _PLAIN_OR_WILD if has_wildcards else _PLAIN
    commands: list[list[str]] = [[]]
    at = 0
    while at < len(command):
        blank = _BLANK.match(command, at)
        operator = _OPERATOR.match(command, at)
        if blank:
            at = blank.end()
        elif operator:
            commands.append([])
            at = operator.end()
        else:
            word, at = _word(command, at, plain)
            commands[-1].append(word)
        if len(commands) > MAX_COMMANDS:
            raise _refused(f"it joins more than {MAX_COMMANDS} commands")
    for words in commands:
        _check_name(words)
    return commands


def _word(command: str, at: int, plain: re.Pattern[str]) -> tuple[str, int]:
    """Return the word that starts at an index, and the index behind it."""
    pieces: list[str] = []
    while at < len(command):
        found = next(
            (match for kind in (plain, _SINGLE, _DOUBLE) if (match := kind.match(command, at))),
            None,
        )
        if found is not None:
            pieces.append(found[found.lastindex or 0])
            at = found.end()
        elif _BLANK.match(command, at) or _OPERATOR.match(command, at):
            break
        else:
            raise _refused(f"its part {command[at : at + 20]!r} is more than a plain word")
    return "".join(pieces), at


def _check_name(words: list[str]) -> None:
    if not words:
        raise _refused("a command is missing beside an operator, or there is none")
    name = words[0]
    if not name or "=" in name:
        raise _refused(f"{name!r} is no plain name of a program")
    if name in _RESERVED:
        raise _refused(f"{name!r} begins a compound command")


def _refused(reason: str) -> ToolDenied:
    return ToolDenied(
        f"The command cannot be compared with the rules of what may run: {reason}.",
        code="unparsable_command",
        hint="Use plain words, quotes, and ';', '&&', '||' or '|' between commands.",
    )
