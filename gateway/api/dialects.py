"""Which endpoint is read by which dialect, and what becomes of a request where an upstream lacks that dialect.

A new dialect is a line in ``APIS``, a new translation one in ``TRANSLATIONS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.api import chat, messages, responses
from gateway.api.arrival import Arrival
from gateway.api.translated import TranslatedReader
from gateway.domain import Call, Deployment, Endpoint, Request, Usage
from gateway.ports import Dialect, ReplyReader
from gateway.translation.contract import Translation


@dataclass(frozen=True, slots=True)
class Api:
    """How the requests of an endpoint are read, and their answers where the upstream speaks the same."""

    parse: Callable[[Arrival], Request]
    native: Callable[[Request, bool], Dialect]  # the flag: answers are wanted as text, for content logging


_OPENAI = Api(chat.parse, chat.OpenAIDialect)
_RESPONSES = Api(responses.parse, responses.ResponsesDialect)
_MESSAGES = Api(messages.parse, messages.MessagesDialect)
APIS: Mapping[Endpoint, Api] = {
    Endpoint.CHAT: _OPENAI,
    Endpoint.RESPONSES: _RESPONSES,
    Endpoint.INPUT_TOKENS: _RESPONSES,
    Endpoint.MESSAGES: _MESSAGES,
    Endpoint.COUNT_TOKENS: _MESSAGES,
    Endpoint.COMPLETIONS: _OPENAI,
    Endpoint.EMBEDDINGS: _OPENAI,
    Endpoint.MODERATIONS: _OPENAI,
}
#: From the client's dialect to the upstream's, the client's end first.
TRANSLATIONS: Mapping[tuple[Endpoint, Endpoint], Sequence[Translation]] = {}

# Header names that mean something in one dialect only.
_OF_ONE_DIALECT = ("anthropic-", "openai-")


class ClientDialect:
    """The dialect of one request: native where the deployment speaks it, translated elsewhere."""

    def __init__(self, request: Request, *, keeps_text: bool = False) -> None:
        self._request = request
        self._keeps_text = keeps_text
        self._native = APIS[request.endpoint].native(request, keeps_text)
        self._translated: dict[str, _Translated] = {}

    def call(self, deployment: Deployment) -> Call:
        return self._towards(deployment).call(deployment)

    def reader(self, deployment: Deployment) -> ReplyReader:
        return self._towards(deployment).reader(deployment)

    def with_unreported(self, usage: Usage) -> Usage:
        return self._native.with_unreported(usage)

    def input_text(self) -> str:
        return self._native.input_text()

    def _towards(self, deployment: Deployment) -> Dialect | _Translated:
        target = deployment.asked_as(self._request.endpoint)
        if target is None or target is self._request.endpoint:
            return self._native
        there = self._translated.get(deployment.name)
        if there is None:
            there = self._translated[deployment.name] = _Translated(
                self._request, target, deployment, keeps_text=self._keeps_text
            )
        return there


class _Translated:
    """A request on its way to an upstream of another dialect."""

    def __init__(self, request: Request, target: Endpoint, deployment: Deployment, *, keeps_text: bool) -> None:
        """Raises BadRequest for what cannot be carried there."""
        self._is_stream = request.is_stream
        self._steps = []
        body = request.body
        for translation in TRANSLATIONS[request.endpoint, target]:
            self._steps.append((translation, body))
            body = translation.request(body, deployment)
        inner = replace(
            request,
            endpoint=target,
            body=body,
            wants_usage=True,
            stream_options={},
            headers={name: value for name, value in request.headers.items() if not name.startswith(_OF_ONE_DIALECT)},
            query={},
        )
        self._inner = APIS[target].native(inner, keeps_text)

    def call(self, deployment: Deployment) -> Call:
        return self._inner.call(deployment)

    def reader(self, deployment: Deployment) -> ReplyReader:
        # Answers walk the steps backwards: the upstream's end first.
        steps = [translation.answer(body) for translation, body in reversed(self._steps)]
        return TranslatedReader(self._inner.reader(deployment), steps, is_stream=self._is_stream)
