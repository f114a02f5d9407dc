"""What callers are told whose budget or limit is used up."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import (
    NANO,
    Balance,
    Budget,
    BudgetClaim,
    Dimension,
    Limit,
    LimitClaim,
    OnExhausted,
    Scope,
    Window,
)
from policies.refusal_text import budget_refusal, dollars, instant, limit_refusal
from policies.scopes import scope_fields, subject_of
from policies.windows import period_of

NOW_MS = int(datetime(2026, 11, 23, 11, 30, tzinfo=UTC).timestamp() * 1000)
TEAM = Scope("org_1", team_id="team_1")


def claim(**fields: object) -> BudgetClaim:
    values = {
        "id": "bud_1",
        "scope": TEAM,
        "limit_nusd": 10 * NANO,
        "window": Window.MONTH,
        "subject": "Team search",
        "contact": "owner@example.com",
    }
    budget = Budget(**(values | fields))
    return BudgetClaim(budget, None, "name", period_of(budget, NOW_MS), budget.limit_nusd)


def test_a_spent_budget_says_whose_it_is_how_much_when_it_resets_and_whom_to_ask():
    message, details = budget_refusal(claim(), Balance(10 * NANO, 0), 5)

    assert message == "Team search has used $10.00 of $10.00 (month); resets 2026-12-01; ask owner@example.com"
    assert details == {
        "budget": {
            "id": "bud_1",
            "scope": {"team": "team_1"},
            "value": None,
            "window": "month",
            "limit_usd": "10.00",
            "spent_usd": "10.00",
            "held_usd": "0.00",
            "hold_usd": "0.000000005",
            "resets_at": "2026-12-01T00:00:00Z",
            "contact": "owner@example.com",
            "on_exhausted": "refuse",
        }
    }


def test_a_hold_that_does_not_fit_is_told_with_what_is_left():
    message, _details = budget_refusal(claim(), Balance(9 * NANO, NANO // 2), 2 * NANO)

    assert message == (
        "Team search has used $9.00 of $10.00 (month); $0.50 more is held for calls under way; "
        "this call may cost $2.00, more than the $0.50 left; resets 2026-12-01; ask owner@example.com"
    )


def test_a_budget_without_contact_or_reset_promises_neither():
    message, details = budget_refusal(claim(window=Window.TOTAL, contact=None), Balance(11 * NANO, 0), 1)

    assert message == "Team search has used $11.00 of $10.00 (total)"
    assert details["budget"]["resets_at"] is None


def test_a_rolling_window_is_called_so():
    message, _details = budget_refusal(claim(window=Window.DAY, is_rolling=True, contact=None), Balance(10**10, 0), 1)

    assert message == "Team search has used $10.00 of $10.00 (rolling day)"


@pytest.mark.parametrize(
    ("window", "zone", "told", "at"),
    [
        (Window.HOUR, "UTC", "2026-11-23 12:00 UTC", "2026-11-23T12:00:00Z"),
        (Window.HOUR, "Asia/Kolkata", "2026-11-23 18:00 Asia/Kolkata", "2026-11-23T12:30:00Z"),
        (Window.DAY, "Europe/Berlin", "2026-11-24 (Europe/Berlin)", "2026-11-23T23:00:00Z"),
        (Window.WEEK, "UTC", "2026-11-30", "2026-11-30T00:00:00Z"),
    ],
)
def test_a_reset_is_told_by_the_budgets_own_clock(window, zone, told, at):
    message, details = budget_refusal(claim(window=window, time_zone=zone), Balance(10**10, 0), 1)

    assert f"; resets {told};" in message
    assert details["budget"]["resets_at"] == at


def test_what_is_counted_apart_is_named_with_its_value_shortened():
    each = claim(scope=Scope("org_1", each=Dimension.END_USER), on_exhausted=OnExhausted.DOWNGRADE)._replace(
        value="x" * 999
    )

    message, details = budget_refusal(each, Balance(10**10, 0), 1)

    assert message.startswith("Team search (" + "x" * 64 + ") has used")
    assert details["budget"]["value"] == "x" * 999
    assert details["budget"]["scope"] == {"organization": "org_1", "each": "end_user"}
    assert details["budget"]["on_exhausted"] == "downgrade"


@pytest.mark.parametrize(
    ("kind", "field", "told"),
    [
        ("requests", "requests_per_minute", "1,000 requests per minute"),
        ("tokens", "tokens_per_minute", "2 tokens per minute"),
        ("tokens_per_day", "tokens_per_day", "3 tokens per day"),
        ("parallel", "parallel_requests", "4 parallel requests"),
    ],
)
def test_a_limit_says_what_it_allows_and_when_to_come_back(kind, field, told):
    limit = Limit("lim_1", TEAM, 1000, 2, 3, 4, subject="Team search", contact="owner@example.com")

    message, details = limit_refusal(LimitClaim(limit, None, "lim_1"), kind, 1001)

    assert message == f"Team search has reached its limit of {told}; try again in 2 s; ask owner@example.com"
    assert details["limit"]["kind"] == field
    assert details["limit"]["limit"] == getattr(limit, field)
    assert details["limit"]["retry_after_ms"] == 1001


def test_a_limit_of_zero_promises_nothing():
    limit = Limit("lim_1", TEAM, requests_per_minute=0, subject="Team search")

    message, _details = limit_refusal(LimitClaim(limit, None, "lim_1"), "requests", 0)

    assert message == "Team search has reached its limit of 0 requests per minute"


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        (Scope("o"), "Organization default"),
        (Scope("o", team_id="t"), "Team search"),
        (Scope("o", team_id="t", each=Dimension.MEMBER), "Team search - each member"),
        (Scope("o", each=Dimension.END_USER), "Organization default - each end user"),
        (Scope("o", key_id="k"), "Key ci of team search"),
        (Scope("o", member_id="m"), "Member ann"),
        (Scope("o", end_user="x"), "End user x"),
        (Scope("o", route="auto"), "Route auto"),
        (Scope("o", team_id="t", model="gpt"), "Team search, model gpt"),
    ],
)
def test_scopes_have_names_for_people(scope, told):
    assert subject_of(scope, organization="default", team="search", member="ann", key="ci") == told


def test_a_scope_is_told_by_what_it_names():
    scope = Scope("o", "t", "m", "k", "u", "r", "x", Dimension.END_USER)

    assert scope_fields(Scope("o", route="r")) == {"organization": "o", "route": "r"}
    assert scope_fields(scope) == {
        "team": "t",
        "member": "m",
        "key": "k",
        "end_user": "u",
        "route": "r",
        "model": "x",
        "each": "end_user",
    }


@given(st.integers(-(10**19), 10**19))
def test_dollars_are_exact_and_have_two_decimals_at_least(amount_nusd):
    told = dollars(amount_nusd)

    assert Decimal(told) * NANO == amount_nusd
    assert len(told.partition(".")[2]) >= 2
    assert len(told.partition(".")[2]) == 2 or not told.endswith("0")


def test_instants_are_rfc_3339_to_the_millisecond():
    assert instant(0) == "1970-01-01T00:00:00Z"
    assert instant(1001) == "1970-01-01T00:00:01.001Z"
    assert instant(None) is None
