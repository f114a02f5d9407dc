"""The budgets and limits in force in this process, at most a second behind the database."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from gateway.domain import Claims, LedgerEntry
from gateway.errors import BudgetsUnavailable, StoreUnavailable
from gateway.stores.rule_source import RuleChanges
from gateway.stores.rules import CHANNEL
from policies.rule_book import Rule, RuleBook

log = logging.getLogger(__name__)

REFRESH_INTERVAL_S = 0.5  # of the job; with one that just missed a change, and the reading, within a second
_RENAMED_INTERVAL_S = 10.0  # names and contacts, which only refusals tell


class Source(Protocol):
    """What the cache asks: RuleSource."""

    async def changes(self, since: datetime | None) -> RuleChanges:
        """The rules that changed since then, None: all. Raises StoreUnavailable."""

    async def renamed(self, since: datetime) -> RuleChanges:
        """The rules whose names changed since then. Raises StoreUnavailable."""


class RuleCache:
    """Holds the book in force. While Postgres is away, the last one stays."""

    channel = CHANNEL

    def __init__(self, source: Source, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._monotonic_s = monotonic_s
        self._book: RuleBook | None = None
        self._since: datetime | None = None
        self._names_since: datetime | None = None
        self._names_read_s = monotonic_s()
        self._turn = asyncio.Lock()
        self._is_behind = False
        self._catching_up: asyncio.Task[None] | None = None

    def claims(self, entry: LedgerEntry, now_ms: int) -> Claims:
        """What a call draws on. Raises BudgetsUnavailable until the rules have been read for the first time."""
        return self._current.claims(entry, now_ms)

    def claims_of_key(
        self, organization_id: str, team_id: str, member_id: str | None, key_id: str, now_ms: int
    ) -> Claims:
        """What a key's calls can draw on. Raises BudgetsUnavailable until the rules have been read."""
        return self._current.claims_of_key(organization_id, team_id, member_id, key_id, now_ms)

    def get(self, rule_id: str) -> Rule | None:
        """A live rule by its id."""
        return None if self._book is None else self._book.get(rule_id)

    async def refresh(self) -> None:
        """Take in what changed; run it twice a second. Raises StoreUnavailable."""
        async with self._turn:
            changes = await self._source.changes(self._since)
            self._take(changes)
            self._since = changes.until
            now_s = self._monotonic_s()
            if self._names_since is None:
                self._names_since, self._names_read_s = changes.until, now_s
            elif now_s - self._names_read_s >= _RENAMED_INTERVAL_S:
                renamed = await self._source.renamed(self._names_since)
                self._take(renamed)
                self._names_since, self._names_read_s = renamed.until, now_s

    def heard(self, _announcement: bytes) -> None:
        """Some process changed a rule: read it at once."""
        self._is_behind = True
        if self._catching_up is None or self._catching_up.done():
            self._catching_up = asyncio.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        while self._is_behind:
            self._is_behind = False
            try:
                await self.refresh()
            except StoreUnavailable as exc:
                log.warning("a change of budgets or limits could not be read, the next refresh will: %s", exc)

    @property
    def _current(self) -> RuleBook:
        if self._book is None:
            raise BudgetsUnavailable("The budgets have not been read yet. Please retry.")
        return self._book

    def _take(self, changes: RuleChanges) -> None:
        """Put what is new or different into the book; what was read again as it is costs no claims found before."""
        book = self._book or RuleBook()
        read: list[Rule] = [*changes.budgets, *changes.limits]
        different = [rule for rule in read if book.get(rule.id) != rule]
        gone = [rule_id for rule_id in changes.gone if book.get(rule_id) is not None]
        self._book = book.changed(different, gone) if different or gone else book
