"""A whole chat completion as a message."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter

import msgspec

from gateway.domain import Body
from gateway.errors import UpstreamBroken
from gateway.translation.chat_answer import TEXT, THINKING, Choice, Said, decode_reply, text_of
from gateway.translation.lone_surrogates import leniently
from gateway.translation.messages_over_chat.names import ToolNames
from gateway.translation.messages_over_chat.reply import input_of, message_id, stop_reason_of
from gateway.translation.messages_over_chat.usage import message_usage

_encode = msgspec.json.encode
_BLOCKS = {
    TEXT: b'{"type":"text","text":"%b"}',
    THINKING: b'{"type":"thinking","thinking":"%b","signature":""}',
}


def message(answer: bytes, asked: Body) -> bytes:
    """The answer to a client's request. Raises UpstreamBroken for one that cannot be read."""
    return leniently(lambda data: _message(data, asked), answer)


def _message(answer: bytes, asked: Body) -> bytes:
    reply = decode_reply(answer)
    choice = next((one for one in reply.choices or () if one.message is not None), None)
    if choice is None or choice.message is None:
        raise UpstreamBroken("The upstream's answer has no message.")
    said = choice.message
    own_id = message_id(reply.id, answer)
    calls = _calls(choice, said, own_id, ToolNames(asked))
    stop_reason, stop_sequence = stop_reason_of(choice, has_calls=bool(calls), has_refused=bool(text_of(said.refusal)))
    return _encode(
        {
            "id": own_id,
            "type": "message",
            "role": "assistant",
            "model": reply.model or asked.fields.get("model"),
            "content": msgspec.Raw(b"[" + b",".join([*_texts(said), *calls]) + b"]"),
            "stop_reason": stop_reason,
            "stop_sequence": stop_sequence,
            "usage": message_usage(reply.usage),
        }
    )


def _texts(said: Said) -> list[bytes]:
    """One block for each run of thoughts or text."""
    blocks = []
    for kind, run in groupby([*said.texts(), (TEXT, text_of(said.refusal))], key=itemgetter(0)):
        text = b"".join(text for _, text in run)
        if text:
            blocks.append(_BLOCKS[kind] % text)
    return blocks


def _calls(choice: Choice, said: Said, own_id: str, names: ToolNames) -> list[bytes]:
    blocks = []
    for number, call in enumerate(said.tool_calls or ()):
        if call.function is None or not call.function.name:
            raise UpstreamBroken("The upstream calls a tool without a name.")
        arguments = input_of(call.function.piece())
        if arguments is None and choice.finish_reason == "length":
            continue  # the limit cut it off: nobody can run it, and stop_reason says why
        if arguments is None:
            raise UpstreamBroken("The upstream calls a tool with arguments that are no JSON object.")
        blocks.append(
            b'{"type":"tool_use","id":%b,"name":%b,"input":%b}'
            % (
                _encode(call.id or f"toolu_{own_id}_{number}"),
                _encode(names.original(call.function.name)),
                arguments,
            )
        )
    return blocks
