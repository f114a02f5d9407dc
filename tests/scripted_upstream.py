"""A real HTTP upstream with the APIs of OpenAI and Anthropic whose behaviour each request chooses.

As a process: ``python tests/scripted_upstream.py --port 0`` prints ``{"port": 12345}`` and serves until it is
terminated. In a test: ``async with ScriptedUpstream() as upstream: ... upstream.base_url ... upstream.calls``.

A request says what it wants in the body field ``script`` (with the SDKs: ``extra_body={"script": {...}}``; fields in
``scripted/script.py``), or by a model named like one of its ``PRESETS``. Without either it gets a plain good answer.
It answers chat, completions, embeddings and moderations, ``/v1/responses`` (with ``input_tokens`` and what is stored)
and ``/v1/messages`` (with ``count_tokens``), whole and as streams; and the endpoints for sound, images and reranking.

Every request is recorded: ``GET /_calls`` returns ``{"calls": [...]}`` (fields in ``scripted/server.py``), with
``?user=`` or ``?model=`` those of one; ``DELETE /_calls`` forgets them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib

from scripted.script import HTML, PRESETS, Script
from scripted.server import Call, ScriptedUpstream, serve

__all__ = ["HTML", "PRESETS", "Call", "Script", "ScriptedUpstream"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(options.host, options.port))


if __name__ == "__main__":
    main()
