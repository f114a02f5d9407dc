"""The call to an upstream that speaks the client's dialect."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.domain import Call, Deployment, Request


def verbatim_call(request: Request, deployment: Deployment, changes: Mapping[str, object] | None = None) -> Call:
    """The client's own bytes but for ``model`` and what else the dialect has to set (``changes``)."""
    return Call(
        deployment=deployment,
        endpoint=request.endpoint,
        body=request.body.encoded_with({"model": deployment.model, **(changes or {})}),
        is_stream=request.is_stream,
        headers=request.headers,
        query=request.query,
    )
