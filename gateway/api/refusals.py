"""How addresses refuse, as OpenAPI says it: OpenAI error objects, never FastAPI's own 422."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Depends
from fastapi.security import HTTPBearer
from pydantic import BaseModel


class ErrorDetail(BaseModel):
    """Why; ``param`` names the field that is to blame."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorAnswer(BaseModel):
    """The body of every refusal."""

    error: ErrorDetail


def refusals(reasons: Mapping[int | str, str]) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route that refuses so."""
    return {status: {"model": ErrorAnswer, "description": reason} for status, reason in reasons.items()}


# Of the addresses that virtual keys are for.
KEY_REFUSALS = refusals(
    {
        401: "No virtual key was sent, or one that is unknown, revoked or expired.",
        403: "The key may not be used from this address.",
        "4XX": "Any other refusal looks the same.",
        503: "A store that is needed is away.",
    }
)
# For readers of the OpenAPI document alone: routes look at the headers themselves, and take x-api-key as well.
NEEDS_KEY = Depends(HTTPBearer(auto_error=False, scheme_name="virtual key", description="Of POST /admin/keys"))
