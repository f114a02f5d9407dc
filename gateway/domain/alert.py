"""What the operator is told of beside the answers: crossed budgets, unpriced models, unusual spend, shifted routes."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class AlertKind(StrEnum):
    """What an alert is about; also the label of its metric."""

    BUDGET_SOFT_LIMIT = "budget_soft_limit"
    BUDGET_EXHAUSTED = "budget_exhausted"
    UNPRICED_MODEL = "unpriced_model"
    SPEND_ANOMALY = "spend_anomaly"
    ROUTE_SHIFT = "route_shift"


class Alert(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing to tell, as it waits in Redis. ``id`` is the same however often the same thing is noticed.

    ``at_ms`` is when, in milliseconds since 1970. In JSON amounts may be strings: a double cannot hold all of them.
    """

    id: str
    kind: AlertKind
    at_ms: int
    budget: str | None = None  # id
    balance: str | None = None  # the balance's name: one window of the budget, and one value where these are apart
    pct: int | None = None  # the soft limit that was crossed
    spent_nusd: int = 0
    held_nusd: int = 0
    limit_nusd: int = 0
    team: str | None = None  # id; None: the whole organization
    model: str | None = None
    window: str | None = None  # of unusual spend: hour or day
    start_ms: int | None = None  # ... and when it began
    usual_nusd: int = 0  # ... and what was spent in the same hours a week before
    route: str | None = None  # whose questions are unlike those of its calibration, since start_ms; ``model`` answers
    reason: str | None = None  # ... and in what
