"""How a catalog file says what a route answers without a model."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from gateway.catalog.schema_fields import Part, did_you_mean, no_bool
from gateway.domain import Deflection
from policies.deflection.currency import CURRENCIES
from policies.deflection.of_route import FAQ
from policies.deflection.registry import NAMES

_CURRENCY = "currency"
_ANSWERERS = (*NAMES, FAQ)


def _is_answerer(value: str) -> str:
    if value not in _ANSWERERS:
        near = did_you_mean(value, _ANSWERERS)
        known = ", ".join(_ANSWERERS)
        raise PydanticCustomError(
            "no_answerer",
            "there is no answerer {name}{near}; there are {known}",
            {"name": value, "near": near, "known": known},
        )
    return value


def _is_zone(value: str) -> str:
    zones = available_timezones()
    if value not in zones:
        near = did_you_mean(value, zones)
        raise PydanticCustomError("no_zone", "there is no time zone {name}{near}", {"name": value, "near": near})
    return value


def _is_currency(value: str) -> str:
    if value not in CURRENCIES or value == "USD":
        near = did_you_mean(value, CURRENCIES)
        raise PydanticCustomError(
            "no_currency", "expected the code of a currency but USD, not {name}{near}", {"name": value, "near": near}
        )
    return value


def _is_day(value: str) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise PydanticCustomError("no_day", "expected a day such as 2026-11-29") from None


Answerer = Annotated[str, AfterValidator(_is_answerer)]
PerUsd = Annotated[Decimal, BeforeValidator(no_bool), Field(gt=0, le=10**9)]


class CurrencyPart(Part):
    """``per_usd``: units of a currency for one US dollar, on the day ``as_of``, which answers tell."""

    as_of: Annotated[str, AfterValidator(_is_day)]
    per_usd: Annotated[Mapping[Annotated[str, AfterValidator(_is_currency)], PerUsd], Field(min_length=1)]


class FaqPart(Part):
    """``wrong_answers_max``: the share of the answers of a team's list that may be wrong."""

    wrong_answers_max: Annotated[float, BeforeValidator(no_bool), Field(gt=0, le=0.5)]


class DeflectPart(Part):
    answerers: Annotated[tuple[Answerer, ...], Field(min_length=1)]
    time_zone: Annotated[str, AfterValidator(_is_zone)] | None = None
    over_system_prompts: bool = False
    currency: CurrencyPart | None = None
    faq: FaqPart | None = None

    @model_validator(mode="after")
    def _has_rates_where_it_needs_them(self) -> DeflectPart:
        if self.currency is None and _CURRENCY in self.answerers:
            raise PydanticCustomError("no_rates", "the answerer currency needs currency: {as_of: ..., per_usd: {...}}")
        if self.currency is not None and _CURRENCY not in self.answerers:
            raise PydanticCustomError("idle_rates", "only the answerer currency has rates, and it is not listed")
        if self.faq is not None and FAQ not in self.answerers:
            raise PydanticCustomError("idle_faq", "only the answerer faq goes by faq, and it is not listed")
        return self


def deflection_of(part: DeflectPart) -> Deflection:
    """What the part of a route says."""
    rates = part.currency
    return Deflection(
        answerers=part.answerers,
        time_zone=None if part.time_zone is None else ZoneInfo(part.time_zone),
        over_system_prompts=part.over_system_prompts,
        usd_rates={} if rates is None else {code: Fraction(rate) for code, rate in rates.per_usd.items()},
        faq_wrong_answers_max=None if part.faq is None else part.faq.wrong_answers_max,
        usd_rates_as_of="" if rates is None else f"rates of {rates.as_of}",
    )
