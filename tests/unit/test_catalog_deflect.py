"""What a catalog may say of a route that answers some messages itself."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from catalog_parts import refusal, snapshot

from gateway.domain import Deflection, Message
from policies.deflection.of_route import answer_to

BASE = """\
providers: {{p: {{kind: openai}}}}
deployments: [{{name: m, provider: p, model: gpt-4o}}]
routes:
  auto:
    deployments: [m]
    deflect: {deflect}
"""


def test_a_route_names_its_answerers_a_time_zone_and_the_rates_of_a_day():
    route = snapshot(
        BASE.format(
            deflect="{answerers: [arithmetic, currency], time_zone: Europe/Paris, over_system_prompts: true, "
            "currency: {as_of: 2026-11-29, per_usd: {EUR: 0.86, JPY: 155}}}"
        )
    ).routes["auto"]
    assert route.deflection == Deflection(
        ("arithmetic", "currency"),
        ZoneInfo("Europe/Paris"),
        True,
        {"EUR": Fraction(86, 100), "JPY": Fraction(155)},
        "rates of 2026-11-29",
    )
    told = answer_to(Message("100 dollars in euros"), route.deflection, datetime(2026, 11, 29, tzinfo=UTC))
    assert told.answer == "100 USD \u2248 86 EUR (rates of 2026-11-29)"


def test_a_route_may_state_how_many_answers_of_a_teams_list_may_be_wrong():
    deflect = "{answerers: [units, faq], faq: {wrong_answers_max: 0.01}}"
    assert snapshot(BASE.format(deflect=deflect)).routes["auto"].deflection.faq_wrong_answers_max == 0.01


def test_a_route_is_listed_with_what_answers_without_a_model():
    catalog = snapshot(BASE.format(deflect="{answerers: [arithmetic, units]}"))
    assert "auto: ordered, arithmetic and units answered without a model, baseline none" in "\n".join(
        catalog.describe()
    )


def test_a_route_that_says_nothing_of_it_deflects_nothing():
    text = BASE.format(deflect="{answerers: [units]}")
    assert snapshot(text).routes["auto"].deflection == Deflection(("units",))
    assert snapshot(text.replace("    deflect: {answerers: [units]}\n", "")).routes["auto"].deflection is None


@pytest.mark.parametrize(
    ("deflect", "reason"),
    [
        ("{}", "deflect.answerers: is missing"),
        ("{answerers: []}", "at least 1 item"),
        ("{answerers: [arithmetics]}", "there is no answerer arithmetics (did you mean arithmetic?); there are arith"),
        ("{answerers: [units], time_zone: Europe/Pari}", "no time zone Europe/Pari (did you mean Europe/Paris?)"),
        ("{answerers: [units], zone: UTC}", "unknown key zone"),
        ("{answerers: [currency]}", "the answerer currency needs currency: {as_of: ..., per_usd: {...}}"),
        ("{answerers: [units], currency: {as_of: 2026-11-29, per_usd: {EUR: 1}}}", "it is not listed"),
        ("{answerers: [units], faq: {wrong_answers_max: 0.01}}", "the answerer faq goes by faq, and it is not listed"),
        ("{answerers: [faq], faq: {wrong_answers_max: 0}}", "greater than 0"),
        ("{answerers: [currency], currency: {as_of: today, per_usd: {EUR: 1}}}", "expected a day such as 2026-11-29"),
        ("{answerers: [currency], currency: {as_of: 2026-11-29, per_usd: {}}}", "at least 1 item"),
        ("{answerers: [currency], currency: {as_of: 2026-11-29, per_usd: {EUR: 0}}}", "greater than 0"),
        ("{answerers: [currency], currency: {as_of: 2026-11-29, per_usd: {EUR: true}}}", "expected a number"),
        ("{answerers: [currency], currency: {as_of: 2026-11-29, per_usd: {EURO: 1}}}", "not EURO (did you mean EUR?)"),
        ("{answerers: [currency], currency: {as_of: 2026-11-29, per_usd: {USD: 1}}}", "of a currency but USD"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_line(deflect, reason):
    text = refusal(BASE.format(deflect=deflect))
    assert "catalog.yaml:6: routes.auto.deflect" in text
    assert reason in text
