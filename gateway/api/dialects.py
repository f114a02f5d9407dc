"""Which endpoint is read by which dialect, and what becomes of a request where an upstream lacks that dialect.

A new dialect is a line in ``APIS``, a new translation one in ``TRANSLATIONS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import msgspec

from gateway.api import chat, media, messages, responses
from gateway.api.arrival import Arrival
from gateway.api.plain_message import plain_message
from gateway.api.question import question
from gateway.api.request_texts import RequestTexts
from gateway.api.translated import TranslatedReader
from gateway.domain import Body, Call, Deployment, Endpoint, Message, Question, Request, Usage
from gateway.guard_ports import AnswerTexts
from gateway.ports import ReplyReader
from gateway.translation.chat_over_messages import CHAT_OVER_MESSAGES
from gateway.translation.contract import Translation
from gateway.translation.messages_over_chat import MESSAGES_OVER_CHAT
from gateway.translation.responses_over_chat import RESPONSES_OVER_CHAT


class NativeDialect(Protocol):
    """What ``ports.Dialect`` asks, for deployments that speak the dialect of the request."""

    def call(self, deployment: Deployment, output_tokens_max: int | None = None) -> Call: ...

    def reader(self, deployment: Deployment) -> ReplyReader: ...

    def with_unreported(self, usage: Usage) -> Usage: ...

    def input_text(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Api:
    """How the requests of an endpoint are read, and their answers where the upstream speaks the same."""

    parse: Callable[[Arrival], Request]
    native: Callable[[Request, bool], NativeDialect]  # the flag: answers are wanted as text, for content logging


_OPENAI = Api(chat.parse, chat.OpenAIDialect)
_MEDIA = Api(media.parse, media.MediaDialect)
_RESPONSES = Api(responses.parse, responses.ResponsesDialect)
_MESSAGES = Api(messages.parse, messages.MessagesDialect)
APIS: Mapping[Endpoint, Api] = {
    Endpoint.CHAT: _OPENAI,
    Endpoint.RESPONSES: _RESPONSES,
    Endpoint.INPUT_TOKENS: _RESPONSES,
    Endpoint.COMPACT: _RESPONSES,
    Endpoint.MESSAGES: _MESSAGES,
    Endpoint.COUNT_TOKENS: _MESSAGES,
    Endpoint.COMPLETIONS: _OPENAI,
    Endpoint.EMBEDDINGS: _OPENAI,
    Endpoint.MODERATIONS: _OPENAI,
    Endpoint.SPEECH: _MEDIA,
    Endpoint.TRANSCRIPTIONS: _MEDIA,
    Endpoint.TRANSLATIONS: _MEDIA,
    Endpoint.IMAGES: _MEDIA,
    Endpoint.IMAGE_EDITS: _MEDIA,
    Endpoint.IMAGE_VARIATIONS: _MEDIA,
    Endpoint.RERANK: _MEDIA,
    Endpoint.CLASSIFY: _OPENAI,
}
#: From the client's dialect to the upstream's, the client's end first.
TRANSLATIONS: Mapping[tuple[Endpoint, Endpoint], Sequence[Translation]] = {
    (Endpoint.CHAT, Endpoint.MESSAGES): (CHAT_OVER_MESSAGES,),
    (Endpoint.MESSAGES, Endpoint.CHAT): (MESSAGES_OVER_CHAT,),
    (Endpoint.RESPONSES, Endpoint.CHAT): (RESPONSES_OVER_CHAT,),
    (Endpoint.RESPONSES, Endpoint.MESSAGES): (RESPONSES_OVER_CHAT, CHAT_OVER_MESSAGES),
}

# Header names that mean something in one dialect only, and what the hub's own translators are told to give.
_OF_ONE_DIALECT = ("anthropic-", "openai-")
_OF_MESSAGES = "anthropic-"
_WITH_USAGE = msgspec.Raw(b'{"include_usage":true}')


class ClientDialect:
    """The dialect of one request: native where the deployment speaks it, translated elsewhere."""

    def __init__(self, request: Request, *, keeps_text: bool = False) -> None:
        self._request = request
        self._keeps_text = keeps_text
        self._native = APIS[request.endpoint].native(request, keeps_text)
        self._translated: dict[str, _Translated] = {}
        self._question: Question | None = None
        self._texts: RequestTexts | None = None

    def call(self, deployment: Deployment, output_tokens_max: int | None = None) -> Call:
        return self._towards(deployment, output_tokens_max).call(deployment, output_tokens_max)

    def reader(self, deployment: Deployment) -> ReplyReader:
        return self._towards(deployment).reader(deployment)

    def with_unreported(self, deployment: Deployment, usage: Usage) -> Usage:
        return self._towards(deployment).with_unreported(usage)

    def input_text(self) -> str:
        return self._native.input_text()

    def of(self, request: Request) -> ClientDialect:
        return ClientDialect(request, keeps_text=self._keeps_text)

    def question(self) -> Question:
        if self._question is None:
            self._question = question(self._request)
        return self._question

    def message(self) -> Message | None:
        return plain_message(self._request)

    def texts(self) -> Sequence[str]:
        return self._read_texts().texts()

    def with_texts(self, texts: Sequence[str]) -> Request:
        return self._read_texts().with_texts(texts)

    def _read_texts(self) -> RequestTexts:
        if self._texts is None:
            self._texts = RequestTexts(self._request)
        return self._texts

    def answer_texts(self) -> AnswerTexts | None:
        from gateway.api.answer_texts.registry import answer_texts_of  # noqa: PLC0415 - only where there are guards

        return answer_texts_of(self._request)

    def _towards(self, deployment: Deployment, output_tokens_max: int | None = None) -> NativeDialect:
        target = deployment.asked_as(self._request.endpoint)
        if target is None or target is self._request.endpoint:
            return self._native
        there = self._translated.get(deployment.name)
        if there is None:
            there = self._translated[deployment.name] = _Translated(
                _limited(self._request, output_tokens_max), target, deployment, keeps_text=self._keeps_text
            )
        return there


class _Translated:
    """A request on its way to an upstream of another dialect."""

    def __init__(self, request: Request, target: Endpoint, deployment: Deployment, *, keeps_text: bool) -> None:
        """Raises BadRequest for what cannot be carried there."""
        self._is_stream = request.is_stream
        self._request_id = request.id
        self._steps: list[tuple[Translation, Body]] = []
        body = request.body
        for translation in TRANSLATIONS[request.endpoint, target]:
            if self._steps:  # the body is the hub's: whoever asked for something else wants to know the usage
                body = Body({**body.fields, "stream_options": _WITH_USAGE})
            self._steps.append((translation, body))
            body = translation.request(body, deployment)
        inner = replace(
            request,
            endpoint=target,
            body=body,
            wants_usage=True,
            stream_options={},
            headers={name: value for name, value in request.headers.items() if _means_something(name, target)},
            query={},
        )
        self._inner = APIS[target].native(inner, keeps_text)

    def call(self, deployment: Deployment, output_tokens_max: int | None = None) -> Call:  # noqa: ARG002 - it is in
        return self._inner.call(deployment)

    def with_unreported(self, usage: Usage) -> Usage:
        return self._inner.with_unreported(usage)

    def input_text(self) -> str:
        return self._inner.input_text()

    def reader(self, deployment: Deployment) -> ReplyReader:
        # Answers walk the steps backwards: the upstream's end first.
        steps = [translation.answer(body) for translation, body in reversed(self._steps)]
        inner = self._inner.reader(deployment)
        return TranslatedReader(inner, steps, is_stream=self._is_stream, request_id=self._request_id)


def _limited(request: Request, output_tokens_max: int | None) -> Request:
    """The request as if its client had stated that maximum; translations know what becomes of it."""
    if output_tokens_max is None:
        return request
    name = "max_output_tokens" if request.endpoint is Endpoint.RESPONSES else "max_completion_tokens"
    limit = msgspec.Raw(b"%d" % output_tokens_max)
    return replace(request, body=Body({**request.body.fields, name: limit}), output_tokens_max=output_tokens_max)


def _means_something(header: str, target: Endpoint) -> bool:
    """Whether a client's header travels to an upstream that speaks ``target``."""
    if target is Endpoint.MESSAGES and header.startswith(_OF_MESSAGES):
        return True  # a client that names Anthropic's betas knows where its question goes
    return not header.startswith(_OF_ONE_DIALECT)
