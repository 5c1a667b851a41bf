"""Settings: precedence, origins, overlays and secrets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr, ValidationError

from sdk_workflow.config.settings import (
    Settings,
    load_settings,
    load_settings_with_origins,
    mask,
)

if TYPE_CHECKING:

    from sdk_workflow.config.settings import LoadedSettings

LONG_KEY = "sk-ant-api03-aaaaaaaaaaaaaaaaaaaaaaaaaaaa-WXYZ"


class Project:
    """A project folder and a state folder to write files into."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "project"
        self.home = root / "state"
        self.folder.mkdir()
        self.home.mkdir()
        self.environ: dict[str, str] = {"SDK_WORKFLOW_HOME": str(self.home)}

    def write(self, name: str, text: str) -> None:
        path = self.home / name if name == "config.toml" else self.folder / name
        path.write_text(text, encoding="utf-8")

    def load(self, **flags: Any) -> LoadedSettings:
        return load_settings_with_origins(flags, cwd=self.folder, environ=self.environ)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_defaults_hold_when_nothing_is_set(project: Project) -> None:
    settings = project.load().settings
    assert settings.model_dump(exclude={"home"}) == {
        "environment": "dev",
        "model": "claude-sonnet-5-5",
        "max_tokens": 4096,
        "max_turns": 25,
        "timeout_seconds": None,
        "system": None,
        "tools": (),
        "backend": "auto",
        "concurrency": 8,
        "tool_timeout_seconds": 120.0,
        "max_retries": 4,
        "request_timeout_seconds": 600.0,
        "connect_timeout_seconds": 5.0,
        "first_token_timeout_seconds": 120.0,
        "idle_timeout_seconds": 60.0,
        "fallback_models": (),
        "fallback_to_simulator": False,
        "cache_mode": "exact",
        "prompt_cache": True,
        "cache_dir": None,
        "cache_ttl_seconds": 3600,
        "cache_max_entries": 1000,
        "similarity_threshold": 0.95,
        "budget_usd": None,
        "budget_soft_usd": None,
        "budget_scope": "default",
        "on_exhausted": "wait",
        "monitor": True,
        "log_level": "INFO",
        "embedding_model": "auto",
        "sandbox": "required",
        "permissions": "allow",
        "allow": (),
        "network_hosts": (),
        "api_key": None,
        "auth_token": None,
        "base_url": None,
    }
    assert settings.home == project.home


def test_each_source_gives_way_to_the_one_above(project: Project) -> None:
    project.write("config.toml", "max_turns = 2\n")
    assert _turns(project.load()) == (2, str(project.home / "config.toml"))
    project.write("pyproject.toml", "[tool.sdk_workflow]\nmax_turns = 3\n")
    assert _turns(project.load()) == (3, "pyproject.toml [tool.sdk_workflow]")
    project.write("sdk_workflow.toml", "max_turns = 4\n")
    assert _turns(project.load()) == (4, "sdk_workflow.toml")
    project.write(".env", "# mine\n\nexport SDK_WORKFLOW_MAX_TURNS='5'\n")
    assert _turns(project.load()) == (5, ".env line 3")
    project.environ["SDK_WORKFLOW_MAX_TURNS"] = "6"
    assert _turns(project.load()) == (6, "environment variable SDK_WORKFLOW_MAX_TURNS")
    assert _turns(project.load(max_turns=7)) == (7, "--max-turns")
    assert _turns(project.load(max_turns=None))[0] == 6


def _turns(loaded: LoadedSettings) -> tuple[int, str]:
    return loaded.settings.max_turns, loaded.origins["max_turns"].location


def test_origins_tell_the_kind_of_every_source(project: Project) -> None:
    project.write("config.toml", "max_turns = 2\n")
    project.write("sdk_workflow.toml", "concurrency = 3\n")
    project.write(".env", "SDK_WORKFLOW_BACKEND=simulator\n")
    project.environ["SDK_WORKFLOW_SANDBOX"] = "off"
    origins = project.load(max_tokens=9).origins
    assert {name: origin.kind for name, origin in origins.items()} == {
        **dict.fromkeys(Settings.model_fields, "default"),
        "max_turns": "user",
        "concurrency": "project",
        "backend": "dotenv",
        "sandbox": "environment",
        "home": "environment",
        "max_tokens": "flag",
    }


def test_sdk_workflow_toml_hides_pyproject_toml(project: Project) -> None:
    project.write("sdk_workflow.toml", "")
    project.write("pyproject.toml", "[tool.sdk_workflow]\nmax_turns = 3\n")
    assert project.load().settings.max_turns == 25


@pytest.mark.parametrize("text", ["not toml at all", "[tool.other]\nx = 1\n"])
def test_a_pyproject_toml_that_does_not_name_us_is_left_alone(project: Project, text: str) -> None:
    project.write("pyproject.toml", text)
    assert project.load().settings.max_turns == 25


@pytest.mark.parametrize("text", ["[tool]\nx = 'sdk_workflow'\n", "tool = 'sdk_workflow'\n"])
def test_a_pyproject_toml_may_name_us_without_our_table(project: Project, text: str) -> None:
    project.write("pyproject.toml", text)
    assert project.load().settings.max_turns == 25


def test_an_overlay_wins_over_its_own_file_only(project: Project) -> None:
    project.write(
        "sdk_workflow.toml", "max_turns = 3\n[env.prod]\nmax_turns = 4\nconcurrency = 5\n"
    )
    project.write("config.toml", "[env.prod]\nmax_turns = 9\nmax_tokens = 10\n")
    assert _turns(project.load()) == (3, "sdk_workflow.toml")
    loaded = project.load(environment="prod")
    assert _turns(loaded) == (4, "sdk_workflow.toml [env.prod]")
    assert (loaded.settings.concurrency, loaded.settings.max_tokens) == (5, 10)
    assert loaded.origins["max_tokens"].location == f"{project.home / 'config.toml'} [env.prod]"
    project.environ["SDK_WORKFLOW_MAX_TURNS"] = "6"
    assert project.load(environment="prod").settings.max_turns == 6


def test_an_overlay_in_pyproject_toml_is_named_in_full(project: Project) -> None:
    project.write("pyproject.toml", "[tool.sdk_workflow.env.dev]\nmax_turns = 3\n")
    assert _turns(project.load()) == (3, "pyproject.toml [tool.sdk_workflow.env.dev]")


@pytest.mark.parametrize(
    "source",
    ["user", "project", "dotenv", "environment", "flag"],
    ids=lambda source: f"by_{source}",
)
def test_any_source_may_choose_the_environment(project: Project, source: str) -> None:
    flags = {}
    project.write("config.toml", "environment = 'staging'\n[env.staging]\nmax_turns = 7\n")
    if source == "project":
        project.write("sdk_workflow.toml", "environment = 'prod'\n[env.prod]\nmax_turns = 8\n")
    if source == "dotenv":
        project.write(".env", "SDK_WORKFLOW_ENVIRONMENT=prod\n")
    if source == "environment":
        project.environ["SDK_WORKFLOW_ENVIRONMENT"] = "prod"
    if source == "flag":
        flags["environment"] = "prod"
    expected = {"user": ("staging", 7), "project": ("prod", 8)}.get(source, ("prod", 25))
    settings = project.load(**flags).settings
    assert (settings.environment, settings.max_turns) == expected


def test_the_official_variables_give_credentials_and_address(project: Project) -> None:
    project.environ |= {
        "ANTHROPIC_API_KEY": LONG_KEY,
        "ANTHROPIC_AUTH_TOKEN": "token-1",
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:8000",
        "ANTHROPIC_PROFILE": "not ours to read",
    }
    loaded = project.load()
    assert loaded.settings.api_key == SecretStr(LONG_KEY)
    assert loaded.settings.auth_token == SecretStr("token-1")
    assert loaded.settings.base_url == "http://127.0.0.1:8000"
    assert loaded.origins["api_key"].location == "environment variable ANTHROPIC_API_KEY"


def test_our_own_variable_wins_over_the_official_one_in_the_same_source(project: Project) -> None:
    project.environ |= {"ANTHROPIC_API_KEY": "theirs", "SDK_WORKFLOW_API_KEY": "ours"}
    assert project.load().settings.api_key == SecretStr("ours")


def test_an_official_variable_wins_over_our_own_in_a_weaker_source(project: Project) -> None:
    project.environ["ANTHROPIC_API_KEY"] = "theirs"
    project.write(".env", "SDK_WORKFLOW_API_KEY=ours\n")
    assert project.load().settings.api_key == SecretStr("theirs")


def test_an_empty_variable_counts_as_unset(project: Project) -> None:
    project.environ |= {"ANTHROPIC_API_KEY": "", "SDK_WORKFLOW_MAX_TURNS": ""}
    project.write(".env", "SDK_WORKFLOW_MODEL=\nANTHROPIC_AUTH_TOKEN\nSDK_WORKFLOW_MAX_TURNS=4\n")
    settings = project.load().settings
    assert settings.api_key is None
    assert settings.auth_token is None
    assert settings.model == "claude-sonnet-5-5"
    assert settings.max_turns == 4


def test_dot_env_may_hold_what_belongs_to_others_and_takes_text_as_it_stands(
    project: Project,
) -> None:
    project.write(".env", "\ufeffDATABASE=${X}\nSDK_WORKFLOW_SYSTEM='a ${HOME}'\nX\n")
    assert project.load().settings.system == "a ${HOME}"


def test_the_last_line_of_dot_env_wins(project: Project) -> None:
    project.write(".env", "SDK_WORKFLOW_MAX_TURNS=4\nSDK_WORKFLOW_MAX_TURNS=5\n")
    assert _turns(project.load()) == (5, ".env line 2")


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("read", ("read",)),
        (" read , bash,", ("read", "bash")),
        (["read", "write"], ("read", "write")),
        (("bash",), ("bash",)),
        ([], ()),
        ("", ()),
    ],
)
def test_tools_are_a_list_or_names_with_commas(
    project: Project, value: object, names: tuple[str, ...]
) -> None:
    assert project.load(tools=value).settings.tools == names


def test_the_state_folder_may_move_by_variable_or_flag(project: Project, tmp_path: Path) -> None:
    project.write("config.toml", "max_turns = 9\n")
    assert project.load().settings.max_turns == 9
    other = tmp_path / "other"
    assert project.load(home=other).settings.home == other
    assert project.load(home=other).settings.max_turns == 25


def test_a_relative_state_folder_starts_at_the_project_folder(project: Project) -> None:
    assert project.load(home="state").settings.home == project.folder / "state"


def test_the_state_folder_is_in_the_users_home_by_default(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    project.environ.clear()
    assert project.load().settings.home == tmp_path / ".sdk_workflow"
    assert project.load(home="~/x").settings.home == tmp_path / "x"
    assert Settings(home=Path("~/y")).home == tmp_path / "y"


def test_load_settings_reads_the_process_when_nothing_is_handed_in(
    clean_environment: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sdk_workflow.toml").write_text("max_turns = 3\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SDK_WORKFLOW_CONCURRENCY", "2")
    settings = load_settings()
    assert (settings.max_turns, settings.concurrency) == (3, 2)
    assert settings.home == clean_environment


def test_settings_by_hand_read_no_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_TURNS", "7")
    monkeypatch.setenv("SDK_WORKFLOW_MAX_TURNS", "7")
    assert Settings().max_turns == 25
    with pytest.raises(ValidationError, match="frozen"):
        Settings().max_turns = 7  # type: ignore[misc]  # what must not work


@pytest.mark.parametrize(
    ("secret", "shown"),
    [("", "****"), ("short-secret-of-19ch", "****19ch"), ("short-secret-of-19c", "****")],
)
def test_mask_shows_the_end_of_long_secrets_only(secret: str, shown: str) -> None:
    assert mask(secret) == shown


def test_describe_masks_secrets_and_is_plain_json(project: Project) -> None:
    project.environ |= {"ANTHROPIC_API_KEY": LONG_KEY, "ANTHROPIC_AUTH_TOKEN": "short-token"}
    loaded = project.load()
    described = loaded.describe()
    assert list(described) == list(Settings.model_fields)
    assert described["api_key"] == {
        "value": "****WXYZ",
        "kind": "environment",
        "origin": "environment variable ANTHROPIC_API_KEY",
    }
    assert described["auth_token"]["value"] == "****"
    assert described["tools"]["value"] == []
    assert described["home"]["value"] == str(project.home)
    assert described["model"] == {
        "value": "claude-sonnet-5-5",
        "kind": "default",
        "origin": "default",
    }
    for text in (repr(loaded), str(loaded), repr(described)):
        assert LONG_KEY not in text
        assert "short-token" not in text
