"""Who may spend how much, and how fast: scopes, budgets, limits, and the claims that a call makes on them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

# Lua numbers are doubles: whole up to 2^53 nano-dollars, $9,007,199. A window holds at most this.
BUDGET_NUSD_MAX = 9_000_000_000_000_000
# Of a longer one this much is kept, on the ledger as in rules.
END_USER_CHARACTERS_MAX = 256


class Dimension(StrEnum):
    """What a scope can name, and ``each`` can count apart. Routes and models are named, never counted apart."""

    ORGANIZATION = "organization"
    TEAM = "team"
    MEMBER = "member"
    KEY = "key"
    END_USER = "end_user"
    ROUTE = "route"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which calls a budget or limit is about: those for which everything that it names is so.

    Every scope lives inside one organization. ``model`` is the name the client asked for, the deployment's, or the
    provider's. ``each`` (team, member, key or end_user) makes one balance for every value, all with the same amounts;
    calls without a value are not covered.
    """

    organization_id: str
    team_id: str | None = None
    member_id: str | None = None
    key_id: str | None = None
    end_user: str | None = None
    route: str | None = None
    model: str | None = None
    each: Dimension | None = None


class Window(StrEnum):
    """How long a budget's amount has to last."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"


class OnExhausted(StrEnum):
    """What becomes of calls whose hold does not fit any more; free answers go on in every case."""

    REFUSE = "refuse"
    DOWNGRADE = "downgrade"  # routes move to cheaper deployments as it burns; what then does not fit is refused
    NOTIFY = "notify"  # nothing is refused


@dataclass(frozen=True, slots=True)
class Budget:
    """An amount per window for a scope.

    Calendar windows begin at midnight, Monday, the first, of ``time_zone``; a rolling one is always the last hour, day,
    7 or 30 days. ``raised_limit_nusd`` stands in for the limit until ``raised_until_ms``. Spending before
    ``reset_at_ms`` does not count. ``subject`` and ``contact`` are for people: "Team search", "owner@example.com".
    All times are milliseconds since 1970.
    """

    id: str
    scope: Scope
    limit_nusd: int
    window: Window
    time_zone: str = "UTC"
    is_rolling: bool = False
    soft_limit_pct: tuple[int, ...] = (50, 80, 95)
    on_exhausted: OnExhausted = OnExhausted.REFUSE
    raised_limit_nusd: int | None = None
    raised_until_ms: int | None = None
    reset_at_ms: int | None = None
    updated_at_ms: int = 0
    subject: str = ""
    contact: str | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """How fast a scope may ask; ``None`` is unlimited. Counted over all replicas."""

    id: str
    scope: Scope
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    parallel_requests: int | None = None
    subject: str = ""
    contact: str | None = None


class Period(NamedTuple):
    """The window of a budget at one moment, in milliseconds since 1970; ``end_ms`` None: it never ends.

    A rolling window counts in cells of ``cell_ms``: the current one and ``cells`` before it, so that no span of the
    window's length ever holds more than the limit.
    """

    start_ms: int
    end_ms: int | None
    cell_ms: int = 0
    cells: int = 0


class BudgetClaim(NamedTuple):
    """One balance that a call draws on. ``name`` is the balance's, unique within the organization."""

    budget: Budget
    value: str | None  # of the dimension that is counted apart
    name: str
    period: Period
    limit_nusd: int  # with a raise that holds


class LimitClaim(NamedTuple):
    """One counter that a call counts in. ``name`` is the counter's, unique within the organization."""

    limit: Limit
    value: str | None
    name: str


class Claims(NamedTuple):
    """All that one call draws on."""

    budgets: tuple[BudgetClaim, ...] = ()
    limits: tuple[LimitClaim, ...] = ()


NO_CLAIMS = Claims()


@dataclass(frozen=True, slots=True)
class Admission:
    """What one attempt asks for before it may start.

    ``hold_nusd`` is the most that it can cost. ``input_tokens`` is the estimate for token limits, trued up at
    settlement. A request counts once against each limit; its later attempts keep the place that the first one took.
    ``ladder_pct``: budgets that downgrade let this deployment be called while less than this share of them is used.
    """

    claims: Claims = NO_CLAIMS
    hold_nusd: int = 0
    input_tokens: int = 0
    ladder_pct: int = 100


class Room(NamedTuple):
    """What the tightest limits leave after an admission; ``None`` where there is no such limit.

    ``reset_*_ms``: until the counter is empty if nothing more is asked.
    """

    limit_requests: int | None = None
    remaining_requests: int | None = None
    reset_requests_ms: int = 0
    limit_tokens: int | None = None
    remaining_tokens: int | None = None
    reset_tokens_ms: int = 0


NO_ROOM_TOLD = Room()


class Balance(NamedTuple):
    """What stands of one claim's budget now: settled charges and open holds, in nano-dollars."""

    spent_nusd: int
    held_nusd: int
