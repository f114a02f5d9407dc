"""Whether a cached answer and a fresh one say the same."""

from __future__ import annotations

import pytest

from policies.semantic.same_answer import same_answer


@pytest.mark.parametrize(
    ("cached", "fresh", "cosine"),
    [
        ("The bridge opened in 1932.", "the bridge opened in  1932", 0.0),
        (
            "The bridge was opened to traffic in the year 1932, after eight years of work.",
            "It was in 1932 that the bridge was opened to traffic, when work had gone on for eight years.",
            0.95,
        ),
    ],
)
def test_the_same_in_other_words_is_the_same(cached: str, fresh: str, cosine: float):
    assert same_answer(cached, fresh, cosine)


@pytest.mark.parametrize(
    ("cached", "fresh", "cosine"),
    [
        ("Yes", "No", 0.99),
        ("Paris", "London", 0.99),
        ("Yes, you can take it with you on the train.", "No, you can not take it with you on the train.", 0.99),
        ("The bridge over the bay was opened in 1932.", "The bridge over the bay was opened in 1936.", 0.99),
        ("You have to open the lid and press the button twice.", "Our shop is open on all working days.", 0.3),
    ],
)
def test_in_doubt_two_answers_differ(cached: str, fresh: str, cosine: float):
    assert not same_answer(cached, fresh, cosine)
