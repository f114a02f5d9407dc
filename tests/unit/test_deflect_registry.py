"""The deflectors together: which are asked, what they never answer, and that no message can hurt."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from policies.deflection.phrase_grammar import compiled, compiled_parts
from policies.deflection.registry import NAMES, Deflected, deflect
from policies.deflection.text import LENGTH_MAX, core, plain

NOW = datetime(2026, 11, 29, 17, 5, tzinfo=UTC)
ZONE = ZoneInfo("UTC")
CALLS_MAX = 20_000


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("what is 15% of 80", "arithmetic"),
        ("10 miles in km", "units"),
        ("what time is it in tokyo", "clock"),
        ("thank you!", "smalltalk"),
    ],
)
def test_a_message_is_answered_by_the_deflector_that_is_turned_on_for_it(message, name):
    assert deflect(message, NAMES, NOW, ZONE).name == name
    assert deflect(message, [name], NOW, ZONE).name == name
    assert deflect(message, [other for other in NAMES if other != name], NOW, ZONE) is None
    assert deflect(message, [], NOW, ZONE) is None


COMMON = ("what is 2 + 2", "how many cups are in a gallon", "what time is it", "thank you", "hi", "goodbye")
REQUESTS = (
    "and explain why",
    "and write a poem about it",
    "in the style of a pirate",
    "then translate the answer into Latin",
    ". Now write a regular expression",
    "but use only words that start with s",
    "and check whether my friend, who said 41, is right",
    ", and what is the weather like",
    "in python",
    "def main(): pass",
)


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("message", COMMON)
def test_nothing_is_answered_that_also_asks_for_something_else(message, request_):
    assert deflect(message, NAMES, NOW, ZONE) is not None
    assert deflect(f"{message} {request_}", NAMES, NOW, ZONE) is None
    assert deflect(f"{message}\n{request_}", NAMES, NOW, ZONE) is None


@pytest.mark.parametrize(
    "message",
    [
        "how much is 100 dollars in euros",  # live rates
        "what is the exchange rate between usd and gbp",
        "2 + 2\x00",
        "2 + \u202e2",  # what is read is not what is there
        "2\u200b + 2",
        "   ",
        "2 + 2 " * 60,
    ],
)
def test_what_cannot_be_known_or_read_is_left_to_a_model(message):
    assert deflect(message, NAMES, NOW, ZONE) is None


def test_courtesies_around_a_question_do_not_change_it():
    assert core("Hey, could you please tell me 2 + 2, please?") == "2 + 2"
    assert core("I'd like to know what time it is, thanks!") == "what time it is"


WORDS = st.sampled_from(
    (
        "what is the how many much of in to and a an plus minus times divided by over percent % + - * / ^ ( ) = , . ? !"
        " $ half third quarter hundred thousand million point one two seven twenty 3 4.5 1,000 1/2 ½ squared root"
        " square factorial sum add subtract from feet foot inches miles km f c cups gallon ounces pounds degrees days"
        " ago weeks today tomorrow until between time date day timezone paris new york la may july 4th 1776 pm"
        " 2024-02-29 noon hello thanks thank you so very really bye good night great job helping me @ # 's ' \" é 你 👋"
    ).split()
)
MESSAGES = st.one_of(
    st.text(max_size=60),
    st.lists(WORDS, max_size=30).map(" ".join),
    st.lists(WORDS, max_size=40).map("".join),
)


def calls_of(message):
    """How many functions are called for one message; a measure of work that no clock disturbs."""
    counted = 0

    def count(_frame, event, _argument):
        nonlocal counted
        counted += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        deflect(message, NAMES, NOW, ZONE)
    finally:
        sys.setprofile(before)
    return counted


@settings(max_examples=300, deadline=None)
@given(MESSAGES)
@example("(" * LENGTH_MAX)
@example("1+" * 149 + "1")
@example("9**" * 99 + "9")
@example("so " * 50)
@example("a hundred and " * 17)
@example("to in " * 25)
@example("what day is ... it")
def test_no_message_raises_or_takes_long(message):
    found = deflect(message, NAMES, NOW, ZONE)
    assert found is None or isinstance(found, Deflected)
    assert calls_of(message[:LENGTH_MAX]) < CALLS_MAX


@settings(deadline=None)
@given(st.text(min_size=LENGTH_MAX + 1, max_size=LENGTH_MAX + 50))
def test_a_long_message_is_not_even_read(message):
    assert plain(message) is None


def test_phrases_are_written_in_a_notation_of_their_own():
    parts = compiled_parts({"name": "(ann | bob)", "greeting": "hello [there]\nhi"})
    assert parts["greeting"] == "hello (?:there )?|hi "
    assert compiled("{greeting} {name}\n[it's\n| so]* late", parts) == (
        "(?:hello (?:there )?|hi )(?:(?:ann |bob ))|(?:it'?s |so )*late "
    )
