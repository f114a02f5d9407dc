"""Clients of the Responses API over upstreams that speak chat completions; ``docs/translation.md`` says what is lost.

``request.py`` takes the parameters over, ``items.py`` the conversation, ``tools.py`` the tools. Answers come back
through ``answer.py``, which keeps the items of ``output.py`` and writes them into the object of ``response.py``.
"""

from __future__ import annotations

from gateway.domain import Body, Deployment
from gateway.translation.contract import AnswerTranslator
from gateway.translation.responses_over_chat.answer import ResponseWriter
from gateway.translation.responses_over_chat.request import chat_request


class _ResponsesOverChat:
    """Stateless: what an answer needs to know of its request, it reads from the request's body."""

    def request(self, body: Body, deployment: Deployment) -> Body:
        return chat_request(body, deployment)

    def answer(self, body: Body) -> AnswerTranslator:
        return ResponseWriter(body)


RESPONSES_OVER_CHAT = _ResponsesOverChat()
