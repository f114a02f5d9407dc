"""What a caller is told whose budget or limit is used up: a sentence, and the same as fields."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.domain import NANO, Balance, BudgetClaim, LimitClaim, Window
from policies.scopes import scope_fields
from policies.windows import zone_of

# A value that a client chose is told back to at most this many characters.
_VALUE_CHARACTERS_MAX = 64


def dollars(amount_nusd: int) -> str:
    """An amount as people write it, exact: two decimals, more where they say something."""
    sign, amount = ("-", -amount_nusd) if amount_nusd < 0 else ("", amount_nusd)
    whole, nano = divmod(amount, NANO)
    decimals = f"{nano:09d}".rstrip("0").ljust(2, "0")
    return f"{sign}{whole}.{decimals}"


def budget_refusal(claim: BudgetClaim, balance: Balance, hold_nusd: int) -> tuple[str, dict[str, object]]:
    """Why a hold of ``hold_nusd`` does not fit, with the field ``budget`` that says the same."""
    budget, limit_nusd = claim.budget, claim.limit_nusd
    window = f"rolling {budget.window}" if budget.is_rolling else str(budget.window)
    parts = [f"{_who(budget.subject, claim.value)} has used ${dollars(balance.spent_nusd)} of ${dollars(limit_nusd)}"]
    parts[0] += f" ({window})"
    if balance.held_nusd > 0:
        parts.append(f"${dollars(balance.held_nusd)} more is held for calls under way")
    left_nusd = limit_nusd - balance.spent_nusd - balance.held_nusd
    if left_nusd > 0:
        parts.append(f"this call may cost ${dollars(hold_nusd)}, more than the ${dollars(left_nusd)} left")
    resets_at = told_reset(claim)
    if resets_at is not None:
        parts.append(f"resets {resets_at}")
    if budget.contact:
        parts.append(f"ask {budget.contact}")
    return "; ".join(parts), {
        "budget": {
            "id": budget.id,
            "scope": scope_fields(budget.scope),
            "value": claim.value,
            "window": str(budget.window),
            "limit_usd": dollars(limit_nusd),
            "spent_usd": dollars(balance.spent_nusd),
            "held_usd": dollars(balance.held_nusd),
            "hold_usd": dollars(hold_nusd),
            "resets_at": instant(claim.period.end_ms),
            "contact": budget.contact,
            "on_exhausted": str(budget.on_exhausted),
        }
    }


def limit_refusal(claim: LimitClaim, kind: str, retry_after_ms: int) -> tuple[str, dict[str, object]]:
    """Why a call is too many now, with the field ``limit`` that says the same.

    ``kind``: requests, tokens, tokens_per_day or parallel; ``retry_after_ms``: when that may have changed.
    """
    limit = claim.limit
    amount, unit, field = {
        "requests": (limit.requests_per_minute, "requests per minute", "requests_per_minute"),
        "tokens": (limit.tokens_per_minute, "tokens per minute", "tokens_per_minute"),
        "tokens_per_day": (limit.tokens_per_day, "tokens per day", "tokens_per_day"),
        "parallel": (limit.parallel_requests, "parallel requests", "parallel_requests"),
    }[kind]
    parts = [f"{_who(limit.subject, claim.value)} has reached its limit of {amount or 0:,} {unit}"]
    if amount:  # of a limit of zero nothing comes free
        parts.append(f"try again in {max(1, -(-retry_after_ms // 1000))} s")
    if limit.contact:
        parts.append(f"ask {limit.contact}")
    return "; ".join(parts), {
        "limit": {
            "id": limit.id,
            "scope": scope_fields(limit.scope),
            "value": claim.value,
            "kind": field,
            "limit": amount or 0,
            "retry_after_ms": retry_after_ms,
            "contact": limit.contact,
        }
    }


def told_reset(claim: BudgetClaim) -> str | None:
    """When the window ends, in the budget's own time zone. None: it never does, or rolls."""
    if claim.period.end_ms is None:
        return None
    zone = claim.budget.time_zone
    local = datetime.fromtimestamp(claim.period.end_ms / 1000, zone_of(zone))
    if claim.budget.window is Window.HOUR:
        return f"{local:%Y-%m-%d %H:%M} {zone}"
    return f"{local:%Y-%m-%d}" if zone == "UTC" else f"{local:%Y-%m-%d} ({zone})"


def instant(unix_ms: int | None) -> str | None:
    """Milliseconds since 1970 as RFC 3339 in UTC, to the second where it is a whole one."""
    if unix_ms is None:
        return None
    moment = datetime.fromtimestamp(unix_ms // 1000, UTC).replace(microsecond=unix_ms % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds" if unix_ms % 1000 else "seconds").replace("+00:00", "Z")


def _who(subject: str, value: str | None) -> str:
    """The subject, and of which of those that are counted apart: "Team search - each member (ann)"."""
    return subject if value is None else f"{subject} ({value[:_VALUE_CHARACTERS_MAX]})"
