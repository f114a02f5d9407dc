"""vLLM: the OpenAI API over the shared transport, plus its health.

The body stays as the pipeline made it (``stream_options`` with ``include_usage`` and ``continuous_usage_stats``).
"""

from __future__ import annotations

import asyncio

import aiohttp
from yarl import URL

from backends.openai_compatible import OpenAICompatible, Transport, credentials
from gateway.domain import Call, Deployment, Endpoint

_PROBE_S = 3.0


class VLLM(OpenAICompatible):
    """A vLLM server, with or without an API key."""

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)

    def _address(self, call: Call) -> URL:
        if call.endpoint is not Endpoint.CLASSIFY:
            return super()._address(call)
        # Like /health it stands beside /v1, not below it.
        return URL(f"{call.deployment.provider.base_url.rstrip('/').removesuffix('/v1')}/classify", encoded=True)

    async def probe(self, deployment: Deployment) -> bool:
        """Whether the server's engine says that it is alive (``GET /health``), within three seconds."""
        provider = deployment.provider
        # /health stands beside /v1, not below it.
        url = URL(provider.base_url.rstrip("/").removesuffix("/v1") + "/health", encoded=True)
        headers = {**credentials(provider), **provider.headers}
        try:
            async with (
                asyncio.timeout(_PROBE_S),
                self._transport.session().get(url, headers=headers, allow_redirects=False) as response,
            ):
                return response.status == 200  # noqa: PLR2004
        except (aiohttp.ClientError, OSError):
            return False
