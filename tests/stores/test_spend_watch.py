"""Unusual spend, from a real ledger to the outbox in a real Valkey."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from postgres_parts import encoded, make_entry

from gateway.domain import NANO
from gateway.ids import rfc3339
from gateway.jobs.anomaly import SpendWatch
from gateway.stores.alert_outbox import AlertOutbox, Taken
from gateway.stores.spend import spend_until

END = datetime(2026, 5, 13, 11, tzinfo=UTC)  # of the hour that is looked at
WEEK = timedelta(days=7)


@pytest.fixture
def team():
    return f"team_{uuid4().hex}"


class Watch:
    def __init__(self, engine, link, *, now=END + timedelta(minutes=5)):
        self.announced = []
        self.looks = []
        self.outbox = AlertOutbox(link)
        self.now = now

        async def spend(end):
            self.looks.append(end)
            return await spend_until(engine, end)

        self.job = SpendWatch(
            spend,
            self.outbox,
            link,
            multiple=3.0,
            unix_s=lambda: self.now.timestamp(),  # noqa: PLW0108 - it moves
            announce=self.announced.append,
        )

    async def alerts(self, organization):
        found = []
        while isinstance(taken := await self.outbox.take(organization), Taken):
            found.append(taken.alert)
        return found


def call(team, at, cost_nusd, organization=None):
    return make_entry(
        team_id=team, organization_id=organization or team, created_at=rfc3339(at.timestamp()), cost_nusd=cost_nusd
    )


async def test_a_team_that_spends_far_beyond_last_week_is_told_of_for_the_hour_and_for_the_day(
    ledger, engine, link, team
):
    last_hour = END - timedelta(minutes=1)
    await ledger.write(
        encoded(
            call(team, last_hour, 2 * NANO + 1),
            call(team, END - timedelta(hours=9), 5 * NANO),
            call(team, END, 100 * NANO),  # the next hour's
            call(team, last_hour - WEEK, NANO // 2),
            call(team, END - timedelta(hours=9) - WEEK, NANO),
            call(team, END - WEEK, 100 * NANO),
            call(team, END - timedelta(hours=12) - WEEK, 100 * NANO),  # the day before
        )
    )
    watch = Watch(engine, link)
    await watch.job.look()
    alerts = sorted(await watch.alerts(team), key=lambda alert: alert.window)
    assert [(alert.window, alert.team, alert.spent_nusd, alert.usual_nusd) for alert in alerts] == [
        ("day", team, 7 * NANO + 1, 3 * NANO // 2),
        ("hour", team, 2 * NANO + 1, NANO // 2),
    ]
    assert team in watch.announced


async def test_the_hour_after_midnight_completes_the_day_before(ledger, engine, link, team):
    midnight = datetime(2026, 5, 14, tzinfo=UTC)
    await ledger.write(
        encoded(
            call(team, midnight - timedelta(hours=20), 9 * NANO),
            call(team, midnight - timedelta(hours=20) - WEEK, NANO),
        )
    )
    watch = Watch(engine, link, now=midnight + timedelta(minutes=2))
    await watch.job.look()
    [alert] = await watch.alerts(team)
    assert (alert.window, alert.spent_nusd) == ("day", 9 * NANO)
    assert alert.start_ms == (midnight - timedelta(days=1)).timestamp() * 1000


async def test_a_new_team_has_nothing_to_be_compared_with_but_one_that_was_idle_has(ledger, engine, link, team):
    idle = f"{team}_idle"
    await ledger.write(
        encoded(
            call(team, END - timedelta(minutes=9), 9 * NANO),
            call(idle, END - timedelta(minutes=9), 9 * NANO),
            call(idle, END - 3 * WEEK, 1),
        )
    )
    watch = Watch(engine, link)
    await watch.job.look()
    assert await watch.alerts(team) == []
    assert {alert.window for alert in await watch.alerts(idle)} == {"hour", "day"}


async def test_teams_that_are_each_as_usual_can_make_an_organization_that_is_told_of(ledger, engine, link, team):
    teams = [f"{team}_{number}" for number in range(4)]
    last_hour = END - timedelta(minutes=1)
    await ledger.write(encoded(*(call(one, last_hour, NANO * 9 // 10, organization=team) for one in teams)))
    await ledger.write(encoded(*(call(one, last_hour - WEEK, NANO // 10, organization=team) for one in teams)))
    watch = Watch(engine, link)
    await watch.job.look()
    alerts = await watch.alerts(team)
    assert {(alert.team, alert.window, alert.spent_nusd) for alert in alerts} == {
        (None, "hour", NANO * 36 // 10),
        (None, "day", NANO * 36 // 10),
    }


async def test_an_hour_is_looked_at_by_one_replica_and_once(engine, link):
    one, other = Watch(engine, link), Watch(engine, link)
    for _ in range(2):
        await one.job.look()
        await other.job.look()
    assert one.looks + other.looks == [END]
    one.now += timedelta(hours=1)
    await one.job.look()
    assert one.looks[-1] == END + timedelta(hours=1)


async def test_an_hour_is_looked_at_when_its_last_charges_are_in(engine, link):
    watch = Watch(engine, link, now=END + timedelta(seconds=89))
    await watch.job.look()
    assert watch.looks == [END - timedelta(hours=1)]


async def test_an_hour_that_a_replica_died_over_is_looked_at_by_another(engine, link):
    dying, survivor = Watch(engine, link), Watch(engine, link)

    async def dies(_end):
        raise ConnectionResetError

    dying.job._spend_until = dies
    with pytest.raises(ConnectionResetError):
        await dying.job.look()
    await survivor.job.look()
    assert survivor.looks == [], "the other may be at work"
    await link.command("DEL", f"obol:spend-watch:{END:%Y-%m-%dT%H}")  # as its expiry does
    await survivor.job.look()
    assert survivor.looks == [END]
