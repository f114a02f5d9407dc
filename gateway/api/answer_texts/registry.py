"""Which dialect's answers are read by what."""

from __future__ import annotations

import msgspec

from gateway.api.answer_texts.chat import ChatTexts, CompletionTexts
from gateway.api.answer_texts.messages import MessageTexts
from gateway.api.answer_texts.responses import ResponseTexts
from gateway.api.answer_texts.transcripts import TranscriptTexts
from gateway.api.prompt_text import decoded_or_text
from gateway.domain import Endpoint, Request
from gateway.guard_ports import AnswerTexts

_NULL = msgspec.Raw(b"null")
# Where a request says that it wants JSON, and nothing else, for an answer.
_FORMATS = {
    Endpoint.CHAT: (("response_format",),),
    Endpoint.RESPONSES: (("text", "format"),),
    Endpoint.MESSAGES: (("output_config", "format"), ("output_format",)),
}


def answer_texts_of(request: Request) -> AnswerTexts | None:
    """What takes the answer to that request apart; ``None`` for answers that are no text."""
    match request.endpoint:
        case Endpoint.CHAT:
            return ChatTexts(request, is_json=_wants_json(request))
        case Endpoint.COMPLETIONS:
            return CompletionTexts(request)
        case Endpoint.RESPONSES | Endpoint.COMPACT:
            return ResponseTexts(request, is_json=_wants_json(request))
        case Endpoint.MESSAGES:
            return MessageTexts(request, is_json=_wants_json(request))
        case Endpoint.TRANSCRIPTIONS | Endpoint.TRANSLATIONS:
            return TranscriptTexts(request)
        case _:
            return None


def _wants_json(request: Request) -> bool:
    for name, *inner in _FORMATS.get(request.endpoint, ()):
        value = decoded_or_text(request.body.fields.get(name, _NULL))
        for key in inner:
            value = value.get(key) if isinstance(value, dict) else None
        kind = value.get("type") if isinstance(value, dict) else None
        if isinstance(kind, str) and kind.startswith("json"):
            return True
    return False
