"""Which backend serves which provider kind. A new kind is one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from backends.anthropic import Anthropic
from backends.guards.hooks import Hooks
from backends.guards.registry import build
from backends.litellm import LiteLLM
from backends.openai_compatible import OpenAICompatible, Transport
from backends.simulator import Simulator
from backends.vllm import VLLM
from gateway.domain import GuardRule
from gateway.guard_ports import Guard
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
    """All backends by provider kind, over one transport; and what the guards ask that are webhooks."""

    by_kind: Mapping[str, Backend]
    transport: Transport
    hooks: Hooks

    @property
    def probes(self) -> Mapping[str, Probe]:
        """Of the kinds whose servers say how they are."""
        return {kind: backend for kind, backend in self.by_kind.items() if isinstance(backend, VLLM)}

    def guard(self, rule: GuardRule) -> Guard:
        """What looks by that rule. Loads what its kind goes by; raises ValueError for settings it cannot use."""
        return build(rule, self.hooks)

    async def close(self) -> None:
        """Close all connections and end what runs beside the calls. Idempotent."""
        await self.transport.close()
        await self.hooks.close()
        for backend in self.by_kind.values():
            if isinstance(backend, LiteLLM):
                await backend.close()


def create_backends() -> Backends:
    """Make one backend of each kind. Opens nothing: connections and the import of litellm come with the first call."""
    transport = Transport()
    return Backends({kind: make(transport) for kind, make in FACTORIES.items()}, transport, Hooks())
