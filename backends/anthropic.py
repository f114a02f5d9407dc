"""Upstreams that speak the Anthropic API: the shared transport, with Anthropic's key header and API version."""

from __future__ import annotations

from backends.openai_compatible import OpenAICompatible, Transport
from gateway.domain import Call, Provider

#: What is asked for when the client named no version. The next one, 2026-10-21, refuses temperature, top_p and top_k.
API_VERSION = "2023-06-01"


class Anthropic(OpenAICompatible):
    """Anthropic itself, or a server with its API and its way of taking keys."""

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)

    def _headers(self, call: Call) -> dict[str, str]:
        return {"anthropic-version": API_VERSION, **super()._headers(call)}

    def _credentials(self, provider: Provider) -> dict[str, str]:
        return {"x-api-key": provider.api_key} if provider.api_key else {}
