"""The nouns of the gateway: frozen values, no clock, no I/O. Everybody imports them from here."""

from __future__ import annotations

from gateway.domain.catalog import Deployment, Endpoint, Provider, Route, Timeouts, UpstreamLimits
from gateway.domain.ledger import Basis, LedgerEntry, MeterReading, Outcome, Purpose, Source
from gateway.domain.money import MILLION, NANO, Charge, ChargeLine, Meter, RateCard, Tariff, Usage
from gateway.domain.request import AnswerForm, Bar, Body, Call, Caller, Decision, Reason, Request, StoredResponse

__all__ = [
    "MILLION",
    "NANO",
    "AnswerForm",
    "Bar",
    "Basis",
    "Body",
    "Call",
    "Caller",
    "Charge",
    "ChargeLine",
    "Decision",
    "Deployment",
    "Endpoint",
    "LedgerEntry",
    "Meter",
    "MeterReading",
    "Outcome",
    "Provider",
    "Purpose",
    "RateCard",
    "Reason",
    "Request",
    "Route",
    "Source",
    "StoredResponse",
    "Tariff",
    "Timeouts",
    "UpstreamLimits",
    "Usage",
]
