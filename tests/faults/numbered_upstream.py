"""The scripted upstream, except that every answer begins with a number of its own, ends with END, and may break.

So whoever reads an answer knows which call it is of, and whether any of it is missing.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import sys
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripted.script import Script
from scripted.server import serve

END = "END"
WORDS = 12
_SHARE_BROKEN = 0.6
_CHANCE = Random(20261129)  # noqa: S311 - it breaks streams, it keeps no secret
_NUMBERS = itertools.count(1)


def breaks() -> dict[str, Any]:
    """How a stream or an answer of about so many words breaks, or is none to be kept."""
    at = _CHANCE.randrange(WORDS + 4)
    return _CHANCE.choice(
        [
            {"cut_after": at, "cut_by": "close"},
            {"cut_after": at, "cut_by": "reset"},
            {"cut_after": at, "error_event": {"message": "broken", "type": "server_error"}},
            {"finish_reason": "length"},
            {"finish_reason": "content_filter"},
            {"omit_done": True, "cut_after": at, "cut_by": "close"},
            {"drop_connection": True},
            {"status": 500, "body": {"error": {"message": "down"}}},
            {"drop_last_bytes": 1 + at},
            {"tool_calls": [{"name": "f", "arguments": "{}"}]},
            {"split_events": True},
            {"no_usage": True},
        ]
    )


def numbered(_endpoint: str, body: dict[str, Any]) -> Script:
    words = " ".join("word" for _ in range(WORDS))
    wished = {} if "script" in body or _CHANCE.random() >= _SHARE_BROKEN else breaks()
    return Script(text=f"{next(_NUMBERS)} {words} {END}", **{**body.get("script", {}), **wished})


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # writes to connections that were just broken
    asyncio.run(serve(script_of=numbered))
