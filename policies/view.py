"""What a routing policy decides from, and the shape that all of them have.

One file per policy in this package, each with a function ``order``; ``POLICIES`` in ``gateway/decide.py`` names them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.domain import Deployment, Forecast, Request, Route


@dataclass(frozen=True, slots=True)
class View:
    """All that a policy may look at besides the request and its candidates.

    ``draw``: chance, handed in: one number in [0, 1) for each request. ``first_token_p95_s``: by deployment, of those
    that were seen often enough lately (``policies/first_token.py``). ``forecast``: for policies that foresee.
    ``accepted_share``: how many of a deployment's answers the route's gates accepted lately, likewise
    (``policies/acceptance.py``). ``verifier``: whom one of these gates asks, ``None`` where it cannot be asked.
    """

    route: Route
    draw: float = 0.0
    first_token_p95_s: Mapping[str, float] = field(default_factory=dict)
    forecast: Forecast | None = None
    accepted_share: Mapping[str, float] = field(default_factory=dict)
    verifier: Deployment | None = None


#: All candidates, in the order in which they are to be tried: the first answers, the others are its fallbacks.
Policy = Callable[[Sequence[Deployment], Request, View], Sequence[Deployment]]
#: Of a policy that draws lots: with which probability it puts that candidate first.
Propensity = Callable[[Sequence[Deployment], Request, View, Deployment], float]
#: Of a policy that asks several one after the other: how many of the first are such steps, 0 for none.
Steps = Callable[[Sequence[Deployment], Request, View], int]
