"""One request, taken together from its entries of the ledger: its stages by their start, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from gateway.domain import GuardVerdict, LedgerEntry, Outcome, Purpose, Source, Stage, StageName
from policies.stages import stage_of

_WHERE: Mapping[str, str] = {StageName.PROMPT_MODERATION: "input", StageName.OUTPUT_MODERATION: "output"}
_MICROSECOND = timedelta(microseconds=1)


class Tokens(msgspec.Struct, frozen=True):
    """As on the entries: input includes what was cached and written, output includes reasoning."""

    input: int
    cached_input: int
    cache_write: int
    output: int
    reasoning: int


class StageRow(msgspec.Struct, frozen=True):
    """A stage, or a call that no stage tells of: then its times are its entry's. ``ms``: null where nobody knows.

    ``started_ms`` counts from the request's arrival. ``entry_id``, ``tokens`` and costs are those of the call that it
    made, with its correction; null and nothing for a stage that made none. ``verdict``: of a guard.
    """

    stage: str
    name: str | None
    started_ms: float
    ms: float | None
    tokens: Tokens | None = None
    cost_nusd: int = 0
    baseline_nusd: int = 0
    entry_id: str | None = None
    status: str | None = None
    verdict: str | None = None


class Waterfall(msgspec.Struct, frozen=True):
    """A request. What stands before ``stages`` is of the whole of it; ``source``, ``status`` are of its answer.

    ``total_ms``: from its arrival until the last that is known of it. The costs of the stages add up to its cost.
    """

    request_id: str
    arrived_at: str
    total_ms: float
    cost_nusd: int
    baseline_nusd: int
    organization_id: str
    team_id: str
    member_id: str | None
    key_id: str
    end_user: str | None
    endpoint: str
    is_stream: bool
    route: str | None
    model_asked: str
    deployment: str
    source: str
    status: str
    stages: tuple[StageRow, ...]
    guards: tuple[GuardVerdict, ...]
    entries: tuple[LedgerEntry, ...]


class _Call:
    """An entry and what corrects it. ``told``: the better informed of both."""

    def __init__(self, entries: Sequence[LedgerEntry]) -> None:
        self.first = min(entries, key=lambda entry: entry.corrects is not None)
        self.told = max(entries, key=lambda entry: entry.corrects is not None)
        self._entries = entries

    def sum(self, name: str) -> int:
        return sum(getattr(entry, name) for entry in self._entries)

    @property
    def status(self) -> str:
        return self.told.status

    def row(self, stage: str, name: str | None, started_ms: float, ms: float | None, verdict: str | None) -> StageRow:
        tokens = Tokens(
            self.sum("input_tokens"),
            self.sum("cached_input_tokens"),
            self.sum("cache_write_tokens"),
            self.sum("output_tokens"),
            self.sum("reasoning_tokens"),
        )
        return StageRow(
            stage,
            name,
            started_ms,
            ms,
            tokens,
            self.sum("cost_nusd"),
            self.sum("baseline_nusd"),
            self.first.id,
            self.status,
            verdict,
        )


def waterfall(entries: Sequence[LedgerEntry]) -> Waterfall:
    """Of all entries of one request, of which there is at least one."""
    by_call: dict[str, list[LedgerEntry]] = {}
    for entry in sorted(entries, key=lambda entry: (entry.created_at, entry.id)):
        by_call.setdefault(entry.corrects or entry.id, []).append(entry)
    calls = {identity: _Call(found) for identity, found in by_call.items()}
    told = _fullest([call.told for call in calls.values()])
    arrived_at = _arrival(told, [call.first for call in calls.values()])
    rows = _rows(told, calls, arrived_at)
    ends = [row.started_ms + (row.ms or 0) for row in rows]
    return Waterfall(
        request_id=told.request_id,
        arrived_at=arrived_at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        total_ms=round(max(ends), 3),
        cost_nusd=sum(entry.cost_nusd for entry in entries),
        baseline_nusd=sum(entry.baseline_nusd for entry in entries),
        organization_id=told.organization_id,
        team_id=told.team_id,
        member_id=told.member_id,
        key_id=told.key_id,
        end_user=told.end_user,
        endpoint=told.endpoint,
        is_stream=told.is_stream,
        route=told.route,
        model_asked=told.model_asked,
        deployment=told.deployment,
        source=told.source,
        status=told.status,
        stages=tuple(rows),
        guards=told.guards,
        entries=tuple(entry for found in by_call.values() for entry in found),
    )


def _fullest(told: Sequence[LedgerEntry]) -> LedgerEntry:
    """The entry that knows most of the request: each answer's has all that came before it."""

    def knows(entry: LedgerEntry) -> tuple[bool, int, int, bool, int]:
        is_answer = entry.purpose == Purpose.ANSWER
        has_answered = entry.status not in (Outcome.FAILED, Outcome.VOIDED)
        return is_answer, len(entry.stages), len(entry.guards), has_answered, entry.attempt

    return max(told, key=knows)


def _arrival(told: LedgerEntry, firsts: Sequence[LedgerEntry]) -> datetime:
    """When the request came, by the ledger's clock: an entry ends with the last of its stages."""
    if told.stages:
        ended_ms = max(stage.started_ms + stage.ms for stage in told.stages)
        return _moment(told) + timedelta(milliseconds=(told.total_ms or 0) - ended_ms)
    return min(map(_moment, firsts))


def _moment(entry: LedgerEntry) -> datetime:
    return datetime.fromisoformat(entry.created_at)


def _rows(told: LedgerEntry, calls: Mapping[str, _Call], arrived_at: datetime) -> list[StageRow]:
    left = dict(calls)
    named = [None if stage.entry is None else left.pop(stage.entry, None) for stage in told.stages]
    _give_answers(told.stages, named, left)
    verdicts = {(verdict.where, verdict.guard): verdict.verdict for verdict in told.guards}
    rows = []
    for stage, call in zip(told.stages, named, strict=True):
        verdict = verdicts.get((_WHERE.get(stage.stage, ""), stage.name or ""))
        if call is None:
            row = StageRow(stage.stage, stage.name, stage.started_ms, stage.ms, verdict=verdict)
        else:
            row = call.row(stage.stage, stage.name, stage.started_ms, stage.ms, verdict)
        rows.append(row)
    for call in left.values():
        entry = call.told
        started_ms = (_moment(entry) - arrived_at) / _MICROSECOND / 1000
        stage_name = stage_of(entry.stage, entry.source, entry.purpose)
        rows.append(call.row(stage_name, entry.deployment, max(0.0, started_ms), entry.total_ms, None))
    return sorted(rows, key=lambda row: row.started_ms)


def _give_answers(stages: Sequence[Stage], named: list[_Call | None], left: dict[str, _Call]) -> None:
    """Who answered without an upstream paid for nothing: its entry belongs to the stage that answered, the last."""
    for identity, call in list(left.items()):
        entry = call.told
        if entry.source == Source.UPSTREAM or entry.purpose != Purpose.ANSWER:
            continue
        kind = stage_of(entry.stage, entry.source, entry.purpose)
        for place in reversed(range(len(stages))):
            if named[place] is None and stages[place].stage == kind:
                named[place] = left.pop(identity)
                break
