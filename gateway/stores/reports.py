"""What was spent, summed up from the ledger: exact, because Postgres adds up whole nano-dollars."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain import Window
from gateway.errors import BadRequest
from gateway.stores.entry_filter import COLUMNS, EntryFilter
from gateway.stores.report_snapshots import ReportSnapshots
from policies import stages
from policies.report_buckets import bucket_starts, buckets_max

ROWS_MAX = 10_000
_UTC = ZoneInfo("UTC")


def _cases(of: str, words: Mapping[str, str]) -> str:
    return f"CASE {of} " + " ".join(f"WHEN '{word}' THEN '{stage}'" for word, stage in words.items()) + " END"


# As policies.stages.stage_of has it.
_STAGE = (
    f"coalesce(stage, {_cases('source', stages.BY_SOURCE)}, {_cases('purpose', stages.BY_PURPOSE)},"
    f" '{stages.OTHERWISE}')"
)

# What a report can be grouped by, and its column. An entry with two tags is in the groups of both.
GROUPS: Mapping[str, str] = {
    name: COLUMNS[name]
    for name in (
        *("organization", "team", "member", "key", "end_user"),
        *("route", "deployment", "model", "provider", "purpose", "source", "deflector"),
    )
} | {"stage": _STAGE, "tag": "tag"}

# Those whose values are ids: the table that has their names.
NAMED: Mapping[str, str] = {"organization": "organizations", "team": "teams", "member": "members", "key": "keys"}


class Sums(NamedTuple):
    """What the entries of one group come to. Corrections count in every amount, and as no request and no attempt.

    ``failed`` are attempts that their upstream refused or broke off. ``savings_nusd`` may be negative.
    ``baseline_estimated_attempts`` are those whose baseline rests on a guess of what was used.
    """

    requests: int
    attempts: int
    failed: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_nusd: int
    baseline_nusd: int
    baseline_estimated_attempts: int

    @property
    def savings_nusd(self) -> int:
        return self.baseline_nusd - self.cost_nusd


def _sum(column: str) -> str:
    return f"coalesce(sum({column}), 0) AS {column}"


# An orphaned entry never failed and is always a guess; its correction, if there is one, says what was found out later.
_ESTIMATED = """
    count(*) FILTER (WHERE is_baseline_estimated AND corrects IS NULL)
    - count(*) FILTER (WHERE NOT is_baseline_estimated AND corrects IS NOT NULL) AS baseline_estimated_attempts"""
_SUMS = ", ".join(
    (
        "count(DISTINCT request_id) AS requests",
        "count(*) FILTER (WHERE corrects IS NULL) AS attempts",
        "count(*) FILTER (WHERE status IN ('failed', 'interrupted')) AS failed",
        *map(
            _sum,
            ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"),
        ),
        _sum("cost_nusd"),
        _sum("baseline_nusd"),
        _ESTIMATED,
    )
)


@dataclass(frozen=True, slots=True)
class CostQuestion:
    """What a cost report is asked: which entries, and how to cut them up.

    ``groups`` are keys of GROUPS, each once. With a ``bucket`` (hour, day or month) the entries must be of a bounded
    span of time.
    """

    chosen: EntryFilter
    bucket: Window | None = None
    zone: ZoneInfo = _UTC
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CostRow:
    """One group in one bucket. ``labels``: the group's values and, for ids, their names, in the order asked for."""

    bucket_start: datetime | None
    labels: Mapping[str, str | None]
    sums: Sums


@dataclass(frozen=True, slots=True)
class CostReport:
    """Rows by bucket, the dearest first; ``totals`` over all entries, each counted once."""

    rows: tuple[CostRow, ...]
    totals: Sums


def labels_of(groups: tuple[str, ...]) -> tuple[str, ...]:
    """The columns that tell the groups of a report apart: ``team, team_name, model``."""
    return tuple(label for group in groups for label in ((group, f"{group}_name") if group in NAMED else (group,)))


class ReportStore:
    """Reads the ledger for reports."""

    def __init__(self, snapshots: ReportSnapshots) -> None:
        self._snapshots = snapshots

    async def costs(self, question: CostQuestion) -> CostReport:
        """Raises BadRequest for what is too long, and StoreUnavailable, also for what takes too long."""
        async with self._snapshots.open() as connection:
            starts = await _starts(connection, question)
            rows = await _rows(connection, question, starts) if starts or question.groups else None
            totals = await _totals(connection, question)
        if question.bucket is not None and not starts:
            return CostReport((), totals)
        if rows is None:
            return CostReport((CostRow(None, {}, totals),), totals)
        if len(rows) > ROWS_MAX:
            raise BadRequest(
                f"the report has more than {ROWS_MAX} rows: ask for a shorter time, a longer bucket, fewer groups, or"
                " filter by one of them",
                param="group_by" if question.groups else "bucket",
            )
        labels = labels_of(question.groups)
        return CostReport(
            tuple(
                CostRow(starts[row["bucket"] - 1] if starts else None, {name: row[name] for name in labels}, _sums(row))
                for row in rows
            ),
            totals,
        )


async def _starts(connection: AsyncConnection, question: CostQuestion) -> list[datetime]:
    """Where the question's buckets begin. Raises BadRequest for more than a report can have."""
    bucket, from_at, to_at = question.bucket, question.chosen.from_at, question.chosen.to_at
    if bucket is None:
        return []
    if from_at is None or to_at is None:
        raise ValueError("buckets of a time without bounds")
    if buckets_max(bucket, from_at, to_at) > ROWS_MAX:
        from_at, to_at = await _within_ledger(connection, from_at, to_at)
    if buckets_max(bucket, from_at, to_at) > ROWS_MAX:
        raise BadRequest(
            f"a report has at most {ROWS_MAX} rows, and so many are not enough for every {bucket} of that time",
            param="bucket",
        )
    # Some ten milliseconds for the most that can be: too long for the loop that serves requests.
    return await asyncio.to_thread(lambda: list(bucket_starts(bucket, from_at, to_at, question.zone)))


async def _within_ledger(connection: AsyncConnection, from_at: datetime, to_at: datetime) -> tuple[datetime, datetime]:
    """The span without what lies before the first entry and after the last."""
    first, last = (await connection.execute(text("SELECT min(created_at), max(created_at) FROM ledger_entries"))).one()
    if first is None:
        return from_at, from_at
    return max(from_at, first), min(to_at, last + timedelta(microseconds=1))


async def _rows(connection: AsyncConnection, question: CostQuestion, starts: list[datetime]) -> list[RowMapping]:
    """One more than a report may have, if there are as many."""
    where, parameters = _where(question)
    cut = {f'"{group}"': GROUPS[group] for group in question.groups}
    if starts:
        cut = {"bucket": "width_bucket(created_at, CAST(:starts AS timestamptz[]))"} | cut
        parameters["starts"] = starts
    columns = ", ".join(f"{expression} AS {name}" for name, expression in cut.items())
    numbers = ", ".join(str(number + 1) for number in range(len(cut)))
    named = [group for group in question.groups if group in NAMED]
    names = "".join(f', {NAMED[group]}.name AS "{group}_name"' for group in named)
    joins = " ".join(f'LEFT JOIN {NAMED[group]} ON {NAMED[group]}.id = sums."{group}"' for group in named)
    order = ", ".join(("bucket", "cost_nusd DESC", *cut) if starts else ("cost_nusd DESC", *cut))
    # Each of an entry's tags once; an entry without tags is in the group that has none.
    tags = (
        "LEFT JOIN LATERAL (SELECT DISTINCT tag FROM unnest(tags) AS tag) AS its ON true"
        if "tag" in question.groups
        else ""
    )
    query = text(f"""
        WITH sums AS (
            SELECT {columns}, {_SUMS} FROM ledger_entries {tags} WHERE {where} GROUP BY {numbers}
            ORDER BY {order} LIMIT {ROWS_MAX + 1}
        )
        SELECT sums.*{names} FROM sums {joins} ORDER BY {order}
    """)  # noqa: S608 - built of the names above; values are parameters
    return list((await connection.execute(query, parameters)).mappings())


async def _totals(connection: AsyncConnection, question: CostQuestion) -> Sums:
    where, parameters = _where(question)
    query = text(f"SELECT {_SUMS} FROM ledger_entries WHERE {where}")  # noqa: S608 - our names
    return _sums((await connection.execute(query, parameters)).mappings().one())


def _where(question: CostQuestion) -> tuple[str, dict[str, object]]:
    wanted = question.chosen.conditions()
    conditions = [condition for condition, _ in wanted.values()]
    return " AND ".join(conditions) or "true", {name: value for name, (_, value) in wanted.items()}


def _sums(row: RowMapping) -> Sums:
    # Postgres adds bigints up as numeric, which reads as Decimal: whole, and of any size.
    return Sums(*(int(row[name]) for name in Sums._fields))
