"""The policy ``ordered``: try a route's deployments as the catalog lists them."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain import Deployment, Request
from policies.view import View


def order(candidates: Sequence[Deployment], request: Request, view: View) -> Sequence[Deployment]:  # noqa: ARG001 - the policies' shared form
    """The candidates in the catalog's order."""
    return candidates
