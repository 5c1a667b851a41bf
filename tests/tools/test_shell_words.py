"""The part of the shell's grammar that rules can be compared with, and that it is bash's own."""

from __future__ import annotations

import shlex
import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdk_workflow.exceptions import ToolDenied
from sdk_workflow.tools._shell_words import MAX_COMMANDS, simple_commands
from sdk_workflow.tools.permissions import Rule

BASH = shutil.which("bash")

# Bash calls this for every command that it cannot find, and here it finds none but its own.
_RECORDER = r"""
command_not_found_handle() { local IFS=$'\x1f'; printf '%s\x1e' "$*" >&9; }
PATH=/nowhere
while IFS= read -r -d '' line; do eval "$line" < /dev/null > /dev/null 2>&1; printf '\x1d' >&9; done
"""

# What a shell gives a meaning, more often than chance would; each command begins with an unknown name.
_MEANINGFUL = (
    " \t;|&<>()$`'\"\\\n\r*?[]{}~!#^%=+-@:,./\u00a0\x0b\x7f",
    "&& || |& ;; $( <( << ${IFS}",
)
_WORDS = ("xa", "xb", "x=1", "time", "if", "{", "}", "-c", "''", '""', "$'\\n'", "; xa", "&& xb")
_PIECES = st.sampled_from([*_MEANINGFUL[0], *_MEANINGFUL[1].split(), *_WORDS])
_TAILS = st.lists(_PIECES | st.text(max_size=3), max_size=12).map("".join)
_COMMANDS = _TAILS.map(lambda tail: f"xcommand {tail}").filter(lambda text: "\0" not in text)


def accepted(command: str) -> list[list[str]] | None:
    try:
        command.encode()
        return simple_commands(command)
    except (ToolDenied, UnicodeEncodeError):
        return None


def run_by_bash(commands: list[str]) -> list[list[list[str]]]:
    """Return the words of every command that bash tried to run, for each command line."""
    assert BASH is not None
    feed = b"".join(command.encode() + b"\0" for command in commands)
    done = subprocess.run(
        [BASH, "--norc", "--noprofile", "-c", f"exec 9>&1; {_RECORDER}"],
        input=feed,
        capture_output=True,
        check=False,
        timeout=50,
        env={},
    )
    lines = done.stdout.decode().split("\x1d")[:-1]
    return [[each.split("\x1f") for each in line.split("\x1e")[:-1]] for line in lines]


@pytest.mark.skipif(BASH is None, reason="there is no bash")
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(st.lists(_COMMANDS, min_size=40, max_size=40))
def test_bash_runs_what_was_read_and_nothing_else(commands: list[str]) -> None:
    """Each line that is accepted is run by bash, which tells the words of every command."""
    read = [(each, words) for each in commands if (words := accepted(each)) is not None]
    # Bash's own names would run instead of being told: no word after an operator is one.
    told = [(each, words) for each, words in read if all(w[0].startswith("x") for w in words)]
    ran = run_by_bash([each for each, _ in told])
    assert len(ran) == len(told)
    for (command, words), really in zip(told, ran, strict=True):
        if "||" in command:  # what stands behind runs only after a failure, and none fails
            assert all(each in words for each in really), command
        else:
            assert sorted(really) == sorted(words), command


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\0'", exclude_categories=["Cs"]), min_size=1),
        min_size=1,
    )
)
def test_quoted_words_come_back_as_they_are(words: list[str]) -> None:
    command = " ".join(f"'{word}'" for word in ["name", *words])
    if any(ord(each) < 32 and each != "\t" for word in words for each in word):
        assert accepted(command) is None
    else:
        assert accepted(command) == [["name", *words]]


@given(_COMMANDS)
def test_no_line_passes_a_rule_unless_every_command_of_it_does(command: str) -> None:
    rule = Rule.parse("bash(xcommand *)")
    words = accepted(command)
    if words is not None and all(rule.covers(each) for each in words):
        assert {each[0] for each in words} == {"xcommand"}
        assert not any(word.startswith("-") for each in words for word in each)
        shlex.split(command)  # at the least, its quotes are closed


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("ls", [["ls"]]),
        ("ls -la  \t a/b.c", [["ls", "-la", "a/b.c"]]),
        ("a 'b c'\"d e\"f '' \"\"", [["a", "b cd ef", "", ""]]),
        ("a 'x;y' \"x|y\" '$HOME `id`'", [["a", "x;y", "x|y", "$HOME `id`"]]),
        ("a;b&&c||d|e", [["a"], ["b"], ["c"], ["d"], ["e"]]),
        ("env A=b c", [["env", "A=b", "c"]]),
        ("echo '\u2603'", [["echo", "\u2603"]]),
    ],
)
def test_plain_command_lines_are_read(command: str, expected: list[list[str]]) -> None:
    assert simple_commands(command) == expected


@pytest.mark.parametrize(
    "command",
    [
        *("", " ", ";", "a;", ";a", "a;;b", "a & b", "a |& b", "a &&", "a && && b", "a\nb", "a\rb"),
        *("a > b", "a < b", "a 2>&1", "a << x", "$a", "a $b", 'a "$b"', "a `b`", 'a "`b`"'),
        *("a $(b)", "<(a)", "(a)", "{ a; }", "a {b,c}", "a *", "a ?", "a [b]", "a ~", "a #b"),
        *("! a", "a \\b", 'a "\\b"', "a 'b", 'a "b', "A=b c", "A=b", "'A=b' c", "if a; then b"),
        *(
            "time a",
            "while a",
            "'time' a",
            "a; fi",
            "'' a",
            '"" a',
            "a\x0bb",
            "a\x7f",
            "a \u00a0 b",
        ),
        *('a "b!c"', "[ a ]", "[[ a ]]", "((a))", "function a", "coproc a", "a^b", "\u2603"),
    ],
)
def test_everything_else_is_refused_with_a_reason(command: str) -> None:
    with pytest.raises(ToolDenied, match="cannot be compared with the rules") as caught:
        simple_commands(command)
    assert caught.value.code == "unparsable_command"


def test_the_number_of_commands_is_bounded() -> None:
    assert len(simple_commands(";".join(["a"] * MAX_COMMANDS))) == MAX_COMMANDS
    with pytest.raises(ToolDenied, match="joins more than 50"):
        simple_commands(";".join(["a"] * (MAX_COMMANDS + 1)))


def test_a_star_is_a_character_in_rules_only() -> None:
    assert simple_commands("git log *", has_wildcards=True) == [["git", "log", "*"]]
    with pytest.raises(ToolDenied):
        simple_commands("git log *")
