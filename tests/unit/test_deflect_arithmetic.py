"""Arithmetic is answered exactly where the whole message is one calculation, and left to a model otherwise."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from policies.deflection.arithmetic import arithmetic
from policies.deflection.exact import root
from policies.deflection.numbers import cardinal, quantity, written
from policies.deflection.text import plain


def asked(text):
    line = plain(text)
    return None if line is None else arithmetic(line)


def result(answer):
    """The number that an answer ends with."""
    return Fraction(answer.replace("≈", "=").rsplit("= ", 1)[1].replace("$", ""))


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ("2+2", "2 + 2 = 4"),
        ("0.1% of $5", "0.1% of $5 = $0.005"),
        ("$1 - $1.001", "$1 − $1.001 = -$0.001"),
        ("$1 / 300", "$1 ÷ 300 ≈ $0.003333333"),
        ("what is .1 + .2?", "0.1 + 0.2 = 0.3"),
        ("What's 1,234.5 * 2", "1234.5 × 2 = 2469"),
        ("what is twelve times seven", "12 × 7 = 84"),
        ("how much is one hundred and thirty six plus three hundred and eighty seven", "136 + 387 = 523"),
        ("please calculate (1 + 2) * (3 - 4.5) / 2", "(1 + 2) × (3 − 4.5) ÷ 2 = -2.25"),
        ("hey, could you tell me what 80 divided by 4 is, please", "80 ÷ 4 = 20"),
        ("100 divided by 3", "100 ÷ 3 = 100/3 ≈ 33.333333"),
        ("what is 1/2 + 1/3", "1/2 + 1/3 = 5/6 ≈ 0.8333333"),
        ("what is 15% of 80", "15% of 80 = 12"),
        ("how much is 20 percent off $45", "20% off $45 = $36"),
        ("what is 7.5% of $19.99", "7.5% of $19.99 ≈ $1.50"),
        ("what is three quarters of one sixth", "3/4 of 1/6 = 1/8 = 0.125"),
        ("how much is 1,200 divided by one half", "1200 ÷ (1/2) = 2400"),
        ("½ of 80", "0.5 of 80 = 40"),
        ("5×7 =", "5 × 7 = 35"),
        ("４＋４", "4 + 4 = 8"),
        ("3² + 4²", "3^2 + 4^2 = 25"),
        ("what is 2 to the 10th power", "2^10 = 1024"),
        ("2**0.5", None),
        ("square root of 144", "√144 = 12"),
        ("what is the square root of 2", "√2 ≈ 1.414214"),
        ("the cube root of 27", "∛27 = 3"),
        ("8 factorial", "8! = 40320"),
        ("subtract 100 from 12", "12 − 100 = -88"),
        ("add 3, 4 and 5", "3 + 4 + 5 = 12"),
        ("what is the difference between ten and four", "10 − 4 = 6"),
        ("take 20 percent off 50", "20% off 50 = 40"),
        ("four plus five equals nine", "Yes: 4 + 5 = 9"),
        ("average of 3, 4 and 8", "(3 + 4 + 8) ÷ 3 = 5"),
        ("divide 100 by 12", "100 ÷ 12 = 25/3 ≈ 8.333333"),
        ("what is the remainder when 521 is divided by 3", "521 ÷ 3 = 173, remainder 2"),
        ("how many times does 8 go into 2001", "2001 ÷ 8 = 250.125: 250 times, remainder 1"),
        ("what percent of 50 is 10", "10 is 20% of 50"),
        ("is 2 plus 2 equal to 5?", "No: 2 + 2 = 4"),
        ("can you help me with some math", "Gladly: what is the calculation?"),
    ],
)
def test_a_calculation_is_answered_with_itself_and_its_result(message, answer):
    assert asked(message) == answer


@pytest.mark.parametrize(
    "message",
    [
        "6/2(1+2)",  # before or after the multiplication
        "1,5 + 2",  # a decimal comma, or a list
        "1.000 + 1",  # a thousand, or one
        "0x10 + 1",  # sixteen, or nothing
        "100 + 10%",  # of what
        "-2^2",
        "2^3^2",
        "5!",  # a factorial, or a cry
        "10 % 3",  # the remainder, or a percentage
        "2/3 / 1/9",
        "2^1/2",  # of the power, or of its exponent
        "3 * 8^1/3",
        "5 +- 3",
        "twenty -five plus one",
        "what is 2 to the power of 3 plus 1",
        "the square root of 16 plus 9",
        "multiply one hundred and five and six",
    ],
)
def test_what_may_be_meant_in_two_ways_is_left_to_a_model(message):
    assert asked(message) is None


@pytest.mark.parametrize(
    "message",
    [
        "10/12/2024",
        "what is 10/12/2024",
        "2020-2021",
        "what is 2019-20",
        "1-800-555-1234",
        "555-1234",
        "+1 555 0100",
        "192.168.1.1",
        "version 3.11",
        "24/7",
        "what is 9/11",
        "50/50",
        "what is 120/80",
        "120 over 80",
        "what is a 2x4",
        "2x4",
        "1920x1080",
        "what is 4chan",
        "what is the difference between 301 and 302",
        "10-4",
        "7",
        "$5",
        "20%",
        "a million",
        "١ + ٢",
    ],
)
def test_dates_numbers_ranges_and_names_are_no_calculations(message):
    assert asked(message) is None


@pytest.mark.parametrize(
    "message",
    [
        "what is 2 + 2 and why",
        "what is 12 times 12 in roman numerals",
        "what is 15% of 80? show your work",
        "2+2, then translate it into Latin",
        "Tom has 3 apples and buys 4 more. How many does he have?",
        "i bought 6 shirts at $499 each, what did i pay",
        "solve x + 4 = 10",
        "prove that 1 + 1 = 2",
        "is 0.999... equal to 1",
        "write a function that computes 2 + 2",
        "1 / 0",
        "0^0",
        "what is the derivative of 2 * x",
    ],
)
def test_a_calculation_with_anything_else_is_left_to_a_model(message):
    assert asked(message) is None


@pytest.mark.parametrize("message", ["9**9**9", "9^99999", "what is 99999999 to the power of 1000", "1000 factorial"])
def test_numbers_without_bounds_are_not_computed(message):
    assert asked(message) is None


NUMBERS = st.one_of(
    st.integers(0, 99999).map(str),
    st.decimals(0, 999, places=3).map(lambda number: f"{number.normalize():f}"),
)
OPERATIONS = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
}
TREES = st.recursive(
    NUMBERS, lambda inner: st.tuples(inner, st.sampled_from(list(OPERATIONS)), inner), max_leaves=8
).filter(lambda tree: isinstance(tree, tuple))


def told(tree, *, is_inner=False):
    if isinstance(tree, str):
        return tree
    left, sign, right = tree
    text = f"{told(left, is_inner=True)} {sign} {told(right, is_inner=True)}"
    return f"({text})" if is_inner else text


def value(tree):
    if isinstance(tree, str):
        return Fraction(tree)
    left, sign, right = tree
    return OPERATIONS[sign](value(left), value(right))


@settings(deadline=None)
@given(TREES)
def test_an_answer_is_what_its_expression_is_worth(tree):
    answer = asked(f"calculate {told(tree)}")
    try:
        expected = value(tree)
    except ZeroDivisionError:
        assert answer is None
        return
    assert answer is not None
    if "≈" in answer:
        assert math.isclose(result(answer), expected, rel_tol=1e-6)
    else:
        assert result(answer) == expected


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(1, 999), min_size=1, max_size=4), min_size=2, max_size=5))
def test_products_bind_closer_than_sums(terms):
    text = " + ".join(" * ".join(map(str, term)) for term in terms)
    assert result(asked(f"what is {text}")) == sum(map(math.prod, terms))


SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
).split()
TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def spoken(number, *, has_and):
    if number < 20:
        return SMALL[number]
    if number < 100:
        return TENS[number // 10] + (f" {SMALL[number % 10]}" if number % 10 else "")
    if number < 1000:
        rest = f"{' and' if has_and else ''} {spoken(number % 100, has_and=has_and)}" if number % 100 else ""
        return f"{SMALL[number // 100]} hundred{rest}"
    for scale, name in ((10**9, "billion"), (10**6, "million"), (1000, "thousand")):
        if number >= scale:
            rest = number % scale
            joint = " and " if has_and and 0 < rest < 100 else " "
            return f"{spoken(number // scale, has_and=has_and)} {name}" + (
                f"{joint}{spoken(rest, has_and=has_and)}" if rest else ""
            )
    raise AssertionError(number)


@settings(deadline=None)
@given(st.integers(0, 10**12 - 1), st.booleans())
def test_numbers_in_words_are_read_to_their_end(number, has_and):
    words = spoken(number, has_and=has_and).split()
    read = cardinal(words)
    assert (read.value, read.words) == (number, len(words))


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("two and a half", Fraction(5, 2)),
        ("3 1/2", Fraction(7, 2)),
        ("1½", Fraction(3, 2)),
        ("half a", Fraction(1, 2)),
        ("minus forty", Fraction(-40)),
        ("1.5 million", Fraction(1500000)),
        ("three point one four", Fraction(314, 100)),
    ],
)
def test_quantities_may_have_halves_and_signs(words, number):
    assert quantity(words.split()).value == number


@pytest.mark.parametrize("words", ["fifteen ninety nine", "1,5", "1.2.3", "12,34", "10 000"])
def test_two_numbers_side_by_side_are_not_one(words):
    read = quantity(words.split())
    assert read is None or read.words < len(words.split())


@settings(deadline=None)
@given(st.fractions(min_value=-(10**6), max_value=10**6))
def test_a_written_number_is_exact_or_says_that_it_is_not(number):
    shown = written(number)
    if shown.is_exact:
        assert Fraction(shown.text) == number
    else:
        assert math.isclose(Fraction(shown.text), number, rel_tol=1e-6)


@settings(deadline=None)
@given(st.integers(0, 10**12), st.integers(1, 10**6), st.sampled_from([2, 3]))
def test_roots_are_exact_or_rounded_correctly(above, below, degree):
    number = Fraction(above, below)
    found, shown = root(number, degree)
    if shown.is_exact:
        assert found**degree == number
    else:
        place = Fraction(1, 10 ** len(shown.text.partition(".")[2]))
        assume("." in shown.text)
        assert (Fraction(shown.text) - place) ** degree < number < (Fraction(shown.text) + place) ** degree
