"""Which spend is unusual enough to tell somebody, and how long to wait before telling again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from gateway.domain import NANO
from gateway.domain.alert import Alert, AlertKind

#: Below this nobody wants to be told, whatever the multiple.
LEAST_NUSD = NANO
RETRY_S_MIN = 1.0
RETRY_S_MAX = 3600.0
GIVE_UP_MS = 24 * 3600 * 1000
_DOUBLINGS_MAX = 12  # 2^12 s are more than an hour


class Spend(NamedTuple):
    """What a team (``team_id`` None: the organization) spent in a window, and in the same hours a week before.

    ``has_history``: there was spend before those hours, so that nothing in them means nothing, not: a new team.
    """

    organization_id: str
    team_id: str | None
    window: str  # hour or day
    start_ms: int
    spent_nusd: int
    usual_nusd: int
    has_history: bool = True


def is_unusual(spend: Spend, multiple: float) -> bool:
    """Beyond ``multiple`` times the usual and not small change. What has no history has no usual either."""
    if spend.spent_nusd < LEAST_NUSD or (spend.usual_nusd <= 0 and not spend.has_history):
        return False
    return spend.spent_nusd > multiple * max(spend.usual_nusd, 0)


def spend_alerts(spends: Iterable[Spend], multiple: float, now_ms: int) -> Iterator[tuple[str, Alert]]:
    """Organization id and alert for each unusual spend. An hour is told of once, and so is a day."""
    for spend in spends:
        if is_unusual(spend, multiple):
            yield spend.organization_id, _alert(spend, now_ms)


def with_organizations(teams: Iterable[Spend]) -> list[Spend]:
    """The same with the sums of organizations; where one team spent it all, that team is told of alone."""
    teams = list(teams)
    by_window: dict[tuple[str, str, int], list[Spend]] = {}
    for spend in teams:
        by_window.setdefault((spend.organization_id, spend.window, spend.start_ms), []).append(spend)
    return teams + [
        Spend(
            organization_id,
            None,
            window,
            start_ms,
            sum(one.spent_nusd for one in several),
            sum(one.usual_nusd for one in several),
            any(one.has_history for one in several),
        )
        for (organization_id, window, start_ms), several in by_window.items()
        if len(several) > 1
    ]


def _alert(spend: Spend, now_ms: int) -> Alert:
    begun = datetime.fromtimestamp(spend.start_ms / 1000, UTC)
    return Alert(
        id=f"spend:{spend.team_id or spend.organization_id}:{spend.window}:{begun:%Y-%m-%dT%H}",
        kind=AlertKind.SPEND_ANOMALY,
        at_ms=now_ms,
        team=spend.team_id,
        window=spend.window,
        start_ms=spend.start_ms,
        spent_nusd=spend.spent_nusd,
        usual_nusd=spend.usual_nusd,
    )


def retry_delay_s(tries: int, draw: float) -> float:
    """How long to wait after that many tries: doubling from a second to an hour, of which ``draw`` (0 to 1) takes half.

    The draw keeps replicas and alerts that failed together from coming back together.
    """
    longest_s = min(RETRY_S_MIN * (1 << min(max(tries, 1) - 1, _DOUBLINGS_MAX)), RETRY_S_MAX)
    return longest_s * (1 - draw / 2)
