"""The scripted upstream, except that a request's ``metadata`` says what it is answered and whether its stream breaks.

Metadata is no part of what makes requests equal, so an answer that was told again shows for whom it was made; and when,
by the machine's monotonic clock, for ``asked_s`` in each says when it was asked for.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from numbered_upstream import breaks
from scripted.script import Script
from scripted.server import serve


def knowing(_endpoint: str, body: dict[str, Any]) -> Script:
    told = body.get("metadata") or {}
    broken = breaks() if told.get("breaks") else {}
    said = {name: told[name] for name in ("text", "delay_ms") if name in told}
    return Script(**said, **broken, extra={**told.get("extra", {}), "asked_s": time.monotonic()})


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # writes to connections that were just broken
    asyncio.run(serve(script_of=knowing))
