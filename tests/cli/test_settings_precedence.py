"""Flags win over variables, over `.env`, over the project file, over the user file, over defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Invoke
    from tests.cli.program import Program

SOURCES = ["user", "project", "dotenv", "environment"]
MODELS = {
    "default": "claude-sonnet-5-5",
    "user": "claude-haiku-4-5",
    "project": "claude-opus-5",
    "dotenv": "claude-haiku-5-5",
    "environment": "claude-opus-5-5",
}


def _set(program: Program, monkeypatch: pytest.MonkeyPatch, source: str, model: str) -> None:
    if source == "user":
        program.state.mkdir(mode=0o700)
        (program.state / "config.toml").write_text(f'model = "{model}"\n', "utf-8")
    elif source == "project":
        (program.folder / "sdk_workflow.toml").write_text(f'model = "{model}"\n', "utf-8")
    elif source == "dotenv":
        (program.folder / ".env").write_text(f"SDK_WORKFLOW_MODEL={model}\n", "utf-8")
    else:
        monkeypatch.setenv("SDK_WORKFLOW_MODEL", model)


def _shown(invoke: Invoke) -> Any:
    return invoke("config", "show", "--json", "--origin").document["settings"]["model"]


@pytest.mark.parametrize("count", range(len(SOURCES) + 1))
def test_the_strongest_source_wins_and_is_named(
    count: int, program: Program, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    for source in SOURCES[:count]:
        _set(program, monkeypatch, source, MODELS[source])
    strongest = ["default", *SOURCES][count]

    result = invoke("run", "--output", "json", "Hi").document
    shown = _shown(invoke)

    assert result["model"] == MODELS[strongest]
    assert (shown["value"], shown["kind"]) == (MODELS[strongest], strongest)


@pytest.mark.parametrize("source", SOURCES)
def test_a_flag_wins_over_every_other_source(
    source: str, program: Program, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set(program, monkeypatch, source, MODELS[source])

    result = invoke("run", "--model", "claude-sonnet-5", "--output", "json", "Hi").document

    assert result["model"] == "claude-sonnet-5"


def test_every_source_at_once_in_the_real_program(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    for source in SOURCES[:-1]:
        _set(program, monkeypatch, source, MODELS[source])
    variables = {"SDK_WORKFLOW_MODEL": MODELS["environment"]}

    by_variable = program.run("run", "--output", "json", "Hi", env=variables)
    by_flag = program.run("run", "--model", "sonnet", "--output", "json", "Hi", env=variables)

    assert by_variable.document["model"] == MODELS["environment"]
    assert by_flag.document["model"] == MODELS["default"]


def test_an_overlay_applies_in_its_environment_only(
    program: Program, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    (program.folder / "sdk_workflow.toml").write_text(
        'model = "haiku"\n[env.prod]\nmodel = "opus"\n', "utf-8"
    )

    assert _shown(invoke)["value"] == "haiku"
    monkeypatch.setenv("SDK_WORKFLOW_ENVIRONMENT", "prod")
    assert _shown(invoke)["value"] == "opus"
    assert "env.prod" in _shown(invoke)["origin"]


def test_the_table_in_pyproject_counts_as_project_file(program: Program, invoke: Invoke) -> None:
    (program.folder / "pyproject.toml").write_text(
        '[tool.sdk_workflow]\nmodel = "claude-haiku-5-5"\n', "utf-8"
    )

    shown = _shown(invoke)

    assert (shown["value"], shown["kind"]) == ("claude-haiku-5-5", "project")
    assert "pyproject.toml" in shown["origin"]


def test_origins_say_where_to_look(
    program: Program, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    (program.folder / ".env").write_text("\nSDK_WORKFLOW_MAX_TURNS=7\n", "utf-8")
    monkeypatch.setenv("SDK_WORKFLOW_MAX_TOKENS", "99")

    lines = invoke("config", "show", "--origin").out.splitlines()

    shown = {line.split(" = ")[0].strip(): line for line in lines}
    assert "= 7" in shown["max_turns"]
    assert ".env line 2" in shown["max_turns"]
    assert "= 99" in shown["max_tokens"]
    assert "SDK_WORKFLOW_MAX_TOKENS" in shown["max_tokens"]
    assert "default" in shown["model"]


def test_a_setting_without_a_flag_takes_effect(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDK_WORKFLOW_MAX_TURNS", "1")

    outcome = invoke("run", "--output", "json", "What files are here?")

    assert outcome.document["stop_reason"] == "max_turns"
    assert outcome.code == 1


def test_tools_in_the_settings_are_offered_unless_the_flag_says_otherwise(
    program: Program, invoke: Invoke
) -> None:
    program.state.mkdir(exist_ok=True)
    (program.state / "config.toml").write_text('tools = ["read", "write"]\n', "utf-8")
    prompt = 'Write a file named hello.txt containing "Hello there"'

    invoke("run", "--tools", "read", prompt)
    assert not (program.folder / "hello.txt").exists()

    invoke("run", prompt)
    assert (program.folder / "hello.txt").read_text("utf-8") == "Hello there"
