from __future__ import annotations

import os
import random
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow._internal import ids
from sdk_workflow._internal.ids import new_id, new_span_id, new_trace_id


@given(prefix=st.sampled_from(["msg", "ses", "req"]), length=st.integers(1, 60))
def test_an_id_is_its_prefix_and_as_many_plain_characters_as_asked_for(
    prefix: str, length: int
) -> None:
    assert re.fullmatch(rf"{prefix}_[0-9A-Za-z]{{{length}}}", new_id(prefix, length=length))


def test_an_id_has_no_characters_that_are_easily_confused() -> None:
    text = new_id("x", length=5_000).removeprefix("x_")
    assert set(text).isdisjoint("ILOUilou")
    assert len(set(text)) > 40


def test_ids_do_not_repeat() -> None:
    assert len({new_id("ses") for _ in range(2_000)}) == 2_000
    assert len({new_trace_id() for _ in range(2_000)}) == 2_000
    assert len({new_span_id() for _ in range(2_000)}) == 2_000


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - repeatable on purpose


@pytest.mark.parametrize("seed", [0, 7])
def test_a_seeded_source_gives_the_same_ids_again(seed: int) -> None:
    sources = (seeded(seed), seeded(seed))
    first, second = ([new_id("msg", source) for _ in range(3)] for source in sources)
    assert first == second
    assert len(set(first)) == 3


def test_an_application_that_seeds_random_does_not_repeat_our_ids() -> None:
    found = set()
    for _ in range(2):
        random.seed(1)
        found |= {new_id("ses"), str(new_trace_id()), str(new_span_id())}
    assert len(found) == 6


def test_trace_and_span_ids_fit_their_width_and_are_never_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert all(0 < new_trace_id() < 2**128 for _ in range(100))
    assert all(0 < new_span_id() < 2**64 for _ in range(100))
    assert any(new_trace_id() >= 2**64 for _ in range(100))

    class Zeros(random.Random):  # noqa: S311 - repeatable on purpose
        def getrandbits(self, k: int, /) -> int:
            assert k in {64, 128}
            return 0

    monkeypatch.setattr(ids, "_random", Zeros())
    assert (new_trace_id(), new_span_id()) == (1, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_a_forked_child_makes_ids_of_its_own() -> None:
    program = """
import os
from sdk_workflow._internal.ids import new_id
read, write = os.pipe()
if os.fork() == 0:
    os.write(write, new_id("ses").encode())
    os._exit(0)
os.wait()
print(os.read(read, 100).decode() == new_id("ses"))
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert result.stdout.decode().strip() == "False"


def test_a_new_seed_leaves_the_old_sequence() -> None:
    ids._random.seed(1)
    repeated = new_id("ses")
    ids._random.seed(1)
    ids._reseed()
    assert new_id("ses") != repeated


def test_an_id_of_a_session_can_name_a_file_where_case_does_not_count() -> None:
    names = {ids.new_session_id() for _ in range(500)}
    assert len(names) == 500
    assert all(re.fullmatch(r"ses_[0-9a-z]{24}", name) for name in names)
