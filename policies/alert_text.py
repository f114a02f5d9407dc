"""What is said of an alert: fields for programs and one sentence for people."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.domain import Budget, BudgetClaim
from gateway.domain.alert import Alert, AlertKind
from policies.refusal_text import dollars, instant, told_reset
from policies.scopes import scope_fields
from policies.windows import period_of


def alert_data(
    organization_id: str, alert: Alert, budget: Budget | None, names: Mapping[str, str]
) -> dict[str, object]:
    """The ``data`` of the message; ``message`` in it is for people.

    ``budget`` None: it is gone. ``names``: id -> name, of those that are known.
    """
    data: dict[str, object] = {
        "alert_id": alert.id,
        "organization": _named(organization_id, names),
        "team": _named(budget.scope.team_id if budget else alert.team, names),
    }
    match alert.kind:
        case AlertKind.BUDGET_SOFT_LIMIT | AlertKind.BUDGET_EXHAUSTED:
            claim = None if budget is None else _claim(alert, budget)
            data["soft_limit_pct"] = alert.pct if alert.kind is AlertKind.BUDGET_SOFT_LIMIT else None
            data["budget"] = _budget_fields(alert, claim)
            data["message"] = _budget_sentence(alert, claim)
        case AlertKind.UNPRICED_MODEL:
            data["model"] = alert.model
            data["message"] = (
                f"The model '{alert.model}' has no price: give its deployment one, or calls to it are refused or,"
                " with 'unpriced: allow', charged nothing"
            )
        case AlertKind.SPEND_ANOMALY:
            data["spend"] = {
                "window": alert.window,
                "starts_at": instant(alert.start_ms),
                "spent_usd": dollars(alert.spent_nusd),
                "usual_usd": dollars(alert.usual_nusd),
            }
            data["message"] = _spend_sentence(organization_id, alert, names)
        case AlertKind.ROUTE_SHIFT:
            since = instant(alert.start_ms)
            data["route"] = {"name": alert.route, "since": since, "reason": alert.reason, "answers": alert.model}
            data["message"] = (
                f"Since {since} the questions of route {alert.route} are unlike those that it was calibrated on"
                f" ({alert.reason}): nothing is certified, and {alert.model} answers until that is over or the route"
                " is calibrated anew"
            )
    return data


def _claim(alert: Alert, budget: Budget) -> BudgetClaim:
    """The balance that was crossed. Its own window counts: a long answer may settle when the next has begun."""
    _, start, *value = (alert.balance or "").split(":", 2)
    period = period_of(budget, int(start.removeprefix("r")))
    return BudgetClaim(budget, value[0] if value else None, alert.balance or "", period, alert.limit_nusd)


def _budget_fields(alert: Alert, claim: BudgetClaim | None) -> dict[str, object]:
    fields: dict[str, object] = {
        "id": alert.budget,
        "balance": alert.balance,
        "limit_usd": dollars(alert.limit_nusd),
        "spent_usd": dollars(alert.spent_nusd),
        "held_usd": dollars(alert.held_nusd),
    }
    if claim is None:
        return fields
    budget = claim.budget
    return fields | {
        "subject": budget.subject,
        "scope": scope_fields(budget.scope),
        "value": claim.value,
        "window": str(budget.window),
        "resets_at": instant(claim.period.end_ms),
        "on_exhausted": str(budget.on_exhausted),
        "contact": budget.contact,
    }


def _budget_sentence(alert: Alert, claim: BudgetClaim | None) -> str:
    spent = f"has used ${dollars(alert.spent_nusd)} of ${dollars(alert.limit_nusd)}"
    if claim is None:
        return f"Budget {alert.budget} {spent}"
    budget = claim.budget
    whose = budget.subject if claim.value is None else f"{budget.subject} ({claim.value})"
    rolling = "rolling " if budget.is_rolling else ""
    sentence = f"{whose} {spent} ({rolling}{budget.window})"
    resets_at = told_reset(claim)
    return sentence if resets_at is None else f"{sentence}; resets {resets_at}"


def _spend_sentence(organization_id: str, alert: Alert, names: Mapping[str, str]) -> str:
    whose = f"Team {names.get(alert.team, alert.team)}" if alert.team else ""
    whose = whose or f"Organization {names.get(organization_id, organization_id)}"
    when = "in the hour from" if alert.window == "hour" else "so far on the day from"
    return (
        f"{whose} spent ${dollars(alert.spent_nusd)} {when} {instant(alert.start_ms)}, against"
        f" ${dollars(alert.usual_nusd)} in the same hours a week before"
    )


def _named(identity: str | None, names: Mapping[str, str]) -> dict[str, object] | None:
    return None if identity is None else {"id": identity, "name": names.get(identity)}
