"""What is read of the words of a short question."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.faq.words import is_misspelt, read, stem


@pytest.mark.parametrize(
    "words",
    ["refund refunds refunded refunding", "delivery deliveries", "cancel cancels cancelled", "verify verified"],
)
def test_forms_of_a_word_have_one_stem(words):
    assert len({stem(word) for word in words.split()}) == 1


def test_politeness_and_grammar_are_no_content():
    assert read("Hello sir, could you please tell me how I can track my order?").content == read("track order").content


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ("I can't renew", "negation"),
        ("I can\u2019t renew", "negation"),
        ("unable to renew", "negation"),
        ("my renewal failed", "problem"),
        ("I have already renewed", "completion"),
        ("stop my renewal", "reversal"),
    ],
)
def test_what_turns_a_question_around_is_its_polarity(asked, field):
    assert getattr(read(asked).polarity, field)
    assert not getattr(read("How do I renew?").polarity, field)


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ("How can I pay?", "way"),
        ("Why was I charged?", "reason"),
        ("When does it end", "time"),
        ("how much does it cost", "amount"),
        ("Is it safe for children?", "safety"),
        ("Can I order again?", "again"),
    ],
)
def test_a_question_is_of_a_kind(asked, kind):
    assert kind in read(asked).kinds
    assert kind not in read("pay by card").kinds


def test_signs_that_make_another_word_count():
    assert read("Do you teach C++?").words != read("Do you teach C?").words


@pytest.mark.parametrize("text", ["Wie kann ich bezahlen", "كيف أدفع", "如何付款"])
def test_words_of_other_languages_are_noticed(text):
    assert read(text).foreign


@pytest.mark.parametrize("pair", ["delivery delivry", "delivery deliverry", "delivery dleivery", "delivery delivery"])
def test_a_word_with_one_slip_is_the_same(pair):
    one, other = pair.split()
    assert is_misspelt(one, other)
    assert is_misspelt(other, one)


@pytest.mark.parametrize("pair", ["able cable", "in on", "delivery recovery", "card cards-and"])
def test_other_words_are_others(pair):
    assert not is_misspelt(*pair.split())


@given(st.text())
def test_any_text_can_be_read(text):
    wording = read(text)
    assert all(wording.content)
    assert wording == read(text)
