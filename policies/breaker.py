"""A circuit breaker per deployment: how long a failing one is left alone, decided purely from what happened and when.

    closed --(5 blamed failures in a row)--> open --(its pause is over)--> half-open --(success)--> closed
                                               ^                               |
                                               +--(failure: twice the pause)---+

Half-open lets one request through as a probe. A probe whose outcome never comes (its process was busy, its client
left) frees its place after the pause. Besides, an upstream that named a ``retry-after`` is left alone that long, be it
to blame or not. All times are in seconds on one clock of the caller's choice that never runs backwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from gateway.domain import Bar, Reason

FAILURES_TO_OPEN = 5
PAUSE_S_MIN = 10.0
PAUSE_S_MAX = 60.0
#: An upstream's wish to be left alone is followed up to this; a header is no reason to lose a deployment for a day.
COOLDOWN_S_MAX = 60.0


class Phase(StrEnum):
    """Where the circuit stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class ErrorFacts:
    """What the breaker needs to know of a failed attempt."""

    blames_deployment: bool
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Breaker:
    """The state of one deployment's circuit.

    ``blocked_until_s``: while open, when the pause ends; while half-open, when the probe is given up.
    """

    phase: Phase = Phase.CLOSED
    failures: int = 0
    pause_s: float = PAUSE_S_MIN
    blocked_until_s: float = 0.0
    cooldown_until_s: float = 0.0


def reason_against(state: Breaker, now_s: float) -> Reason | None:
    """Why the deployment is not to be asked now; ``None`` when it may be."""
    if now_s < state.cooldown_until_s:
        return Reason(Bar.COOLDOWN, "cooldown: the upstream asked to be left alone", state.cooldown_until_s - now_s)
    if state.phase is not Phase.CLOSED and now_s < state.blocked_until_s:
        return Reason(Bar.CIRCUIT, "circuit open: its last calls failed", state.blocked_until_s - now_s)
    return None


def after_start(state: Breaker, now_s: float) -> Breaker:
    """A request is being sent: out of an ended pause it is the probe, and takes the only place."""
    if state.phase is Phase.CLOSED or now_s < state.blocked_until_s:
        return state
    return replace(state, phase=Phase.HALF_OPEN, blocked_until_s=now_s + state.pause_s)


def after_success(state: Breaker) -> Breaker:
    """Any good answer closes the circuit. A cooldown stands: it was the upstream's own wish."""
    return Breaker(cooldown_until_s=state.cooldown_until_s)


def after_failure(state: Breaker, now_s: float, facts: ErrorFacts) -> Breaker:
    """One failed attempt; failures that do not blame the deployment only set a cooldown."""
    if facts.retry_after_s is not None:
        wished_s = now_s + min(max(facts.retry_after_s, 0.0), COOLDOWN_S_MAX)
        state = replace(state, cooldown_until_s=max(state.cooldown_until_s, wished_s))
    if not facts.blames_deployment:
        return state
    failures = state.failures + 1
    match state.phase:
        case Phase.CLOSED:
            if failures < FAILURES_TO_OPEN:
                return replace(state, failures=failures)
            return replace(state, phase=Phase.OPEN, failures=failures, blocked_until_s=now_s + state.pause_s)
        case Phase.HALF_OPEN:
            pause_s = min(2 * state.pause_s, PAUSE_S_MAX)
            return replace(state, phase=Phase.OPEN, failures=failures, pause_s=pause_s, blocked_until_s=now_s + pause_s)
        case Phase.OPEN:
            # A late answer to a request that was sent before the circuit opened tells nothing new.
            return replace(state, failures=failures)


def after_probe(state: Breaker, now_s: float, until_s: float, *, is_healthy: bool) -> Breaker:
    """A server of our own said how it is: a sick one is left alone until ``until_s``, a healthy one may be asked."""
    if not is_healthy:
        return replace(state, phase=Phase.OPEN, blocked_until_s=max(until_s, state.blocked_until_s))
    if state.phase is Phase.OPEN:
        return replace(state, blocked_until_s=now_s)
    return state


class HealthBoard:
    """The circuits of all deployments, by name. One board per process: each replica finds out for itself."""

    def __init__(self) -> None:
        self._states: dict[str, Breaker] = {}

    def why_unavailable(self, name: str, now_s: float) -> Reason | None:
        """``None`` when the deployment may be asked, else the reason why not. Changes nothing."""
        state = self._states.get(name)
        return None if state is None else reason_against(state, now_s)

    def started(self, name: str, now_s: float) -> None:
        """An attempt at the deployment begins; must be told, or a half-open circuit lets more than one through."""
        state = self._states.get(name)
        if state is not None:
            self._states[name] = after_start(state, now_s)

    def began(self, name: str, now_s: float) -> None:
        """The deployment is answering: a half-open circuit need not wait for the end of a long stream."""
        state = self._states.get(name)
        if state is not None and state.phase is Phase.HALF_OPEN:
            self.succeeded(name, now_s)

    def probed(self, name: str, now_s: float, until_s: float, *, is_healthy: bool) -> None:
        """A probe came back; the next one comes before ``until_s``."""
        state = self._states.get(name)
        if state is not None or not is_healthy:
            self._states[name] = after_probe(state or Breaker(), now_s, until_s, is_healthy=is_healthy)

    def succeeded(self, name: str, now_s: float) -> None:
        """The deployment answered. A healthy one without a cooldown is forgotten, so the board stays small."""
        state = self._states.get(name)
        if state is None:
            return
        state = after_success(state)
        if now_s < state.cooldown_until_s:
            self._states[name] = state
        else:
            del self._states[name]

    def failed(self, name: str, now_s: float, facts: ErrorFacts) -> None:
        """The deployment failed."""
        self._states[name] = after_failure(self._states.get(name, Breaker()), now_s, facts)

    def phases(self) -> Mapping[str, Phase]:
        """The circuits that are remembered, for metrics; all others are closed."""
        return {name: state.phase for name, state in self._states.items()}
