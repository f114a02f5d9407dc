"""What stands of every budget, and how it is found out anew when nobody knows.

A balance in Redis is a cache of a pure function: what the ledger holds for its scope and window, and the journaled
charges that the ledger has not yet, and the open holds. ``rebuild`` computes that exactly while traffic goes on:

1. mark ``read``: from now on nothing leaves the journals;
2. read the ledger in one snapshot of Postgres;
3. mark ``tap``: what is settled from now on is noted apart; it cannot be in the snapshot;
4. read the journals: what is neither noted in the tap nor in the snapshot is counted in addition;
5. install, in one script: ledger + journals + tap + all open holds, unless the books became doubtful meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from redis.exceptions import RedisError

from gateway.domain import Balance, BudgetClaim, LimitClaim
from gateway.errors import BudgetsUnavailable
from gateway.stores.books import Keys, pack_claims
from gateway.stores.journal_reading import journaled_outside
from gateway.stores.ledger_sums import LedgerSnapshot, LedgerSums, Spent, count
from gateway.stores.redis_link import Link, Script
from gateway.stores.redis_wire import Arg

log = logging.getLogger("obol.balances")

_MARK = Script.load("rebuild_mark", "books")
_UNMARK = Script.load("rebuild_unmark", "books")
_INSTALL = Script.load("rebuild_install", "books", "rebuild")
_COMPARE = Script.load("rebuild_compare", "books", "rebuild")
_READ = Script.load("books_read", "books")
_USED = Script.load("books_used", "books", "rates")
_MARK_MS = 60_000
_TRIES_MAX = 25  # of one asker whose books are doubted while they are rebuilt: with the pauses, some two seconds
_PAUSE_S, _PAUSE_S_MAX = 0.005, 0.1
_LOST_GRACE_MS = 3_000  # after Redis lost its data: by then every living replica has told it again what it holds


class LimitUse(NamedTuple):
    """What a limit's counters say now."""

    requests: int
    tokens: int
    tokens_today: int
    parallel: int


class Compared(NamedTuple):
    """A balance as rebuilding it would make it, and as it stands in Redis; None: nobody knows it there."""

    claim: BudgetClaim
    rebuilt: Balance
    standing: Balance | None


class Balances:
    """Reads balances, and rebuilds those that nobody knows."""

    def __init__(
        self, link: Link, sums: LedgerSums, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._link = link
        self._sums = sums
        self._sleep = sleep
        self._wanted: dict[str, dict[str, BudgetClaim]] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._born_ms: dict[str, int] = {}  # organization -> when its books were begun in this Redis

    async def read(self, organization_id: str, claims: Sequence[BudgetClaim]) -> list[Balance]:
        """What stands of each claim. Raises RedisError, StoreUnavailable and BudgetsUnavailable."""
        if not claims:
            return []
        args = (pack_claims(claims),)
        tries = 0
        while True:
            reply = await self._link.script(_READ, (Keys.of(organization_id, "").books,), args)
            figures = reply if isinstance(reply, list) else []
            pairs = list(zip(figures[::2], figures[1::2], strict=True))
            unknown = [claim for claim, (spent, _) in zip(claims, pairs, strict=True) if spent == b""]
            if not unknown:
                return [Balance(spent, held) for spent, held in pairs]
            await self.rebuild(organization_id, unknown, tries)
            tries += 1

    async def used(self, organization_id: str, claims: Sequence[LimitClaim]) -> list[LimitUse]:
        """What is counted of each limit now. Raises RedisError."""
        if not claims:
            return []
        names = [claim.name for claim in claims]
        reply = await self._link.script(_USED, (Keys.of(organization_id, "").books,), names)
        numbers = reply if isinstance(reply, list) else []
        return [LimitUse(*numbers[start : start + 4]) for start in range(0, len(numbers), 4)]

    async def rebuild(self, organization_id: str, claims: Sequence[BudgetClaim], tries: int) -> None:
        """Compute the balances of these claims and install them; requests that wait for the same share the work.

        Whoever asks for the balances next may find them unknown again: a gateway that was taken for dead and goes on
        makes the books doubtful with each call that it settles. ``tries``: how often the same asker has rebuilt before;
        it waits longer each time. Raises StoreUnavailable while Postgres is away, RedisError, and BudgetsUnavailable
        when the books have been doubted for too long.
        """
        if tries >= _TRIES_MAX:
            raise BudgetsUnavailable("The balances could not be rebuilt. Please retry.")
        if tries:
            await self._sleep(min(_PAUSE_S * 2**tries, _PAUSE_S_MAX))
        wanted = self._wanted.setdefault(organization_id, {})
        wanted.update((claim.name, claim) for claim in claims)
        async with self._turns.setdefault(organization_id, asyncio.Lock()):
            if not any(claim.name in wanted for claim in claims):
                return  # whoever had the turn before took them along
            batch = list(wanted.values())
            wanted.clear()
            await self._rebuild_once(organization_id, batch)

    async def compare(self, organization_id: str, claims: Sequence[BudgetClaim]) -> list[Compared]:
        """The balances of these claims as they stand, beside what rebuilding them would give, both of one moment.

        Raises as ``rebuild`` does.
        """
        keys = Keys.of(organization_id, "")
        for _ in range(_TRIES_MAX):
            args = await self._summed(organization_id, claims)
            reply = await self._link.script(_COMPARE, (keys.books, keys.instances), args)
            if not isinstance(reply, list) or not reply:
                continue
            four = [tuple(reply[start : start + 4]) for start in range(0, len(reply), 4)]
            return [
                Compared(claim, Balance(spent, held), Balance(stands, holds) if stands != b"" else None)
                for claim, (spent, held, stands, holds) in zip(claims, four, strict=True)
            ]
        raise BudgetsUnavailable("The balances could not be compared. Please retry.")

    async def _rebuild_once(self, organization_id: str, claims: Sequence[BudgetClaim]) -> None:
        keys = Keys.of(organization_id, "")
        args = await self._summed(organization_id, claims)
        is_installed = await self._link.script(_INSTALL, (keys.books, keys.instances), args) == 1
        log.info(
            "%d balances of %s were %s",
            len(claims),
            organization_id,
            "rebuilt" if is_installed else "rebuilt in vain, the books had become doubtful",
        )

    async def _summed(self, organization_id: str, claims: Sequence[BudgetClaim]) -> list[Arg]:
        """Steps 1 to 4; what comes of them, as the scripts that begin with rebuild.lua read it."""
        keys = Keys.of(organization_id, "")
        token = secrets.token_hex(8)
        generation = await self._mark(keys, token, "read", organization_id)
        try:
            async with self._sums.snapshot() as ledger:
                spent = [await ledger.spent(claim) for claim in claims]
                await self._mark(keys, token, "tap", organization_id)
                await self._add_journaled(organization_id, token, ledger, claims, spent)
        except BaseException:  # also a cancellation: what keeps the journals from emptying must not stay
            with contextlib.suppress(RedisError):
                await self._link.script(_UNMARK, (keys.books,), (token,))
            raise
        args: list[Arg] = [token, generation, pack_claims(claims)]
        for claim, amounts in zip(claims, spent, strict=True):
            if claim.period.cell_ms:
                args += [len(amounts), *(number for pair in amounts.items() for number in pair)]
            else:
                args += [0, sum(amounts.values())]
        return args

    async def _mark(self, keys: Keys, token: str, state: str, organization_id: str) -> bytes:
        """Mark a stage; returns the generation. Waits out the time in which a Redis without memory is told it again."""
        reply = await self._link.script(_MARK, (keys.books,), (token, state, _MARK_MS))
        generation, born, now = reply if isinstance(reply, list) else (b"", b"0", b"0")
        born_ms = int(born)
        if self._born_ms.setdefault(organization_id, born_ms) != born_ms:
            self._born_ms[organization_id] = born_ms
            await self._sleep(max(0, born_ms + _LOST_GRACE_MS - int(now)) / 1000)
        return bytes(generation)

    async def _add_journaled(
        self,
        organization_id: str,
        token: str,
        ledger: LedgerSnapshot,
        claims: Sequence[BudgetClaim],
        spent: Sequence[Spent],
    ) -> None:
        """Count what stands in the journals and not in the snapshot."""
        async for entry in journaled_outside(self._link, organization_id, token, ledger):
            for claim, amounts in zip(claims, spent, strict=True):
                count(entry, claim, amounts)
