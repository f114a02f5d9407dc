"""Which provider kinds can be called."""

from __future__ import annotations

from backends.registry import create_backends


async def test_each_provider_kind_has_a_backend_and_closing_twice_is_harmless():
    backends = create_backends()
    assert set(backends.by_kind) == {
        *("openai", "openai_compatible", "azure", "vllm", "anthropic", "litellm", "simulator")
    }
    await backends.close()
    await backends.close()
