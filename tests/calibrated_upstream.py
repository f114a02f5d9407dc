"""A scripted upstream for calibrations: ``strong`` answers every question right, ``weak`` only those of easy words.

The right answer is always "yes". ``judge`` gives 1 for it and 0 for any other; of every tenth question its first reply
is no verdict. All other models answer as the scripted upstream does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import zlib
from typing import Any

from router_parts import HARD
from scripted.script import Script, script_of
from scripted.server import serve


def answer_to(endpoint: str, body: dict[str, Any]) -> Script:
    """What each of the models says to a chat."""
    model, messages = body.get("model"), body.get("messages")
    if model not in {"strong", "weak", "judge"} or not isinstance(messages, list):
        return script_of(endpoint, body)
    asked = str(messages[-1]["content"])
    if model == "judge":
        is_no_verdict = len(messages) == 2 and zlib.crc32(asked.encode()) % 10 == 0
        material = json.loads(messages[1]["content"])
        text = "It is good." if is_no_verdict else json.dumps({"score": float(material["answer"] == "yes")})
    else:
        is_hard = any(word in asked for word in HARD)
        text = "no" if is_hard and model == "weak" else "yes"
    tokens = {"prompt_tokens": len(json.dumps(messages)) // 4, "completion_tokens": len(text.split())}
    return Script(text=text, usage={**tokens, "total_tokens": sum(tokens.values())})


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(script_of=answer_to))
