"""Around the edges of windows, over a real Valkey and a real Postgres: a charge counts where its call was admitted.

Month ends, leap days, days of 23 and 25 hours, hours that come twice or are cut, a day that did not happen: where the
windows lie is written down here in UTC, by hand, not asked from the code that is proven. All edges are in the past, so
that the time of Redis, which no test can set, has no part in which window a call falls into.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from books_parts import Replica, budget, intent, new_organization, replicas
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from proofs import IS_WHOLE
from sqlalchemy import text

from gateway.domain import LedgerEntry, Window
from gateway.errors import BudgetExceeded
from gateway.stores.instances import doubt
from policies.rule_book import RuleBook

pytestmark = pytest.mark.proof
MS = timedelta(milliseconds=1)


class Edge(NamedTuple):
    """Two windows of a zone's calendar that meet: where the first begins, where they meet, where the second ends."""

    window: Window
    zone: str
    start: str
    edge: str
    end: str

    @property
    def instants(self) -> tuple[datetime, datetime, datetime]:
        start, edge, end = (
            datetime.fromisoformat(one).replace(tzinfo=UTC) for one in (self.start, self.edge, self.end)
        )
        return start, edge, end


EDGES = {
    "the end of a leap February": Edge(Window.MONTH, "UTC", "2024-02-01", "2024-03-01", "2024-04-01"),
    "the end of a plain February": Edge(Window.MONTH, "UTC", "2025-02-01", "2025-03-01", "2025-04-01"),
    "the end of a month of 31 days": Edge(Window.MONTH, "UTC", "2024-08-01", "2024-09-01", "2024-10-01"),
    "the end of the month in which clocks change": Edge(
        Window.MONTH, "Europe/Berlin", "2024-02-29T23:00", "2024-03-31T22:00", "2024-04-30T22:00"
    ),
    "the end of a year west of Greenwich": Edge(
        Window.MONTH, "America/New_York", "2023-12-01T05:00", "2024-01-01T05:00", "2024-02-01T05:00"
    ),
    "the beginning of a leap day": Edge(Window.DAY, "UTC", "2024-02-28", "2024-02-29", "2024-03-01"),
    "the end of a leap day": Edge(Window.DAY, "UTC", "2024-02-29", "2024-03-01", "2024-03-02"),
    "the end of a leap day east of Greenwich": Edge(
        Window.DAY, "Asia/Kathmandu", "2024-02-28T18:15", "2024-02-29T18:15", "2024-03-01T18:15"
    ),
    "the end of a day of 23 hours": Edge(
        Window.DAY, "Europe/Berlin", "2024-03-30T23:00", "2024-03-31T22:00", "2024-04-01T22:00"
    ),
    "the end of a day of 25 hours": Edge(
        Window.DAY, "Europe/Berlin", "2024-10-26T22:00", "2024-10-27T23:00", "2024-10-28T23:00"
    ),
    "a day that begins at one o'clock": Edge(
        Window.DAY, "America/Havana", "2024-03-09T05:00", "2024-03-10T05:00", "2024-03-11T04:00"
    ),
    "a day after one that did not happen": Edge(
        Window.DAY, "Pacific/Apia", "2011-12-29T10:00", "2011-12-30T10:00", "2011-12-31T10:00"
    ),
    "the hour after one that is left out": Edge(
        Window.HOUR, "Europe/Berlin", "2024-03-31T00:00", "2024-03-31T01:00", "2024-03-31T02:00"
    ),
    "an hour that comes a second time": Edge(
        Window.HOUR, "Europe/Berlin", "2024-10-27T00:00", "2024-10-27T01:00", "2024-10-27T02:00"
    ),
    "an hour that is cut in half": Edge(
        Window.HOUR, "Australia/Lord_Howe", "2024-04-06T14:00", "2024-04-06T15:00", "2024-04-06T15:30"
    ),
    "a week in which clocks change": Edge(
        Window.WEEK, "Europe/Berlin", "2024-03-24T23:00", "2024-03-31T22:00", "2024-04-07T22:00"
    ),
    "a week of two years": Edge(Window.WEEK, "UTC", "2024-12-23", "2024-12-30", "2025-01-06"),
}


def call_at(organization: str, moment: datetime, hold_nusd: int) -> LedgerEntry:
    created_at = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return intent(organization, hold_nusd, created_at=created_at)


def rules(organization: str, edge: Edge, limit_nusd: int) -> RuleBook:
    return RuleBook([budget(organization, limit_nusd, edge.window, time_zone=edge.zone)])


async def in_ledger(engine, organization: str, since: datetime, until: datetime) -> int:
    """What the entries between two instants cost."""
    query = """SELECT coalesce(sum(cost_nusd), 0) FROM ledger_entries
        WHERE organization_id = :organization AND created_at >= :since AND created_at < :until"""
    async with engine.connect() as connection:
        asked = {"organization": organization, "since": since, "until": until}
        return int(await connection.scalar(text(query), asked))


async def assert_that_stands(
    engine, organization: str, edge: Edge, several: Sequence[Replica], before: tuple[int, int], after: tuple[int, int]
) -> None:
    """Spent and held on both sides: as the balances say, as they are rebuilt from nothing, and as the ledger says."""
    start, middle, end = edge.instants
    probes = [call_at(organization, moment, 0) for moment in (start, middle - MS, middle, end - MS)]
    stated = [[before], [before], [after], [after]]
    for replica in several:
        assert [await replica.standing(probe) for probe in probes] == stated
        await replica.ship()
    await doubt(several[0].link, organization)
    for replica in several:
        assert [await replica.standing(probe) for probe in probes] == stated
    assert await in_ledger(engine, organization, start, middle) == before[0]
    assert await in_ledger(engine, organization, middle, end) == after[0]


@pytest.mark.parametrize("edge", EDGES.values(), ids=EDGES.keys())
async def test_a_call_admitted_before_an_edge_and_settled_after_it_counts_in_the_old_window(
    redis_url, engine, tmp_path, edge
):
    organization = new_organization()
    start, middle, end = edge.instants
    async with replicas(redis_url, engine, tmp_path, rules(organization, edge, 100), count=2) as several:
        one, other = several
        await one.settle(call_at(organization, start - MS, 0), 1000)  # of the window before, and none of ours
        await other.settle(call_at(organization, end, 0), 1000)  # of the window after
        last_before = call_at(organization, middle - MS, 100)
        await one.open(last_before)
        first_after = call_at(organization, middle, 100)
        await other.open(first_after)

        for full in (start, middle - MS, middle, end - MS):
            with pytest.raises(BudgetExceeded):
                await other.open(call_at(organization, full, 1))
        await other.settle(first_after, 7)
        late = call_at(organization, end - MS, 93)
        await one.open(late)
        await one.settle(last_before, 60)  # long after the edge, when the next window has its own charges
        await other.open(early := call_at(organization, start, 40))
        with pytest.raises(BudgetExceeded):
            await one.open(call_at(organization, start, 1))

        await assert_that_stands(engine, organization, edge, several, before=(60, 40), after=(7, 93))
        await other.settle(early, 39)
        await one.settle(late, 90)
        await assert_that_stands(engine, organization, edge, several, before=(99, 0), after=(97, 0))


class Asked(NamedTuple):
    """A call of a random example."""

    offset: timedelta  # of its admission, from the edge
    hold_nusd: int
    cost_nusd: int
    ends: bool


asked = st.builds(
    Asked,
    offset=st.timedeltas(min_value=timedelta(seconds=-2), max_value=timedelta(seconds=2))
    | st.sampled_from([timedelta(0), -MS, MS, timedelta(microseconds=-1), timedelta(microseconds=1)]),
    hold_nusd=st.integers(0, 60),
    cost_nusd=st.integers(0, 70),
    ends=st.booleans(),
)


@given(name=st.sampled_from(sorted(EDGES)), calls=st.lists(asked, min_size=1, max_size=12), data=st.data())
@settings(
    max_examples=400 if IS_WHOLE else 15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_whatever_is_called_around_an_edge_each_window_admits_what_fits_and_counts_its_own(
    redis_url, engine, tmp_path, name, calls, data
):
    edge, organization, limit_nusd = EDGES[name], new_organization(), 100
    middle = edge.instants[1]
    spent, held = [0, 0], [0, 0]
    async with replicas(redis_url, engine, tmp_path, rules(organization, edge, limit_nusd), count=2) as several:
        opened = []
        for number, one in enumerate(calls):
            call, side = call_at(organization, middle + one.offset, one.hold_nusd), int(one.offset >= timedelta(0))
            fits = one.hold_nusd == 0 or held[side] + one.hold_nusd <= limit_nusd
            try:
                await several[number % 2].open(call)
            except BudgetExceeded:
                assert not fits
            else:
                assert fits
                held[side] += one.hold_nusd
                opened.append((number, call, side))
        for number, call, side in data.draw(st.permutations(opened)):
            if calls[number].ends:
                await several[number % 2].settle(call, calls[number].cost_nusd)
                held[side] -= call.held_nusd
                spent[side] += calls[number].cost_nusd

        before, after = zip(spent, held, strict=True)
        await assert_that_stands(engine, organization, edge, several, before, after)
