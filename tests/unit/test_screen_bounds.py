"""What a text made to be slow can cost: so much work and no more, and nothing passes unseen for it."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.screening.folding import Folded
from policies.screening.pii import find as search
from policies.screening.pii.addresses import _is_v6
from policies.screening.pii.find import FOUND_MAX, WORK_MAX, _Search, find
from policies.screening.secrets import assignments, tokens, written
from policies.screening.secrets.finding import find as find_secrets
from policies.screening.spans import Span

CARD = "4111 1111 1111 1111"
IBAN = "DE89370400440532013000"
MAIL = "joe@example.org"


def numbers(count, form="{:02}.{:03}.{:03}q, "):
    """As many different numbers that are nobody's."""
    return "".join(form.format(at % 97, at % 997, at % 991) for at in range(count))


@pytest.mark.parametrize(
    "text",
    [
        numbers(60_000),
        "".join(f"nr {at:011}\n" for at in range(60_000)),
        "".join(f"AB{at:06}C " for at in range(60_000)),
        "".join(f"2024-01-{at % 28:02}T{at % 24:02}:00:{at % 60:02}.{at:06}Z {at:010}\n" for at in range(30_000)),
        "123-456 " * 100_000,
    ],
)
def test_the_work_that_numbers_cause_is_bounded(text) -> None:
    looking = _Search(text)
    looking.spans()

    assert looking.work <= WORK_MAX + 100


def test_beyond_the_work_that_a_text_may_cause_what_is_cheaply_proved_is_found_all_the_same() -> None:
    text = numbers(10_000)
    tail = f"card {CARD}, iban {IBAN}, phone +14155550132, host 10.1.2.3, {MAIL}"
    kinds = [span.kind for span in find(f"{text}{tail}") if span.start >= len(text)]

    assert kinds == ["CREDIT_CARD", "IBAN_CODE", "PHONE_NUMBER", "IP_ADDRESS", "EMAIL_ADDRESS"]


def test_a_list_of_peoples_numbers_goes_on_to_its_end() -> None:
    people = "".join(f"SSN {100 + at % 500:03}-{10 + at % 89:02}-{1 + at:04}\n" for at in range(3_000))
    spans = find(people)

    assert len(spans) <= FOUND_MAX + 2
    assert spans[-1].end == len(people)


def test_where_many_of_the_numbers_were_somebodys_the_rest_is_taken_for_such() -> None:
    mixed = "".join(
        f"SSN {100 + at % 500:03}-{10 + at % 89:02}-{1 + at:04}\n" if at % 20 == 0 else f"{at % 9999:04}-{at:05}x,\n"
        for at in range(6_000)
    )

    assert find(mixed)[-1].end == len(mixed)


@pytest.mark.parametrize("one", ["a{}@example.org ", "2001:db8::{:x} ", "10.0.{}.1, "])
def test_more_addresses_than_a_text_has_are_one_to_its_end(one) -> None:
    text = "".join(one.format(at % 250 if "10.0" in one else at) for at in range(3 * FOUND_MAX))
    spans = find(text)

    assert len(spans) <= FOUND_MAX + 2
    assert spans[-1].end == len(text)


def test_an_ordinary_long_text_is_looked_at_to_its_end() -> None:
    page = "On 2024-03-05 at 12:30 we sold 1,250 items for 99.90 each; see chapter 4.2, page 117.\n" * 200
    ssn = "536-22-1234"

    assert find(f"{page}SSN {ssn}.") == [Span(len(page) + 4, len(page) + 4 + len(ssn), "US_SSN")]


def test_more_beginnings_of_tokens_than_any_text_has_are_taken_for_tokens(monkeypatch) -> None:
    monkeypatch.setattr(tokens, "LOOKS_MAX", 10)
    near_miss = "xoxb-123456789012-"

    assert find_secrets(near_miss * 10) == []
    assert find_secrets(f"{near_miss} " * 20)[-1].end == 20 * (len(near_miss) + 1)


def test_more_that_looks_like_signed_tokens_than_any_text_has_is_taken_for_such(monkeypatch) -> None:
    monkeypatch.setattr(written, "LOOKS_MAX", 10)
    near_miss = "eyJub3RoaW5nIjoxfQ.eyJub3RoaW5nIjoxfQ "

    assert find_secrets(near_miss * 10) == []
    assert find_secrets(near_miss * 20)[-1].end == 20 * len(near_miss)


@pytest.mark.parametrize(
    "character", ["\u0661", "\uff12", "\u200b", "\u2013", "\u0431", "\U0001d7d0", "\u4e2d", "a", "\ud800"]
)
def test_a_long_text_is_folded_to_the_same_as_a_short_one(character) -> None:
    piece = f"1{character}b {character}\u00e9{character * 3}3\u200d. "
    short, long = Folded(piece), Folded(piece * 10_000)

    assert long.plain == short.plain * 10_000
    assert long.as_given([Span(len(short.plain), 2 * len(short.plain) - 1, "x")])[0].start == len(piece)


def test_more_names_of_secrets_than_any_text_has_are_taken_for_secrets(monkeypatch) -> None:
    monkeypatch.setattr(assignments, "LOOKS_MAX", 10)
    text = "password: see page 4\n" * 5 + "token_count=123456\n" * 20

    assert find_secrets(text)[-1].end == len(text)


@given(st.lists(st.sampled_from(["1", "ab", "::", ":", ":", "1234", "0", "f"]), min_size=2, max_size=20).map("".join))
def test_an_address_of_the_sixth_version_is_one_that_the_standard_library_knows(address) -> None:
    if ":" not in address:
        return
    try:
        is_address = bool(ipaddress.IPv6Address(address))
    except ValueError:
        is_address = False

    assert _is_v6(address) is (is_address and any(map(str.isdigit, address)))


def test_words_of_mixed_letters_are_read_as_latin_however_many_there_are() -> None:
    word = "раyраl "

    assert Folded(word * 10).plain == "paypal " * 10
    assert Folded(word * 10_000).plain == "paypal " * 10_000


def test_the_bounds_lie_far_beyond_what_a_prompt_holds() -> None:
    looking = search._Search(numbers(100))
    looking.spans()

    assert looking.work * 10 < WORK_MAX
