"""What is known about a server by its address."""

from __future__ import annotations

import dataclasses

import pytest

from sdk_workflow.exceptions import ConfigError
from sdk_workflow.transports.adaptation import FEATURES
from sdk_workflow.transports.capabilities import CapabilityProfile, profile_of


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (None, "first party"),
        ("https://api.anthropic.com", "first party"),
        ("https://api.anthropic.com/", "first party"),
        ("https://bedrock-mantle.us-east-1.api.aws/anthropic", "Bedrock"),
        ("https://bedrock-runtime.eu-west-1.amazonaws.com", "Bedrock, legacy"),
        ("https://us-east5-aiplatform.googleapis.com/v1", "Vertex"),
        ("https://aiplatform.googleapis.com/v1", "Vertex"),
        ("https://claude.googleapis.com", "Google Cloud"),
        ("https://mine.services.ai.azure.com/anthropic", "Foundry"),
        ("http://localhost:11434", "Anthropic-compatible"),
        ("https://api.anthropic.com.evil.example", "Anthropic-compatible"),
        ("nonsense", "Anthropic-compatible"),
    ],
)
def test_a_server_is_known_by_its_host(address: str | None, name: str) -> None:
    assert profile_of(address).name == name
    assert profile_of(address).is_first_party == (name == "first party")


def test_only_the_first_party_can_do_everything() -> None:
    profile = profile_of(None)
    flags = [item.name for item in dataclasses.fields(CapabilityProfile) if item.type == "bool"]
    assert len(flags) == 11
    assert all(getattr(profile, flag) for flag in flags)
    assert not profile_of("https://claude.googleapis.com").diagnostics
    assert profile_of("https://claude.googleapis.com").threads


def test_the_clouds_differ_as_documented() -> None:
    mantle = profile_of("https://bedrock-mantle.us-east-1.api.aws/anthropic")
    assert not any((mantle.threads, mantle.batches, mantle.models, mantle.files))
    assert mantle.auto_cache
    legacy = profile_of("https://bedrock-runtime.eu-west-1.amazonaws.com")
    assert not legacy.auto_cache
    assert legacy.explicit_cache
    assert legacy.api_versions == ("bedrock-2023-05-31",)
    foundry = profile_of("https://mine.services.ai.azure.com/anthropic")
    assert foundry.threads
    assert not foundry.batches


def test_every_feature_that_can_be_left_out_is_a_capability() -> None:
    names = {item.name for item in dataclasses.fields(CapabilityProfile)}
    assert set(FEATURES) <= names


def test_an_address_that_is_none_is_an_error_of_the_settings() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        profile_of("http://[::1")
