"""Personal data is found by what proves it, in any surroundings, where it stands in the text as it was given."""

from __future__ import annotations

import string
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.screening.pii.banking import _ACCOUNTS
from policies.screening.pii.find import find
from policies.screening.pii.kinds import KINDS
from policies.screening.spans import Span

# What may stand beside a number: spaces, marks, and letters of scripts that put no space there.
BESIDE = ("", " ", "\n", "是", "。", "です", "：", "，", "(", '"', "“", "\u00a0", "。\n", ": ", "、")


def found(text):
    return [(span.kind, text[span.start : span.end]) for span in find(text)]


def luhn_check(body):
    total = sum(sum(divmod(int(digit) * (2 - place % 2), 10)) for place, digit in enumerate(reversed(body)))
    return str(-total % 10)


def iban_check(country, account):
    number = "".join(str(int(character, 36)) for character in f"{account}{country}00")
    return f"{98 - int(number) % 97:02}"


@st.composite
def cards(draw):
    prefix, size = draw(
        st.sampled_from((("4", 16), ("51", 16), ("2221", 16), ("34", 15), ("6011", 16), ("3530", 16), ("305", 14)))
    )
    body = prefix + "".join(
        draw(st.lists(st.sampled_from(string.digits), min_size=size - 1 - len(prefix), max_size=size - 1 - len(prefix)))
    )
    return body + luhn_check(body)


@st.composite
def ibans(draw):
    country = draw(st.sampled_from(sorted(_ACCOUNTS)))
    sets = {"n": string.digits, "a": string.ascii_uppercase, "c": string.digits + string.ascii_uppercase}
    account, count = "", ""
    for character in _ACCOUNTS[country]:
        if character.isdigit():
            count += character
        else:
            account += "".join(
                draw(st.lists(st.sampled_from(sets[character]), min_size=int(count), max_size=int(count)))
            )
            count = ""
    return country + iban_check(country, account) + account


def in_groups(draw, text, gap, least=1):
    """The text in groups of any size."""
    groups, position = [], 0
    while position < len(text):
        size = draw(st.integers(least, 6))
        groups.append(text[position : position + size])
        position += size
    return gap.join(groups)


@given(cards(), st.sampled_from(BESIDE), st.sampled_from(BESIDE))
def test_any_card_is_found_in_any_surroundings(card, before, after) -> None:
    text = f"支払い{before}{card}{after}ok" if after else f"支払い{before}{card}"
    assert ("CREDIT_CARD", card) in found(text) or len(set(card)) == 1


@given(st.data(), cards(), st.sampled_from((" ", "-", ".", "\u00a0", "\u2011")))
def test_any_card_is_found_in_any_grouping(data, card, gap) -> None:
    written = in_groups(data.draw, card, gap, least=2)
    assert ("CREDIT_CARD", written) in found(f"My card: {written}.")


@given(cards(), st.integers(1, 9))
def test_a_card_with_another_check_digit_is_none(card, by) -> None:
    wrong = card[:-1] + str((int(card[-1]) + by) % 10)
    assert "CREDIT_CARD" not in [kind for kind, _ in found(f"card {wrong}")]


@given(
    st.data(), ibans(), st.sampled_from(("", " ", "-")), st.booleans(), st.sampled_from(BESIDE), st.sampled_from(BESIDE)
)
def test_any_iban_is_found_in_any_grouping_case_and_surroundings(data, iban, gap, is_lower, before, after) -> None:
    written = iban[:2] + in_groups(data.draw, iban[2:], gap) if gap else iban
    written = written.lower() if is_lower else written
    assert ("IBAN_CODE", written) in found(f"账号{before}{written}{after}")


@given(ibans(), st.integers(1, 96))
def test_an_iban_with_other_check_digits_is_none(iban, by) -> None:
    wrong = f"{iban[:2]}{(int(iban[2:4]) - 2 + by) % 97 + 2:02}{iban[4:]}"
    assert "IBAN_CODE" not in [kind for kind, _ in found(f"iban {wrong}")]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("写信给test@example.com谢谢", "EMAIL_ADDRESS", "test@example.com"),
        ("<mailto:a.b+c@x-y.co.uk>", "EMAIL_ADDRESS", "a.b+c@x-y.co.uk"),
        ("an user@bücher.de oder", "EMAIL_ADDRESS", "user@bücher.de"),
        ("ｔｅｓｔ＠ｅｘａｍｐｌｅ．ｃｏｍ", "EMAIL_ADDRESS", "ｔｅｓｔ＠ｅｘａｍｐｌｅ．ｃｏｍ"),
        ('{"to": "a\\nb@c.org"}', "EMAIL_ADDRESS", "b@c.org"),
        ("from 10.218.6.131.", "IP_ADDRESS", "10.218.6.131"),
        ("host=10.0.0.1:80", "IP_ADDRESS", "10.0.0.1"),
        ("地址192.168.0.1和", "IP_ADDRESS", "192.168.0.1"),
        ("at fe80::1ff:fe23:4567:890a, port", "IP_ADDRESS", "fe80::1ff:fe23:4567:890a"),
        ("http://[2001:db8::1]:8080/", "IP_ADDRESS", "2001:db8::1"),
        ("::ffff:192.0.2.1", "IP_ADDRESS", "::ffff:192.0.2.1"),
        ("to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa now", "CRYPTO", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
        ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "CRYPTO", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
        ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "CRYPTO", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"),
        ("call me at (415) 555-2671 today", "PHONE_NUMBER", "(415) 555-2671"),
        ("+44 (0)20 7946 0958", "PHONE_NUMBER", "+44 (0)20 7946 0958"),
        ("手机号码是１３８００１３８０００，谢谢", "PHONE_NUMBER", "１３８００１３８０００"),
        ("tel:+1-202-555-0143", "PHONE_NUMBER", "+1-202-555-0143"),
        ("Tel. 06 12 34 56 78", "PHONE_NUMBER", "06 12 34 56 78"),
        ("reach me on 555-0100 x12", "PHONE_NUMBER", "555-0100 x12"),
        ("pay 4111\u200b1111\u200b1111\u200b1111 now", "CREDIT_CARD", "4111\u200b1111\u200b1111\u200b1111"),
        ("visa 4222222222222", "CREDIT_CARD", "4222222222222"),
        ("4111 1111 1111 1111 12/27 123", "CREDIT_CARD", "4111 1111 1111 1111"),
        ("D\u041589370400440532013000", "IBAN_CODE", "D\u041589370400440532013000"),
    ],
)
def test_it_is_found_where_it_stands(text, kind, value) -> None:
    assert found(text) == [(kind, value)]


@pytest.mark.parametrize(
    "text",
    [
        "icon@2x.png",
        "npm i react@18.2.0",
        "git clone git@github.com:owner/repo.git",
        "postgres://user:word@host.com/db",
        "@app.route('/x')",
        "upgrade to version 10.2.3.4",
        "1.2.3.4.5.6",
        "int x = 10000000L, y = 1000000L; class1234a",
        "at 12:30:45 and std::vector, x[::2]",
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD",
        "on 2024-01-15 10:30 it was 3.14159265358979",
        "timestamp 1700000000 or 1700000000123",
        "order 1234567890, invoice 20240115",
        "550e8400-e29b-41d4-a716-446655440000",
        "12 – 2 – 2 – 2",
        "9999999999999999",
        "the years 1939 1945 and $1,234,567.89",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text) -> None:
    assert found(text) == []


@given(st.text(alphabet=st.sampled_from("0123456789 .-/()+@:abcxDE\u200b\uff11\u4f60é_\\\n"), max_size=300))
def test_spans_are_in_order_apart_and_within_the_text(text) -> None:
    spans = find(text)
    assert all(span.kind in KINDS and 0 <= span.start < span.end <= len(text) for span in spans)
    assert all(one.end <= other.start for one, other in pairwise(spans))


@given(
    st.text(alphabet=st.sampled_from("ab \u4f60\u200b"), max_size=40),
    st.text(alphabet=st.sampled_from("c \u200b\u4f60"), max_size=40),
)
def test_offsets_are_of_the_text_as_given_whatever_was_hidden_in_it(before, after) -> None:
    value = "x\u200b@\u200bexample.com"
    text = f"{before} {value} {after}"
    assert [text[span.start : span.end] for span in find(text)] == [value]


def test_numbers_side_by_side_are_found_each() -> None:
    text = "DE89370400440532013000 4111111111111111 555-0100-1 5500 0000 0000 0004"
    assert [kind for kind, _ in found(text)] == ["IBAN_CODE", "CREDIT_CARD", "CREDIT_CARD"]
    assert found("GB 82 WEST 1234 5698 7654 32") == [("IBAN_CODE", "GB 82 WEST 1234 5698 7654 32")]


def test_a_text_without_a_digit_or_an_at_sign_is_not_looked_through() -> None:
    assert find("Nothing to see: here.") == []


def test_a_span_tells_where_and_what() -> None:
    assert find("ping 192.0.2.7") == [Span(5, 14, "IP_ADDRESS")]


HOSTILE = {
    "digits": "1234567890",
    "at signs": "@",
    "addresses begun": "a@",
    "domains without end": "a@b.",
    "dashes": "a-",
    "digits and letters": "a1",
    "digits apart": "1 ",
    "groups": "1234 ",
    "dots": "1.",
    "colons": ":",
    "brackets": "((1",
    "plus signs": "+1",
    "countries": "DE89 ",
    "hidden": "1\u200b",
    "cards": "4111 1111 1111 1112 ",
    "look-alikes": "\u0415a1",
    "letters and digits": "aB3dE6gH9+/",
}


def work(text):
    """How many calls it takes to look through it."""
    calls = 0

    def count(_frame, event, _argument) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        find(text)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("shape", HOSTILE.values(), ids=HOSTILE)
def test_twice_the_text_is_twice_the_work_whatever_its_shape(shape) -> None:
    some = shape * (4_000 // len(shape))
    work(some)  # what is made once is made
    assert work(some * 4) <= 4.2 * work(some) + 200


@pytest.mark.parametrize("shape", HOSTILE.values(), ids=HOSTILE)
def test_a_long_text_of_one_shape_is_got_through(shape) -> None:
    find(shape * (200_000 // len(shape)))


@given(
    st.lists(
        st.sampled_from(("call 555-0100 now\n", "SSN 787-78-9328\n", "4111 1111 1111 1111\n", "nothing\n")), min_size=1
    )
)
def test_lines_that_come_again_in_a_long_text_are_found_each_time(lines) -> None:
    once = "".join(lines)
    filler = "and so on, " * 20 + "\n"
    times = 8_500 // (len(once) + len(filler)) + 1
    apart = find(filler + once + filler)
    together = find((filler + once) * times + filler)
    step = len(filler) + len(once)
    assert together == [
        Span(span.start + turn * step, span.end + turn * step, span.kind) for turn in range(times) for span in apart
    ]
