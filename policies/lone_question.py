"""Requests that say one thing: a single message of text, which another one's answer may answer as well.

What else stands in them (system prompt, parameters) must be the same to the letter, so it goes into the name of the
space in which similar questions are looked for. What was said before, tools and what they found never enter: a
question that goes on from them cannot be compared by its own words.

Deflection asks for more (gateway/api/plain_message.py): its answers are made of the message alone, so that all else in
a request must be known not to matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from gateway.domain import Endpoint, Request

#: Some six to a token: what is longer has more than 200 tokens anyway.
CHARACTERS_MAX = 1500
_BYTES_MAX = 131_072  # of the conversation: so many are read in half a millisecond
_INSTRUCTIONS = frozenset({"system", "developer"})
_WORDS = frozenset({"text", "input_text"})  # kinds of content that are text
_WITH_TOOLS = frozenset({"tools", "functions", "mcp_servers", "documents", "prediction"})
_FIELD: Mapping[Endpoint, str] = {
    Endpoint.CHAT: "messages",
    Endpoint.MESSAGES: "messages",
    Endpoint.RESPONSES: "input",
}
_HOLE = msgspec.Raw(b"null")
_EMPTY = (msgspec.Raw(b"null"), msgspec.Raw(b"[]"))


@dataclass(frozen=True, slots=True)
class LoneQuestion:
    """``text`` is the user's message; ``rest`` the fields of the body, with a hole where it stands."""

    text: str
    rest: Mapping[str, msgspec.Raw]


def lone_question(request: Request) -> LoneQuestion | None:
    """The question of a request that asks nothing but it; ``None`` for any other."""
    name, fields = _FIELD.get(request.endpoint), request.body.fields
    if name is None or name not in fields or any(fields.get(one, _HOLE) not in _EMPTY for one in _WITH_TOOLS):
        return None
    if len(memoryview(fields[name])) > _BYTES_MAX:
        return None
    try:
        said = msgspec.json.decode(fields[name])
    except (msgspec.DecodeError, RecursionError):
        return None
    if isinstance(said, str) and request.endpoint == Endpoint.RESPONSES:
        text, hole = said, None
    else:
        found = _only_message(said)
        if found is None:
            return None
        text, hole = found
    if not text.strip() or len(text) > CHARACTERS_MAX:
        return None
    return LoneQuestion(text, {**fields, name: msgspec.Raw(msgspec.json.encode(hole))})


def _only_message(said: object) -> tuple[str, object] | None:
    """The text of the last message and the list with a hole for it, where only instructions stand before it."""
    if not isinstance(said, list) or not said or not all(map(_instructs, said[:-1])):
        return None
    message = said[-1]
    if not isinstance(message, dict) or message.get("role") != "user":
        return None
    content = message.get("content")
    if isinstance(content, str):
        return content, [*said[:-1], message | {"content": None}]
    if isinstance(content, list) and len(content) == 1 and isinstance(part := content[0], dict):
        text = part.get("text")
        if part.get("type") in _WORDS and isinstance(text, str):
            return text, [*said[:-1], message | {"content": [part | {"text": None}]}]
    return None


def _instructs(message: object) -> bool:
    return isinstance(message, dict) and message.get("role") in _INSTRUCTIONS
