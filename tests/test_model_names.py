"""The names of models in the settings: refused where they are wrong, before anything is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.config.model_names import check_models
from sdk_workflow.config.models import ModelCatalog
from sdk_workflow.config.settings import Settings
from sdk_workflow.config.sources import Origin
from sdk_workflow.exceptions import ConfigError, UsageError
from sdk_workflow.runtime import build_runtime

if TYPE_CHECKING:
    from pathlib import Path

CATALOG = ModelCatalog.load()
KEY = "sk-ant-not-a-real-key"
wrong_names = pytest.mark.parametrize(
    "values", [{"model": "sonett"}, {"fallback_models": ("haiku", "sonett")}], ids=str
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SDK_WORKFLOW_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", ["opus", "claude-opus-5-5", "claude-opus-4-0"])
def test_every_name_of_the_catalogue_passes(name: str) -> None:
    check_models(Settings(model=name, fallback_models=(name,)), CATALOG)


@wrong_names
def test_an_unknown_name_is_refused_with_its_setting_and_what_was_meant(
    values: dict[str, Any],
) -> None:
    (setting,) = values
    with pytest.raises(ConfigError, match=f"^{setting}: 'sonett' is not a model") as caught:
        check_models(Settings(**values), CATALOG)
    assert caught.value.code == "unknown_model"
    assert "Did you mean 'sonnet'?" in caught.value.hint


@wrong_names
def test_a_server_of_ones_own_has_models_of_its_own(values: dict[str, Any]) -> None:
    check_models(Settings(base_url="http://localhost:11434", **values), CATALOG)
    build_runtime(Settings(base_url="http://localhost:11434", api_key=KEY, **values))


@wrong_names
def test_an_unknown_name_tells_its_place(values: dict[str, Any]) -> None:
    (setting,) = values
    settings = Settings(**values)
    file = {setting: Origin(kind="project", location="sdk_workflow.toml line 3")}
    with pytest.raises(ConfigError, match=rf"^{setting} \(sdk_workflow.toml line 3\): 'sonett'"):
        check_models(settings, CATALOG, origins=file)
    flag = {setting: Origin(kind="flag", location="--some-flag")}
    with pytest.raises(UsageError, match=r"^--some-flag: 'sonett'") as caught:
        check_models(settings, CATALOG, origins=flag)
    assert (caught.value.code, bool(caught.value.hint)) == ("unknown_model", True)


@wrong_names
@pytest.mark.parametrize("backend", ["anthropic", "simulator"])
@pytest.mark.usefixtures("folder")
def test_a_runtime_is_not_built_with_an_unknown_model(values: dict[str, Any], backend: Any) -> None:
    (setting,) = values
    with pytest.raises(ConfigError, match=rf"^{setting} \(argument {setting}\): 'sonett'"):
        build_runtime(backend=backend, api_key=KEY, **values)
    with pytest.raises(ConfigError, match=f"^{setting}: 'sonett'"):
        build_runtime(Settings(api_key=KEY, **values), backend=backend)
    with pytest.raises(ConfigError, match=f"^{setting}: 'sonett'"):
        build_runtime(Settings(api_key=KEY), backend=backend, **values)


def test_the_place_of_a_wrong_name_in_a_variable_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert folder.is_dir()
    monkeypatch.setenv("SDK_WORKFLOW_FALLBACK_MODELS", "haiku,sonett")
    place = "environment variable SDK_WORKFLOW_FALLBACK_MODELS"
    with pytest.raises(ConfigError, match=rf"^fallback_models \({place}\): 'sonett'"):
        build_runtime(backend="simulator")


@pytest.mark.usefixtures("folder")
def test_what_is_wrong_with_an_argument_names_no_flag() -> None:
    with pytest.raises(ConfigError, match=r"^max_retries = -1 \(argument max_retries\) is not"):
        build_runtime(backend="simulator", max_retries=-1)
    with pytest.raises(
        ConfigError, match=r"^The argument fallbackmodels is not a setting"
    ) as caught:
        build_runtime(backend="simulator", fallbackmodels=["haiku"])
    assert "'fallback_models'" in caught.value.hint
