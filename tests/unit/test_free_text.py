"""The text of a custom tool, taken out of what a model made of the JSON around it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.translation.responses_over_chat.freeform import FreeText

# What a model can write inside of a string, bad escapes and halves of pairs included.
insides = st.lists(st.sampled_from(["\\", "u", "d", "8", "3", "D", "c", "0", "n", '\\"', "x", "\U0001f600"])).map(
    "".join
)


def read(*pieces):
    text = FreeText()
    return "".join([*map(text.feed, pieces), text.rest()])


@given(insides, st.sampled_from(["", '"', '"}']), st.lists(st.integers(0, 60), max_size=6))
@example("\\ud83d\\udexx", '"}', [18, 19])
def test_the_text_is_the_same_however_it_is_cut(inside, end, cuts):
    arguments = '{"input": "' + inside + end
    edges = [0, *sorted(cuts), len(arguments)]
    assert read(*[arguments[i:j] for i, j in pairwise(edges)]) == read(arguments)


@pytest.mark.parametrize(
    ("inside", "text"),
    [("C:\\users", "C:\\users"), ("\\d+\\n", "\\d+\n"), ("\\u12zz\\\\", "\\u12zz\\"), ("\\ud83d.", "\ud83d.")],
)
def test_what_is_no_escape_stands_for_itself(inside, text):
    assert read('{"input": "', inside, '"}') == text


def test_text_nested_deeper_than_can_be_read_is_text():
    assert read("[" * 100_000) == "[" * 100_000
