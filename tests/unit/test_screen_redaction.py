"""What was found leaves a text as placeholders and comes back exactly, also in streams."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.screening.redaction import Redactor, Restorer, redact, restore
from policies.screening.spans import Span

KINDS = ("EMAIL_ADDRESS", "CREDIT_CARD", "FI_PERSONAL_IDENTITY_CODE")

texts = st.text(alphabet="ab[]\\_ 1EMAIL@\n\u4f60", max_size=60) | st.lists(
    st.sampled_from(
        ("[EMAIL_ADDRESS_1]", "\\[EMAIL\\_ADDRESS\\_1\\]", "[email address 2]", "[", "\\", "x@y.z", "[CREDIT_CARD_1")
    ),
    max_size=8,
).map("".join)


@st.composite
def redacted_texts(draw):
    """A text and spans in it, any of which may overlap."""
    text = draw(texts)
    spans = []
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, len(text)))
        if end > start:
            spans.append(Span(start, end, draw(st.sampled_from(KINDS))))
    return text, spans


def chunks_of(text, cuts):
    edges = sorted({0, len(text), *(cut for cut in cuts if cut <= len(text))})
    return [text[start:end] for start, end in pairwise(edges)]


@given(redacted_texts())
def test_restoring_what_was_redacted_gives_the_text_back(drawn) -> None:
    text, spans = drawn
    redacted, originals = redact(text, spans)
    assert restore(redacted, originals) == text


@given(redacted_texts(), texts, st.lists(st.integers(0, 120), max_size=30))
def test_a_stream_is_restored_to_the_same_whatever_its_chunks(drawn, around, cuts) -> None:
    redacted, originals = redact(*drawn)
    answer = around + redacted + around
    restorer = Restorer(originals)
    streamed = "".join(restorer.feed(chunk) for chunk in chunks_of(answer, cuts)) + restorer.finish()
    assert streamed == restore(answer, originals)


@given(redacted_texts(), texts)
def test_a_stream_is_never_behind_by_more_than_twice_the_longest_placeholder_and_its_marks(drawn, around) -> None:
    redacted, originals = redact(*drawn)
    longest = max(map(len, originals), default=0)
    restorer = Restorer(originals)
    for character in around + redacted:
        restorer.feed(character)
        assert len(restorer._held) <= 2 * longest + 2


@given(redacted_texts())
def test_placeholders_are_none_that_the_text_already_held(drawn) -> None:
    text, spans = drawn
    _, originals = redact(text, spans)
    seen = re.sub(r"\\", "", text).replace(" ", "_").upper()
    assert not [placeholder for placeholder in originals if placeholder in seen]


def test_a_value_has_one_placeholder_in_all_texts_of_a_conversation() -> None:
    redactor = Redactor()
    first = redactor.redact("to a@b.de", [Span(3, 9, "EMAIL_ADDRESS")])
    second = redactor.redact("a@b.de or c@d.de", [Span(0, 6, "EMAIL_ADDRESS"), Span(10, 16, "EMAIL_ADDRESS")])
    assert (first, second) == ("to [EMAIL_ADDRESS_1]", "[EMAIL_ADDRESS_1] or [EMAIL_ADDRESS_2]")


def test_a_placeholder_that_another_text_of_the_conversation_holds_is_not_given_out() -> None:
    redactor = Redactor()
    redactor.avoid("What do [email address 1] and [ EMAIL_ADDRESS_2 ] mean?")
    assert redactor.redact("a@b.de", [Span(0, 6, "EMAIL_ADDRESS")]) == "[EMAIL_ADDRESS_3]"


@pytest.mark.parametrize(
    "written",
    [
        "[EMAIL_ADDRESS_1]",
        "[email_address_1]",
        "[Email Address 1]",
        "[ EMAIL_ADDRESS_1 ]",
        "\\[EMAIL\\_ADDRESS\\_1\\]",
        "[EMAIL\\_ADDRESS\\_1]",
    ],
)
@pytest.mark.parametrize("others", [{}, {"[FI_PERSONAL_IDENTITY_CODE_1]": "x"}], ids=["alone", "beside a longer one"])
def test_a_placeholder_that_the_model_changed_a_little_is_restored(written, others) -> None:
    originals = {"[EMAIL_ADDRESS_1]": "a@b.de", **others}
    assert restore(f"Write to **{written}**.", originals) == "Write to **a@b.de**."


@pytest.mark.parametrize(
    "written", ["[EMAIL_ADDRESS_2]", "[EMAIL_ADDRESS]", "EMAIL_ADDRESS_1", "[1]", "[x](y)", "\\[x\\]"]
)
def test_what_is_no_placeholder_of_ours_stays(written) -> None:
    assert restore(written, {"[EMAIL_ADDRESS_1]": "a@b.de"}) == written


def test_what_cannot_become_a_placeholder_goes_out_at_once() -> None:
    restorer = Restorer({"[EMAIL_ADDRESS_1]": "a@b.de"})
    assert [restorer.feed(chunk) for chunk in ("See [1] and [EM", "AIL_ADDRESS_1", "], [not this!", "")] == [
        "See [1] and ",
        "",
        "a@b.de, [not this!",
        "",
    ]


def test_spans_that_overlap_are_replaced_as_one_of_the_longest_kind() -> None:
    redacted, originals = redact("0123456789", [Span(1, 4, "A"), Span(3, 9, "B"), Span(8, 10, "C")])
    assert (redacted, originals) == ("0[B_1]", {"[B_1]": "123456789"})


@pytest.mark.parametrize(
    ("found", "left"),
    [
        ((10, 25), "password=[EMAIL_ADDRESS_1] and more"),  # within its brackets
        ((9, 26), "password=[EMAIL_ADDRESS_1] and more"),
        ((0, 12), "[SECRET_1] and more"),  # its beginning alone
        ((20, 30), "password=[SECRET_1] more"),
    ],
)
def test_a_later_guard_may_replace_what_an_earlier_one_left_and_all_of_it_comes_back(found, left) -> None:
    text = "password=ada@example.org and more"
    redactor = Redactor()
    once = redactor.redact(text, [Span(9, 24, "EMAIL_ADDRESS")])
    twice = redactor.redact(once, [Span(*found, "SECRET")])
    assert once == "password=[EMAIL_ADDRESS_1] and more"
    assert twice == left
    assert restore(twice, redactor.originals) == text


@given(redacted_texts(), st.lists(st.tuples(st.integers(0, 80), st.integers(1, 30)), max_size=4))
def test_what_several_guards_replaced_one_after_the_other_comes_back(drawn, later) -> None:
    text, spans = drawn
    redactor = Redactor()
    redactor.avoid(text)
    once = redactor.redact(text, spans)
    again = [Span(start, min(start + size, len(once)), "OURS") for start, size in later if start < len(once)]
    twice = redactor.redact(once, again)
    assert restore(twice, redactor.originals) == text
