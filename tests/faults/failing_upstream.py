"""The scripted upstream, except that a model named like a preset fails as the preset does, whatever a request says.

So one request can be billed as its script says by the deployment that answers, after others have failed.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripted.script import PRESETS, Script, script_of
from scripted.server import serve


def failing_first(endpoint: str, body: dict[str, Any]) -> Script:
    return PRESETS.get(str(body.get("model")).partition("~")[0]) or script_of(endpoint, body)


if __name__ == "__main__":
    asyncio.run(serve(script_of=failing_first))
