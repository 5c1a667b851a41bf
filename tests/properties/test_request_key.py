"""The key of a request: another request never has it, the same request always does."""

from __future__ import annotations

import copy
import dataclasses
import json
import threading
import unicodedata
from collections import OrderedDict
from types import MappingProxyType
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import assume, given

from sdk_workflow.core.caching import request_key
from sdk_workflow.core.caching.request_key import RequestKeys
from sdk_workflow.exceptions import UsageError
from sdk_workflow.types import Call

SECRET = b"a secret of 32 bytes, for tests."
KEYS = RequestKeys(SECRET, "api")

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(min_size=1), JSON, max_size=3)
ROLES = st.sampled_from(["user", "assistant"])
BLOCKS = st.builds(lambda text: {"type": "text", "text": text}, st.text()) | st.builds(
    lambda data: {"type": "tool_use", "id": "t", "name": "n", "input": data}, OBJECTS
)
MESSAGES = st.builds(
    lambda role, content: {"role": role, "content": content},
    ROLES,
    st.text() | st.lists(BLOCKS, max_size=3),
)
TOOLS = st.builds(lambda name, schema: {"name": name, "input_schema": schema}, st.text(), OBJECTS)
CALLS = st.builds(
    Call,
    model=st.text(),
    messages=st.lists(MESSAGES, max_size=3).map(tuple),
    max_tokens=st.integers(0, 3),
    system=st.none() | st.text(min_size=1),
    tools=st.lists(TOOLS, max_size=2).map(tuple),
    tool_choice=st.none() | OBJECTS,
    parameters=st.dictionaries(
        st.sampled_from(["top_k", "thinking", "tomorrow"]), JSON, max_size=2
    ),
    tenant=st.none() | st.text(),
)


def ask(content: Any, **fields: Any) -> Call:
    message = {"role": "user", "content": content}
    return Call(**{"model": "m", "messages": (message,), **fields})


def meaning(value: Any) -> Any:
    """Return what two JSON values must agree in to be one; the tests' own way to say it."""
    if isinstance(value, bool) or value is None:
        return ("constant", value)
    if isinstance(value, (int, float)):
        return ("number", value)
    if isinstance(value, str):
        return ("text", unicodedata.normalize("NFC", value))
    if isinstance(value, dict):
        return ("object", frozenset((name, meaning(member)) for name, member in value.items()))
    return ("list", tuple(meaning(item) for item in value))


def meaning_of_call(call: Call) -> Any:
    def blocks(content: Any) -> Any:
        return [{"type": "text", "text": content}] if isinstance(content, str) else content

    return meaning(
        [
            call.tenant,
            call.model,
            call.max_tokens,
            blocks(call.system or []),
            list(call.tools),
            call.tool_choice,
            call.parameters,
            [{**message, "content": blocks(message["content"])} for message in call.messages],
        ]
    )


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: reordered(value[name]) for name in reversed(value)}
    return [reordered(item) for item in value] if isinstance(value, list) else value


@given(first=CALLS, second=CALLS)
def test_two_requests_have_one_key_only_if_they_mean_the_same(first: Call, second: Call) -> None:
    is_same = KEYS.key_of(first).exact == KEYS.key_of(second).exact
    assert is_same == (meaning_of_call(first) == meaning_of_call(second))


@given(first=JSON, second=JSON)
def test_any_difference_inside_a_parameter_is_another_key(first: Any, second: Any) -> None:
    keys = [KEYS.key_of(ask("Hi", parameters={"tomorrow": each})) for each in (first, second)]
    assert (keys[0] == keys[1]) == (meaning(first) == meaning(second))


@given(call=CALLS)
def test_the_order_of_names_makes_no_difference(call: Call) -> None:
    other = Call.from_params(reordered(json.loads(json.dumps(call.to_params()))))
    other = dataclasses.replace(other, tenant=call.tenant, tool_choice=reordered(call.tool_choice))
    assert KEYS.key_of(call) == KEYS.key_of(other)


@given(call=CALLS)
def test_what_is_remembered_changes_nothing(call: Call) -> None:
    fresh = RequestKeys(SECRET, "api")
    assert fresh.key_of(call) == fresh.key_of(copy.deepcopy(call)) == KEYS.key_of(call)


@given(call=CALLS, tenants=st.tuples(st.none() | st.text(), st.none() | st.text()))
def test_two_tenants_never_meet(call: Call, tenants: tuple[str | None, str | None]) -> None:
    assume(tenants[0] != tenants[1])
    assume(
        unicodedata.normalize("NFC", tenants[0] or "")
        != unicodedata.normalize("NFC", tenants[1] or "")
        or None in tenants
    )
    first, second = (KEYS.key_of(dataclasses.replace(call, tenant=name)) for name in tenants)
    assert first.exact != second.exact
    assert first.scope != second.scope


@given(call=CALLS, secrets=st.tuples(st.binary(min_size=16), st.binary(min_size=16)))
def test_two_secrets_and_two_namespaces_never_meet(
    call: Call, secrets: tuple[bytes, bytes]
) -> None:
    assume(secrets[0] != secrets[1])
    made = [RequestKeys(secret, name).key_of(call) for secret in secrets for name in ("api", "sim")]
    assert len({key.exact for key in made}) == len({key.scope for key in made}) == 4


FULL = Call(
    model="m",
    messages=(
        {"role": "user", "content": "What is in it?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "read",
                                           "input": {"path": "a", "deep": [{"cache_control": 1}]}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "x"}]},
            {"type": "document", "source": {"type": "content", "content": [
                {"type": "text", "text": "page"}]}},
            {"type": "image", "source": {"type": "base64", "data": "AAAA"}},
            {"type": "text", "text": "And so?"}]},
    ),
    max_tokens=10,
    system=({"type": "text", "text": "Be brief."},),
    tools=({"name": "read", "input_schema": {"properties": {"cache_control": {"type": "string"}}}},),
    tool_choice={"type": "auto"},
    parameters={"temperature": 0, "stop_sequences": ["a", "b"], "thinking": {"type": "disabled"},
                "output_config": {"format": {"schema": {"type": "object"}}}, "betas": ["one"]},
    tenant="t",
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every leaf of a JSON value."""
    if isinstance(value, dict):
        return [found for name, member in value.items() for found in places(member, (*path, name))]
    if isinstance(value, (list, tuple)):
        return [found for place, item in enumerate(value) for found in places(item, (*path, place))]
    return [path]


def changed(value: Any, path: tuple[Any, ...]) -> Any:
    """Return a JSON value whose leaf at a path is another one."""
    if not path:
        return f"{value} changed" if isinstance(value, str) else (value or 0) + 1
    if isinstance(value, dict):
        return {**value, path[0]: changed(value[path[0]], path[1:])}
    return type(value)(
        changed(item, path[1:]) if place == path[0] else item for place, item in enumerate(value)
    )


ALL_OF_FULL = {
    name: getattr(FULL, name)
    for name in ("model", "messages", "max_tokens", "system", "tools", "tool_choice", "parameters",
                 "tenant")
}  # fmt: skip


@pytest.mark.parametrize("path", places(ALL_OF_FULL), ids=str)
def test_changing_any_single_field_changes_the_key(path: tuple[Any, ...]) -> None:
    other = Call(**changed(ALL_OF_FULL, path))
    before, after = KEYS.key_of(FULL), KEYS.key_of(other)
    assert before.exact != after.exact
    is_text = path == ("messages", 2, "content", 3, "text")
    assert (before.scope == after.scope) == is_text
    assert (before.text, after.text) == ("And so?", "And so? changed" if is_text else after.text)


@pytest.mark.parametrize("name", ["stop_sequences", "betas"])
def test_the_order_of_a_list_is_kept(name: str) -> None:
    values = ["one", "two"]
    keys = {
        KEYS.key_of(ask("Hi", parameters={name: each})).exact for each in (values, values[::-1])
    }
    assert len(keys) == 2


@pytest.mark.parametrize("name", ["cache_control", "diagnostics", "metadata", "stream"])
def test_what_cannot_change_the_answer_is_left_out(name: str) -> None:
    assert KEYS.key_of(ask("Hi", parameters={name: {"any": 1}})) == KEYS.key_of(ask("Hi"))


def test_what_never_leaves_the_process_is_left_out() -> None:
    assert KEYS.key_of(ask("Hi", session_id="s", operation="summary")) == KEYS.key_of(ask("Hi"))


MARKER = {"cache_control": {"type": "ephemeral"}}


def marked(blocks: Any) -> Any:
    return [{**block, **MARKER} for block in blocks]


def test_markers_of_the_prompt_cache_are_left_out_wherever_the_api_has_them() -> None:
    parts = FULL.messages[2]["content"]
    result = {**parts[0], "content": marked(parts[0]["content"])}
    document = {**parts[1], "source": {"type": "content",
                                       "content": marked(parts[1]["source"]["content"])}}  # fmt: skip
    other = dataclasses.replace(
        FULL,
        messages=(
            *FULL.messages[:2],
            {"role": "user", "content": marked([result, document, *parts[2:]])},
        ),
        system=tuple(marked(FULL.system)),
        tools=tuple(marked(FULL.tools)),
    )
    assert KEYS.key_of(other) == KEYS.key_of(FULL)


def test_a_tools_own_field_of_that_name_stays() -> None:
    (tool,) = FULL.tools
    other = dataclasses.replace(FULL, tools=({**tool, "input_schema": {"properties": {}}},))
    assert KEYS.key_of(other).exact != KEYS.key_of(FULL).exact


@pytest.mark.parametrize("number", [0, 0.0, -0.0])
def test_a_number_has_one_form(number: float) -> None:
    assert KEYS.key_of(ask("Hi", parameters={"n": number})) == KEYS.key_of(
        ask("Hi", parameters={"n": 0})
    )


def test_true_is_not_one() -> None:
    keys = {KEYS.key_of(ask("Hi", parameters={"n": each})).exact for each in (True, 1, "1", None)}
    assert len(keys) == 4


def test_a_text_has_one_form_and_a_name_stays_as_it_is() -> None:
    composed, apart = "caf\u00e9", "cafe\u0301"
    assert KEYS.key_of(ask(composed)) == KEYS.key_of(ask(apart))
    assert KEYS.key_of(ask(apart)).text == composed
    names = {KEYS.key_of(ask("Hi", parameters={name: 1})).exact for name in (composed, apart)}
    assert len(names) == 2


def test_a_text_and_one_text_block_are_the_same_content() -> None:
    block = [{"type": "text", "text": "Hi"}]
    assert KEYS.key_of(ask(block)) == KEYS.key_of(ask("Hi"))
    assert KEYS.key_of(ask("Hi", system="S")) == KEYS.key_of(
        ask("Hi", system=({"type": "text", "text": "S"},))
    )


@pytest.mark.parametrize(
    "messages",
    [
        (),
        ({"role": "assistant", "content": "Hi"},),
        ({"role": "user", "content": []},),
        ({"role": "user", "content": [{"type": "image", "source": {"data": "A"}}]},),
        ({"role": "user", "content": "Hi"}, {"role": "system", "content": "Be brief."}),
    ],
)
def test_a_request_that_does_not_end_in_the_users_text_has_no_text(messages: Any) -> None:
    key = KEYS.key_of(Call(model="m", messages=messages))
    assert key.text is None
    assert key.exact != key.scope


def test_where_the_text_ends_and_the_history_begins_is_no_accident() -> None:
    first = KEYS.key_of(ask([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]))
    second = KEYS.key_of(ask([{"type": "text", "text": "ab"}]))
    third = KEYS.key_of(ask([{"type": "text", "text": ""}, {"type": "text", "text": "ab"}]))
    assert len({key.exact for key in (first, second, third)}) == 3
    assert len({key.scope for key in (first, second, third)}) == 3


def test_a_message_that_is_changed_afterwards_gets_another_key() -> None:
    content = [{"type": "text", "text": "old"}]
    messages = ({"role": "user", "content": content}, {"role": "assistant", "content": "ok"})
    call = Call(model="m", messages=messages)
    before = KEYS.key_of(call)
    content[0]["text"] = "new"
    after = KEYS.key_of(call)
    assert before.exact != after.exact
    content[0]["text"] = "old"
    assert KEYS.key_of(call) == before


def test_a_new_turn_brings_only_itself_into_form(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = RequestKeys(SECRET, "api")
    history = tuple({"role": "assistant", "content": f"Turn {turn}."} for turn in range(20))
    keys.key_of(Call(model="m", messages=history))
    formed: list[Any] = []
    computed = request_key._PartDigests._computed

    def noted(self: Any, part: Any) -> bytes:
        formed.append(part)
        return computed(self, part)

    monkeypatch.setattr(request_key._PartDigests, "_computed", noted)
    new = {"role": "assistant", "content": "A new turn."}
    keys.key_of(Call(model="m", messages=(*history, new)))
    assert formed == [new]


@pytest.mark.parametrize("kind", [OrderedDict, MappingProxyType])
def test_any_kind_of_mapping_gives_the_same_key(kind: Any) -> None:
    message = {"role": "user", "content": "Hi"}
    other = Call(model="m", messages=(kind(message),), parameters=kind({"top_k": 1}))
    assert KEYS.key_of(other) == KEYS.key_of(ask("Hi", parameters={"top_k": 1}))


class Wide(int):
    """A number of another type."""


DEEP: list[Any] = []
for _ in range(10_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "value",
    [object(), b"bytes", {1}, {1: "name"}, float("nan"), float("inf"), DEEP, 10**5000],
    ids=["object", "bytes", "set", "number as name", "nan", "infinity", "deep", "huge"],
)
def test_what_is_no_json_has_no_key(value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        KEYS.key_of(ask("a secret question", parameters={"x": value}))
    assert caught.value.code == "request_not_keyable"
    assert "secret question" not in f"{caught.value} {caught.value.__cause__}"


@pytest.mark.parametrize("message", [{}, {"role": "user"}, {"content": "Hi"}, "Hi", None])
def test_a_malformed_message_has_no_key(message: Any) -> None:
    with pytest.raises(UsageError, match="one form of JSON"):
        KEYS.key_of(Call(model="m", messages=(message,)))


@pytest.mark.parametrize("content", [[{"type": "text", "text": 5}], [{"type": "text"}], ["Hi"], 5])
def test_a_malformed_content_has_no_key(content: Any) -> None:
    with pytest.raises(UsageError, match="one form of JSON"):
        KEYS.key_of(ask(content))


def test_a_number_of_another_type_is_a_number() -> None:
    assert KEYS.key_of(ask("Hi", parameters={"n": Wide(5)})) == KEYS.key_of(
        ask("Hi", parameters={"n": 5})
    )


def test_a_lone_surrogate_has_a_key_of_its_own() -> None:
    assert len({KEYS.key_of(ask(text)).exact for text in ("\ud800", "\udfff", "?")}) == 3


def test_the_keys_are_digests_and_show_nothing() -> None:
    key = KEYS.key_of(ask("a secret question"))
    assert len(bytes.fromhex(key.exact)) == len(bytes.fromhex(key.scope)) == 16


def test_a_key_stays_the_same_from_one_process_to_the_next() -> None:
    # Stored answers would otherwise be lost: whoever changes this raises the version of the key.
    assert KEYS.key_of(FULL).exact == "4020e59c2c1e1d7f55942b903073693a"
    assert KEYS.key_of(FULL).scope == "c62b21fbaa2afbe40ba4fbe294afee88"


def test_a_secret_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(UsageError, match="15 bytes"):
        RequestKeys(b"x" * 15, "api")


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_key, "_MEMO_ENTRIES", 4)
    monkeypatch.setattr(request_key, "_MEMO_PART_BYTES", 1_000)
    keys = RequestKeys(SECRET, "api")
    made = {keys.key_of(ask(str(number), system=f"s{number}")).exact for number in range(20)}
    keys.key_of(ask("long", system="s" * 2_000))
    assert len(made) == 20
    assert list(keys._system._known.values()) == [
        keys._system.digest(f"s{number}") for number in range(16, 20)
    ]
    assert keys._system._bytes == sum(map(len, keys._system._known))
    monkeypatch.setattr(request_key, "_MEMO_BYTES", 20)
    keys.key_of(ask("Hi", system="another one"))
    assert len(keys._system._known) == 1


def test_what_two_threads_find_out_at_once_is_remembered_once() -> None:
    keys = RequestKeys(SECRET, "api")
    keys._system._remember(b"content", b"digest")
    keys._system._remember(b"content", b"digest")
    assert keys._system._bytes == len(b"content")


def test_threads_make_the_same_keys() -> None:
    keys = RequestKeys(SECRET, "api")
    expected = {number: KEYS.key_of(ask(str(number), system=f"s{number}")) for number in range(50)}
    wrong: list[int] = []

    def work() -> None:
        for number, key in expected.items():
            if keys.key_of(ask(str(number), system=f"s{number}")) != key:
                wrong.append(number)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert wrong == []
    assert keys._system._bytes == sum(map(len, keys._system._known))
