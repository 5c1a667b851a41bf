"""Whatever the sources say: the strongest one that says something wins, and its place is told."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sdk_workflow.config.settings import Settings, load_settings_with_origins
from sdk_workflow.exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.config.settings import LoadedSettings

NOWHERE = Path("/nowhere")
# Strongest first.
SOURCES = ("flag", "environment", "dotenv", "project overlay", "project", "user overlay", "user")
PLACES = {
    "flag": "--",
    "environment": "environment variable SDK_WORKFLOW_",
    "dotenv": ".env line ",
    "project overlay": "sdk_workflow.toml [env.prod]",
    "project": "sdk_workflow.toml",
    "user overlay": "config.toml [env.prod]",
    "user": "config.toml",
}
names = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=12)
values: Mapping[str, st.SearchStrategy[Any]] = {
    "model": names,
    "max_tokens": st.integers(1, 128_000),
    "max_turns": st.integers(1, 1000),
    "concurrency": st.integers(1, 1000),
    "timeout_seconds": st.floats(0.001, 1e6),
    "tool_timeout_seconds": st.floats(0.001, 1e6),
    "tools": st.just(["read"]),  # others are for the user alone, too
    "backend": st.sampled_from(["auto", "anthropic", "simulator"]),
    "sandbox": st.just("required"),  # "off" is for the user alone: test_settings_trust.py
    "base_url": st.integers(1, 65_535).map("http://127.0.0.1:{}".format),
}
says = st.fixed_dictionaries({}, optional=dict(values))
everything = st.fixed_dictionaries({}, optional=dict.fromkeys(SOURCES, says))


def _variables(said: Mapping[str, Any]) -> dict[str, str]:
    return {
        f"SDK_WORKFLOW_{name.upper()}": ",".join(value) if name == "tools" else str(value)
        for name, value in said.items()
    }


def _toml(top: Mapping[str, Any], overlay: Mapping[str, Any]) -> str:
    lines = [f"{name} = {json.dumps(value)}" for name, value in top.items()]
    lines.append("[env.prod]")
    lines += [f"{name} = {json.dumps(value)}" for name, value in overlay.items()]
    # An overlay for another environment must never be heard.
    return "\n".join([*lines, "[env.dev]", 'model = "of-dev"', "max_turns = 1"])


def _write(folder: Path, said: Mapping[str, Mapping[str, Any]]) -> None:
    project = _toml(said.get("project", {}), said.get("project overlay", {}))
    user = _toml(said.get("user", {}), said.get("user overlay", {}))
    dotenv = [f'{name}="{value}"' for name, value in _variables(said.get("dotenv", {})).items()]
    (folder / "sdk_workflow.toml").write_text(project, encoding="utf-8")
    (folder / "config.toml").write_text(user, encoding="utf-8")
    (folder / ".env").write_text("\n".join(dotenv), encoding="utf-8")


@given(said=everything)
@settings(max_examples=150, deadline=None)
def test_the_strongest_source_that_speaks_wins(said: dict[str, dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder, said)
        loaded = load_settings_with_origins(
            said.get("flag", {}),
            cwd=folder,
            environ={
                "SDK_WORKFLOW_HOME": name,
                "SDK_WORKFLOW_ENVIRONMENT": "prod",
                **_variables(said.get("environment", {})),
            },
        )
    for setting in values:
        speakers = [source for source in SOURCES if setting in said.get(source, {})]
        value, origin = getattr(loaded.settings, setting), loaded.origins[setting]
        if not speakers:
            assert value == Settings.model_fields[setting].default
            assert origin.kind == "default"
            continue
        expected = said[speakers[0]][setting]
        assert value == (tuple(expected) if setting == "tools" else expected)
        assert PLACES[speakers[0]] in origin.location
        assert ("[env." in origin.location) == ("overlay" in speakers[0])


@given(
    value=st.one_of(
        st.text(max_size=30), st.integers(), st.floats(), st.booleans(), st.lists(names)
    ),
    name=st.sampled_from([name for name in Settings.model_fields if name != "home"]),
)
@settings(max_examples=300, deadline=None)
def test_any_value_is_either_taken_or_refused_with_its_name_and_place(
    value: object, name: str
) -> None:
    loaded = _load({name: value})
    if isinstance(loaded, ConfigError):
        assert loaded.code == "invalid_settings"
        assert loaded.message.startswith(f"{name} = ")
        assert f"(--{name.replace('_', '-')})" in loaded.message
    else:
        assert loaded.origins[name].kind == "flag"


def _load(flags: Mapping[str, Any], **environ: str) -> LoadedSettings | ConfigError:
    variables = {"SDK_WORKFLOW_HOME": str(NOWHERE), **environ}
    try:
        return load_settings_with_origins(flags, cwd=NOWHERE, environ=variables)
    except ConfigError as error:
        return error


@given(secret=st.text("abcdefghijklmnopqrstuvwxyz ", min_size=8, max_size=60))
@settings(max_examples=100, deadline=None)
def test_no_secret_is_ever_shown_but_for_its_end(secret: str) -> None:
    loaded = _load({}, ANTHROPIC_API_KEY=secret)
    if isinstance(loaded, ConfigError):
        shown = f"{loaded.message} {loaded.hint} {loaded!r}"
    else:
        shown = f"{loaded.describe()} {loaded!r}"
    hidden = secret.strip()[:-4]
    assert len(hidden) < 8 or hidden not in shown
