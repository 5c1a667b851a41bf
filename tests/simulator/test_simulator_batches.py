from __future__ import annotations

import json
import random
from typing import Any

import pytest

from sdk_workflow.simulator.batches import BatchStore
from sdk_workflow.simulator.errors import ApiError
from tests.simulator.asking import MARK, MODEL, Desk, long, user

PATH = "/v1/messages/batches"


def item(name: str, **changes: Any) -> dict[str, Any]:
    params = {"model": MODEL, "max_tokens": 50, "messages": [user("Hello")], **changes}
    return {"custom_id": name, "params": params}


def create(desk: Desk, *items: Any, **headers: str) -> Any:
    answered = desk.http("POST", PATH, {"requests": list(items or (item("a"),))}, headers)
    assert answered.status == 200, answered.body
    return answered.body


def get(desk: Desk, batch: Any, *, expected: int = 200) -> Any:
    answered = desk.http("GET", f"{PATH}/{batch['id']}")
    assert answered.status == expected
    return answered.body


def results(desk: Desk, batch: Any) -> dict[str, Any]:
    answered = desk.http("GET", f"{PATH}/{batch['id']}/results")
    assert answered.headers["content-type"] == "application/x-jsonl"
    lines = [json.loads(line) for line in answered.body.decode().splitlines()]
    return {line["custom_id"]: line["result"] for line in lines}


def test_a_batch_is_processed_until_its_time_has_come() -> None:
    desk = Desk(batch_seconds=60)
    batch = create(desk, item("a"), item("b"))
    assert batch["id"].startswith("msgbatch_")
    for seconds in (0, 59):
        desk.clock.advance(seconds)
        seen = get(desk, batch)
        assert (seen["processing_status"], seen["results_url"], seen["ended_at"]) == (
            "in_progress",
            None,
            None,
        )
        assert seen["request_counts"] == {
            "processing": 2, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0
        }  # fmt: skip
    desk.clock.advance(1)
    ended = get(desk, batch)
    assert ended["processing_status"] == "ended"
    assert ended["request_counts"]["succeeded"] == 2
    assert ended["request_counts"]["processing"] == 0
    assert ended["created_at"] == "2026-11-21T00:00:00Z"
    assert ended["ended_at"] == "2026-11-21T00:01:00Z"
    assert ended["expires_at"] == "2026-11-22T00:00:00Z"
    assert ended["results_url"] == f"{PATH}/{batch['id']}/results"
    answered = desk.http("GET", f"{PATH}/{batch['id']}", None, {"host": "localhost:1"})
    assert answered.body["results_url"].startswith(f"http://localhost:1{PATH}")


def test_each_item_is_answered_or_refused_by_itself() -> None:
    desk = Desk()
    batch = create(
        desk,
        item("good"),
        item("no_model", model="claude-0"),
        item("stream", stream=True),
        item("warm", max_tokens=0),
        item("thread", thread={"type": "create"}),
        item("odd", nonsense=1),
        **{"anthropic-beta": "message-threads-2026-08-12"},
    )
    desk.clock.advance(60)
    found = results(desk, batch)
    message = found["good"]["message"]
    assert found["good"]["type"] == "succeeded"
    assert message["content"][0]["text"].endswith("“Hello”")
    assert message["usage"]["service_tier"] == "batch"
    errors = {name: each["error"] for name, each in found.items() if each["type"] == "errored"}
    assert {name: error["error"]["message"] for name, error in errors.items()} == {
        "no_model": "model: claude-0",
        "stream": "stream: not supported in a batch",
        "warm": "max_tokens: 0 cannot be combined with batches",
        "thread": "thread: not supported in a batch",
        "odd": "nonsense: Extra inputs are not permitted",
    }
    assert all(error["request_id"].startswith("req_") for error in errors.values())
    assert get(desk, batch)["request_counts"]["errored"] == 5


def test_the_items_of_a_batch_share_the_prompt_cache() -> None:
    desk = Desk()
    block = long("question", cache_control=MARK)
    batch = create(desk, *(item(name, messages=[user(block)]) for name in "ab"))
    desk.clock.advance(60)
    usage = [each["message"]["usage"] for each in results(desk, batch).values()]
    assert usage[0]["cache_creation_input_tokens"] == usage[1]["cache_read_input_tokens"] > 700


def test_a_beta_feature_raises_the_limit_of_a_batchs_answers() -> None:
    desk = Desk()
    for betas, kind in (("", "errored"), ("output-300k-2026-03-24", "succeeded")):
        batch = create(desk, item("a", max_tokens=300_000), **{"anthropic-beta": betas})
        desk.clock.advance(60)
        assert results(desk, batch)["a"]["type"] == kind
    alone = desk.refusal(user("Hi"), max_tokens=300_000, betas="output-300k-2026-03-24")
    assert "128000" in alone.message


def test_a_batch_can_be_canceled_while_it_is_processed() -> None:
    desk = Desk()
    batch = create(desk, item("a"), item("b"))
    canceling = desk.http("POST", f"{PATH}/{batch['id']}/cancel").body
    assert canceling["processing_status"] == "canceling"
    assert canceling["cancel_initiated_at"] == "2026-11-21T00:00:00Z"
    assert desk.http("POST", f"{PATH}/{batch['id']}/cancel").status == 200
    assert get(desk, batch)["request_counts"]["processing"] == 2
    desk.clock.advance(1)
    assert get(desk, batch)["request_counts"]["canceled"] == 2
    assert results(desk, batch)["a"] == {"type": "canceled"}
    late = desk.http("POST", f"{PATH}/{batch['id']}/cancel")
    assert (late.status, late.body["error"]["type"]) == (400, "invalid_request_error")


def test_a_batch_that_takes_a_day_expires() -> None:
    desk = Desk(batch_seconds=10**6)
    batch = create(desk)
    desk.clock.advance(24 * 3600 - 1)
    assert get(desk, batch)["processing_status"] == "in_progress"
    desk.clock.advance(1)
    assert get(desk, batch)["request_counts"]["expired"] == 1
    assert get(desk, batch)["ended_at"] == "2026-11-22T00:00:00Z"
    assert results(desk, batch)["a"] == {"type": "expired"}


def test_a_batch_that_was_due_long_ago_was_processed_in_time() -> None:
    desk = Desk()
    batch = create(desk)
    desk.clock.advance(48 * 3600)
    assert get(desk, batch)["request_counts"]["succeeded"] == 1
    assert get(desk, batch)["ended_at"] == "2026-11-21T00:01:00Z"


def test_a_large_batch_is_processed_over_several_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdk_workflow.simulator.batches._ITEMS_PER_LOOK", 2)
    desk = Desk()
    batch, small = create(desk, *map(item, "abcde")), create(desk, item("f"))
    desk.clock.advance(60)
    # One look at both: the newest batch first, and of the other as much as is left of the look.
    listed = desk.http("GET", PATH).body["data"]
    assert [each["processing_status"] for each in listed] == ["ended", "in_progress"]
    assert listed[1]["request_counts"] == {
        "processing": 5, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0
    }  # fmt: skip
    desk.clock.advance(1)
    assert get(desk, batch)["processing_status"] == "in_progress"
    assert desk.http("GET", f"{PATH}/{batch['id']}/results").status == 200
    ended = get(desk, batch)
    assert (ended["ended_at"], ended["request_counts"]["succeeded"]) == ("2026-11-21T00:01:01Z", 5)
    assert list(results(desk, batch)) == list("abcde")
    assert get(desk, small)["ended_at"] == "2026-11-21T00:01:00Z"


def test_a_batch_that_is_canceled_half_way_keeps_what_was_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sdk_workflow.simulator.batches._ITEMS_PER_LOOK", 2)
    desk = Desk()
    batch = create(desk, *map(item, "abcdefg"))
    desk.clock.advance(60)
    get(desk, batch)
    assert desk.http("POST", f"{PATH}/{batch['id']}/cancel").status == 200
    desk.clock.advance(1)
    kinds = {name: found["type"] for name, found in results(desk, batch).items()}
    assert kinds == dict.fromkeys("abcd", "succeeded") | dict.fromkeys("efg", "canceled")


def test_a_batch_can_be_deleted_once_it_has_ended() -> None:
    desk = Desk()
    batch = create(desk)
    assert desk.http("DELETE", f"{PATH}/{batch['id']}").status == 400
    assert desk.http("GET", f"{PATH}/{batch['id']}/results").status == 400
    desk.clock.advance(60)
    deleted = desk.http("DELETE", f"{PATH}/{batch['id']}").body
    assert deleted == {"id": batch["id"], "type": "message_batch_deleted"}
    get(desk, batch, expected=404)


def test_batches_are_listed_newest_first_in_pages_and_by_workspace() -> None:
    desk = Desk()
    names = [create(desk)["id"] for _ in range(3)][::-1]
    create(desk, **{"x-api-key": "other"})
    page = desk.http("GET", f"{PATH}?limit=2").body
    assert ([batch["id"] for batch in page["data"]], page["has_more"]) == (names[:2], True)
    rest = desk.http("GET", f"{PATH}?limit=2&after_id={page['last_id']}").body
    assert ([batch["id"] for batch in rest["data"]], rest["has_more"]) == (names[2:], False)
    assert desk.http("GET", f"{PATH}?after_id=x").status == 400
    assert desk.http("GET", f"{PATH}/{names[0]}", None, {"x-api-key": "other"}).status == 404


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "requests: Field required"),
        ({"requests": [], "x": 1}, "x: Extra inputs are not permitted"),
        ({"requests": {}}, "requests: Input should be a valid list"),
        ({"requests": []}, "requests: List should have between 1 and 100000 items"),
        ({"requests": [1]}, "requests.0: Input should be an object"),
        ({"requests": [{"custom_id": "a"}]}, "requests.0.params: Field required"),
        ({"requests": [{**item("a"), "x": 1}]}, "requests.0.x: Extra inputs are not permitted"),
        (
            {"requests": [{**item("a"), "params": 1}]},
            "requests.0.params: Input should be an object",
        ),
        ({"requests": [item(1)]}, "requests.0.custom_id: Input should be a valid string"),  # type: ignore[arg-type]
        (
            {"requests": [item("no spaces")]},
            "requests.0.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'",
        ),
        (
            {"requests": [item("a"), item("a")]},
            "requests.1.custom_id: every custom_id must be unique",
        ),
    ],
)
def test_a_malformed_batch_is_refused(body: Any, message: str) -> None:
    answered = Desk().http("POST", PATH, body)
    assert (answered.status, answered.body["error"]["message"]) == (400, message)


def test_the_oldest_batches_that_have_ended_make_room_for_new_ones() -> None:
    store = BatchStore(random.Random(1), seconds=10, max_batches=2)  # noqa: S311 - repeatable ids
    body = {"requests": [item("a")]}

    def create_at(now: float) -> str:
        made = store.create(body, lambda _: {"id": "m"}, workspace="w", now=now)
        return str(made["id"])

    first, second = create_at(0), create_at(5)
    with pytest.raises(ApiError, match="Too many batches") as refused:
        create_at(6)
    assert refused.value.status == 429
    assert store.get(first, workspace="w", now=11)["processing_status"] == "ended"
    third = create_at(12)
    listed = store.page({}, workspace="w", now=12)["data"]
    assert [batch["id"] for batch in listed] == [third, second]
