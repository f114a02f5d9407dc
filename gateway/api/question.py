"""What is asked in a request, as a router looks at it, and by what its conversation is known.

The question is the last thing that the user said, and the tools there are. A conversation is known by the name that its
client gives it (``x-obol-conversation``, ``prompt_cache_key``), else by its end user and its first turns: all that
comes before the first answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from gateway.api.prompt_text import decoded_or_text, texts
from gateway.domain import Question, Request

_CONVERSATIONS = ("messages", "input", "prompt")
_INSTRUCTIONS = ("system", "instructions")
_NULL = b"null"
_LEVELS = 5  # a turn, its content, the parts of that, and what is in a part; deeper lies nothing that was asked
_NOT_SAID = frozenset({"type", "role", "id", "name"})  # names of fields whose values nobody said
# Who says what clients say themselves; whatever else there is came of an answer.
_OF_CLIENTS = ("user", "system", "developer")


def question(request: Request) -> Question:
    """Its text is empty where there is none. Earlier turns are left out of it: they seldom make it harder."""
    fields = request.body.fields
    name = next((name for name in _CONVERSATIONS if name in fields), None)
    said = decoded_or_text(fields[name]) if name is not None else ""
    text = _asked(said, fields)
    turns = _turns(said) if name != "prompt" else []
    begun = next((place for place, turn in enumerate(turns) if not _is_clients(turn)), len(turns))
    named = _named(request)
    if named is not None:
        return Question(text, b"named:" + named.encode(errors="replace"), True)
    if not turns:
        return Question(text)
    return Question(text, _first_turns(fields, turns[:begun], request.end_user), begun < len(turns))


def asked_text(fields: Mapping[str, msgspec.Raw]) -> str:
    """The text of the question alone, as a router would see it in a body of these fields."""
    name = next((name for name in _CONVERSATIONS if name in fields), None)
    return _asked(decoded_or_text(fields[name]) if name is not None else "", fields)


def _asked(conversation: object, fields: Mapping[str, msgspec.Raw]) -> str:
    said = _last_said(conversation)
    tools = bytes(fields.get("tools", _NULL))
    if tools in {_NULL, b"[]"}:
        return said
    return f"{said}\nTools: {tools.decode(errors='replace')}"  # as routers know tools


def _turns(conversation: object) -> Sequence[object]:
    match conversation:
        case [*turns]:
            return turns
        case str() as said if said:
            return [{"role": "user", "content": said}]  # as it is repeated when the conversation goes on
        case _:
            return []


def _named(request: Request) -> str | None:
    if request.conversation is not None:
        return request.conversation
    stated = request.body.fields.get("prompt_cache_key")
    named = None if stated is None else decoded_or_text(stated)
    return named if isinstance(named, str) and named else None


def _first_turns(fields: Mapping[str, msgspec.Raw], turns: Sequence[object], end_user: str | None) -> bytes:
    instructions = [bytes(fields[name]) for name in _INSTRUCTIONS if name in fields]
    return b"\0".join([(end_user or "").encode(errors="replace"), *instructions, msgspec.json.encode(turns)])


def _is_clients(turn: object) -> bool:
    return not isinstance(turn, dict) or turn.get("role") in _OF_CLIENTS


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
