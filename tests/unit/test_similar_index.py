"""What is near what: in one space, in many, in a bounded memory."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.embedding.index import Held, Index, unit
from gateway.embedding.space import Space

NEVER_MS = 10**15
DIMENSIONS = 32


def vectors(count, seed=0, dimensions=DIMENSIONS):
    """In clusters, as questions come."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(count // 10 + 1, dimensions))
    found = centres[random.integers(0, len(centres), count)] + 0.3 * random.normal(size=(count, dimensions))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def settled(space):
    while space.is_unsettled:
        space.settle(64)
    return space


def test_a_few_and_a_graph_of_many_find_the_same():
    asked, held = vectors(200, 1), vectors(4000)
    few, many = Space(DIMENSIONS), Space(DIMENSIONS, linear_max=100)
    for number, vector in enumerate(held):
        few.put(number, vector)
        many.put(number, vector)
    settled(many)
    assert len(few) == len(many) == 4000
    same = same_first = 0
    for vector in asked:
        exact, found = few.nearest(vector, 8), many.nearest(vector, 8)
        assert [number for _, number in exact] == np.argsort(-(held @ vector))[:8].tolist()
        same += len({number for _, number in exact} & {number for _, number in found})
        same_first += exact[0][1] == found[0][1]
        cosines = {number: cosine for cosine, number in exact}
        assert all(abs(cosine - cosines[number]) < 0.002 for cosine, number in found if number in cosines)
    assert same >= 0.97 * 8 * len(asked)
    assert same_first >= 0.98 * len(asked)


@pytest.mark.parametrize("moved", [0, 5, 1000])
def test_everything_is_found_while_it_moves_into_the_graph(moved):
    held = vectors(300)
    space = Space(DIMENSIONS, linear_max=100)
    for number, vector in enumerate(held):
        space.put(number, vector)
    space.settle(moved)
    for number, vector in enumerate(held):
        cosine, found = space.nearest(vector, 3)[0]
        assert found == number
        assert cosine == pytest.approx(1, abs=0.002)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=120), st.integers(0, 40))
def test_what_was_removed_is_never_found_and_what_is_there_always(steps, linear_max):
    held = vectors(31)
    space, there = Space(DIMENSIONS, linear_max), set()
    for is_put, number in steps:
        if is_put:
            space.put(number, held[number])
            there.add(number)
        else:
            space.remove(number)
            there.discard(number)
        space.settle(2)
        assert len(space) == len(there)
    assert {number for _, number in space.nearest(held[0], 31)} == there


def held_of(name, vector, *, space="space", ends_ms=NEVER_MS, text="text"):
    return Held(f"{space}:{name}", space, name, text, ends_ms, vector)


_places = st.tuples(st.sampled_from("ABC"), st.sampled_from("xyz"), st.integers(0, 5))


@given(st.lists(_places, max_size=40), st.sampled_from("ABC"), st.sampled_from("xyz"), st.integers(0, 5))
def test_nobody_finds_what_lies_in_another_space_or_is_of_another_tenant(puts, tenant, space, asked):
    found_in, lines = vectors(6), {}
    index = Index(10**9)
    for number, (its_tenant, its_space, which) in enumerate(puts):
        index.put(its_tenant, held_of(str(number), found_in[which], space=its_space, text=f"{its_tenant}{its_space}"))
        lines.setdefault((its_tenant, its_space), set()).add(str(number))
    found = index.nearest(tenant, space, found_in[asked], 100, 0)
    assert {one.digest for one in found} == lines.get((tenant, space), set())
    assert {one.text for one in found} <= {f"{tenant}{space}"}


def test_an_entry_is_found_until_it_ends():
    index, one = Index(10**9), vectors(1)[0]
    index.put("a", held_of("1", one, ends_ms=1000))
    assert len(index.nearest("a", "space", one, 5, 999)) == 1
    assert index.nearest("a", "space", one, 5, 1000) == ()
    assert (len(index), index.bytes_held) == (0, 0)


def test_an_entry_that_is_put_again_ends_when_it_was_said_last():
    index, one = Index(10**9), vectors(1)[0]
    for ends_ms in (1000, 3000, 2000):
        index.put("a", held_of("1", one, ends_ms=ends_ms))
    assert len(index.nearest("a", "space", one, 5, 1999)) == 1
    assert index.nearest("a", "space", one, 5, 2000) == ()


def test_memory_is_bounded_and_what_ends_first_makes_room():
    index = Index(20_000)
    for number, vector in enumerate(vectors(100)):
        index.put("ab"[number % 2], held_of(str(number), vector, ends_ms=1000 + number))
        assert index.bytes_held <= 20_000
    left = {one.digest for tenant in "ab" for one in index.nearest(tenant, "space", vectors(1)[0], 100, 0)}
    assert left == {str(number) for number in range(100 - len(left), 100)}
    assert 20 <= len(left) <= 40


def test_forgotten_is_what_is_under_no_name_that_is_left():
    index, one = Index(10**9), vectors(1)[0]
    for name in "123":
        index.put("a", held_of(name, one))
    index.put("b", held_of("1", one))
    index.keep_only("a", {"space:2"})
    assert [one.digest for one in index.nearest("a", "space", one, 5, 0)] == ["2"]
    index.keep_only("a", ())
    assert (index.count_of("a"), index.count_of("b")) == (0, 1)


def test_vectors_of_another_length_are_neither_kept_nor_compared():
    index = Index(10**9)
    index.put("a", held_of("1", vectors(1)[0]))
    index.put("a", held_of("2", vectors(1, dimensions=8)[0]))
    assert len(index) == 1
    assert index.nearest("a", "space", vectors(1, dimensions=8)[0], 5, 0) == ()


def test_a_vector_without_a_direction_is_none():
    assert unit(np.zeros(3, np.float32)) is None
    assert unit(np.array([1, np.nan], np.float32)) is None
    assert unit(np.array([1, np.inf], np.float32)) is None
    assert unit(np.array([3, 4], np.float32)).tolist() == pytest.approx([0.6, 0.8])


def test_a_process_that_has_a_graph_may_load_the_encoder_afterwards():
    program = """
import numpy
from gateway.embedding.space import Space
space = Space(8, linear_max=0)
space.put(1, numpy.ones(8, numpy.float32) / 8**0.5)
space.settle(10)
import onnxruntime
onnxruntime.SessionOptions()
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
