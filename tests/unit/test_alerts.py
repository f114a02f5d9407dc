"""What alerts say, which spend is unusual, and signatures."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import NANO, Budget, OnExhausted, Scope, Window
from gateway.domain.alert import Alert, AlertKind
from gateway.signing import key_of, signed_headers
from policies.alert_text import alert_data
from policies.alerts import Spend, retry_delay_s, spend_alerts, with_organizations

NOVEMBER_MS, DECEMBER_MS = 1_793_491_200_000, 1_796_083_200_000
HOUR_MS = 3_600_000
NAMES = {"org_1": "Acme", "team_1": "search"}


def budget(**fields):
    values = {
        "id": "budget_1",
        "scope": Scope("org_1", team_id="team_1"),
        "limit_nusd": 10 * NANO,
        "window": Window.MONTH,
        "subject": "Team search",
        "contact": "owner@example.com",
    }
    return Budget(**(values | fields))


def crossing(**fields):
    values = {
        "id": f"budget_1:{NOVEMBER_MS}:80:10000000000",
        "kind": AlertKind.BUDGET_SOFT_LIMIT,
        "at_ms": NOVEMBER_MS + HOUR_MS,
        "budget": "budget_1",
        "balance": f"budget_1:{NOVEMBER_MS}",
        "pct": 80,
        "spent_nusd": 8 * NANO + 125,
        "held_nusd": NANO // 2,
        "limit_nusd": 10 * NANO,
    }
    return Alert(**(values | fields))


def spend(**fields):
    values = {
        "organization_id": "org_1",
        "team_id": "team_1",
        "window": "hour",
        "start_ms": NOVEMBER_MS,
        "spent_nusd": 10 * NANO,
        "usual_nusd": NANO,
    }
    return Spend(**(values | fields))


def unusual(*spends, multiple=3.0):
    return list(spend_alerts(spends, multiple, NOVEMBER_MS + HOUR_MS))


def test_a_crossed_soft_limit_says_whose_budget_how_much_and_until_when():
    data = alert_data("org_1", crossing(), budget(), NAMES)
    assert data["message"] == "Team search has used $8.000000125 of $10.00 (month); resets 2026-12-01"
    assert data["organization"] == {"id": "org_1", "name": "Acme"}
    assert data["team"] == {"id": "team_1", "name": "search"}
    assert data["soft_limit_pct"] == 80
    assert data["budget"] == {
        "id": "budget_1",
        "balance": f"budget_1:{NOVEMBER_MS}",
        "subject": "Team search",
        "scope": {"team": "team_1"},
        "value": None,
        "window": "month",
        "limit_usd": "10.00",
        "spent_usd": "8.000000125",
        "held_usd": "0.50",
        "resets_at": "2026-12-01T00:00:00Z",
        "on_exhausted": OnExhausted.REFUSE,
        "contact": "owner@example.com",
    }


def test_a_charge_that_settles_in_the_next_month_speaks_of_the_month_that_it_was_held_in():
    data = alert_data("org_1", crossing(at_ms=DECEMBER_MS + 5000), budget(), NAMES)
    assert data["budget"]["resets_at"] == "2026-12-01T00:00:00Z"


def test_a_balance_of_one_value_says_which():
    each = budget(subject="Team search - each end user")
    data = alert_data("org_1", crossing(balance=f"budget_1:{NOVEMBER_MS}:ann@example.com"), each, NAMES)
    assert data["message"].startswith("Team search - each end user (ann@example.com) has used")
    assert data["budget"]["value"] == "ann@example.com"


def test_a_rolling_window_never_resets():
    data = alert_data("org_1", crossing(balance="budget_1:r0"), budget(is_rolling=True), NAMES)
    assert data["message"] == "Team search has used $8.000000125 of $10.00 (rolling month)"
    assert data["budget"]["resets_at"] is None


def test_an_alert_of_a_budget_that_is_gone_still_says_its_figures():
    data = alert_data("org_1", crossing(kind=AlertKind.BUDGET_EXHAUSTED, pct=100), None, {})
    assert data["message"] == "Budget budget_1 has used $8.000000125 of $10.00"
    assert data["organization"] == {"id": "org_1", "name": None}
    assert data["soft_limit_pct"] is None


def test_unusual_spend_says_whose_and_against_what():
    [(organization_id, alert)] = unusual(spend())
    data = alert_data(organization_id, alert, None, NAMES)
    assert data["message"] == (
        "Team search spent $10.00 in the hour from 2026-11-01T00:00:00Z, against $1.00 in the same hours a week before"
    )


@pytest.mark.parametrize(
    ("spent_nusd", "usual_nusd", "is_told"),
    [
        (3 * NANO, NANO, False),  # not beyond
        (3 * NANO + 1, NANO, True),
        (NANO - 1, 0, False),  # small change
        (NANO, 0, True),
        (NANO, -5, True),  # corrections alone
        (0, 0, False),
        (-NANO, -9 * NANO, False),
    ],
)
def test_spend_is_unusual_beyond_the_multiple_and_from_a_dollar_on(spent_nusd, usual_nusd, is_told):
    assert bool(unusual(spend(spent_nusd=spent_nusd, usual_nusd=usual_nusd))) == is_told


def test_a_team_that_is_new_has_nothing_to_be_compared_with():
    assert not unusual(spend(usual_nusd=0, has_history=False))


def test_an_hour_and_a_day_are_told_of_once_each():
    hour = unusual(spend(), spend(spent_nusd=11 * NANO))
    day = unusual(spend(window="day"))
    other = unusual(spend(team_id="team_2"), spend(start_ms=NOVEMBER_MS + HOUR_MS))
    assert len({alert.id for _, alert in hour}) == 1
    assert len({alert.id for _, alert in hour + day + other}) == 4


def test_an_organization_is_the_sum_of_its_teams():
    sums = with_organizations([spend(), spend(team_id="team_2", spent_nusd=1, usual_nusd=2, has_history=False)])
    assert sums[2:] == [spend(team_id=None, spent_nusd=10 * NANO + 1, usual_nusd=NANO + 2, has_history=True)]


def test_spend_of_one_team_alone_is_not_told_as_the_organizations_too():
    assert with_organizations([spend(), spend(window="day")]) == [spend(), spend(window="day")]


@given(tries=st.integers(1, 10**6), draw=st.floats(0, 1))
def test_the_wait_before_the_next_try_is_bounded_and_never_nothing(tries, draw):
    assert 0.5 <= retry_delay_s(tries, draw) <= 3600


def test_a_message_is_signed_as_the_specification_of_standard_webhooks_shows():
    # The example in the specification's reference libraries.
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed_headers(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_may_be_any_text():
    assert key_of("correct horse") == b"correct horse"
    assert key_of("whsec_" + base64.b64encode(b"key").decode()) == b"key"


@pytest.mark.parametrize("secret", ["whsec_", "whsec_not base64", "whsec_abc"])
def test_a_broken_secret_is_refused(secret):
    with pytest.raises(ValueError, match="whsec_"):
        key_of(secret)


def test_a_shifted_route_is_told_with_what_moved_and_who_answers():
    alert = Alert(
        id="shift:auto:v1:2026-11-01T00:00:00Z",
        kind=AlertKind.ROUTE_SHIFT,
        at_ms=NOVEMBER_MS + HOUR_MS,
        start_ms=NOVEMBER_MS,
        route="auto",
        model="large",
        reason="all of them look unfamiliar",
    )
    data = alert_data("org_1", alert, None, NAMES)
    assert data["route"] == {
        "name": "auto",
        "since": "2026-11-01T00:00:00Z",
        "reason": "all of them look unfamiliar",
        "answers": "large",
    }
    assert data["message"].startswith("Since 2026-11-01T00:00:00Z the questions of route auto are unlike those")
