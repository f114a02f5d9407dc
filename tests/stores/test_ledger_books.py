"""`obol ledger verify` and `obol ledger rebuild` over a real Postgres and a real Valkey."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import msgspec
import pytest
from books_parts import charged, intent, new_organization, replicas
from postgres_parts import encoded, make_entry, orphan_of
from sqlalchemy import insert

from gateway import cli
from gateway.commands import CommandFailed, ledger_books
from gateway.domain import Actor, Dimension, LedgerEntry, MeterReading, Role, Scope, Window
from gateway.settings import Settings
from gateway.stores import tables
from gateway.stores.budgets import BudgetStore
from gateway.stores.rule_source import RuleSource
from policies.reconciliation import correction_id
from policies.rule_book import RuleBook
from policies.windows import balance_name

DOLLAR = 1_000_000_000
OWNER = Actor("admin", "operator", Role.OWNER)


@pytest.fixture
async def organization(engine):
    organization_id = new_organization()
    async with engine.begin() as connection:
        await connection.execute(insert(tables.organizations).values(id=organization_id, name=organization_id))
    return organization_id


@pytest.fixture
def settings(migrated_url, redis_url, tmp_path):
    return Settings(database_url=migrated_url, redis_url=redis_url, data_dir=tmp_path)


@pytest.fixture(autouse=True)
def _without_waiting(monkeypatch):
    monkeypatch.setattr(ledger_books, "SECOND_LOOK_S", 0.0)
    monkeypatch.setattr("gateway.stores.books_check._CHANGING_MS", 0)


@asynccontextmanager
async def budgeted_replica(redis_url, engine, tmp_path, organization, *, is_rolling=False, **scope):
    """A replica in an organization with one budget of the month, and that budget."""
    made = await BudgetStore(engine).create(
        OWNER, Scope(organization, **scope), limit_nusd=100 * DOLLAR, window=Window.MONTH, is_rolling=is_rolling
    )
    async with replicas(redis_url, engine, tmp_path, RuleBook([made.rule])) as (one,):
        yield one, made.rule


def metered(call: LedgerEntry, cost_nusd: int) -> LedgerEntry:
    """Its charge, with a meter that says the same."""
    meters = (MeterReading("input", 1_000_000, cost_nusd),)
    return charged(call, cost_nusd, meters=meters)


async def spend(replica, organization, cost_nusd, **fields):
    call = intent(organization, 2 * DOLLAR, **fields)
    await replica.open(call)
    await replica.journal.settle(metered(call, cost_nusd), replica.claims(call))
    return call


async def verified(settings, organization):
    return await asyncio.to_thread(ledger_books.verify, settings, organization)


async def test_books_that_agree_are_said_to(redis_url, engine, tmp_path, organization, settings):
    async with budgeted_replica(redis_url, engine, tmp_path, organization) as (one, _):
        await spend(one, organization, 3)
        await one.ship()
        await spend(one, organization, 4)
        await one.open(intent(organization, DOLLAR))

        report = await verified(settings, organization)

        assert report.differences == []
        assert (report.organizations, report.balances, report.entries, report.journaled) == (1, 1, 1, 1)


async def test_a_balance_that_says_something_else_is_told_with_both_figures_and_mended(
    redis_url, engine, tmp_path, organization, settings
):
    async with budgeted_replica(redis_url, engine, tmp_path, organization) as (one, budget):
        call = await spend(one, organization, 3)
        await one.open(intent(organization, DOLLAR))
        name = one.claims(call).budgets[0].name
        await one.link.command("HINCRBY", f"obol:{{{organization}}}:balance:{name}", "s", 5)
        await one.link.command("HINCRBY", f"obol:{{{organization}}}:balance:{name}", "h", -DOLLAR)

        report = await verified(settings, organization)
        count, after = await asyncio.to_thread(ledger_books.rebuild, settings, organization)

        said = f"{organization}: balance {name} ({budget.subject}, month): Redis has $0.000000008 spent, $0.00 held;"
        said += " ledger, journals and open holds make it $0.000000003 spent, $1.00 held"
        assert report.differences == [said]
        assert count == 1
        assert after.differences == []
        assert await one.standing(call) == [(3, DOLLAR)]


async def test_rolling_balances_are_compared_and_mended(redis_url, engine, tmp_path, organization, settings):
    async with budgeted_replica(redis_url, engine, tmp_path, organization, is_rolling=True) as (one, _):
        call = await spend(one, organization, 3)
        right = await verified(settings, organization)
        name = one.claims(call).budgets[0].name
        await one.link.command("HINCRBY", f"obol:{{{organization}}}:balance:{name}", "s", 5)

        wrong = await verified(settings, organization)
        _, mended = await asyncio.to_thread(ledger_books.rebuild, settings, organization)

        assert (right.balances, len(right.differences)) == (1, 0)
        assert len(wrong.differences) == 1
        assert (mended.balances, len(mended.differences)) == (1, 0)


async def test_a_balance_of_a_window_that_the_budget_had_before_is_left_out(
    redis_url, engine, tmp_path, organization, settings
):
    async with budgeted_replica(redis_url, engine, tmp_path, organization, is_rolling=True) as (one, budget):
        await spend(one, organization, 3)
        await BudgetStore(engine).update(OWNER, budget.id, {"is_rolling": False})

        report = await verified(settings, organization)

        assert (report.balances, report.differences) == (0, [])


async def test_balances_of_values_are_compared_whatever_clients_call_them(
    redis_url, engine, tmp_path, organization, settings
):
    scope = {"each": Dimension.END_USER}
    async with budgeted_replica(redis_url, engine, tmp_path, organization, **scope) as (one, _):
        users = ["plain", "not: plain \n at all", "0" * 32]
        for number, user in enumerate(users):
            await spend(one, organization, 10 + number, end_user=user)
            await one.ship()
            await spend(one, organization, 20 + number, end_user=user)

        report = await verified(settings, organization)
        call = intent(organization, end_user=users[1])
        name = one.claims(call).budgets[0].name
        await one.link.command("HINCRBY", f"obol:{{{organization}}}:balance:{name}", "s", 1)
        broken = await verified(settings, organization)

        assert report.differences == []
        assert report.balances == 3
        assert len(broken.differences) == 1
        assert name in broken.differences[0]


async def test_a_balance_of_a_value_that_never_called_is_told(redis_url, engine, tmp_path, organization, settings):
    scope = {"each": Dimension.END_USER}
    async with budgeted_replica(redis_url, engine, tmp_path, organization, **scope) as (one, budget):
        call = await spend(one, organization, 3, end_user="someone")
        period = one.claims(call).budgets[0].period
        real = f"obol:{{{organization}}}:balance:{balance_name(budget, period, 'someone')}"
        made_up = f"obol:{{{organization}}}:balance:{balance_name(budget, period, 'nobody at all')}"
        await one.link.command("COPY", real, made_up)

        report = await verified(settings, organization)

        assert len(report.differences) == 1
        assert "make it $0.00 spent" in report.differences[0]


async def test_a_default_whose_value_has_a_budget_of_its_own_is_nobodys(
    redis_url, engine, tmp_path, organization, settings
):
    scope = {"each": Dimension.END_USER}
    async with budgeted_replica(redis_url, engine, tmp_path, organization, **scope) as (one, _):
        await spend(one, organization, 3, end_user="ann")
        await BudgetStore(engine).create(
            OWNER, Scope(organization, end_user="ann"), limit_nusd=10 * DOLLAR, window=Window.MONTH
        )
        one.book = RuleBook((await RuleSource(engine).changes(None)).budgets)
        await spend(one, organization, 4, end_user="ann")

        report = await verified(settings, organization)

        assert report.differences == []
        assert report.balances == 1


async def test_money_held_for_no_call_is_told_and_freed(redis_url, engine, tmp_path, organization, settings):
    async with budgeted_replica(redis_url, engine, tmp_path, organization) as (one, _):
        call = intent(organization, DOLLAR)
        await one.open(call)
        await one.link.command("HDEL", f"obol:{{{organization}}}:open:{one.journal.instance}", call.id)

        report = await verified(settings, organization)
        _, after = await asyncio.to_thread(ledger_books.rebuild, settings, organization)

        assert report.differences == [
            f"{organization}: $1.00 held for call {call.id} of instance {one.journal.instance}, which is not open"
        ]
        assert after.differences == []
        assert await one.standing(call) == [(0, 0)]


async def test_a_charge_that_the_ledger_has_with_another_amount_is_told(
    redis_url, engine, tmp_path, organization, settings
):
    async with budgeted_replica(redis_url, engine, tmp_path, organization) as (one, _):
        call = intent(organization, DOLLAR)
        await one.open(call)
        await one.journal.settle(metered(call, 7), one.claims(call))
        await one.ledger.write(encoded(metered(call, 8)))

        report = await verified(settings, organization)

        said = f"{organization}: call {call.id} costs $0.000000007 in the journal, $0.000000008 in the ledger"
        assert said in report.differences


async def test_an_orphan_that_was_corrected_agrees_with_its_journaled_charge(
    redis_url, engine, tmp_path, organization, settings
):
    async with budgeted_replica(redis_url, engine, tmp_path, organization) as (one, _):
        call = intent(organization, DOLLAR)
        await one.open(call)
        await one.ledger.write(encoded(orphan_of(call, 750)))
        await one.journal.settle(metered(call, 900), one.claims(call))

        before = await verified(settings, organization)
        await one.ledger.write(encoded(metered(call, 900)))
        after = await verified(settings, organization)

        assert before.differences == after.differences == []
        assert after.entries == 2


@pytest.mark.parametrize(
    ("cost_nusd", "said"),
    [(42_499, "costs $0.000042499, its meters come to $0.0000425"), (42_501, "costs $0.000042501, its meters")],
)
async def test_an_entry_that_costs_other_than_its_meters_say_is_told(ledger, organization, settings, cost_nusd, said):
    entry = make_entry(organization_id=organization, cost_nusd=cost_nusd)
    await ledger.write(encoded(entry))
    report = await verified(settings, organization)
    [line] = report.differences
    assert line.startswith(f"{organization}: call {entry.id} {said}")


async def test_meters_are_divided_once_and_rounded_up(ledger, organization, settings):
    # Each line alone would be rounded up to one nano-dollar.
    meters = (MeterReading("input", 1, 1), MeterReading("output", 3, 333_333))
    await ledger.write(encoded(make_entry(organization_id=organization, meters=meters, cost_nusd=1)))
    await ledger.write(encoded(make_entry(organization_id=organization, meters=(), cost_nusd=0)))
    report = await verified(settings, organization)
    assert report.differences == []
    assert report.entries == 2


async def test_a_correction_without_its_entry_is_told(ledger, organization, settings):
    entry = make_entry(organization_id=organization)
    lone = msgspec.structs.replace(entry, id=correction_id(entry.id), corrects=entry.id)
    await ledger.write(encoded(lone))
    report = await verified(settings, organization)
    assert report.differences == [f"{organization}: call {entry.id} has 0 entries and 1 corrections"]


async def test_books_are_compared_rightly_while_traffic_flows(redis_url, engine, tmp_path, organization, settings):
    async with budgeted_replica(redis_url, engine, tmp_path, organization) as (one, _):
        stopped = asyncio.Event()

        async def traffic():
            number = 0
            while not stopped.is_set():
                await spend(one, organization, number)
                number += 1
                if number % 7 == 0:
                    await one.ship()
            return number

        flowing = asyncio.create_task(traffic())
        reports = [await verified(settings, organization) for _ in range(3)]
        _, rebuilt = await asyncio.to_thread(ledger_books.rebuild, settings, organization)
        stopped.set()

        assert await flowing > 50
        assert [report.differences for report in (*reports, rebuilt)] == [[]] * 4


async def test_the_command_says_by_its_status_whether_there_are_differences(
    ledger, organization, settings, monkeypatch, capsys
):
    for name, value in settings.to_environment().items():
        monkeypatch.setenv(name, value)
    asked = ["ledger", "verify", "--organization", organization]
    assert await asyncio.to_thread(cli.main, asked) == 0
    assert "no differences" in capsys.readouterr().out
    await ledger.write(encoded(make_entry(organization_id=organization, cost_nusd=1)))
    assert await asyncio.to_thread(cli.main, asked) == 1
    assert "1 differences" in capsys.readouterr().out
    assert await asyncio.to_thread(cli.main, ["ledger", "rebuild", "--organization", organization]) == 1
    assert "0 balances rebuilt" in capsys.readouterr().out


async def test_an_organization_that_nobody_knows_is_refused(settings):
    with pytest.raises(CommandFailed, match="no organization"):
        await verified(settings, "org_nowhere")
