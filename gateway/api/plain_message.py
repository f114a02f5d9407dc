"""Whether a request is nothing but a message of its user, so that an answer to the message is one to the request.

Only what is known to change no short answer may stand besides: with any other field, any part that is no text, any turn
of somebody else's a model answers. Nothing long is decoded.

policies/lone_question.py asks for less: there all else in a request only has to be the same as in another one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from gateway.domain import Endpoint, Message, Request
from policies.deflection.of_route import is_same

_BODY_BYTES_MAX = 131_072  # so many are read in half a millisecond
_TEXT_BYTES_MAX = 4096
_ENDING_BYTES = 400  # of an answer, where a question in it would stand
_NULL, _ONE, _FALSE = msgspec.Raw(b"null"), b"1", b"false"
_NOTHING = frozenset({b"null", b"[]", b"false", b'""'})  # {} turns web search on
_NOTHING_BYTES_MAX = 5
# Also in wide and in Arabic letters, and all of them as escapes.
_QUESTION_MARKS = (b"?", b"\xef\xbc\x9f", b"\xd8\x9f", b"\\u003f", b"\\uff1f", b"\\u061f")
_USER, _ASSISTANT = "user", "assistant"
_SPEAKERS = frozenset({_USER, _ASSISTANT})
_SYSTEM = frozenset({"system", "developer"})
_TURNS_OF_A_REPETITION = 3  # what was asked, its answer, the same again


class _Part(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    text: str


class _MarkedPart(_Part, forbid_unknown_fields=True):
    cache_control: msgspec.Raw = _NULL  # until where the prompt is to be cached


class _Turn(msgspec.Struct, forbid_unknown_fields=True):
    role: str
    content: msgspec.Raw = _NULL

    def is_said(self) -> bool:
        """Nothing but words."""
        return True


class _ChatTurn(_Turn, forbid_unknown_fields=True):
    refusal: msgspec.Raw = _NULL
    annotations: msgspec.Raw = _NULL
    audio: msgspec.Raw = _NULL
    function_call: msgspec.Raw = _NULL
    tool_calls: msgspec.Raw = _NULL

    def is_said(self) -> bool:
        others = (self.refusal, self.annotations, self.audio, self.function_call, self.tool_calls)
        return all(_is_nothing(one) for one in others)


class _Item(_Turn, forbid_unknown_fields=True):
    type: str = "message"
    id: msgspec.Raw = _NULL
    status: msgspec.Raw = _NULL

    def is_said(self) -> bool:
        return self.type == "message"


@dataclass(frozen=True, slots=True)
class _Form:
    """How a dialect says a message.

    ``neutral``: fields that change no short answer. ``optional``: fields that ask for nothing where they are empty.
    ``instructions``: the field with a system prompt, where it has one of its own.
    """

    conversation: str
    turns: Callable[[msgspec.Raw], Sequence[_Turn]]
    part_type: str
    parts: Callable[[msgspec.Raw], Sequence[_Part]]
    neutral: frozenset[str]
    optional: frozenset[str]
    instructions: str = ""


_NEUTRAL = frozenset({"model", "stream", "stream_options", "temperature", "top_p", "metadata", "service_tier"})
_OF_OPENAI = _NEUTRAL | {"user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"}
_decode_parts = msgspec.json.Decoder(list[_Part]).decode
_FORMS: Mapping[Endpoint, _Form] = {
    Endpoint.CHAT: _Form(
        "messages",
        msgspec.json.Decoder(list[_ChatTurn]).decode,
        "text",
        _decode_parts,
        neutral=_OF_OPENAI
        | {"messages", "max_tokens", "max_completion_tokens", "n", "seed", "presence_penalty", "frequency_penalty"},
        optional=frozenset(
            {
                *(
                    "tools",
                    "tool_choice",
                    "parallel_tool_calls",
                    "functions",
                    "function_call",
                    "response_format",
                    "stop",
                ),
                *("logprobs", "top_logprobs", "logit_bias", "store", "audio", "modalities", "prediction"),
                *("reasoning_effort", "verbosity", "web_search_options"),
            }
        ),
    ),
    Endpoint.RESPONSES: _Form(
        "input",
        msgspec.json.Decoder(list[_Item]).decode,
        "input_text",
        _decode_parts,
        neutral=_OF_OPENAI | {"input", "instructions", "max_output_tokens", "truncation"},
        optional=frozenset(
            {
                *("tools", "tool_choice", "parallel_tool_calls", "max_tool_calls", "text", "top_logprobs", "reasoning"),
                *("include", "store", "background", "previous_response_id", "conversation", "prompt"),
            }
        ),
        instructions="instructions",
    ),
    Endpoint.MESSAGES: _Form(
        "messages",
        msgspec.json.Decoder(list[_Turn]).decode,
        "text",
        msgspec.json.Decoder(list[_MarkedPart]).decode,
        neutral=_NEUTRAL | {"messages", "system", "max_tokens", "top_k"},
        optional=frozenset(
            {
                *("tools", "tool_choice", "stop_sequences", "thinking", "output_config", "output_format"),
                *("mcp_servers", "container", "context_management"),
            }
        ),
        instructions="system",
    ),
}


def plain_message(request: Request) -> Message | None:
    """What the user says last; None where the request asks for more than an answer to it, or may do so."""
    form, fields = _FORMS.get(request.endpoint), request.body.fields
    if form is None or request.needs or request.body_bytes > _BODY_BYTES_MAX:
        return None
    for name, raw in fields.items():
        if name not in form.neutral and not (name in form.optional and _is_nothing(raw)):
            return None
    if bytes(fields.get("n", _NULL)) not in {_ONE, b"null"}:
        return None
    try:
        message = _message(fields.get(form.conversation, _NULL), form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # of another form: an upstream will judge it
        return None
    if message is None:
        return None
    return replace(
        message,
        has_system_prompt=message.has_system_prompt or not _is_nothing(fields.get(form.instructions, _NULL)),
        is_stored=request.endpoint is Endpoint.RESPONSES and bytes(fields.get("store", _NULL)) != _FALSE,
    )


def _message(conversation: msgspec.Raw, form: _Form) -> Message | None:
    """The last turn, if it is the user's and all turns are words of the user, an assistant and whoever instructs it."""
    if form.conversation == "input" and bytes(conversation)[:1] == b'"':
        text = _text(conversation, form)
        return None if text is None else Message(text)
    turns = form.turns(conversation)
    said = [turn for turn in turns if turn.role not in _SYSTEM]
    is_plain = all(turn.is_said() for turn in turns) and {turn.role for turn in said} <= _SPEAKERS
    if not is_plain or not turns or turns[-1].role != _USER:
        return None
    text = _text(turns[-1].content, form)
    if text is None:
        return None
    has_system_prompt = any(turn.role in _SYSTEM and not _is_nothing(turn.content) for turn in turns)
    message = Message(text, has_system_prompt)
    return message if len(said) == 1 else _with_history(message, said, form)


def _with_history(message: Message, said: Sequence[_Turn], form: _Form) -> Message | None:
    """The message behind an answer; None where that asks something back, or there is none."""
    answer = said[-2]
    if answer.role != _ASSISTANT:
        return None
    is_second = len(said) == _TURNS_OF_A_REPETITION and said[0].role == _USER
    first = _text(said[0].content, form) if is_second else None
    is_repeated = first is not None and is_same(first, message.text)
    if _asks_back(answer.content) and not is_repeated:
        return None
    return replace(message, has_history=True, is_repeated=is_repeated)


def _text(content: msgspec.Raw, form: _Form) -> str | None:
    """The text of a turn that is one text; several may belong together or be something that was looked up."""
    if len(memoryview(content)) > _TEXT_BYTES_MAX:
        return None
    if bytes(content)[:1] == b'"':
        return msgspec.json.decode(content, type=str)
    match form.parts(content):
        case [part] if part.type == form.part_type:
            return part.text
        case _:
            return None


def _asks_back(content: msgspec.Raw) -> bool:
    """Whether an answer may end with a question, to which thanks would be an answer."""
    ending = bytes(memoryview(content)[-_ENDING_BYTES:]).lower()
    return any(mark in ending for mark in _QUESTION_MARKS)


def _is_nothing(content: msgspec.Raw) -> bool:
    return len(memoryview(content)) <= _NOTHING_BYTES_MAX and bytes(content) in _NOTHING
