"""The budget report says what the path goes by: the same windows, the same scopes, the ledger's own figures."""

from __future__ import annotations

import csv
import io
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from books_parts import intent, replicas
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from postgres_parts import encoded, make_entry

from gateway.api.admin import admin_router
from gateway.api.admin.budget_report import add_budget_report
from gateway.api.surface import install_errors
from gateway.domain import NANO, Actor, Budget, Dimension, OnExhausted, Role, Scope, Window
from gateway.ids import rfc3339, unix_ms
from gateway.stores import budget_spending
from gateway.stores.budget_reports import BudgetReports
from gateway.stores.budget_spending import first_ms, spent_on
from gateway.stores.budgets import BudgetStore
from gateway.stores.open_holds import OpenHolds
from gateway.stores.redis_open import open_link
from gateway.stores.report_snapshots import ReportSnapshots
from policies.rule_book import RuleBook
from policies.windows import balance_name, period_of

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
OWNER = Actor("admin", "operator", Role.OWNER)

few = st.sampled_from(["a", "b"])
maybe = st.one_of(st.none(), few)
# A key is of one member or none, and of one team; a member is of one team.
OWNERS = [
    {"team_id": team, "member_id": member and team + member, "key_id": f"{team}{member or ''}-{key}"}
    for team in "ab"
    for member in (None, "a", "b")
    for key in "ab"
]
owners = st.sampled_from(OWNERS)
some_of_an_owner = st.tuples(owners, st.sets(st.sampled_from(sorted(OWNERS[0])))).map(
    lambda drawn: {name: value if name in drawn[1] else None for name, value in drawn[0].items()}
)
scopes = st.builds(
    lambda owner, **others: owner | others,
    some_of_an_owner,
    end_user=maybe,
    route=maybe,
    model=maybe,
    each=st.sampled_from([None, Dimension.TEAM, Dimension.MEMBER, Dimension.KEY, Dimension.END_USER]),
)
windows = st.builds(
    dict,
    window=st.sampled_from([Window.HOUR, Window.DAY, Window.WEEK, Window.MONTH]),
    is_rolling=st.booleans(),
    time_zone=st.sampled_from(["UTC", "Europe/Berlin"]),
    reset_at_ms=st.one_of(st.none(), st.integers(NOW_MS - 40 * 86_400_000, NOW_MS)),
) | st.just({"window": Window.TOTAL})
ages_s = st.one_of(st.integers(0, 7200), st.integers(0, 70 * 86_400))
calls = st.builds(
    lambda owner, **others: owner | others,
    owners,
    created_at=ages_s.map(lambda age_s: rfc3339(NOW.timestamp() - age_s)),
    end_user=maybe,
    route=maybe,
    model_asked=few,
    deployment=few,
    model=few,
    cost_nusd=st.integers(-5, 2**53),
)


@given(rules=st.lists(st.tuples(scopes, windows), max_size=6), made=st.lists(calls, max_size=15))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_what_was_spent_is_what_the_path_would_have_charged_to_each_balance(ledger, engine, rules, made):
    organization = uuid4().hex
    budgets = [
        Budget(id=f"budget-{number}", scope=Scope(organization, **scope), limit_nusd=NANO, **window)
        for number, (scope, window) in enumerate(rules)
    ]
    entries = [make_entry(organization_id=organization, **fields) for fields in made]
    await ledger.write(encoded(*entries))
    periods = [(budget, period_of(budget, NOW_MS)) for budget in budgets]

    async with ReportSnapshots(engine).open() as connection:
        spendings = await spent_on(connection, periods, budgets, NOW_MS)

    found = {
        balance_name(budget, period, one.value): one.spent_nusd
        for budget, period in periods
        for one in spendings[budget.id].balances
    }
    book, expected, since = RuleBook(budgets), Counter(), {}
    for budget, period in periods:
        since[budget.id] = first_ms(period, NOW_MS)
        if budget.scope.each is None:
            expected[balance_name(budget, period, None)] = 0
    for entry in entries:
        at_ms = unix_ms(entry.created_at)
        for claim in book.claims(entry, NOW_MS).budgets:
            if at_ms >= since[claim.budget.id]:
                expected[claim.name] += entry.cost_nusd
    assert found == expected


@pytest.fixture
async def link(redis_url):
    link = await open_link(redis_url)
    yield link
    await link.close()


@pytest.fixture
def budgets(engine):
    return BudgetStore(engine)


@pytest.fixture
def actors():
    return {"owner": OWNER}


def app_of(reports, actors, now_s):
    async def find(secret):
        return actors.get(secret)

    async def flush():
        pass

    app, router = FastAPI(), admin_router(find)
    install_errors(app)
    add_budget_report(router, reports, flush, now_s)
    app.include_router(router)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://obol", headers={"authorization": "Bearer owner"}
    )


@pytest.fixture
async def client(engine, budgets, link, actors):
    reports = BudgetReports(budgets, ReportSnapshots(engine), OpenHolds(link))
    async with app_of(reports, actors, NOW.timestamp) as client:
        yield client


@pytest.fixture
async def organization(tenants):
    return (await tenants.create_organization(OWNER, uuid4().hex)).id


@pytest.fixture
async def team(tenants, organization):
    return (await tenants.create_team(OWNER, "search", organization, contact="owner@example.com")).id


async def report(client, **query):
    answer = await client.get("/admin/reports/budgets", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def monthly(budgets, organization, limit_nusd=10 * NANO, **fields):
    scope = Scope(organization, **fields.pop("scope", {}))
    made = await budgets.create(OWNER, scope, **({"limit_nusd": limit_nusd, "window": Window.MONTH} | fields))
    return made.id


async def spend(ledger, organization, cost_nusd, **fields):
    entry = make_entry(
        **({"organization_id": organization, "cost_nusd": cost_nusd, "created_at": "2026-11-10T00:00:00.000Z"} | fields)
    )
    await ledger.write(encoded(entry))


async def test_a_budget_is_told_with_what_is_spent_and_left_of_it(client, budgets, ledger, organization, team):
    budget = await monthly(budgets, organization, scope={"team_id": team}, on_exhausted=OnExhausted.DOWNGRADE)
    await spend(ledger, organization, 2_500_000_001, team_id=team)
    await spend(ledger, organization, NANO, team_id=team, created_at="2026-10-31T23:59:59.999Z")
    await spend(ledger, organization, NANO, team_id="another")

    (row,) = (await report(client, organization=organization))["data"]

    assert row == {
        "budget": budget, "subject": "Team search", "organization": organization, "scope": {"team": team},
        "value": None, "value_name": None, "values": None,
        "window": "month", "time_zone": "UTC", "is_rolling": False,
        "starts_at": "2026-11-01T00:00:00Z", "resets_at": "2026-12-01T00:00:00Z",
        "on_exhausted": "downgrade", "contact": "owner@example.com",
        "limit_nusd": 10 * NANO, "limit_usd": "10.00",
        "effective_limit_nusd": 10 * NANO, "effective_limit_usd": "10.00",
        "spent_nusd": 2_500_000_001, "spent_usd": "2.500000001",
        "held_nusd": 0, "held_usd": "0.00",
        "remaining_nusd": 7_499_999_999, "remaining_usd": "7.499999999",
        "used_pct": 25.0,
    }  # fmt: skip


async def test_a_raise_is_the_limit_in_effect_until_it_ends(client, budgets, ledger, organization):
    budget = await monthly(budgets, organization)
    await spend(ledger, organization, 12 * NANO)

    async def row_with_a_raise_until(moment):
        await budgets.raise_until(OWNER, budget, 20 * NANO, int(moment.timestamp() * 1000))
        (row,) = (await report(client, organization=organization))["data"]
        return row["limit_usd"], row["effective_limit_usd"], row["remaining_usd"], row["used_pct"]

    assert await row_with_a_raise_until(NOW + timedelta(days=1)) == ("10.00", "20.00", "8.00", 60.0)
    assert await row_with_a_raise_until(NOW) == ("10.00", "10.00", "0.00", 120.0)


async def test_what_is_spent_before_a_reset_counts_no_more(client, budgets, ledger, organization):
    budget = await monthly(budgets, organization)
    await spend(ledger, organization, NANO)
    await spend(ledger, organization, 2 * NANO, created_at="2026-11-15T00:00:00.000Z")
    await budgets.reset(OWNER, budget, int(datetime(2026, 11, 12, tzinfo=UTC).timestamp() * 1000))

    (row,) = (await report(client, organization=organization))["data"]

    assert (row["spent_usd"], row["starts_at"]) == ("2.00", "2026-11-12T00:00:00Z")


async def test_a_total_begins_and_ends_never(client, budgets, ledger, organization):
    await monthly(budgets, organization, window=Window.TOTAL)
    await spend(ledger, organization, NANO, created_at="2020-01-01T00:00:00.000Z")

    (row,) = (await report(client, organization=organization))["data"]

    assert (row["spent_usd"], row["starts_at"], row["resets_at"]) == ("1.00", None, None)


async def test_a_rolling_hour_is_the_minute_of_now_and_the_sixty_before(client, budgets, ledger, organization):
    await monthly(budgets, organization, window=Window.HOUR, is_rolling=True)
    await spend(ledger, organization, 1, created_at="2026-11-20T14:29:59.999Z")
    await spend(ledger, organization, 2, created_at="2026-11-20T14:30:00.000Z")

    (row,) = (await report(client, organization=organization))["data"]

    assert (row["spent_nusd"], row["starts_at"], row["resets_at"]) == (2, "2026-11-20T14:30:00Z", None)


async def test_a_budget_for_each_member_has_a_row_for_every_one_that_spent_the_dearest_first(
    client, budgets, ledger, tenants, organization, team
):
    ann = (await tenants.create_member(OWNER, team, "ann")).id
    budget = await monthly(budgets, organization, scope={"team_id": team, "each": Dimension.MEMBER})
    (empty,) = (await report(client, organization=organization))["data"]
    await spend(ledger, organization, 1, team_id=team, member_id="gone")
    await spend(ledger, organization, 2, team_id=team, member_id=ann)
    await spend(ledger, organization, 4, team_id=team)

    rows = (await report(client, organization=organization))["data"]

    assert (empty["value"], empty["values"], empty["spent_nusd"]) == (None, 0, 0)
    assert [(row["budget"], row["value"], row["value_name"], row["values"], row["spent_nusd"]) for row in rows] == [
        (budget, ann, "ann", 2, 2),
        (budget, "gone", None, 2, 1),
    ]


async def test_a_member_with_a_budget_of_its_own_is_not_counted_by_that_for_each(
    client, budgets, ledger, tenants, organization, team
):
    ann = (await tenants.create_member(OWNER, team, "ann")).id
    each = await monthly(budgets, organization, scope={"team_id": team, "each": Dimension.MEMBER})
    own = await monthly(budgets, organization, scope={"member_id": ann})
    await spend(ledger, organization, 1, team_id=team, member_id="other")
    await spend(ledger, organization, 2, team_id=team, member_id=ann)

    rows = (await report(client, organization=organization))["data"]

    assert {(row["budget"], row["value"]): row["spent_nusd"] for row in rows} == {(each, "other"): 1, (own, None): 2}


async def test_of_very_many_values_the_dearest_are_told_and_how_many_there_are(
    client, budgets, ledger, organization, monkeypatch
):
    monkeypatch.setattr(budget_spending, "VALUES_MAX", 2)
    await monthly(budgets, organization, scope={"each": Dimension.END_USER})
    for cost_nusd in (3, 1, 2):
        await spend(ledger, organization, cost_nusd, end_user=f"user {cost_nusd}")

    rows = (await report(client, organization=organization))["data"]

    assert [(row["value"], row["values"]) for row in rows] == [("user 3", 3), ("user 2", 3)]


async def test_what_calls_under_way_hold_is_told_beside(
    engine, budgets, link, organization, redis_url, actors, tmp_path
):
    budget = await monthly(budgets, organization)
    book = RuleBook([(await budgets.get(budget)).rule])
    reports = BudgetReports(budgets, ReportSnapshots(engine), OpenHolds(link))

    async with replicas(redis_url, engine, tmp_path, book) as (replica,), app_of(reports, actors, time.time) as client:
        call = intent(organization, 3 * NANO)
        await replica.open(call)
        (held,) = (await report(client, organization=organization))["data"]
        await replica.settle(call, NANO)
        await replica.ship()
        (settled,) = (await report(client, organization=organization))["data"]

    shown = ("spent_usd", "held_usd", "remaining_usd")
    assert [held[name] for name in shown] == ["0.00", "3.00", "7.00"]
    assert [settled[name] for name in shown] == ["1.00", "0.00", "9.00"]


async def test_while_redis_is_away_what_is_spent_is_told_all_the_same(engine, budgets, ledger, organization, actors):
    await monthly(budgets, organization)
    await spend(ledger, organization, NANO)
    link = await open_link("redis://127.0.0.1:1")
    reports = BudgetReports(budgets, ReportSnapshots(engine), OpenHolds(link))

    async with app_of(reports, actors, NOW.timestamp) as client:
        (row,) = (await report(client, organization=organization))["data"]
    await link.close()

    assert (row["spent_usd"], row["held_usd"], row["remaining_nusd"]) == ("1.00", None, None)


async def test_budgets_come_by_pages_and_all_of_them_as_csv(client, budgets, ledger, organization, monkeypatch):
    made = [await monthly(budgets, organization, scope={"end_user": f"=user {number}"}) for number in range(5)]
    await spend(ledger, organization, 1_500_000_000, end_user="=user 3")

    seen, cursor = [], ""
    while cursor is not None:
        page = await report(client, organization=organization, limit=2, cursor=cursor)
        seen += [row["budget"] for row in page["data"]]
        cursor = page["next_cursor"]
    monkeypatch.setattr("gateway.api.admin.budget_report.LIMIT_MAX", 2)
    answer = await client.get("/admin/reports/budgets", params={"organization": organization, "format": "csv"})

    assert sorted(seen) == sorted(made)
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["budget"] for row in rows] == seen
    assert {(row["end_user"], row["spent_usd"], row["team"]) for row in rows} == {
        (f"'=user {number}", "1.50" if number == 3 else "0.00", "") for number in range(5)
    }


async def test_an_admin_sees_the_budgets_of_its_own_place_alone(client, budgets, actors, organization, team):
    mine = await monthly(budgets, organization, scope={"team_id": team})
    whole = await monthly(budgets, organization)
    actors["team"] = Actor("key", "key", Role.TEAM_ADMIN, organization_id=organization, team_id=team)
    actors["organization"] = Actor("key", "key", Role.VIEWER, organization_id=organization)

    async def seen(secret):
        answer = await client.get("/admin/reports/budgets", headers={"authorization": f"Bearer {secret}"})
        return {row["budget"] for row in answer.json()["data"]}

    assert await seen("team") == {mine}
    assert await seen("organization") == {mine, whole}


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "0", "format": "csv"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"teem": "x"}, "teem"),
    ],
)
async def test_a_report_asked_for_wrongly_is_refused_by_the_name_of_the_parameter(client, query, param):
    answer = await client.get("/admin/reports/budgets", params=query)

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
