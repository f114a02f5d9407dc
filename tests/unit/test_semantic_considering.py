"""Whether one prompt's answer may be given to another."""

from __future__ import annotations

import pytest

from policies.semantic.considering import Candidate, consider
from policies.semantic.edits import edit
from policies.semantic.guards import examine
from policies.semantic.reading import CHARACTERS_MAX, WORDS_MAX, read


@pytest.mark.parametrize(
    ("cached", "asked", "guard"),
    [
        ("how many miles is 5 km", "how many miles is 7 km", "number"),
        ("what is the train fare for two adults", "what is the train fare for three adults", "number"),
        ("Can I travel with a pet?", "Can I not travel with a pet?", "negation"),
        ("How do I enable two factor sign in?", "How do I disable two factor sign in?", "opposite"),
        ("what is the fee before the deadline", "what is the fee after the deadline", "opposite"),
        ("is the bridge safe for trucks", "is the bridge unsafe for trucks", "opposite"),
        ("capital city of france", "capital city of spain", "name"),
        ("sort a list in python", "sort a list in javascript", "name"),
        ("who founded the company", "when founded the company", "question"),
        ("flight from Oslo to Rome", "flight from Rome to Oslo", "direction"),
        ('translate "good day" for me', 'translate "good night" for me', "quotation"),
        ("what does my_list.append do", "what does my_list.extend do", "identifier"),
    ],
)
def test_what_turns_the_answer_is_refused_by_name(cached: str, asked: str, guard: str):
    assert _examined(cached, asked).refused == guard


@pytest.mark.parametrize(
    ("cached", "asked"),
    [
        ("who is the mayor of the town", "Hello, quick question: who's the mayor of the town? Thanks!"),
        ("I cannot open the door", "I can't open the door, please help"),
        ("when does the library open", "when does the libarry open??"),
        ("how do I reset the device", "could you please tell me how do I reset the device"),
        ("in 2018 the prize went where", "the prize went where in 2018"),
        ("can I buy a car here", "can I purchase a car here"),
    ],
)
def test_politeness_typing_and_synonyms_leave_no_doubt(cached: str, asked: str):
    found = _examined(cached, asked)
    assert (found.refused, found.doubt) == (None, "none")


@pytest.mark.parametrize(
    ("cached", "asked", "doubt"),
    [
        ("how do I wash the linen curtain", "how do I wash the woollen curtain", "word"),
        ("how do I wash the curtain", "how do I wash the heavy curtain", "added"),
    ],
)
def test_another_word_is_a_doubt(cached: str, asked: str, doubt: str):
    assert _examined(cached, asked).doubt == doubt


def test_the_nearest_is_passed_over_where_a_guard_refuses_it():
    verdict = consider(
        "what does a ticket for 3 people cost",
        [Candidate(0.99, "what does a ticket for 2 people cost"), Candidate(0.97, "cost of a ticket for 3 people")],
    )
    assert verdict.index == 1


def test_without_a_candidate_the_reason_is_told():
    assert consider("what is new", []).reason == "nothing similar"
    assert consider("what is new", [Candidate(0.2, "how old is he")]).reason == "nothing similar"
    assert consider("who won in 2019", [Candidate(0.98, "who won in 2018")]).reason == "number"


def test_a_nearer_prompt_is_the_smaller_risk():
    near, far = (
        consider("where is my parcel now", [Candidate(cosine, "where is my parcel")]) for cosine in (0.98, 0.7)
    )
    assert near.risk < far.risk


def test_neighbours_that_are_known_to_have_the_same_answer_make_it_a_smaller_risk():
    texts = ["where is my parcel", "where is the parcel now", "my parcel has not come"]

    def asked(*groups: str) -> float:
        near = [Candidate(0.9 - at / 100, *one) for at, one in enumerate(zip(texts, groups, strict=True))]
        return consider("where is my parcel now please", near).risk

    assert asked("a", "a", "a") < asked("a", "a", "b") < asked("a", "b", "c")
    assert asked("", "", "") == asked("a", "b", "c"), "of whom nothing is known may have any answer"


@pytest.mark.parametrize(
    "hostile", ["please " * 5_000, "ok, " * 5_000, '"' * 9_000, "a_" * 9_000, "1,1" * 9_000, "\u20ac" * 9_000]
)
def test_hostile_texts_are_read_only_so_far(hostile: str):
    reading = read(hostile)
    assert len(reading.words) <= WORDS_MAX
    assert read(hostile[:CHARACTERS_MAX]) == reading


def _examined(cached: str, asked: str):
    one, other = read(cached), read(asked)
    return examine(one, other, edit(one, other))
