"""Decisions with what became of them: attempts on the ledger, what clients said. Oldest first, page by page."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.domain import DecisionRecord
from gateway.stores.database import translated
from gateway.stores.decisions import RECORD_COLUMNS, WRITTEN_OTHERWISE
from gateway.stores.entry_filter import EntryFilter

_PAGE = 500
_SHARES = 1 << 16
#: An attempt begins after its decision, whose time is told before; corrections come later. Clocks differ a little.
_BEFORE = timedelta(hours=1)
# What is charged by the token, and so at the rates that records have.
_BY_THE_TOKEN = "('input', 'cached_input', 'cache_write', 'cache_write_long', 'output', 'reasoning')"  # noqa: S105 - no password
# A correction adds its differences to the attempt that it corrects.
_ATTEMPTS = text(f"""
    SELECT
        min(request_id), min(attempt), min(deployment), min(purpose), sum(cost_nusd), sum(baseline_nusd),
        sum(input_tokens), sum(cached_input_tokens), sum(output_tokens), sum(reasoning_tokens),
        bool_and(NOT EXISTS (
            SELECT FROM jsonb_array_elements(meters) AS one WHERE one->>'meter' NOT IN {_BY_THE_TOKEN}
        ))
    FROM ledger_entries WHERE request_id = ANY(:ids) AND created_at >= :from_at
    GROUP BY coalesce(corrects, id) ORDER BY min(attempt), min(created_at)
""")  # noqa: S608 - no value is in it
_SCORES = text("""
    SELECT request_id, avg(score) FROM feedback WHERE request_id = ANY(:ids) AND score IS NOT NULL GROUP BY request_id
""")
_TEAMS = text("SELECT id, name FROM teams WHERE id = ANY(:ids)")
# Whole conversations, so that each of them is seen from its first turn on.
_IN_SAMPLE = f"(hashtextextended(coalesce(conversation, request_id), 0) & {_SHARES - 1}) < :share"
_WITHOUT_FEATURES = RECORD_COLUMNS.replace(WRITTEN_OTHERWISE["features"], "'' AS features")
_decode = msgspec.json.Decoder(DecisionRecord).decode


class Spent(NamedTuple):
    """One attempt as it stands on the ledger, corrections counted in.

    ``is_by_token``: every meter of it is of text tokens.
    """

    number: int
    deployment: str
    purpose: str
    cost_nusd: int
    baseline_nusd: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    is_by_token: bool


class Recorded(NamedTuple):
    """One decision; ``attempts`` in their order; ``score``: the mean of what clients said, ``None`` if nothing."""

    record: DecisionRecord
    attempts: Sequence[Spent]
    score: float | None


@dataclass(frozen=True, slots=True)
class Sample:
    """Which decisions are wanted: those of the filter, of ``share`` (0 to 1) of all conversations."""

    chosen: EntryFilter
    share: float = 1.0

    def condition(self) -> tuple[str, dict[str, object]]:
        wanted = self.chosen.conditions()
        conditions = [condition for condition, _ in wanted.values()]
        parameters: dict[str, object] = {name: value for name, (_, value) in wanted.items()}
        if self.share < 1:
            conditions.append(_IN_SAMPLE)
            parameters["share"] = round(self.share * _SHARES)
        return " AND ".join(conditions) or "true", parameters


class RecordedStore:
    """Reads decisions together with ledger and feedback."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def count(self, sample: Sample, at_most: int) -> int:
        """How many decisions there are, ``at_most`` for as many and more. Raises StoreUnavailable."""
        where, parameters = sample.condition()
        query = text(f"SELECT count(*) FROM (SELECT FROM route_decisions WHERE {where} LIMIT :at_most) AS found")  # noqa: S608 - our names
        with translated():
            async with self._engine.connect() as connection:
                return int(await connection.scalar(query, parameters | {"at_most": at_most}) or 0)

    async def pages(self, sample: Sample, *, has_features: bool = True) -> AsyncIterator[list[Recorded]]:
        """All of them, oldest first; features are most of a record, and may be left out. Raises StoreUnavailable."""
        columns = RECORD_COLUMNS if has_features else _WITHOUT_FEATURES
        where, parameters = sample.condition()
        place: tuple[datetime, str] | None = None
        while True:
            after = "" if place is None else "AND (created_at, request_id) > (:instant, :last)"
            beyond = {} if place is None else {"instant": place[0], "last": place[1]}
            query = text(f"""
                WITH chosen AS (
                    SELECT * FROM route_decisions WHERE {where} {after} ORDER BY created_at, request_id LIMIT {_PAGE}
                ) SELECT row_to_json(record)::text FROM (SELECT {columns} FROM chosen) AS record
                ORDER BY created_at, request_id
            """)  # noqa: S608 - built of names of our own; values are parameters
            with translated():
                async with self._engine.connect() as connection:
                    rows = (await connection.execute(query, parameters | beyond)).scalars().all()
                    records = await asyncio.to_thread(list, map(_decode, rows))  # milliseconds that requests want
                    page = await _with_what_became(connection, records) if records else []
            if page:
                yield page
            if len(page) < _PAGE:
                return
            place = datetime.fromisoformat(records[-1].created_at), records[-1].request_id

    async def team_names(self, ids: Sequence[str]) -> Mapping[str, str]:
        """By id, of those that have a name. Raises StoreUnavailable."""
        with translated():
            async with self._engine.connect() as connection:
                rows = await connection.execute(_TEAMS, {"ids": list(ids)})
                return {row[0]: row[1] for row in rows}


async def _with_what_became(connection: AsyncConnection, records: Sequence[DecisionRecord]) -> list[Recorded]:
    ids = [one.request_id for one in records]
    from_at = datetime.fromisoformat(records[0].created_at) - _BEFORE
    attempts: defaultdict[str, list[Spent]] = defaultdict(list)
    for row in await connection.execute(_ATTEMPTS, {"ids": ids, "from_at": from_at}):
        number, deployment, purpose = row[1:4]
        cost, baseline, asked, cached, answered, reasoning = map(int, row[4:10])  # sums are read as Decimal
        spent = Spent(number, deployment, purpose, cost, baseline, asked, cached, answered, reasoning, row[10])
        attempts[row[0]].append(spent)
    scores = {row[0]: float(row[1]) for row in await connection.execute(_SCORES, {"ids": ids})}
    return [Recorded(one, attempts.get(one.request_id, ()), scores.get(one.request_id)) for one in records]
