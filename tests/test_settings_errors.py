"""What is wrong with a setting is told with its name, value, place and cure; secrets stay secret."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.config.settings import load_settings, load_settings_with_origins
from sdk_workflow.exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SECRET = "sk-ant-api03 with-a-space-and-more-WXYZ"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path


def _refused(folder: Path, flags: Mapping[str, Any] | None = None, **environ: str) -> ConfigError:
    variables = {"SDK_WORKFLOW_HOME": str(folder / "state"), **environ}
    with pytest.raises(ConfigError) as caught:
        load_settings_with_origins(flags, cwd=folder, environ=variables)
    assert caught.value.code == "invalid_settings"
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("environment", "test", "dev, staging or prod"),
        ("model", "", "the name of a model"),
        ("max_tokens", 0, "a whole number from 1"),
        ("max_tokens", 1.5, "a whole number from 1"),
        ("max_turns", 1001, "a whole number from 1 to 1000"),
        ("max_turns", "many", "a whole number from 1 to 1000"),
        ("max_turns", True, "a whole number from 1 to 1000"),
        ("concurrency", 0, "a whole number from 1 to 1000"),
        ("budget_usd", -1, "a number of dollars from 0 to 1,000,000,000"),
        ("budget_usd", "nan", "a number of dollars from 0 to 1,000,000,000"),
        ("budget_usd", True, "a number of dollars from 0 to 1,000,000,000"),
        ("budget_usd", 1e10, "a number of dollars from 0 to 1,000,000,000"),
        (
            "budget_soft_usd",
            -1,
            "a number of dollars from 0 to 1,000,000,000, not above budget_usd",
        ),
        ("budget_scope", "", "the name of a budget"),
        ("on_exhausted", "stop", "wait, reject or clamp"),
        ("timeout_seconds", 0, "a number of seconds above 0"),
        ("timeout_seconds", "nan", "a number of seconds above 0"),
        ("timeout_seconds", True, "a number of seconds above 0"),
        ("tool_timeout_seconds", float("inf"), "a number of seconds above 0"),
        ("tool_timeout_seconds", -1, "a number of seconds above 0"),
        ("system", 3, "text"),
        ("tools", [""], "names of tools, such as read,bash"),
        ("tools", 3, "names of tools, such as read,bash"),
        ("backend", "openai", "auto, anthropic or simulator"),
        ("sandbox", "on", "required or off"),
        ("base_url", "ftp://host", "an http or https address without a user name in it"),
        ("base_url", "https://", "an http or https address without a user name in it"),
        ("base_url", "api.anthropic.com", "an http or https address without a user name in it"),
        ("base_url", "http://a b", "an http or https address without a user name in it"),
        ("base_url", "http://[::1", "an http or https address without a user name in it"),
        ("home", 3, "a folder"),
        ("home", "~nobody-of-that-name/x", "a folder"),
    ],
)
def test_an_invalid_value_is_told_with_name_value_and_place(
    folder: Path, name: str, value: object, expected: str
) -> None:
    error = _refused(folder, {name: value})
    place = "--" + name.replace("_", "-")
    assert error.message == f"{name} = {value!r} ({place}) is not {expected}."


@pytest.mark.parametrize(("name", "value"), [("max_turns", 1), ("max_turns", 1000)])
def test_the_limits_themselves_are_valid(folder: Path, name: str, value: int) -> None:
    environ = {"SDK_WORKFLOW_HOME": str(folder)}
    assert getattr(load_settings({name: value}, cwd=folder, environ=environ), name) == value


def test_the_hint_says_what_would_be_right(folder: Path) -> None:
    error = _refused(folder, SDK_WORKFLOW_MAX_TURNS="many")
    assert "environment variable SDK_WORKFLOW_MAX_TURNS" in error.message
    assert error.hint == "Set max_turns to a whole number from 1 to 1000, or remove it."


def test_the_hint_suggests_the_closest_choice(folder: Path) -> None:
    assert _refused(folder, {"backend": "simulater"}).hint == "Did you mean 'simulator'?"


def test_a_long_value_is_cut(folder: Path) -> None:
    error = _refused(folder, {"base_url": "x" * 5000})
    assert len(error.message) < 250
    assert "..." in error.message


@pytest.mark.parametrize(
    ("file", "text", "message", "hint"),
    [
        ("sdk_workflow.toml", "max_turn = 3\n", "'max_turn' in sdk_workflow.toml", "'max_turns'"),
        (
            "sdk_workflow.toml",
            "[env.prod]\nmodle = 'x'\n",
            "'modle' in sdk_workflow.toml [env.prod]",
            "'model'",
        ),
        (
            "pyproject.toml",
            "[tool.sdk_workflow]\ntool = []\n",
            "'tool' in pyproject.toml [tool.sdk_workflow]",
            "'tools'",
        ),
        ("state/config.toml", "colour = 3\n", "'colour' in", "Remove it."),
        (".env", "\nSDK_WORKFLOW_MODLE=x\n", "SDK_WORKFLOW_MODLE in .env line 2", "_MODEL'?"),
    ],
)
def test_an_unknown_name_in_a_file_is_an_error(
    folder: Path, file: str, text: str, message: str, hint: str
) -> None:
    (folder / file).write_text(text, encoding="utf-8")
    error = _refused(folder)
    assert error.message.startswith(message)
    assert error.message.endswith("is not a setting.")
    assert hint in error.hint


def test_an_unknown_variable_is_an_error(folder: Path) -> None:
    error = _refused(folder, SDK_WORKFLOW_MAX_TURN="3")
    assert error.message == "The environment variable SDK_WORKFLOW_MAX_TURN is not a setting."
    assert error.hint == "Did you mean 'SDK_WORKFLOW_MAX_TURNS'?"
    assert _refused(folder, SDK_WORKFLOW_ZZZ="3").hint == "Remove it."


def test_an_unknown_flag_is_an_error(folder: Path) -> None:
    error = _refused(folder, {"modell": "x"})
    assert error.message == "The flag --modell is not a setting."
    assert error.hint == "Did you mean 'model'?"


@pytest.mark.parametrize(
    ("file", "text", "message", "hint"),
    [
        ("sdk_workflow.toml", "home = '/x'\n", "'home' cannot be set in", "SDK_WORKFLOW_HOME"),
        (
            "sdk_workflow.toml",
            "[env.dev]\nenvironment = 'prod'\n",
            "'environment' cannot be set in sdk_workflow.toml [env.dev]",
            "outside of the overlays",
        ),
        (
            "sdk_workflow.toml",
            "[env.production]\nmodel = 'x'\n",
            "sdk_workflow.toml [env.production] is for an environment that does not exist",
            "[env.prod]",
        ),
        ("sdk_workflow.toml", "env = 3\n", "`env` in sdk_workflow.toml", "[env.dev]"),
        ("sdk_workflow.toml", "[env]\nprod = 3\n", "`env` in sdk_workflow.toml", "[env.dev]"),
        ("pyproject.toml", "[tool]\nsdk_workflow = 3\n", "tool.sdk_workflow in", "below a line"),
    ],
)
def test_a_setting_in_the_wrong_place_is_an_error(
    folder: Path, file: str, text: str, message: str, hint: str
) -> None:
    (folder / file).write_text(text, encoding="utf-8")
    error = _refused(folder)
    assert error.message.startswith(message)
    assert hint in error.hint


@pytest.mark.parametrize("file", ["sdk_workflow.toml", "state/config.toml"])
def test_malformed_toml_is_told_with_its_line(folder: Path, file: str) -> None:
    (folder / file).write_text("model = 'x'\nmax_turns = \n", encoding="utf-8")
    error = _refused(folder)
    assert f"{folder / file} is not valid TOML" in error.message
    assert "line 2" in error.message


def test_a_malformed_pyproject_toml_that_names_us_is_told(folder: Path) -> None:
    (folder / "pyproject.toml").write_text("[tool.sdk_workflow\n", encoding="utf-8")
    assert "line 1" in _refused(folder).message


def test_malformed_dot_env_is_told_with_its_line_but_not_its_text(folder: Path) -> None:
    (folder / ".env").write_text(f"A=1\nANTHROPIC_API_KEY='{SECRET}\nB=2\n", encoding="utf-8")
    error = _refused(folder)
    assert error.message == f"{folder / '.env'} line 2 cannot be read as NAME=value."
    assert "quote" in error.hint


def test_dot_env_that_is_not_text_is_told_with_its_line(folder: Path) -> None:
    (folder / ".env").write_bytes(b"A=1\n\nB=\xff\xfe\n")
    assert _refused(folder).message == f"{folder / '.env'} line 3 is not UTF-8 text."


@pytest.mark.parametrize(
    "file", [".env", "sdk_workflow.toml", "pyproject.toml", "state/config.toml"]
)
def test_a_file_that_cannot_be_read_is_told(folder: Path, file: str) -> None:
    (folder / file).mkdir()
    error = _refused(folder)
    assert error.message == f"{folder / file} cannot be read: Is a directory."


def test_several_problems_are_told_at_once_each_with_its_cure(folder: Path) -> None:
    (folder / ".env").write_text("=\nSDK_WORKFLOW_MODLE=x\n", encoding="utf-8")
    (folder / "sdk_workflow.toml").write_text("concurrency = 0\nmax_turn = 3\n", encoding="utf-8")
    (folder / "state" / "config.toml").write_text("oops", encoding="utf-8")
    error = _refused(folder, {"sandbox": "of", "colour": 1})
    lines = error.message.splitlines()
    assert lines[0] == "7 settings need mending:"
    assert [line for line in lines if "--sandbox" in line] == [
        "- sandbox = 'of' (--sandbox) is not required or off. Did you mean 'off'?"
    ]
    for part in (
        "--colour",
        ".env line 1",
        "SDK_WORKFLOW_MODLE in .env line 2",
        "concurrency = 0 (sdk_workflow.toml)",
        "'max_turn' in sdk_workflow.toml",
        "config.toml is not valid TOML",
    ):
        assert part in error.message


def test_a_weaker_source_may_be_wrong_about_what_a_stronger_one_says(folder: Path) -> None:
    (folder / "sdk_workflow.toml").write_text("concurrency = 0\n", encoding="utf-8")
    environ = {"SDK_WORKFLOW_HOME": str(folder)}
    assert load_settings({"concurrency": 2}, cwd=folder, environ=environ).concurrency == 2


@pytest.mark.parametrize("variable", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
def test_a_malformed_secret_is_masked_everywhere(folder: Path, variable: str) -> None:
    error = _refused(folder, None, **{variable: SECRET})
    told = "".join(traceback.format_exception(error)) + error.hint
    assert "****WXYZ (environment variable " + variable in told
    assert SECRET not in told
    assert SECRET[:12] not in told
    assert error.__cause__ is None


@pytest.mark.parametrize("secret", ["a\nb", "caf\u00e9", "a b"])
def test_a_secret_must_fit_into_a_header(folder: Path, secret: str) -> None:
    error = _refused(folder, {"api_key": secret})
    rule = "one line of printable ASCII characters without spaces"
    assert error.message == f"api_key = **** (--api-key) is not {rule}."


def test_space_around_a_secret_is_dropped(folder: Path) -> None:
    environ = {"SDK_WORKFLOW_HOME": str(folder), "ANTHROPIC_API_KEY": " sk-key\n"}
    key = load_settings(cwd=folder, environ=environ).api_key
    assert key is not None
    assert key.get_secret_value() == "sk-key"


def test_a_password_in_the_address_is_refused_and_not_shown(folder: Path) -> None:
    error = _refused(folder, ANTHROPIC_BASE_URL="https://me:hunter2@host/v1")
    assert "'https://****@host/v1'" in error.message
    assert "hunter2" not in "".join(traceback.format_exception(error))


def test_a_soft_limit_above_the_hard_one_is_refused(folder: Path) -> None:
    error = _refused(folder, {"budget_usd": 1, "budget_soft_usd": 1.5})
    assert "not above budget_usd" in str(error)


def test_a_soft_limit_up_to_the_hard_one_or_alone_is_fine(folder: Path) -> None:
    for flags in ({"budget_usd": 1, "budget_soft_usd": 1}, {"budget_soft_usd": 7}):
        settings = load_settings(flags, cwd=folder, environ={})
        assert settings.budget_soft_usd == flags["budget_soft_usd"]
