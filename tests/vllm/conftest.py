"""A real vLLM server, a second one for embeddings, a gateway before them, and the official SDK: one set per run."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import vllm_server
from books import Books
from gateway_under_test import Gateway
from vllm_server import MODEL, VllmServer

if TYPE_CHECKING:
    # Every pytest run reads this file, also those that want no vLLM: it imports nothing slow.
    from openai import AsyncOpenAI, OpenAI

RUNNING = "OBOL_TEST_VLLM_PORTS"  # "8000,8001": servers that stand already (vllm_server.py), for a faster loop
SERVERS_S_MAX = 900  # of a test's own time limit: both servers import torch on a machine that may be busy


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Only `make test-vllm` (pytest -m vllm) comes here: the environment is large, the start takes a minute."""
    return None if config.option.markexpr == "vllm" else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test pays for the start of the servers; give each the time for it."""
    for item in items:
        item.add_marker(pytest.mark.timeout(SERVERS_S_MAX))


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    """Where the logs and the gateway's data lie; a short path, because sockets are in it. OBOL_TEST_KEEP keeps it."""
    path = Path(tempfile.mkdtemp(prefix="obol-vllm-"))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cancelled run stops its servers as Ctrl-C does
    yield path
    if not os.environ.get("OBOL_TEST_KEEP"):
        shutil.rmtree(path)


@pytest.fixture(scope="session")
def servers(directory: Path) -> Iterator[tuple[VllmServer, VllmServer]]:
    """The chat server and the embeddings server, started side by side, or those that RUNNING names."""
    if RUNNING in os.environ:
        chat_port, embeddings_port = os.environ[RUNNING].split(",")
        yield VllmServer.running_on(int(chat_port)), VllmServer.running_on(int(embeddings_port))
        return
    if not (MODEL / "made").exists():
        pytest.fail("no vLLM here: `make test-vllm` installs it and makes its model", pytrace=False)
    with contextlib.ExitStack() as stack:
        chat = VllmServer.start(vllm_server.CHAT, log=directory / "chat.log")
        stack.callback(chat.stop)
        embeddings = VllmServer.start(vllm_server.EMBEDDINGS, log=directory / "embeddings.log")
        stack.callback(embeddings.stop)
        chat.wait_until_ready()
        embeddings.wait_until_ready()
        yield chat, embeddings


@pytest.fixture(scope="session")
def gateway(directory: Path, servers: tuple[VllmServer, VllmServer]) -> Iterator[Gateway]:
    running = Gateway(directory, *servers)
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()


@pytest.fixture
def vllm(servers: tuple[VllmServer, VllmServer]) -> VllmServer:
    """The chat server, at rest and with an empty prefix cache."""
    servers[0].forget_prefixes()
    return servers[0]


@pytest.fixture
def pool(servers: tuple[VllmServer, VllmServer]) -> VllmServer:
    """The embeddings server, at rest."""
    servers[1].wait_until_idle()
    return servers[1]


@pytest.fixture
def books(gateway: Gateway, vllm: VllmServer) -> Books:
    """The ledger against the chat server's counters."""
    return Books(gateway, vllm)


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    from openai import OpenAI  # noqa: PLC0415 - see above

    with OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.first_key, max_retries=0, timeout=120) as made:
        yield made


@pytest.fixture
async def async_client(gateway: Gateway) -> AsyncIterator[AsyncOpenAI]:
    from openai import AsyncOpenAI  # noqa: PLC0415 - see above

    async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.first_key, max_retries=0, timeout=120) as made:
        yield made
