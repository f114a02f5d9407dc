"""Units are converted by their definitions, and the answer names those that a reader might have meant otherwise."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.deflection.currency import Rates, currency
from policies.deflection.text import plain
from policies.deflection.unit_table import NAMED
from policies.deflection.units import units


def asked(text):
    line = plain(text)
    return None if line is None else units(line)


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ("10 miles in km", "10 miles = 16.09344 kilometers"),
        ("convert 98.6 F to celsius", "98.6 °F = 37 °C"),
        ("-40 f in c", "-40 °F = -40 °C"),
        ("How many cups are in a gallon?", "1 US gallon = 16 US cups"),
        ("cups in a gallon", "1 US gallon = 16 US cups"),
        ("how many teaspoons are in a half a cup", "0.5 US cups = 24 US teaspoons"),
        ("what is two and a half feet in inches", "2.5 feet = 30 inches"),
        ("how many ounces are in 4 pounds", "4 pounds = 64 ounces"),
        ("how many ounces in a cup", "1 US cup = 8 US fluid ounces"),
        ("2 imperial pints in ml", "2 imperial pints = 1136.5225 milliliters"),
        ("1 ton in kg", "1 US ton = 907.18474 kilograms"),
        ("1 metric ton in pounds", "1 metric ton ≈ 2204.622622 pounds"),
        ("5'10\" in cm", "5 feet 10 inches = 177.8 centimeters"),
        ("how tall is 180 cm in feet and inches", "180 centimeters ≈ 5 feet 10.87 inches"),
        ("100 km/h to mph", "100 km/h ≈ 62.137119 mph"),
        ("how many seconds are in a day", "1 day = 86400 seconds"),
        ("10 m² in sq ft", "10 square meters ≈ 107.639104 square feet"),
        ("180 degrees in radians", "180 degrees ≈ 3.141593 radians"),
        ("30 psi in bar", "30 psi ≈ 2.068427 bars"),
        ("200 hp in kw", "200 mechanical horsepower ≈ 149.139974 kilowatts"),
        ("how much does 5 kilos weigh in pounds", "5 kilograms ≈ 11.023113 pounds"),
        ("in grams, what is 3 ounces", "3 ounces = 85.048569375 grams"),
        ("if i have 5 pounds how many ounces is that", "5 pounds = 80 ounces"),
    ],
)
def test_a_conversion_states_both_units(message, answer):
    assert asked(message) == answer


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ("how do you convert pounds to kilograms", "1 pound = 0.45359237 kilograms: multiply the pounds by 0.45359237"),
        ("inches to feet", "1 inch ≈ 0.08333333 feet: divide the inches by 12"),
        ("what is the conversion from celsius to fahrenheit", "°F = °C × 9/5 + 32"),
    ],
)
def test_without_a_number_the_rule_is_the_answer(message, answer):
    assert asked(message) == answer


def test_data_sizes_say_which_prefixes_they_go_by():
    assert asked("1 GB in MB").startswith("1 gigabyte = 1000 megabytes (decimal prefixes")
    assert asked("1 GB in Mb").startswith("1 gigabyte = 8000 megabits")
    assert asked("500 mb in gb").startswith("500 mb = 0.5 gb")
    assert asked("500 mb in bytes") is None  # megabits or megabytes


@pytest.mark.parametrize(
    "message",
    [
        "2 cups of flour in grams",
        "how many grams of sugar in a teaspoon",
        "how many grams in a cup",
        "10 pounds in euros",
        "5 Mg in kg",  # millions of grams, not thousandths
        "5 Mm in km",
        "1.500 km in m",  # a thousand and a half, or one and a half
        "how many days in a year",  # 365 or 366
        "how many weeks are in 3 months",
        "500 calories in joules",  # of food or of physics
        "c to f",  # a change of chords
        "5k in miles",
        "1,5 km in m",
        "-300 celsius in f",  # colder than it can be
        "-5 miles in km",
        "ounces to ounces",
        "2 inches",
        "how many yards in a football field",
        "convert 5 km to miles and explain the factor",
        "convert this function to typescript",
        "how many miles to the gallon does it do",
        "10 miles in km as a haiku",
        "what is 100 f in c and k",
    ],
)
def test_what_is_no_plain_conversion_is_left_to_a_model(message):
    assert asked(message) is None


UNITS = sorted({(unit.dimension, unit.plural) for found in NAMED.values() for unit in found})
PAIRS = st.sampled_from(
    [
        (one, other)
        for dimension, one in UNITS
        for also, other in UNITS
        if dimension == also and one != other and dimension != "temperature"
    ]
)


@settings(deadline=None)
@given(PAIRS, st.integers(1, 10**6))
def test_there_and_back_again_is_where_it_began(pair, count):
    one, other = pair
    there = asked(f"convert {count} {one} to {other}")
    assert there is not None
    number = there.partition(" (")[0].replace("≈", "=").rpartition("= ")[2].split()[0]
    back = asked(f"convert {number} {other} to {one}")
    if back is None:  # too many digits, or beyond what is converted
        return
    returned = Fraction(back.partition(" (")[0].replace("≈", "=").rpartition("= ")[2].split()[0])
    assert abs(returned - count) <= count * Fraction(1, 10**5)


@settings(deadline=None)
@given(st.integers(-200, 10**4))
def test_temperatures_are_those_of_the_formula(degrees):
    answer = asked(f"{degrees} celsius to fahrenheit")
    assert Fraction(answer.rpartition("= ")[2].split()[0]) == Fraction(degrees) * 9 / 5 + 32


def test_currency_is_converted_by_configured_rates_alone():
    rates = Rates({"EUR": Fraction("0.9"), "JPY": Fraction(150)}, "rates of 2026-11-28")
    assert currency("how much is 100 dollars in euros", rates) == "100 USD ≈ 90 EUR (rates of 2026-11-28)"
    assert currency("20 yen is how many dollars", rates) == "20 JPY ≈ 0.13 USD (rates of 2026-11-28)"
    assert currency("2 yen in usd", rates) == "2 JPY ≈ 0.013333 USD (rates of 2026-11-28)"
    assert currency("usd to eur exchange rate today and tomorrow", rates) is None
    assert currency("10 pounds in euros", rates) is None  # no rate for it
    assert currency("how many pesos is a dollar", rates) is None  # of which country
    assert currency("how much is 100 dollars in euros", None) is None
