"""`obol ledger verify` and `obol ledger rebuild`: whether balances, ledger and journals agree; making them agree."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from redis.exceptions import RedisError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.commands import CommandFailed
from gateway.commands.stores import as_command_failures, reachable
from gateway.domain import Balance, Budget
from gateway.settings import Settings
from gateway.stores import database, tables
from gateway.stores.balances import Balances, Compared
from gateway.stores.books_check import BooksCheck, Found, JournalDifference, LooseHold
from gateway.stores.instances import ORGANIZATIONS
from gateway.stores.ledger_check import WrongCall, check_entries
from gateway.stores.ledger_sums import LedgerSums
from gateway.stores.redis_link import Link
from gateway.stores.redis_open import open_link
from gateway.stores.rule_source import RuleSource
from policies.refusal_text import dollars

SECOND_LOOK_S = 1.0  # what two stores read one after the other disagree on for longer is a difference

T = TypeVar("T")


@dataclass(slots=True)
class Report:
    """What was found. ``differences`` are lines for people."""

    differences: list[str] = field(default_factory=list)
    organizations: int = 0
    balances: int = 0
    journaled: int = 0
    entries: int = 0

    @property
    def text(self) -> str:
        looked_at = (
            f"{self.organizations} organizations, {self.balances} balances, {self.entries} entries of the ledger,"
            f" {self.journaled} charges on their way there"
        )
        found = f"{len(self.differences)} differences" if self.differences else "no differences"
        return "\n".join([*self.differences, f"{looked_at}: {found}"])


def verify(settings: Settings, organization_id: str | None) -> Report:
    """Compare, and change nothing but what any reader of balances does. Raises CommandFailed."""
    return _with_books(settings, lambda books: books.verify(organization_id))


def rebuild(settings: Settings, organization_id: str | None) -> tuple[int, Report]:
    """Rebuild all balances that Redis has; how many, and what a comparison then finds. Raises CommandFailed."""

    async def work(books: _Books) -> tuple[int, Report]:
        return await books.rebuild(organization_id), await books.verify(organization_id)

    return _with_books(settings, work)


class _Books:
    """The books of all organizations. Safe beside running gateways."""

    def __init__(self, engine: AsyncEngine, link: Link) -> None:
        self._engine = engine
        self._link = link
        self._rules = RuleSource(engine)
        self._check = BooksCheck(link, engine, Balances(link, LedgerSums(engine)))

    async def verify(self, organization_id: str | None) -> Report:
        report = Report()
        organizations = await self._organizations(organization_id)
        budgets = await self._budgets()
        first = {one: await self._look(one, budgets) for one in organizations}
        doubtful = [one for one, found in first.items() if found.different or found.loose or found.journal]
        if doubtful:
            await asyncio.sleep(SECOND_LOOK_S)
            budgets = await self._budgets()
        for one in doubtful:
            report.differences += _differences(one, first[one], await self._look(one, budgets))
        report.organizations = len(organizations)
        report.balances = sum(len(found.compared) for found in first.values())
        report.journaled = sum(found.journaled for found in first.values())
        async for span in check_entries(self._engine, organization_id):
            report.entries += span.entries
            report.differences += [_wrong_call(call) for call in span.wrong]
        return report

    async def rebuild(self, organization_id: str | None) -> int:
        budgets = await self._budgets()
        count = 0
        for one in await self._organizations(organization_id):
            count += await self._check.rebuild(one, budgets.get(one, ()), await self._now_ms())
        return count

    async def _look(self, organization_id: str, budgets: Mapping[str, Sequence[Budget]]) -> Found:
        return await self._check.look(organization_id, budgets.get(organization_id, ()), await self._now_ms())

    async def _budgets(self) -> Mapping[str, Sequence[Budget]]:
        """All live budgets, by organization."""
        found: dict[str, list[Budget]] = {}
        for budget in (await self._rules.changes(None)).budgets:
            found.setdefault(budget.scope.organization_id, []).append(budget)
        return found

    async def _organizations(self, organization_id: str | None) -> Sequence[str]:
        """All that have a row or books, or the one that was named. Raises CommandFailed for one that is unknown."""
        with database.translated():
            async with self._engine.connect() as connection:
                known = set((await connection.execute(select(tables.organizations.c.id))).scalars())
        reply = await self._link.command("SMEMBERS", ORGANIZATIONS)
        known.update(one.decode() for one in (reply if isinstance(reply, list) else ()))
        if organization_id is None:
            return sorted(known)
        if organization_id not in known:
            raise CommandFailed(f"there is no organization {organization_id!r}")
        return [organization_id]

    async def _now_ms(self) -> int:
        reply = await self._link.command("TIME")
        seconds, microseconds = reply if isinstance(reply, list) else (b"0", b"0")
        return int(seconds) * 1000 + int(microseconds) // 1000


def _with_books(settings: Settings, work: Callable[[_Books], Awaitable[T]]) -> T:
    async def run(ready: Settings) -> T:
        # An old ledger may take its time to be summed up.
        engine = database.connect(ready.database_url, command_timeout_s=None)
        link = await open_link(ready.redis_url, client_name="obol-ledger")
        try:
            if not link.is_connected:
                raise CommandFailed("Redis does not answer, so that there is nothing to compare the ledger with")
            return await work(_Books(engine, link))
        except RedisError as exc:
            raise CommandFailed(f"Redis: {exc}") from exc
        finally:
            await link.close()
            await engine.dispose()

    with reachable(settings, needs_redis=True) as ready, as_command_failures(ready.database_url):
        if not ready.redis_url:
            raise CommandFailed("name the Redis of this database by OBOL_REDIS_URL")
        return asyncio.run(run(ready))


def _differences(organization_id: str, first: Found, second: Found) -> list[str]:
    """What both looks found, with the figures of the second."""
    before = {one.claim.name for one in first.different}
    lines = [_balance(one) for one in second.different if one.claim.name in before]
    lines += [_loose(one) for one in second.loose if one in first.loose]
    lines += [_journaled(one) for one in second.journal if one in first.journal]
    return [f"{organization_id}: {line}" for line in lines]


def _balance(one: Compared) -> str:
    assert one.standing is not None  # noqa: S101 - only those differ that stand
    budget = one.claim.budget
    return (
        f"balance {one.claim.name} ({budget.subject}, {budget.window}): Redis has {_amounts(one.standing)};"
        f" ledger, journals and open holds make it {_amounts(one.rebuilt)}"
    )


def _amounts(balance: Balance) -> str:
    return f"${dollars(balance.spent_nusd)} spent, ${dollars(balance.held_nusd)} held"


def _loose(one: LooseHold) -> str:
    return f"${dollars(one.hold_nusd)} held for call {one.attempt_id} of instance {one.instance}, which is not open"


def _journaled(one: JournalDifference) -> str:
    if one.journaled_nusd is None or one.ledger_nusd is None:
        return f"the journaled charge of call {one.attempt_id} cannot be read"
    return (
        f"call {one.attempt_id} costs ${dollars(one.journaled_nusd)} in the journal,"
        f" ${dollars(one.ledger_nusd)} in the ledger"
    )


def _wrong_call(call: WrongCall) -> str:
    said = f"{call.organization_id}: call {call.id}"
    if call.entries != 1 or call.corrections > 1:
        return f"{said} has {call.entries} entries and {call.corrections} corrections"
    return f"{said} costs ${dollars(call.cost_nusd)}, its meters come to ${dollars(call.metered_nusd)}"
