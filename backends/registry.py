"""Which backend serves which provider kind. A new kind is one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from backends.anthropic import Anthropic
from backends.litellm import LiteLLM
from backends.openai_compatible import OpenAICompatible, Transport
from backends.simulator import Simulator
from backends.vllm import VLLM
from gateway.ports import Backend, Probe

FACTORIES: Mapping[str, Callable[[Transport], Backend]] = {
    "openai": OpenAICompatible,
    "openai_compatible": OpenAICompatible,
    "azure": lambda transport: OpenAICompatible(transport, is_azure=True),
    "vllm": VLLM,
    "anthropic": Anthropic,
    "litellm": lambda _transport: LiteLLM(),
    "simulator": lambda _transport: Simulator(),
}


@dataclass(frozen=True, slots=True)
class Backends:
    """All backends by provider kind, over one transport."""

    by_kind: Mapping[str, Backend]
    transport: Transport

    @property
    def probes(self) -> Mapping[str, Probe]:
        """Of the kinds whose servers say how they are."""
        return {kind: backend for kind, backend in self.by_kind.items() if isinstance(backend, VLLM)}

    async def close(self) -> None:
        """Close all connections and end what runs beside the calls. Idempotent."""
        await self.transport.close()
        for backend in self.by_kind.values():
            if isinstance(backend, LiteLLM):
                await backend.close()


def create_backends() -> Backends:
    """Make one backend of each kind. Opens nothing: connections and the import of litellm come with the first call."""
    transport = Transport()
    return Backends({kind: make(transport) for kind, make in FACTORIES.items()}, transport)
