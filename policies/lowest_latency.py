"""The policy ``lowest_latency``: first whoever has lately begun to answer soonest.

Measured is the time to the first token of streams, at its 95th percentile (``policies/first_token.py``); equals stand
in the catalog's order, and behind all that are measured those that are not. So that these get measured, at most a
tenth of the requests tries one of them first, each of them as often as the others. Only a stream can measure, so no
other request is spent on it. While nothing is measured the catalog's order holds, which measures its first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gateway.domain import Deployment, Request
from policies.view import View

EXPLORED_SHARE = 0.1


def order(candidates: Sequence[Deployment], request: Request, view: View) -> Sequence[Deployment]:
    """The candidates from fast to slow, now and then after one that is not known yet."""
    p95_s = view.first_token_p95_s
    measured = sorted((one for one in candidates if one.name in p95_s), key=lambda one: p95_s[one.name])
    unmeasured = [one for one in candidates if one.name not in p95_s]
    explored: list[Deployment] = []
    if measured and unmeasured and request.is_stream and view.draw < EXPLORED_SHARE:
        # Below the share the draw is even again: it also says which.
        explored = [unmeasured.pop(int(view.draw / EXPLORED_SHARE * len(unmeasured)))]
    return [*explored, *measured, *unmeasured]


def propensity(candidates: Sequence[Deployment], request: Request, view: View, first: Deployment) -> float:
    """With which probability ``first`` comes first: by its speed, or as one of those that are explored."""
    p95_s = view.first_token_p95_s
    unmeasured = sum(one.name not in p95_s for one in candidates)
    if request.is_stream and 0 < unmeasured < len(candidates) and first.name not in p95_s:
        return EXPLORED_SHARE / unmeasured
    is_usual = order(candidates, request, replace(view, draw=EXPLORED_SHARE))[0].name == first.name
    if not request.is_stream or unmeasured in {0, len(candidates)}:
        return float(is_usual)
    return (1 - EXPLORED_SHARE) * is_usual
