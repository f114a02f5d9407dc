"""What of a route's candidates no question changes, worked out once for as long as the catalog has them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.domain import MILLION, Deployment, Meter
from policies.pricing import rates_of
from policies.routing.descriptors import prior, score_of
from policies.routing.pool import Floats

_KEPT_MAX = 256  # sets of candidates: those of all routes, and of routes some of whose deployments are out


@dataclass(frozen=True, slots=True)
class Rates:
    """Of one candidate, in nano-USD per million tokens."""

    input: int
    cached_input: int
    output: int


@dataclass(frozen=True, slots=True)
class Offer:
    """Candidates, all in their order. ``stated``: their quality as the catalog has it; ``quality``: NaN for None.

    ``described``: what ``prior`` makes of that where no price counts for it, else ``None``.
    ``limits``: of context tiers, ascending. ``rates``: by how many of these limits a prompt exceeds, those of each
    candidate, ``None`` for what has no price.
    """

    candidates: tuple[Deployment, ...]
    names: tuple[str, ...]
    models: tuple[str, ...]
    stated: tuple[float | None, ...]
    is_stated: tuple[bool, ...]
    quality: Floats
    described: Sequence[float] | None
    limits: Sequence[int]
    rates: Sequence[Sequence[Rates | None]]

    def rates_at(self, input_tokens: int) -> Sequence[Rates | None]:
        """Those that a prompt of so many tokens is charged at."""
        return self.rates[bisect_left(self.limits, input_tokens)]

    def list_costs_nusd(self, input_tokens: int, output_tokens: int) -> list[int]:
        """Of a call of each: as it is charged, rounded up; 0 for what has no price."""
        return [
            0 if one is None else -(-(input_tokens * one.input + output_tokens * one.output) // MILLION)
            for one in self.rates_at(input_tokens)
        ]


_kept: dict[tuple[int, ...], Offer] = {}


def offer_of(candidates: Sequence[Deployment]) -> Offer:
    """The offer of these very deployments: it keeps them, so that no others can be taken for them."""
    identities = tuple(map(id, candidates))
    found = _kept.get(identities)
    if found is None:
        if len(_kept) >= _KEPT_MAX:
            _kept.clear()
        found = _kept[identities] = _made(tuple(candidates))
    return found


def _made(candidates: tuple[Deployment, ...]) -> Offer:
    stated = tuple(one.quality for one in candidates)
    cards = [one.tariff.cards.values() for one in candidates if one.tariff is not None]
    models = tuple(one.model for one in candidates)
    is_described = all(score_of(model) is not None for model in models)
    limits = sorted({limit for each in cards for card in each for limit, _ in card.context_tiers})
    return Offer(
        candidates,
        tuple(one.name for one in candidates),
        models,
        stated,
        tuple(one is not None for one in stated),
        np.array([np.nan if one is None else one for one in stated], np.float64),
        prior(models, (), stated) if is_described else None,
        limits,
        [[_rates(one, tokens) for one in candidates] for tokens in (0, *(limit + 1 for limit in limits))],
    )


def _rates(one: Deployment, input_tokens: int) -> Rates | None:
    if one.tariff is None:
        return None
    rates = rates_of(one.tariff, input_tokens, None)
    return Rates(rates[Meter.INPUT], rates[Meter.CACHED_INPUT], rates[Meter.OUTPUT])
