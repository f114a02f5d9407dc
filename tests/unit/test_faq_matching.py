"""Which entry of a list a message gets, and when it gets none. Vectors here are made of words: see faq_parts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from faq_parts import LIST, vectors_of
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.faq.index import FaqIndex
from policies.faq.judging import Doubt
from policies.faq.matching import FaqMatcher
from policies.faq.words import read

NAMES = list(LIST)


def matcher(entries=LIST):
    lists = list(entries.values())
    return FaqMatcher(lists, vectors_of([text for texts in lists for text in texts]))


@pytest.fixture(scope="module")
def shop():
    return matcher()


def asked(matcher, text, wrong_answers_max=0.02):
    return matcher.match(text, vectors_of([text])[0], wrong_answers_max)


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("hi, please change my delivery address", "address"),
        ("how can i return an order", "returns"),
        ("I want to return my order please", "returns"),
        ("Is there a warranty of 24 months on lamps?", "warranty"),
    ],
)
def test_a_message_gets_the_answer_that_it_asks_for(shop, text, entry):
    match = asked(shop, text)
    assert (NAMES[match.entry], match.doubt) == (entry, None)


@pytest.mark.parametrize("text", [text for texts in LIST.values() for text in texts])
def test_a_question_of_the_list_gets_its_answer_however_it_is_dotted(shop, text):
    match = asked(shop, text.upper().replace("?", " ?!"))
    assert text in LIST[NAMES[match.entry]]
    assert match.doubt is None


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        ("I can't return my order", Doubt.POLARITY),
        ("I have already returned my order", Doubt.POLARITY),
        ("my order return failed", Doubt.POLARITY),
        ("why return my order", Doubt.KIND),
        ("change my address again", Doubt.KIND),
        ("return my order 4711", Doubt.NUMBER),
        ("return", Doubt.SHORT),
        ("ich return order", Doubt.FOREIGN),
        ("what is the capital of France", Doubt.FAR),
        ("can you help me please?", Doubt.EMPTY),
        ("", Doubt.EMPTY),
        ("return my order " * 30, Doubt.LONG),
        ("return my order or my invoice", Doubt.UNSURE),
    ],
)
def test_what_is_another_question_gets_none_and_it_is_said_why(shop, text, doubt):
    assert asked(shop, text).doubt is doubt


def test_a_number_may_stand_where_the_entry_has_numbers_but_not_that_of_another_entry():
    plans = matcher({"months": ("warranty of 24 months", "warranty of 12 months"), "years": ("plan of 5 years",)})
    assert asked(plans, "warranty of 18 months", 0.1).doubt is None
    assert asked(plans, "warranty of 5 months", 0.1).doubt is Doubt.NUMBER


def test_the_same_question_in_two_entries_is_answered_by_neither():
    twice = matcher({"one": ("reset my password",), "other": ("Reset my password!", "password")})
    assert asked(twice, "reset my password").doubt is Doubt.AMBIGUOUS


def test_a_smaller_budget_answers_no_more(shop):
    texts = [text.replace("my", "this") + " today" for texts in LIST.values() for text in texts]
    answered = [
        {text for text in texts if asked(shop, text, budget).doubt is None} for budget in (0.0, 0.005, 0.02, 0.1)
    ]
    assert all(less <= more for less, more in pairwise(answered))
    assert not answered[0]


def test_entries_that_cannot_be_told_apart_are_named():
    shop = matcher(LIST | {"refund": ("How do I return my orders?", "I want to send back my order")})
    named = {(shop.index.owners[one.question], one.answered) for one in shop.confusions(0.05)}
    returns, refund = 0, len(LIST)
    assert named == {(returns, refund), (refund, returns)}
    assert not matcher().confusions()


def test_a_list_of_one_question_works():
    only = matcher({"hours": ("What are your opening hours?",)})
    assert asked(only, "What are your opening hours").doubt is None
    assert asked(only, "where is my parcel").doubt is Doubt.FAR
    assert not only.confusions()


@pytest.mark.parametrize("entries", [[], [[]], [["a"], []], [["a"]]])
def test_a_list_needs_questions_and_a_vector_for_each(entries):
    with pytest.raises(ValueError, match="needs a question"):
        FaqIndex(entries, np.zeros((2, 384), np.float32))


def test_a_word_with_one_slip_is_read_as_the_list_spells_it(shop):
    assert shop.index.spelt(read("my adress on the invocie")) == read("address invoice").content


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=500))
def test_any_message_is_judged_the_same_each_time(shop, text):
    assert asked(shop, text) == asked(shop, text)
