"""How the admin API refuses, as OpenAPI says it."""

from __future__ import annotations

from gateway.api.refusals import refusals

_REASONS: dict[int | str, str] = {
    400: "A parameter, or the body, is not what it must be.",
    401: "No admin key was sent, or one that is unknown, revoked or expired.",
    403: "The role of the admin key does not allow it.",
    404: "There is no such thing within the scope of the admin key.",
    405: "The address has no such method.",
    409: "It contradicts what stands: a name that is taken, an organization that has teams, a raise into the past.",
    413: "The body is larger than 1 MiB.",
    "4XX": "Any other refusal looks the same.",
    503: "A store that is needed is away.",
}
REFUSALS = refusals(_REASONS)
