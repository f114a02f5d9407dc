"""Answers as one object each, by the dialect of their clients: made of a stream, told again as a stream or whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from gateway.answers import (
    telling_chat,
    telling_completions,
    telling_embeddings,
    telling_messages,
    telling_responses,
)
from gateway.domain import Endpoint, KeptAnswer, Request, Usage


class Telling(Protocol):
    """What one dialect makes of a kept answer."""

    def whole_of(self, shown: bytes, *, is_stream: bool, usage: Usage | None) -> bytes | None:
        """The answer as one object, from the bytes that its client read; ``None`` for what cannot be put together.

        ``usage``: stands in where a stream did not tell it.
        """

    def is_worth_keeping(self, whole: bytes, request: Request, *, keeps_tool_calls: bool) -> bool:
        """Whether the answer is whole: all of it ended by itself, and calls no tools unless that is wanted."""

    def told_again(self, kept: KeptAnswer, request: Request) -> bytes:
        """The bytes that a client gets of it: the object itself, or a stream that says the same."""


TELLINGS: Mapping[Endpoint, Telling] = {
    Endpoint.CHAT: telling_chat,
    Endpoint.RESPONSES: telling_responses,
    Endpoint.MESSAGES: telling_messages,
    Endpoint.COMPLETIONS: telling_completions,
    Endpoint.EMBEDDINGS: telling_embeddings,
}
