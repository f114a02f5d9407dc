"""What routes are asked: the same question in other lengths, alone and in a conversation."""

from __future__ import annotations

import msgspec

from tests.bench.dialects import PROMPT, TEXT


def question(model: str, characters: int) -> str:
    """A chat with one question."""
    return _body(model, [_said("user", _prompt(characters))])


def conversation(model: str, characters: int) -> str:
    """The third question of a chat."""
    turns = [_said("user", _prompt(characters)), _said("assistant", TEXT)] * 2
    return _body(model, [*turns, _said("user", _prompt(characters))])


def _body(model: str, messages: list[dict[str, str]]) -> str:
    return msgspec.json.encode({"model": model, "messages": messages}).decode()


def _said(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def _prompt(characters: int) -> str:
    return (PROMPT * (characters // len(PROMPT) + 1))[:characters]
