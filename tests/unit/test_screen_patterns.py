"""What a team denies is found as whole words, in any case and however it is written; what it allows is left alone."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from policies.screening.patterns import FOUND_MAX, LENGTH_MAX, WORDS_MAX, BadPattern, PatternList, Patterns


def found(text, patterns):
    return [text[span.start : span.end] for span in patterns.find(text)]


def denying(*words, expressions=(), allow=None, **options):
    return Patterns({"denied": PatternList(words, expressions)}, allow and PatternList(allow), **options)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("a cat.", ["cat"]),
        ("CAT", ["CAT"]),
        ("(cat)cat", ["cat", "cat"]),
        ("cats concat cat_ cat1", []),
        ("écat caté cat\u0301", []),
        ("猫cat猫", ["cat"]),
        ("New   York and new\nyork", ["New   York", "new\nyork"]),
        ("New Yorkers", []),
        ("naïve naïvety", ["naïve"]),
        ("ПАРОЛЬ паролька", ["ПАРОЛЬ"]),
        ("最高机密的", ["机密"]),
        ("I write C++, not xC++", ["C++"]),
    ],
)
def test_words_are_found_whole_and_in_any_case_of_any_alphabet(text, matches):
    assert found(text, denying("cat", "New York", "naïve", "пароль", "机密", "c++")) == matches


def test_wide_invisible_and_look_alike_characters_are_read_as_the_plain_ones_where_they_stand():
    patterns = denying("cat")
    for written in ("\uff23\uff21\uff34", "c\u200bat", "c\u0430t"):
        assert found(f"é {written}!", patterns) == [written]
        assert found(f"é {written}!", denying("cat", fold_look_alikes=False)) == []


def test_a_word_may_itself_be_written_with_look_alikes():
    assert found("a cat", denying("c\u0430t")) == ["cat"]


def test_the_kind_is_the_name_of_the_list():
    patterns = Patterns({"projects": PatternList(("Bluebird",)), "tickets": PatternList((), (r"\bTCK-\d{3,6}\b",))})
    assert [(span.kind, span.start, span.end) for span in patterns.find("Bluebird: TCK-1234, XTCK-1234")] == [
        ("projects", 0, 8),
        ("tickets", 10, 18),
    ]


def test_what_lies_within_something_allowed_is_not_denied():
    patterns = denying("cat", expressions=(r"\d{4}",), allow=("cat food",))
    assert found("cat food for a cat", patterns) == ["cat"]
    patterns = Patterns({"years": PatternList((), (r"\d{4}",))}, PatternList((), (r"20\d\d",)))
    assert found("1999 2024", patterns) == ["1999"]


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("(?=a)b", "looks ahead or behind"),
        ("(?<!a)b", "looks ahead or behind"),
        (r"(a)\1", "refers back"),
        ("(?P<n>a)(?P=n)", "refers back"),
        ("a++", "possessive"),
        ("(?>a)", "atomic"),
        ("(", "missing"),
        ("a*", "where nothing stands"),
        ("a{2000}", "repetition"),
        ("\ud800", "half of a character"),
        ("a" * (LENGTH_MAX + 1), "characters"),
        ("(?:.{0,100}x){4}", "too large"),
    ],
)
def test_an_expression_that_cannot_be_used_says_why(expression, reason):
    with pytest.raises(BadPattern, match=reason) as refused:
        denying(expressions=(expression,))
    assert "denied: " in str(refused.value)


@pytest.mark.parametrize("words", [("",), (" ",), ("\u200b",), ("a" * (LENGTH_MAX + 1),), ("a",) * (WORDS_MAX + 1)])
def test_words_that_cannot_be_used_are_refused(words):
    with pytest.raises(BadPattern):
        denying(*words)


def test_lists_may_be_empty():
    assert Patterns({"none": PatternList()}).find("anything") == []


def test_a_text_full_of_what_is_denied_is_denied_from_there_to_its_end():
    text = "cat " * (FOUND_MAX + 100)
    spans = denying("cat").find(text)
    assert len(spans) == FOUND_MAX + 1
    assert spans[-1].end == len(text)


@pytest.mark.parametrize(
    "expression", ["(a*)*!", "(a|aa)+$b", "(a?){200}a{200}b", "(.*)(.*)(.*)(.*)!", "[ab]*a[ab]{12}c"]
)
def test_expressions_that_blow_up_elsewhere_end(expression):
    assert denying(expressions=(expression,)).find("ab" + "a" * 100_000) == []


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
@example("\ud800", "")
@example("\u200b", "\u200b")
def test_a_word_between_spaces_is_found_at_its_place_in_any_text(before, after):
    text = f"{before} Zebra {after}"
    spans = denying("zebra", expressions=(r"\d+",)).find(text)
    assert "Zebra" in [text[span.start : span.end] for span in spans]
    assert all(left.end <= right.start for left, right in pairwise(spans))
