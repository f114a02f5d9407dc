"""What is asked in a request, as a router looks at it: the last thing that the user said, and the tools there are."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.api.prompt_text import decoded_or_text, texts

_CONVERSATIONS = ("messages", "input", "prompt")
_NULL = b"null"
_LEVELS = 5  # a turn, its content, the parts of that, and what is in a part; deeper lies nothing that was asked
_NOT_SAID = frozenset({"type", "role", "id", "name"})  # names of fields whose values nobody said


def question(fields: Mapping[str, msgspec.Raw]) -> str:
    """The text, empty where there is none. Earlier turns and instructions are left out: they seldom make it harder."""
    said = next((_last_said(decoded_or_text(fields[name])) for name in _CONVERSATIONS if name in fields), "")
    tools = bytes(fields.get("tools", _NULL))
    if tools in {_NULL, b"[]"}:
        return said
    return f"{said}\nTools: {tools.decode(errors='replace')}"  # as routers know tools


def _last_said(conversation: object) -> str:
    match conversation:
        case str():
            return conversation
        case [*turns]:
            users = (turn for turn in reversed(turns) if not isinstance(turn, dict) or turn.get("role") == "user")
            return _text(next(users, turns[-1] if turns else ""))
        case _:
            return ""


def _text(turn: object, levels: int = _LEVELS) -> str:
    if levels == 0:
        return ""
    match turn:
        case {"content": content}:
            return _text(content, levels - 1)
        case [*parts]:
            return "\n".join(filter(None, (_text(part, levels - 1) for part in parts)))
        case dict():
            return "\n".join(texts({name: value for name, value in turn.items() if name not in _NOT_SAID}))
        case str():
            return turn
        case _:
            return ""
