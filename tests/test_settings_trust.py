from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sdk_workflow.config import trust
from sdk_workflow.config.settings import Settings, load_settings
from sdk_workflow.config.sources import Origin, Sourced
from sdk_workflow.exceptions import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-ant-of-the-user-0000"
URL = "http://127.0.0.1:1"


@pytest.mark.parametrize("name", ["sdk_workflow.toml", ".env"])
def test_folder_cannot_send_the_users_key_elsewhere(tmp_path: Path, name: str) -> None:
    line = f'base_url = "{URL}"' if name.endswith("toml") else f"ANTHROPIC_BASE_URL={URL}"
    (tmp_path / name).write_text(line)

    with pytest.raises(ConfigError, match="would send a key") as caught:
        load_settings(cwd=tmp_path, environ={"ANTHROPIC_API_KEY": KEY})

    assert KEY not in str(caught.value)


def test_folder_may_choose_the_address_for_a_key_that_it_brings(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"ANTHROPIC_BASE_URL={URL}\nANTHROPIC_API_KEY={KEY}\n")

    assert load_settings(cwd=tmp_path, environ={}).base_url == URL


def test_folder_may_choose_the_address_where_there_is_no_key(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"ANTHROPIC_BASE_URL={URL}\n")

    assert load_settings(cwd=tmp_path, environ={}).base_url == URL


def test_user_may_choose_any_address(tmp_path: Path) -> None:
    environ = {"ANTHROPIC_BASE_URL": URL, "ANTHROPIC_API_KEY": KEY}

    assert load_settings(cwd=tmp_path, environ=environ).base_url == URL


def test_folder_cannot_switch_the_sandbox_off(tmp_path: Path) -> None:
    (tmp_path / "sdk_workflow.toml").write_text('sandbox = "off"')

    with pytest.raises(ConfigError, match="without confinement"):
        load_settings(cwd=tmp_path, environ={})
    assert load_settings(cwd=tmp_path, environ={"SDK_WORKFLOW_SANDBOX": "off"}).sandbox == "off"


@pytest.mark.parametrize("name", ["cache_dir", "embedding_model"])
@pytest.mark.parametrize("file", ["sdk_workflow.toml", ".env"])
def test_folder_cannot_bring_the_answers_of_a_cache(tmp_path: Path, name: str, file: str) -> None:
    variable = f"SDK_WORKFLOW_{name.upper()}"
    is_toml = file.endswith("toml")
    (tmp_path / file).write_text(f'{name} = "here"' if is_toml else f"{variable}=here")

    with pytest.raises(ConfigError, match="what this folder brought"):
        load_settings(cwd=tmp_path, environ={})
    (tmp_path / file).unlink()
    assert str(getattr(load_settings(cwd=tmp_path, environ={variable: "x"}), name)) == "x"


def test_folder_may_ask_for_the_sandbox(tmp_path: Path) -> None:
    (tmp_path / "sdk_workflow.toml").write_text('sandbox = "required"')

    assert load_settings(cwd=tmp_path, environ={}).sandbox == "required"


def test_folder_cannot_move_the_state_folder_and_speak_as_the_user(tmp_path: Path) -> None:
    evil = tmp_path / ".evil"
    evil.mkdir()
    (evil / "config.toml").write_text(f'base_url = "{URL}"\nsandbox = "off"\n')
    (tmp_path / ".env").write_text("SDK_WORKFLOW_HOME=.evil\n")

    with pytest.raises(ConfigError, match=r"home .* would move"):
        load_settings(cwd=tmp_path, environ={"ANTHROPIC_API_KEY": KEY})


@pytest.mark.parametrize(
    "line",
    [
        'tools = ["read", "bash"]',
        'tools = ["write"]',
        'tools = ["network"]',
        'tools = "read,bash"',
        'permissions = "allow"',
        'permissions = "ask"',
        'allow = ["bash"]',
        'network_hosts = ["*"]',
        'sandbox = "off"',
        'home = "here"',
    ],
)
@pytest.mark.parametrize("place", ["toml", "overlay", "pyproject", "dotenv"])
def test_folder_cannot_widen_what_an_agent_may_do(tmp_path: Path, place: str, line: str) -> None:
    write_line(tmp_path, place, line)

    with pytest.raises(ConfigError, match=line.split(" ", maxsplit=1)[0]) as caught:
        load_settings(cwd=tmp_path, environ={})

    assert caught.value.code == "invalid_settings"


def write_line(folder: Path, place: str, line: str) -> None:
    name, _, value = line.partition(" = ")
    plain = ",".join(part.strip(' "') for part in value.strip("[]").split(","))
    lines = {
        "toml": ("sdk_workflow.toml", line),
        "overlay": ("sdk_workflow.toml", f"[env.dev]\n{line}"),
        "pyproject": ("pyproject.toml", f"[tool.sdk_workflow]\n{line}"),
        "dotenv": (".env", f"SDK_WORKFLOW_{name.upper()}={plain}"),
    }
    file, text = lines[place]
    (folder / file).write_text(text)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('tools = ["read"]', ("read",)),
        ("tools = []", ()),
        ('permissions = "deny"', "deny"),
        ('system = "Be kind."', "Be kind."),
        ("max_turns = 3", 3),
        ('model = "haiku"', "haiku"),
    ],
)
def test_folder_may_say_what_a_project_needs(tmp_path: Path, line: str, value: object) -> None:
    write_line(tmp_path, "toml", line)

    assert getattr(load_settings(cwd=tmp_path, environ={}), line.split(" ", maxsplit=1)[0]) == value


def test_folder_cannot_undo_what_the_user_denied(tmp_path: Path) -> None:
    write_line(tmp_path, "toml", 'permissions = "ask"')

    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text('permissions = "deny"')

    with pytest.raises(ConfigError, match="a folder may say deny"):
        load_settings(cwd=tmp_path, environ={"SDK_WORKFLOW_HOME": str(home)})


def test_every_setting_that_nobody_thought_of_is_the_users_own() -> None:
    decided = {*trust._FREE, *trust._STRICT_VALUES, *trust._DANGERS}
    assert set(Settings.model_fields) == decided
    origin = Origin(kind="project", location="sdk_workflow.toml")
    found = list(trust.overreaching({"brand_new": Sourced(value=1, origin=origin)}))
    assert [problem.what for problem in found] == [
        "brand_new (sdk_workflow.toml) is for the user to decide, not for a folder."
    ]


def test_tools_that_are_no_names_are_left_to_validation(tmp_path: Path) -> None:
    (tmp_path / "sdk_workflow.toml").write_text("tools = 3")

    with pytest.raises(ConfigError, match="is not names of tools"):
        load_settings(cwd=tmp_path, environ={})


@pytest.fixture
def home_with_limit(tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text("budget_usd = 5")
    return {"SDK_WORKFLOW_HOME": str(home)}


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("sdk_workflow.toml", "budget_usd = 5.01"),
        (".env", "SDK_WORKFLOW_BUDGET_USD=6"),
        ("sdk_workflow.toml", 'budget_scope = "fresh"'),
    ],
)
def test_folder_cannot_go_around_the_users_limit(
    tmp_path: Path, home_with_limit: dict[str, str], file: str, line: str
) -> None:
    (tmp_path / file).write_text(line)

    with pytest.raises(ConfigError, match="go around your own limit"):
        load_settings(cwd=tmp_path, environ=home_with_limit)


def test_folder_may_lower_the_users_limit(tmp_path: Path, home_with_limit: dict[str, str]) -> None:
    (tmp_path / "sdk_workflow.toml").write_text("budget_usd = 4")

    assert load_settings(cwd=tmp_path, environ=home_with_limit).budget_usd == 4


def test_folder_may_set_a_limit_where_the_user_has_none(tmp_path: Path) -> None:
    (tmp_path / "sdk_workflow.toml").write_text('budget_usd = 4\nbudget_scope = "here"')

    settings = load_settings(cwd=tmp_path, environ={})
    assert (settings.budget_usd, settings.budget_scope) == (4, "here")


def test_a_limit_of_the_folder_that_is_none_is_named_as_such(
    tmp_path: Path, home_with_limit: dict[str, str]
) -> None:
    (tmp_path / "sdk_workflow.toml").write_text('budget_usd = "much"')

    with pytest.raises(ConfigError, match="is not a number of dollars"):
        load_settings(cwd=tmp_path, environ=home_with_limit)
