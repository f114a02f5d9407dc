"""One look of some guards at the same texts: at once, each within its deadline, each with a verdict."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.domain import (
    NOTHING_FOUND,
    Finding,
    GuardMode,
    GuardResult,
    GuardRule,
    GuardVerdict,
    InjectionSettings,
    OnError,
    PatternsSettings,
    PiiSettings,
    Place,
    SecretsSettings,
    Where,
)
from gateway.errors import BudgetExceeded, BudgetsUnavailable, GatewayError, GuardFailed, RateLimited
from gateway.guard_ports import Asking, Guard
from policies.screening.modes import result_of

_log = logging.getLogger("obol.guards")
_OURS = (PatternsSettings, PiiSettings, SecretsSettings)
_REASON_LENGTH_MAX = 200

Standing = tuple[GuardRule, Guard]
MakeAsking = Callable[[GuardRule], "CountedAsking"]


class CountedAsking(Asking, Protocol):
    """... which knows what was paid, and whom it waits for."""

    cost_nusd: int

    def was_late(self) -> None:
        """The look is over by its deadline: who was being asked then gave no answer in time."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What one guard said. ``refusal``: why the request cannot go on, other than by what was found."""

    rule: GuardRule
    finding: Finding
    verdict: GuardVerdict
    began_s: float
    ended_s: float

    @property
    def blocks(self) -> bool:
        return self.verdict.verdict == GuardResult.BLOCKED

    @property
    def bars(self) -> bool:
        """It gave no answer, and nothing passes without one."""
        is_effective = self.rule.mode is not GuardMode.SHADOW
        return self.verdict.verdict == GuardResult.FAILED and self.rule.on_error is OnError.CLOSED and is_effective

    @property
    def places(self) -> Sequence[Place]:
        """What is to be replaced."""
        return self.finding.places if self.verdict.verdict == GuardResult.REDACTED else ()


async def look(
    guards: Sequence[Standing],
    texts: Sequence[str],
    where: Where,
    asking: MakeAsking,
    now_s: Callable[[], float],
) -> list[Looked]:
    """What each of them says; those that cost nothing first, so that what they block is not paid for.

    Raises BudgetExceeded, BudgetsUnavailable and RateLimited: a guard that may not be paid for refuses its request,
    unless it is a shadow.
    """
    looked: list[Looked] = []
    for is_ours in (True, False):
        group = [one for one in guards if _is_ours(one[0]) is is_ours]
        if len(group) == 1 or is_ours:
            looked += [await _look(rule, guard, texts, where, asking(rule), now_s) for rule, guard in group]
        elif group:
            looked += await _together([_look(rule, guard, texts, where, asking(rule), now_s) for rule, guard in group])
        if any(one.blocks or one.bars for one in looked):
            break
    order = {id(rule): place for place, (rule, _) in enumerate(guards)}
    return sorted(looked, key=lambda one: order[id(one.rule)])


def _is_ours(rule: GuardRule) -> bool:
    """Whether we look ourselves, in a millisecond or so."""
    settings = rule.settings
    return isinstance(settings, _OURS) or (isinstance(settings, InjectionSettings) and settings.classifier is None)


async def _together(looks: Sequence[Coroutine[object, object, Looked]]) -> list[Looked]:
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in looks]
    except BaseExceptionGroup as exc:
        raise exc.exceptions[0] from exc
    return [task.result() for task in tasks]


async def _look(
    rule: GuardRule,
    guard: Guard,
    texts: Sequence[str],
    where: Where,
    asking: CountedAsking,
    now_s: Callable[[], float],
) -> Looked:
    began_s = now_s()
    finding, error = NOTHING_FOUND, None
    try:
        async with asyncio.timeout(rule.timeout_s):
            finding = _checked(await guard.look(texts, asking), texts)
        result = result_of(rule, finding)
    except (BudgetExceeded, BudgetsUnavailable, RateLimited) as exc:
        if rule.mode is not GuardMode.SHADOW:
            raise
        result, error = GuardResult.FAILED, exc.message[:_REASON_LENGTH_MAX]
    except TimeoutError:
        asking.was_late()
        result, error = GuardResult.FAILED, f"no answer within {rule.timeout_s:g} s"
    except GatewayError as exc:
        result, error = GuardResult.FAILED, exc.message[:_REASON_LENGTH_MAX]
    except Exception as exc:  # noqa: BLE001 - whatever breaks in a guard, it is not one that let something pass
        _log.exception("the guard %s failed", rule.name)
        result, error = GuardResult.FAILED, type(exc).__name__
    ended_s = now_s()
    verdict = GuardVerdict(
        guard=rule.name,
        version=guard.version,
        where=where.value,
        mode=rule.mode.value,
        verdict=result.value,
        ms=round((ended_s - began_s) * 1000, 3),
        categories=finding.categories,
        score=finding.score,
        cost_nusd=asking.cost_nusd,
        error=error,
    )
    return Looked(rule, finding, verdict, began_s, ended_s)


def _checked(finding: Finding, texts: Sequence[str]) -> Finding:
    """Raises GuardFailed for places that are in no text."""
    for place in finding.places:
        if not (0 <= place.text < len(texts) and 0 <= place.start < place.end <= len(texts[place.text])):
            raise GuardFailed("It says that something is where there is no text.")
    return finding
