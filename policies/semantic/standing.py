"""How a route stands with its error budget: the counts behind its plan, for whoever set the budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from policies.semantic.budget import CLOSED, EDGES, EPOCH, EPOCHS, plan


@dataclass(frozen=True, slots=True)
class Standing:
    """Of the latest few thousand requests that were looked up, all replicas together.

    ``near``: had something that might have been given; ``within_limit``: of a risk that is given now; ``compared``:
    were asked again; ``found_wrong``: and had another answer then. ``expected_wrong``: the share of requests that are
    given a wrong answer by the present plan, at the upper end of what the comparisons leave open; ``risk_max``: up to
    which an answer is given, ``None`` while none is.
    """

    wrong_answers_max: float
    requests: int
    near: int
    within_limit: int
    compared: int
    found_wrong: int
    expected_wrong: float
    risk_max: float | None


def standing(counts: Mapping[str, int], wrong_answers_max: float) -> Standing:
    """``counts``: all that is counted of the route."""
    made = plan(counts, wrong_answers_max)
    latest = range(counts.get("requests", 0) // EPOCH - EPOCHS + 1, counts.get("requests", 0) // EPOCH + 1)

    def total(what: str, bins: range) -> int:
        return sum(counts.get(f"{epoch}:{what}:{at}", 0) for epoch in latest for at in bins)

    every = range(len(EDGES))
    return Standing(
        wrong_answers_max=wrong_answers_max,
        requests=sum(counts.get(f"{epoch}:requests", 0) for epoch in latest),
        near=total("would", every),
        within_limit=total("would", range(made.limit + 1)),
        compared=total("looked", every),
        found_wrong=total("wrong", every),
        expected_wrong=made.expected_wrong,
        risk_max=None if made.limit == CLOSED else EDGES[made.limit],
    )
