"""Which backend serves which provider kind. A new kind is one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from backends.openai_compatible import OpenAICompatible, Transport
from backends.simulator import Simulator
from backends.vllm import VLLM
from gateway.ports import Backend


def _litellm(_transport: Transport) -> Backend:
    from backends.litellm import LiteLLM  # noqa: PLC0415 (with the simulator alone, nothing of it is needed)

    return LiteLLM()


FACTORIES: Mapping[str, Callable[[Transport], Backend]] = {
    "openai": OpenAICompatible,
    "openai_compatible": OpenAICompatible,
    "azure": lambda transport: OpenAICompatible(transport, is_azure=True),
    "vllm": VLLM,
    "litellm": _litellm,
    "simulator": lambda _transport: Simulator(),
}


@dataclass(frozen=True, slots=True)
class Backends:
    """All backends by provider kind, over one transport that ``close`` gives up."""

    by_kind: Mapping[str, Backend]
    transport: Transport

    async def close(self) -> None:
        await self.transport.close()


def create_backends() -> Backends:
    """Make one backend of each kind. Opens nothing: connections and imports come with the first call."""
    transport = Transport()
    return Backends({kind: make(transport) for kind, make in FACTORIES.items()}, transport)
