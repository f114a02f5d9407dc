"""Cost reports are what the ledger's entries add up to, however they are cut, to the nano-dollar."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from postgres_parts import encoded, make_entry, orphan_of
from sqlalchemy import event, text

from gateway.domain import Purpose, Source, Window
from gateway.errors import BadRequest, StoreUnavailable
from gateway.ids import rfc3339
from gateway.stores import database, reports
from gateway.stores.entry_filter import EntryFilter
from gateway.stores.report_snapshots import ReportSnapshots
from gateway.stores.reports import GROUPS, CostQuestion, ReportStore, Sums, labels_of
from policies.reconciliation import reconcile
from policies.stages import stage_of

FROM, TO = datetime(2026, 10, 20, tzinfo=UTC), datetime(2026, 12, 5, tzinfo=UTC)
ADDED = (
    *("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"),
    *("cost_nusd", "baseline_nusd"),
)


@pytest.fixture(scope="session")
def store(engine):
    return ReportStore(ReportSnapshots(engine))


few = st.sampled_from(["a", "b", "c"])
amounts = st.one_of(st.integers(0, 100), st.integers(0, 2**62))
charges = st.fixed_dictionaries(
    {
        "request_id": st.integers(0, 5).map("request {}".format),
        "created_at": st.integers(int(FROM.timestamp()) - 9000, int(TO.timestamp()) + 9000).map(rfc3339),
        "key_id": few,
        "member_id": st.one_of(st.none(), few),
        "end_user": st.one_of(st.none(), few),
        "route": st.one_of(st.none(), few),
        "deployment": few,
        "model": few,
        "provider": few,
        "purpose": st.sampled_from([*map(str, Purpose), "of a newer version"]),
        "source": st.sampled_from([*map(str, Source), "of a newer version"]),
        "stage": st.sampled_from([None, None, "output_moderation", "post_processing"]),
        "deflector": st.one_of(st.none(), few),
        "status": st.sampled_from(["succeeded", "failed", "interrupted", "cancelled"]),
        "is_baseline_estimated": st.booleans(),
        "tags": st.lists(few, max_size=3).map(tuple),
    }
    | dict.fromkeys(ADDED, amounts)
)


def sums_of(entries):
    """What a report must say of these entries, added up here."""
    first = [entry for entry in entries if entry.corrects is None]
    later = [entry for entry in entries if entry.corrects is not None]
    added = {name: sum(getattr(entry, name) for entry in entries) for name in ADDED}
    return Sums(
        requests=len({entry.request_id for entry in entries}),
        attempts=len(first),
        failed=sum(entry.status in ("failed", "interrupted") for entry in entries),
        baseline_estimated_attempts=sum(entry.is_baseline_estimated for entry in first)
        - sum(not entry.is_baseline_estimated for entry in later),
        **added,
    )


def values_of(entry, group):
    match group:
        case "tag":
            return sorted(set(entry.tags)) or [None]
        case "stage":
            return [stage_of(entry.stage, entry.source, entry.purpose)]
        case _:
            return [getattr(entry, GROUPS[group])]


def bucket_of(entry, bucket, zone):
    local = datetime.fromisoformat(entry.created_at).astimezone(zone)
    match bucket:
        case None:
            return None
        case Window.HOUR:
            return local.replace(minute=0, second=0, microsecond=0).astimezone(UTC)
        case Window.DAY:
            return datetime(local.year, local.month, local.day, tzinfo=zone).astimezone(UTC)
        case _:
            return datetime(local.year, local.month, 1, tzinfo=zone).astimezone(UTC)


@given(
    charged=st.lists(st.tuples(charges, st.booleans()), max_size=25),
    groups=st.lists(st.sampled_from(list(GROUPS)), unique=True, max_size=3).map(tuple),
    bucket=st.sampled_from([None, Window.HOUR, Window.DAY, Window.MONTH]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York"]).map(ZoneInfo),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_every_row_is_the_sum_of_its_entries_and_their_corrections(ledger, store, charged, groups, bucket, zone):
    team = uuid4().hex
    entries = []
    for fields, is_orphaned_first in charged:
        entry = make_entry(**fields, team_id=team)
        if is_orphaned_first:
            orphan = msgspec.structs.replace(orphan_of(entry), is_baseline_estimated=True)
            entries += [orphan, reconcile(orphan, entry)]
            await ledger.write(encoded(orphan))
        else:
            entries.append(entry)
        await ledger.write(encoded(entry))
    within = [entry for entry in entries if FROM <= datetime.fromisoformat(entry.created_at) < TO]

    chosen = EntryFilter(team=team, from_at=FROM, to_at=TO)
    report = await store.costs(CostQuestion(chosen, bucket=bucket, zone=zone, groups=groups))

    expected = defaultdict(list)
    for entry in within:
        places = [(bucket_of(entry, bucket, zone),)]
        for group in groups:
            places = [(*place, value) for place in places for value in values_of(entry, group)]
        for place in places:
            expected[place].append(entry)
    if not groups and bucket is None:
        expected[None,] = within
    found = {(row.bucket_start, *(row.labels[group] for group in groups)): row.sums for row in report.rows}
    assert found == {place: sums_of(entries) for place, entries in expected.items()}
    assert len(report.rows) == len(found)
    assert report.totals == sums_of(within)


def question(team, **fields):
    return CostQuestion(EntryFilter(team=team, from_at=FROM, to_at=TO), **fields)


async def test_an_attempt_that_was_corrected_is_one_attempt_of_one_request_at_what_it_really_cost(ledger, store):
    entry = make_entry(team_id=uuid4().hex, created_at="2026-11-01T00:00:00.000000Z", is_baseline_estimated=False)
    orphan = msgspec.structs.replace(orphan_of(entry, cost_nusd=999_999), is_baseline_estimated=True)
    await ledger.write(encoded(orphan))
    await ledger.write(encoded(entry))

    totals = (await store.costs(question(entry.team_id))).totals

    assert (totals.requests, totals.attempts, totals.failed) == (1, 1, 0)
    assert (totals.cost_nusd, totals.baseline_nusd, totals.savings_nusd) == (42_500, 50_000, 7_500)
    assert (totals.input_tokens, totals.output_tokens, totals.baseline_estimated_attempts) == (10, 20, 0)


async def test_a_request_that_fell_back_is_one_request_of_two_attempts_and_one_failed(ledger, store):
    team, at = uuid4().hex, "2026-11-01T00:00:00.000000Z"
    first = make_entry(team_id=team, created_at=at, status="failed", basis="unbilled", deployment="dear", cost_nusd=0)
    second = make_entry(team_id=team, created_at=at, request_id=first.request_id, attempt=2, deployment="mini")
    await ledger.write(encoded(first, second))

    report = await store.costs(question(team, groups=("deployment",)))

    assert (report.totals.requests, report.totals.attempts, report.totals.failed) == (1, 2, 1)
    assert {row.labels["deployment"]: (row.sums.requests, row.sums.failed) for row in report.rows} == {
        "mini": (1, 0),
        "dear": (1, 1),
    }


async def test_amounts_beyond_what_a_double_and_a_bigint_hold_add_up_to_the_last_nano_dollar(ledger, store):
    team, largest = uuid4().hex, 2**63 - 1
    fields = {"team_id": team, "created_at": "2026-11-01T00:00:00.000000Z"}
    await ledger.write(encoded(*(make_entry(**fields, cost_nusd=largest, baseline_nusd=0) for _ in range(3))))

    totals = (await store.costs(question(team))).totals

    assert (totals.cost_nusd, totals.savings_nusd) == (3 * largest, -3 * largest)


async def test_teams_keys_members_and_organizations_are_told_with_their_names(ledger, store, engine):
    organization, team, key = uuid4().hex, uuid4().hex, uuid4().hex
    async with engine.begin() as connection:
        for statement in (
            "INSERT INTO organizations (id, name) VALUES (:organization, :organization || ' inc')",
            "INSERT INTO teams (id, organization_id, name) VALUES (:team, :organization, 'search')",
            "INSERT INTO keys (id, secret_sha256, prefix, name, team_id) VALUES (:key, '\\x01', '', 'ci', :team)",
        ):
            await connection.execute(text(statement), {"organization": organization, "team": team, "key": key})
    whose = {"organization_id": organization, "team_id": team, "key_id": key, "member_id": "member_gone"}
    entry = make_entry(**whose, created_at="2026-11-01T00:00:00.000Z")
    await ledger.write(encoded(entry))

    (row,) = (await store.costs(question(team, groups=("organization", "team", "key", "member")))).rows

    assert tuple(row.labels) == labels_of(("organization", "team", "key", "member"))
    assert row.labels == {
        "organization": organization,
        "organization_name": f"{organization} inc",
        "team": team,
        "team_name": "search",
        "key": key,
        "key_name": "ci",
        "member": "member_gone",
        "member_name": None,
    }


async def test_the_dearest_come_first_in_every_bucket(ledger, store):
    team = uuid4().hex
    costs = {("2026-11-01", "a"): 1, ("2026-11-01", "b"): 3, ("2026-11-02", "a"): 5, ("2026-11-02", "b"): 2}
    await ledger.write(
        encoded(
            *(
                make_entry(team_id=team, created_at=f"{day}T10:00:00.000Z", model=model, cost_nusd=cost)
                for (day, model), cost in costs.items()
            )
        )
    )

    rows = (await store.costs(question(team, bucket=Window.DAY, groups=("model",)))).rows

    assert [(row.bucket_start.day, row.labels["model"]) for row in rows] == [(1, "b"), (1, "a"), (2, "a"), (2, "b")]


async def test_a_report_of_too_many_rows_is_refused_with_advice(ledger, store, monkeypatch):
    team = uuid4().hex
    monkeypatch.setattr(reports, "ROWS_MAX", 3)
    at = "2026-11-01T00:00:00.000Z"
    await ledger.write(encoded(*(make_entry(team_id=team, end_user=f"user {n}", created_at=at) for n in range(4))))

    with pytest.raises(BadRequest, match="more than 3 rows") as caught:
        await store.costs(question(team, groups=("end_user",)))

    assert caught.value.param == "group_by"


async def test_more_buckets_than_rows_are_refused(ledger, store):
    old = make_entry(created_at=rfc3339((FROM - timedelta(days=3000)).timestamp()))
    await ledger.write(encoded(old, make_entry(created_at=rfc3339(FROM.timestamp()))))
    chosen = EntryFilter(from_at=FROM - timedelta(days=5000), to_at=FROM + timedelta(days=5000))

    with pytest.raises(BadRequest) as caught:
        await store.costs(CostQuestion(chosen, bucket=Window.HOUR))

    assert caught.value.param == "bucket"


async def test_a_report_that_takes_longer_than_postgres_allows_says_so(migrated_url, engine):
    hurried = database.connect(migrated_url)

    @event.listens_for(hurried.sync_engine, "begin")
    def hurry(connection):
        connection.exec_driver_sql("SET LOCAL statement_timeout = 50")

    async with engine.begin() as holder:
        await holder.execute(text("LOCK TABLE ledger_entries IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(StoreUnavailable, match="too long") as caught:
            await ReportStore(ReportSnapshots(hurried)).costs(question("none"))

    assert caught.value.code == "report_too_large"
    await hurried.dispose()


async def test_while_postgres_is_away_reports_say_so(tmp_path):
    away = database.connect(f"postgresql://nobody@/none?host={tmp_path}")

    with pytest.raises(StoreUnavailable) as caught:
        await ReportStore(ReportSnapshots(away)).costs(question("none"))

    assert caught.value.code == "store_unavailable"
    await away.dispose()
