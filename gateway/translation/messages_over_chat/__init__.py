"""Clients of the Messages API over upstreams that speak chat completions only."""

from __future__ import annotations

from gateway.domain import Body, Deployment
from gateway.error_objects import ErrorShape, error_event
from gateway.errors import GatewayError
from gateway.translation.contract import AnswerTranslator, Translation
from gateway.translation.messages_over_chat.answer import message
from gateway.translation.messages_over_chat.request import chat_request
from gateway.translation.messages_over_chat.stream import MessageStream


class _MessagesOverChat:
    def request(self, body: Body, deployment: Deployment) -> Body:
        return chat_request(body, deployment)

    def answer(self, body: Body) -> AnswerTranslator:
        return _Answer(body)


class _Answer:
    def __init__(self, body: Body) -> None:
        self._asked = body
        self._stream = MessageStream(body)
        self.feed = self._stream.feed

    def whole(self, answer: bytes) -> bytes:
        return message(answer, self._asked)

    @property
    def is_cut(self) -> bool:
        return self._stream.is_cut

    def failing(self, error: GatewayError, request_id: str | None = None) -> bytes:
        return error_event(error, ErrorShape.ANTHROPIC, request_id)


MESSAGES_OVER_CHAT: Translation = _MessagesOverChat()
