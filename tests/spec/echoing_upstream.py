"""The scripted upstream, except that it says what it was told, as its model's name says, and streams by the character.

``echo``: the last thing said to it. ``calls``: the same as an argument of a tool, in JSON. Else what models do to
placeholders: ``lower``, ``spaced``, ``padded``, ``markdown`` (its escapes).
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripted import messages, openai_chat, responses
from scripted.script import Script
from scripted.server import serve

_PLACEHOLDER = re.compile(r"\[([A-Z][A-Z0-9_]*_[0-9]+)\]")
REWRITINGS: dict[str, Callable[[str], str]] = {
    "echo": "[{}]".format,
    "lower": lambda name: f"[{name.lower()}]",
    "spaced": lambda name: f"[{name.replace('_', ' ').title()}]",
    "padded": "[ {} ]".format,
    "markdown": lambda name: rf"\[{name}\]".replace("_", r"\_"),
}


def said_to(body: dict[str, Any]) -> str:
    """The last text of a request."""
    said = body.get("messages") or body.get("input") or body.get("prompt")
    while not isinstance(said, str):
        last = said[-1]
        said = last if isinstance(last, str) else last.get("content") or last.get("text") or last.get("output")
    return said


def echo(_: str, body: dict[str, Any]) -> Script:
    model = str(body.get("model"))
    if model not in REWRITINGS and model != "calls":
        return Script()
    if model == "calls":
        arguments = json.dumps({"to": said_to(body), "about": [said_to(body)]})
        return Script(tool_calls=[{"name": "send", "arguments": arguments}])
    return Script(text=_PLACEHOLDER.sub(lambda found: REWRITINGS[model](found[1]), said_to(body)))


if __name__ == "__main__":
    for module in (messages, openai_chat, responses):
        module.pieces_of = list  # type: ignore[attr-defined]  # a character each
    asyncio.run(serve(script_of=echo))
