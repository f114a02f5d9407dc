"""Reports over HTTP: what is asked and answered, as JSON and as a table for spreadsheets, and within whose bounds."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from postgres_parts import encoded, make_entry

from gateway.api.admin import admin_router
from gateway.api.admin.cost_report import add_cost_report
from gateway.api.admin.ledger import add_ledger
from gateway.api.surface import install_errors
from gateway.domain import Actor, Role
from gateway.stores.report_snapshots import ReportSnapshots
from gateway.stores.reports import ReportStore

NOW_S = datetime.fromisoformat("2026-11-20T15:00:00Z").timestamp()


@pytest.fixture
def actors():
    """Secrets of admin keys and whose they are."""
    return {"owner": Actor(id="admin", name="operator", role=Role.OWNER)}


@pytest.fixture
async def client(engine, ledger, actors):
    async def find(secret):
        return actors.get(secret)

    async def flush():
        pass

    app, router = FastAPI(), admin_router(find)
    install_errors(app)
    add_cost_report(router, ReportStore(ReportSnapshots(engine)), flush, lambda: NOW_S)
    add_ledger(router, ledger, flush)
    app.include_router(router)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://obol", headers={"authorization": "Bearer owner"}
    ) as client:
        yield client


@pytest.fixture
async def team(ledger):
    """A team with three entries in November: two of model-a, one of model-b."""
    team = uuid4().hex
    fields = [
        {"created_at": "2026-11-01T00:30:00.000Z", "model": "model-a", "cost_nusd": 1, "baseline_nusd": 3},
        {"created_at": "2026-11-01T23:30:00.000Z", "model": "model-a", "cost_nusd": 1_500_000_000, "tags": ("x", "y")},
        {"created_at": "2026-11-03T12:00:00.000Z", "model": "model-b", "cost_nusd": 20, "tags": ("x",)},
    ]
    common = {"team_id": team, "organization_id": f"org of {team}", "baseline_nusd": 0, "tags": ()}
    await ledger.write(encoded(*(make_entry(**(common | one)) for one in fields)))
    return team


async def costs(client, team, **query):
    answer = await client.get("/admin/reports/costs", params={"team": team, **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refused(client, status=400, path="costs", **query):
    answer = await client.get(f"/admin/reports/{path}", params=query)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    return answer.json()["error"]


async def test_without_a_grouping_the_report_is_its_totals(client, team):
    report = await costs(client, team)

    assert report["data"] == [report["totals"]]
    assert report["totals"] == {
        "requests": 3, "attempts": 3, "failed": 0,
        "input_tokens": 30, "cached_input_tokens": 12, "cache_write_tokens": 0,
        "output_tokens": 60, "reasoning_tokens": 0,
        "cost_nusd": 1_500_000_021, "cost_usd": "1.500000021",
        "baseline_nusd": 3, "baseline_usd": "0.000000003", "baseline_estimated_attempts": 0,
        "savings_nusd": -1_500_000_018, "savings_usd": "-1.500000018",
    }  # fmt: skip


async def test_groups_and_buckets_are_told_in_every_row(client, team):
    report = await costs(client, team, group_by="team,model", bucket="day")

    assert (report["bucket"], report["group_by"], report["time_zone"]) == ("day", ["team", "model"], "UTC")
    assert [
        (row["bucket_start"], row["team"], row["team_name"], row["model"], row["cost_nusd"]) for row in report["data"]
    ] == [
        ("2026-11-01T00:00:00Z", team, None, "model-a", 1_500_000_001),
        ("2026-11-03T00:00:00Z", team, None, "model-b", 20),
    ]


async def test_days_and_dates_are_those_of_the_time_zone_asked_for(client, team):
    report = await costs(
        client, team, bucket="day", time_zone="Europe/Berlin", **{"from": "2026-11-02"}, to="2026-11-04"
    )

    assert (report["from"], report["to"]) == ("2026-11-02T00:00:00+01:00", "2026-11-04T00:00:00+01:00")
    assert [(row["bucket_start"], row["cost_nusd"]) for row in report["data"]] == [
        ("2026-11-02T00:00:00+01:00", 1_500_000_000),
        ("2026-11-03T00:00:00+01:00", 20),
    ]


async def test_an_entry_counts_in_each_of_its_tags_once_in_the_totals_and_untagged_under_none(client, team):
    report = await costs(client, team, group_by="tag")

    assert [(row["tag"], row["cost_nusd"]) for row in report["data"]] == [
        ("x", 1_500_000_020),
        ("y", 1_500_000_000),
        (None, 1),
    ]
    assert report["totals"]["cost_nusd"] == 1_500_000_021


async def test_the_report_is_of_today_and_the_29_days_before_unless_asked_otherwise(client, team):
    report = await costs(client, team)

    assert (report["from"], report["to"]) == ("2026-10-22T00:00:00Z", "2026-11-21T00:00:00Z")
    assert (await costs(client, team, to="2026-11-01"))["from"] == "2026-10-02T00:00:00Z"


async def test_empty_parameters_are_none(client, team):
    empty = {"from": "", "to": "", "bucket": "", "group_by": "", "model": "", "source": "", "tag": ""}

    assert await costs(client, team, **empty) == await costs(client, team)


async def test_groups_may_also_be_named_one_by_one_and_count_once(client, team):
    assert (await costs(client, team, group_by=["model", "tag,model"]))["group_by"] == ["model", "tag"]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"group_by": "colour"}, "group_by"),
        ({"group_by": "team,team_id"}, "group_by"),
        ({"bucket": "week"}, "bucket"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-11-01T00:00:00"}, "from"),
        ({"from": "2026-W45-1"}, "from"),
        ({"from": "20261101T000000Z"}, "from"),
        ({"to": "2026-13-01"}, "to"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"time_zone": "../../etc/passwd"}, "time_zone"),
        ({"format": "xml"}, "format"),
        ({"source": "upstrem"}, "source"),
        ({"group_bye": "team"}, "group_bye"),
        ({"team": "a\0b"}, "team"),
        ({"tag": "a\0b"}, "tag"),
    ],
)
async def test_a_report_asked_for_wrongly_is_refused_by_the_name_of_the_parameter(client, query, param):
    error = await refused(client, **query)

    assert (error["param"], error["type"]) == (param, "invalid_request_error")


@pytest.mark.parametrize(
    "query",
    [
        {"from": "2030-01-01"},
        {"from": "2026-11-02", "to": "2026-11-02"},
        {"from": "2026-11-02", "to": "2026-11-01", "bucket": "hour"},
        {"to": "1926-12-22", "bucket": "day"},
    ],
)
async def test_a_time_that_ends_before_it_begins_holds_nothing(client, team, query):
    report = await costs(client, team, **query)

    assert report["totals"]["cost_nusd"] == report["totals"]["attempts"] == 0
    assert [row["cost_nusd"] for row in report["data"]] == ([] if "bucket" in query else [0])


async def test_times_before_the_first_and_after_the_last_are_all_times(client, team):
    beyond = {"from": "0001-01-01T00:00:00+14:00", "to": "9999-12-31T23:59:59-12:00"}

    report = await costs(client, team, **beyond)

    assert (report["from"], report["to"]) == ("1970-01-01T00:00:00Z", "9000-01-01T00:00:00Z")
    assert report["totals"]["cost_nusd"] == 1_500_000_021


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"status": "succeded"}, "status"),
        ({"basis": "guess"}, "basis"),
        ({"from": "yesterday"}, "from"),
        ({"teem": "x"}, "teem"),
        ({"member": "\0"}, "member"),
    ],
)
async def test_the_ledger_asked_for_wrongly_is_refused_by_the_name_of_the_parameter(client, query, param):
    answer = await client.get("/admin/ledger", params=query)

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_the_ledger_is_read_by_what_and_when(client, team):
    query = {"team": team, "model": "model-a", "status": "succeeded", "from": "2026-11-01T12:00:00Z", "tag": "y"}
    (entry,) = (await client.get("/admin/ledger", params=query)).json()["data"]

    assert entry["cost_nusd"] == 1_500_000_000


async def test_a_team_admin_sees_its_own_team_alone(client, actors, ledger, team):
    organization = f"org of {team}"
    actors["admin"] = Actor("key", "key", Role.TEAM_ADMIN, organization_id=organization, team_id=team)
    actors["wider"] = Actor("key", "key", Role.VIEWER, organization_id=organization)
    beside = make_entry(team_id=uuid4().hex, organization_id=organization, created_at="2026-11-05T00:00:00.000Z")
    await ledger.write(encoded(beside))

    async def seen(secret, **query):
        headers = {"authorization": f"Bearer {secret}"}
        report = (await client.get("/admin/reports/costs", params=query, headers=headers)).json()
        entries = (await client.get("/admin/ledger", params=query, headers=headers)).json()
        return report["totals"]["attempts"], len(entries["data"])

    assert await seen("admin") == (3, 3)
    assert await seen("wider") == (4, 4)
    assert await seen("admin", team=beside.team_id) == (0, 0)


async def test_as_csv_the_rows_come_with_a_header_and_no_totals(client, team):
    query = {"team": team, "group_by": "model,tag", "bucket": "month", "format": "csv"}
    answer = await client.get("/admin/reports/costs", params=query)

    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["content-disposition"] == 'attachment; filename="costs.csv"'
    assert answer.text.count("\r\n") == answer.text.count("\n") == 5
    header, *rows = csv.reader(io.StringIO(answer.text, newline=""))
    assert header[:5] == ["bucket_start", "model", "tag", "requests", "attempts"]
    cost, cost_usd = header.index("cost_nusd"), header.index("cost_usd")
    assert [(row[:3], row[cost], row[cost_usd]) for row in rows] == [
        (["2026-11-01T00:00:00Z", "model-a", "x"], "1500000000", "1.50"),
        (["2026-11-01T00:00:00Z", "model-a", "y"], "1500000000", "1.50"),
        (["2026-11-01T00:00:00Z", "model-b", "x"], "20", "0.00000002"),
        (["2026-11-01T00:00:00Z", "model-a", ""], "1", "0.000000001"),
    ]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
async def test_what_a_spreadsheet_would_take_for_a_formula_is_made_harmless_and_amounts_stay_numbers(
    client, ledger, start
):
    team = uuid4().hex
    name = f'{start}HYPERLINK("evil", "a, b")'
    await ledger.write(
        encoded(make_entry(team_id=team, end_user=name, created_at="2026-11-05T00:00:00.000Z", baseline_nusd=0))
    )

    query = {"team": team, "group_by": "end_user", "format": "csv"}
    text = (await client.get("/admin/reports/costs", params=query)).text

    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["end_user"] == f"'{name}"
    assert row["savings_usd"] == "-0.0000425"


async def test_a_long_table_comes_whole(client, ledger):
    team = uuid4().hex
    entries = [
        make_entry(team_id=team, end_user=f"user {n}", created_at="2026-11-05T00:00:00.000Z") for n in range(1100)
    ]
    await ledger.write(encoded(*entries))

    query = {"team": team, "group_by": "end_user", "format": "csv"}
    rows = list(csv.DictReader((await client.get("/admin/reports/costs", params=query)).text.splitlines()))

    assert {row["end_user"] for row in rows} == {entry.end_user for entry in entries}
    assert len(rows) == 1100
