"""An upstream of its own for each test of a backend, and a backend that speaks to it."""

from __future__ import annotations

import pytest
from scripted_upstream import ScriptedUpstream

from backends.openai_compatible import OpenAICompatible, Transport


@pytest.fixture
async def upstream():
    async with ScriptedUpstream() as server:
        yield server


@pytest.fixture
async def transport():
    made = Transport()
    yield made
    await made.close()


@pytest.fixture
def backend(transport):
    return OpenAICompatible(transport)
