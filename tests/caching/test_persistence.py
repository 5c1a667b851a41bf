"""Caches over a restart: what was kept comes back, what was wrong, old or foreign does not."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from sdk_workflow.core.cache_manager import CacheManager
from sdk_workflow.core.lru_cache import LRUCache
from sdk_workflow.exceptions import StorageError
from tests.caching.fakes import SECRET, answer, ask, cached

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.types import Call, Reply

QUESTION = ask("Is it so?")
SIMILAR = ask("Is it really so?")


def hit_of(manager: CacheManager, call: Call = QUESTION) -> Reply:
    reply = manager.get_cached_response(call)
    assert reply is not None
    return reply  # type: ignore[no-any-return]


def test_what_is_persisted_is_there_in_the_next_process(tmp_path: Path) -> None:
    first = cached()
    first.manager.cache_response(QUESTION, answer("Yes."))
    first.manager.persist_to_disk(tmp_path / "cache")
    second = cached()
    second.manager.load_from_disk(tmp_path / "cache")
    assert hit_of(second.manager).text == "Yes."
    second.semantic.finds["Is it really so?"] = "HIT"
    assert hit_of(second.manager, SIMILAR).served_by == "semantic"
    assert second.semantic.restored_tag == "tag"


def test_without_a_secret_of_ones_own_the_folder_keeps_one(tmp_path: Path) -> None:
    first = CacheManager(LRUCache(), None, None)
    first.cache_response(QUESTION, answer("Yes."))
    first.persist_to_disk(tmp_path)
    second = CacheManager(LRUCache(), None, None)
    second.cache_response(ask("Forgotten?"), answer())
    second.load_from_disk(tmp_path)
    assert hit_of(second).text == "Yes."
    assert second.get_cached_response(ask("Forgotten?")) is None
    second.load_from_disk(tmp_path)
    assert hit_of(second).text == "Yes."


def test_caches_of_two_secrets_are_not_mixed_in_one_folder(tmp_path: Path) -> None:
    first, second = (CacheManager(LRUCache(), None, None) for _ in range(2))
    first.cache_response(QUESTION, answer("Yes."))
    first.persist_to_disk(tmp_path)
    with pytest.raises(StorageError, match="another secret") as caught:
        second.persist_to_disk(tmp_path)
    assert "load_from_disk" in caught.value.hint


def test_a_lifetime_counts_on_over_a_restart(tmp_path: Path) -> None:
    first = cached(ttl_seconds=50)
    first.manager.cache_response(QUESTION, answer())
    first.manager.persist_to_disk(tmp_path)
    second = cached()
    second.clock.advance(49)
    second.manager.load_from_disk(tmp_path)
    assert hit_of(second.manager).text
    second.clock.advance(1)
    assert second.lru.purge_expired() == 1
    third = cached()
    third.clock.advance(50)
    third.manager.load_from_disk(tmp_path)
    assert len(third.lru) == 0


def test_an_older_answer_of_a_file_replaces_no_newer_one(tmp_path: Path) -> None:
    first = cached()
    first.manager.cache_response(QUESTION, answer("Old."))
    first.manager.persist_to_disk(tmp_path)
    second = cached()
    second.clock.advance(5)
    second.manager.cache_response(QUESTION, answer("New."))
    second.manager.load_from_disk(tmp_path)
    assert hit_of(second.manager).text == "New."


def test_a_wrong_answer_does_not_come_back_from_a_file(tmp_path: Path) -> None:
    first, second = cached(), cached()
    first.manager.cache_response(QUESTION, answer("Wrong."))
    first.manager.persist_to_disk(tmp_path)
    second.manager.load_from_disk(tmp_path)
    hit = hit_of(second.manager).cache_hit
    assert hit is not None
    second.manager.report_wrong(hit.hit_id)
    second.manager.persist_to_disk(tmp_path)
    first.manager.persist_to_disk(tmp_path)
    third = cached()
    third.manager.load_from_disk(tmp_path)
    assert third.manager.get_cached_response(QUESTION) is None
    first.manager.load_from_disk(tmp_path)
    assert first.manager.get_cached_response(QUESTION) is None


def test_a_damaged_file_is_a_warning_and_a_fresh_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "responses.cache").write_bytes(b"\x80\x04\x95 hostile")
    parts = cached()
    with caplog.at_level(logging.WARNING):
        parts.manager.load_from_disk(tmp_path)
    assert "damaged" in caplog.text
    assert parts.manager.get_cache_report()["refused_files"] == 1
    parts.manager.cache_response(QUESTION, answer())
    parts.manager.persist_to_disk(tmp_path)
    again = cached()
    again.manager.load_from_disk(tmp_path)
    assert hit_of(again.manager).text


def test_the_file_of_another_tenant_is_not_overwritten(tmp_path: Path) -> None:
    one, other = cached(), cached(tenant_secret=b"another tenant's secret")
    one.manager.cache_response(QUESTION, answer())
    one.manager.persist_to_disk(tmp_path)
    other.manager.load_from_disk(tmp_path)
    assert other.manager.get_cached_response(QUESTION) is None
    with pytest.raises(StorageError, match="another tenant"):
        other.manager.persist_to_disk(tmp_path)


def test_what_others_stored_in_the_semantic_tier_is_not_written(tmp_path: Path) -> None:
    parts = cached()
    parts.semantic.add("theirs", "a text", scope="s", ttl=None)
    parts.manager.cache_response(QUESTION, answer())
    parts.manager.persist_to_disk(tmp_path)
    again = cached()
    again.manager.load_from_disk(tmp_path)
    assert len(again.semantic.stored) == 1


def test_vectors_without_an_embedder_need_no_tag(tmp_path: Path) -> None:
    parts = cached()
    parts.semantic.vector = None
    parts.manager.cache_response(QUESTION, answer())
    parts.manager.persist_to_disk(tmp_path)
    again = cached()
    again.manager.load_from_disk(tmp_path)
    assert again.semantic.restored_tag is None
    assert len(again.semantic.stored) == 1


def test_a_file_loads_without_either_tier(tmp_path: Path) -> None:
    parts = cached()
    parts.manager.cache_response(QUESTION, answer())
    parts.manager.persist_to_disk(tmp_path)
    bare = CacheManager(None, None, None, tenant_secret=SECRET, clock=parts.clock)
    bare.load_from_disk(tmp_path)
    assert bare.get_cache_report()["dropped_records"] == 0
