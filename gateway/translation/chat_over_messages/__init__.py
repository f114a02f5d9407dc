"""Chat clients over upstreams that speak Anthropic's Messages API."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from gateway.domain import Body, Deployment
from gateway.error_objects import error_event
from gateway.errors import GatewayError
from gateway.translation.chat_over_messages.answer import completion
from gateway.translation.chat_over_messages.request import messages_request
from gateway.translation.chat_over_messages.stream import ChunkStream
from gateway.translation.contract import AnswerTranslator, Translation


class _Answer:
    """One answer on its way to a chat client."""

    def __init__(self, created_s: int, *, wants_usage: bool) -> None:
        self._created_s = created_s
        self._stream = ChunkStream(created_s, wants_usage=wants_usage)

    def whole(self, answer: bytes) -> bytes:
        return completion(answer, self._created_s)

    def feed(self, events: bytes) -> bytes:
        return self._stream.feed(events)

    @property
    def is_cut(self) -> bool:
        return self._stream.is_cut

    def failing(self, error: GatewayError, request_id: str | None = None) -> bytes:  # noqa: ARG002 - it has no place for it
        return error_event(error)


@dataclass(frozen=True, slots=True)
class ChatOverMessages:
    """``unix_s`` dates the answers: chat completions say when they were created, messages do not."""

    unix_s: Callable[[], float] = time.time

    def request(self, body: Body, deployment: Deployment) -> Body:
        return messages_request(body, deployment)

    def answer(self, body: Body) -> AnswerTranslator:
        return _Answer(int(self.unix_s()), wants_usage=_wants_usage(body))


def _wants_usage(body: Body) -> bool:
    try:
        options = msgspec.json.decode(body.fields.get("stream_options", b"null"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False  # those of a request that does not stream, which nobody has read before
    return bool(isinstance(options, dict) and options.get("include_usage"))


CHAT_OVER_MESSAGES: Translation = ChatOverMessages()
