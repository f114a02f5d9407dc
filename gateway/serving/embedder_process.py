"""What the embedder does: hold what is in the store, serve workers, and end when nobody has been there for a while."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import socket
import sys
import time
from pathlib import Path

from gateway.embedding.following import Following
from gateway.embedding.index import Index
from gateway.embedding.server import Encoder, Server
from gateway.embedding.turns import Turns
from gateway.settings import Settings
from gateway.stores.redis_open import open_link
from gateway.stores.similar_questions import SimilarQuestions
from gateway.telemetry import configure_logging

_log = logging.getLogger("obol.embedder")

ALONE_S_MAX = 60.0
_MIB = 1024 * 1024
_SWITCH_S = 0.001  # the loop answers within about that while the computing thread holds the interpreter


def minilm(folder: Path) -> Encoder | None:
    """all-MiniLM-L6-v2, ``None`` where it is not installed: then only deployments make vectors."""
    from gateway.embedding.minilm import EncoderMissing, SentenceEncoder  # noqa: PLC0415 - tests bring their own

    try:
        return SentenceEncoder.load(folder)
    except EncoderMissing as exc:
        _log.warning("%s", exc)
        return None


async def _serve(settings: Settings, listening: socket.socket, encoder: Encoder | None) -> None:
    link = await open_link(
        settings.cache_redis_url or settings.redis_url, holds_money=False, client_name="obol-embedder"
    )
    truth = SimilarQuestions(link, questions_max=settings.similar_questions_max)
    index, turns = Index(settings.similar_memory_mib * _MIB), Turns()
    following = Following(truth, index, turns, time.monotonic)
    server = Server(encoder, index, turns, truth, following)
    follower = asyncio.create_task(following.run())
    try:
        async with await server.listen(listening):
            while server.alone_s < ALONE_S_MAX:
                await asyncio.wait({follower}, timeout=1)
                if follower.done():
                    follower.result()
    finally:
        follower.cancel()
        turns.close()
        await link.close()


def serve(listening_fd: int, factory: str) -> int:
    """Serve on the inherited socket; returns the exit status. ``factory``: module:name of what makes the encoder."""
    settings = Settings.from_environment(os.environ)
    configure_logging(settings.log_level)
    sys.setswitchinterval(_SWITCH_S)
    module, _, name = factory.partition(":")
    encoder = getattr(importlib.import_module(module), name)(settings.encoder_dir)
    asyncio.run(_serve(settings, socket.socket(fileno=listening_fd), encoder))
    return 0
