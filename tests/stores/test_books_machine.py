"""Whatever happens, in whatever order: a balance is the sum of the ledger and of the open holds.

Each example is a sequence of calls, their ends, deaths of replicas, losses of Redis and shipments, over a real Valkey
and a real Postgres. A model in Python says what must stand after each step, and whether the next hold fits.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from books_parts import Replica, budget, intent, new_organization, replicas
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from own_valkey import own_valkey
from proofs import IS_WHOLE
from sqlalchemy import text

from gateway.domain import LedgerEntry, Window
from gateway.errors import BudgetExceeded
from gateway.jobs.sweeper import Sweeper
from gateway.stores import database
from policies.rule_book import RuleBook

TEAMS = ("red", "blue")
KEYS = ("k1", "k2")
MODELS = ("small", "large")
amounts = st.integers(0, 60)


class Books(RuleBasedStateMachine):
    """``world``: the stores and the event loop, shared by all examples; each has an organization of its own."""

    world: World

    @initialize(limits=st.lists(st.integers(40, 400), min_size=6, max_size=6))
    def begin(self, limits: list[int]) -> None:
        self.organization = org = new_organization()
        self.book = RuleBook(
            [
                budget(org, limits[0], Window.TOTAL),
                budget(org, limits[1], scope={"team_id": self.own("red")}),
                budget(org, limits[2], Window.DAY, scope={"each": "key"}),
                budget(org, limits[3], Window.HOUR, scope={"model": "large"}, is_rolling=True),
                budget(org, limits[4], Window.HOUR, scope={"team_id": self.own("blue"), "each": "end_user"}),
                budget(org, limits[5], Window.WEEK, time_zone="Asia/Kathmandu"),
            ]
        )
        self.open: dict[str, tuple[Replica, LedgerEntry]] = {}
        self.swept: list[tuple[Replica, LedgerEntry]] = []
        self.paused: list[Replica] = []
        self.uncalled: set[str] = set()
        self.charges: list[LedgerEntry] = []
        self.stack = AsyncExitStack()
        self.world.run(self.add_replicas(2))

    def own(self, name: str) -> str:
        """The id of a team or key of this example: ids are unique."""
        return f"{name} of {self.organization}"

    def call_of(self, team: str, key: str, model: str, user: str | None, hold: int = 0) -> LedgerEntry:
        return intent(
            self.organization,
            hold,
            team_id=self.own(team),
            key_id=self.own(key),
            model_asked=model,
            deployment=model,
            end_user=user,
        )

    async def add_replicas(self, count: int) -> None:
        made = await self.stack.enter_async_context(
            replicas(self.world.redis_url, self.world.engine, self.world.folder, self.book, count)
        )
        self.living = [*getattr(self, "living", []), *made]

    def standing(self, call: LedgerEntry) -> list[tuple[int, int]]:
        """What the model says of the budgets that the call draws on."""
        names = [claim.name for claim in self.living[0].claims(call).budgets]
        spent = dict.fromkeys(names, 0)
        held = dict.fromkeys(names, 0)
        for charge in self.charges:
            for claim in self.living[0].claims(charge).budgets:
                if claim.name in spent:
                    spent[claim.name] += charge.cost_nusd
        for _, other in self.open.values():
            for claim in self.living[0].claims(other).budgets:
                if claim.name in held:
                    held[claim.name] += other.held_nusd
        return [(spent[name], held[name]) for name in names]

    @rule(
        which=st.integers(0, 5),
        hold=amounts,
        team=st.sampled_from(TEAMS),
        key=st.sampled_from(KEYS),
        model=st.sampled_from(MODELS),
        user=st.sampled_from([None, "ann", "a b/c"]),
    )
    def reserve(self, which: int, hold: int, team: str, key: str, model: str, user: str | None) -> None:
        replica = self.living[which % len(self.living)]
        call = self.call_of(team, key, model, user, hold)
        limits = [claim.limit_nusd for claim in replica.claims(call).budgets]
        fits = hold == 0 or all(
            spent + held + hold <= limit for (spent, held), limit in zip(self.standing(call), limits, strict=True)
        )
        try:
            self.world.run(replica.open(call))
        except BudgetExceeded:
            assert not fits, "refused, though it fits"
        else:
            assert fits, "admitted, though it does not fit"
            self.open[call.id] = (replica, call)

    def some_open(self, data: st.DataObject) -> tuple[Replica, LedgerEntry]:
        return self.open.pop(data.draw(st.sampled_from(sorted(self.open))))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), cost=amounts, repeats=st.booleans())
    def settle(self, data: st.DataObject, cost: int, repeats: bool) -> None:
        replica, call = self.some_open(data)
        charge = self.world.run(replica.settle(call, cost))
        self.charges = [one for one in self.charges if one.id != charge.id]  # as what it had been charged, if swept
        self.charges.append(charge)
        if repeats:
            self.world.run(replica.settle(call, cost))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        replica, call = self.some_open(data)
        self.world.run(replica.journal.void(call))

    @rule(which=st.integers(0, 5))
    def ship(self, which: int) -> None:
        self.world.run(self.living[which % len(self.living)].ship())

    @rule()
    def shipment_whose_acknowledgement_is_lost(self) -> None:
        replica = self.living[0]

        async def write_only() -> None:
            batch = replica.journal.charges.take(100)
            await replica.ledger.write([one.entry for one in batch])
            replica.journal.charges.put_back(batch)

        self.world.run(write_only())

    @precondition(lambda self: len(self.living) > 1)
    @rule(which=st.integers(0, 5), is_only_paused=st.booleans(), never_calls=st.booleans())
    def die_and_be_swept(self, which: int, is_only_paused: bool, never_calls: bool) -> None:
        """``never_calls``: cut off from Redis, it takes its intents back, which nobody hears."""
        dead = self.living.pop(which % len(self.living))
        if is_only_paused and never_calls:
            for replica, call in list(self.open.values()):
                if replica is dead:
                    self.world.run(replica.void_unheard(call))
                    self.uncalled.add(call.id)
        self.world.run(self.world.sweep(dead, self.living[0], self.organization))
        for replica, call in list(self.open.values()):
            if replica is dead:
                del self.open[call.id]
                if not any(charge.id == call.id for charge in self.charges):  # twice swept, it is charged once
                    self.charges.append(call)
                if is_only_paused:
                    self.swept.append((dead, call))
        if is_only_paused:
            self.paused.append(dead)

    @precondition(lambda self: any(call.id not in self.uncalled for _, call in self.swept))
    @rule(cost=amounts)
    def settle_after_being_swept(self, cost: int) -> None:
        replica, call = next(one for one in reversed(self.swept) if one[1].id not in self.uncalled)
        self.swept.remove((replica, call))
        late = self.world.run(replica.settle(call, cost))
        self.charges = [late if charge.id == late.id else charge for charge in self.charges]
        self.world.run(replica.ship())

    @precondition(lambda self: self.paused)
    @rule()
    def go_on_after_being_swept(self) -> None:
        """It tells again what it holds, beside what its calls were charged as orphaned."""
        woken = self.paused.pop()
        woken.journal._beaten_us = 1  # long ago
        self.world.run(woken.journal.beat())
        self.living.append(woken)
        mine = [call for replica, call in self.swept if replica is woken]
        self.open |= {call.id: (woken, call) for call in mine if call.id not in self.uncalled}
        taken_back = {call.id for call in mine} & self.uncalled
        self.charges = [charge for charge in self.charges if charge.id not in taken_back]
        self.swept = [(replica, call) for replica, call in self.swept if replica is not woken]

    @precondition(lambda self: len(self.living) < 4)
    @rule()
    def start_another(self) -> None:
        self.world.run(self.add_replicas(1))

    @rule()
    def lose_redis(self) -> None:
        """All of its data; every living replica finds out and tells it again what it holds."""
        self.world.run(self.living[0].link.command("FLUSHALL"))
        for replica in self.living:
            self.world.run(replica.journal.beat())

    @rule()
    def beat(self) -> None:
        for replica in self.living:
            self.world.run(replica.journal.beat())

    @invariant()
    def balances_are_ledger_and_holds(self) -> None:
        if not hasattr(self, "organization"):
            return
        for team, key, model, user in (("red", "k1", "small", None), ("blue", "k2", "large", "a b/c")):
            call = self.call_of(team, key, model, user)
            for replica in self.living[:2]:
                seen = self.world.run(replica.standing(call))
                kinds = [(one.budget.window, one.budget.scope, one.name) for one in replica.claims(call).budgets]
                assert list(zip(kinds, seen, strict=True)) == list(zip(kinds, self.standing(call), strict=True))

    def teardown(self) -> None:
        if hasattr(self, "organization"):
            for replica in self.living:
                self.world.run(replica.ship())
            in_ledger = self.world.run(self.world.sum_of(self.organization))
            assert in_ledger == sum(charge.cost_nusd for charge in self.charges)
            self.world.run(self.stack.aclose())


class World:
    """The stores, and the one event loop that all examples run on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, redis_url: str, database_url: str, folder: Path) -> None:
        self._loop = loop
        self.redis_url = redis_url
        self.engine = database.connect(database_url)
        self.folder = folder

    def run(self, work):
        return self._loop.run_until_complete(work)

    async def sweep(self, dead: Replica, by: Replica, organization: str) -> None:
        """As the sweeper does once a heartbeat has stood still."""
        sweeper = Sweeper(by.link, by.ledger, instance=by.journal.instance, local_directory=self.folder)
        await sweeper._sweep_instance(dead.journal.instance, [organization])

    async def sum_of(self, organization: str) -> int:
        async with self.engine.connect() as connection:
            query = text("SELECT coalesce(sum(cost_nusd), 0) FROM ledger_entries WHERE organization_id = :org")
            return int(await connection.scalar(query, {"org": organization}))


@pytest.fixture
def world(migrated_url):
    loop = asyncio.new_event_loop()
    with own_valkey() as server, tempfile.TemporaryDirectory() as folder:
        world = World(loop, server.url, migrated_url, Path(folder) / uuid4().hex)
        yield world
        with contextlib.suppress(Exception):
            world.run(world.engine.dispose())
    loop.close()


@pytest.mark.proof
def test_in_any_order_of_events_balances_are_what_ledger_and_holds_say(world):
    machine = type("Books", (Books,), {"world": world})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=400 if IS_WHOLE else 25,
            stateful_step_count=40 if IS_WHOLE else 25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
