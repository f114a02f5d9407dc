"""What another policy would have been worth, judged by decisions that a logging policy made: doubly robust.

For decision ``i`` a model predicts the outcome of what the other policy would have chosen (``expected``) and of what
was chosen (``logged``). Where the outcome was observed, the model's error there, weighted by how much likelier the
other policy makes what was chosen (``weight``: its probability under the other policy over that under the logging one),
corrects the mean of the predictions (Dudík, Langford, Li 2011):

    value = mean(expected) + mean over the observed of weight * (observed - logged)

It is unbiased where the probabilities are right and everything that the other policy chooses had one, however wrong the
model is, and where the model is right, however wrong the probabilities are. Outcomes that are observed of some
decisions only are taken to be missing at random: whether one is there must not depend on how good it was, given what
was predicted. Decisions of one cluster (a conversation) may depend on each other, those of different ones not.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

_Z = 1.959964  # of the normal law: 95 % lie within


class Term(NamedTuple):
    """A mean, and how much each decision bears on it: ``influence`` (n,), which averages to zero.

    ``unseen``: what to add to the variance of the mean for outcomes that are possible, and too rare to have been seen.
    """

    value: float
    influence: Floats
    unseen: float = 0.0


class Estimate(NamedTuple):
    """A mean with its 95 % interval."""

    value: float
    low: float
    high: float


def direct(expected: Floats) -> Term:
    """The mean of the predictions, all of them (n,), n > 0."""
    value = float(expected.mean())
    return Term(value, expected - value)


def doubly_robust(
    expected: Floats, logged: Floats, weight: Floats, observed: Floats, *, are_scores: bool = True
) -> Term:
    """The corrected mean; all arguments are (n,), ``observed`` is NaN where no outcome was. At least one must be.

    ``are_scores``: outcomes lie in 0..1. Then the interval counts on two more that are wholly unforeseen, a best and a
    worst one, of the weight that weight typically lies on, much as Agresti and Coull do of equal ones: of few answers
    with great weight all may happen to be good.
    The difference from the logging policy is that of ``expected - logged`` with ``weight - 1``.
    """
    is_observed = ~np.isnan(observed)
    error = np.where(is_observed, weight * (np.nan_to_num(observed) - logged), 0.0)
    count = int(is_observed.sum())
    correction = float(error.sum()) / count
    value = float(expected.mean()) + correction
    influence = expected - expected.mean() + np.where(is_observed, (error - correction) * (len(error) / count), 0.0)
    size = np.abs(weight[is_observed])
    typical = float((size**2).sum() / size.sum()) if size.any() else 0.0
    return Term(value, influence, 2 * typical**2 / count**2 if are_scores else 0.0)


def interval(term: Term, clusters: Places, effective: float) -> Estimate:
    """The term with its interval: ``clusters`` (n,) numbers what belongs together.

    ``effective``: by how many observations it is told, for the width of few: Student's law with one less.
    """
    totals = np.bincount(clusters, term.influence)
    totals = totals[np.bincount(clusters) > 0]
    count, decisions = len(totals), len(term.influence)
    if count < 2:  # noqa: PLR2004 - one alone says nothing of how others would have been
        return Estimate(term.value, -math.inf, math.inf)
    error = math.sqrt(float((totals**2).sum()) * count / (count - 1) / decisions**2 + term.unseen)
    half = student(max(1.0, min(effective, count) - 1)) * error
    return Estimate(term.value, term.value - half, term.value + half)


def effective_count(weight: Floats) -> float:
    """How many equally weighted observations tell as much as these (Kish)."""
    squares = float((weight**2).sum())
    return float(weight.sum()) ** 2 / squares if squares > 0 else 0.0


def student(freedom: float) -> float:
    """The 97.5 % point of Student's law, by its expansion around the normal one (Abramowitz and Stegun 26.7.5).

    Below four degrees of freedom it falls short; there the exact values stand.
    """
    exact = (12.706, 4.303, 3.182, 2.776)
    if freedom < len(exact) + 1:
        return exact[max(1, math.floor(freedom)) - 1]
    z = _Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))
