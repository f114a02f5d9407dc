"""The messages of a chat as Anthropic's turns: what each role becomes, and in which order its blocks stand.

Texts, arguments and data URLs are copied as the JSON bytes they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import msgspec

from gateway.translation.chat_over_messages.fields import NULL, is_null, read, refused, string
from gateway.translation.chat_over_messages.parts import (
    Block,
    array,
    blocks_of,
    is_blank,
    mark_last,
    text_block,
    texts,
)

_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")  # Anthropic refuses ids with other characters; other servers make some


class _Function(msgspec.Struct):
    name: msgspec.Raw = NULL
    arguments: str = ""


class _ToolCall(msgspec.Struct):
    id: str
    function: _Function | None = None
    cache_control: msgspec.Raw = NULL


class _Message(msgspec.Struct):
    role: str
    content: msgspec.Raw = NULL
    refusal: msgspec.Raw = NULL
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None
    thinking_blocks: msgspec.Raw = NULL
    cache_control: msgspec.Raw = NULL
    function_call: msgspec.Raw = NULL
    audio: msgspec.Raw = NULL


class _ThinkingBlock(msgspec.Struct):
    type: str
    thinking: msgspec.Raw = NULL
    signature: str | None = None
    data: msgspec.Raw = NULL


_decode_messages = msgspec.json.Decoder(list[_Message]).decode
_decode_thinking = msgspec.json.Decoder(list[_ThinkingBlock]).decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.encode


@dataclass(slots=True)
class _Turn:
    role: str
    blocks: list[Block] = field(default_factory=list)
    results: int = 0  # how many of the blocks, the first ones, are results of tools
    has_calls: bool = False
    has_thinking_first: bool = False


class Conversation:
    """The system blocks and turns of one chat."""

    def __init__(self, messages: msgspec.Raw) -> None:
        """Raises BadRequest naming what cannot be carried."""
        self._turns: list[_Turn] = []
        self._system: list[Block] = []
        for index, message in enumerate(read(_decode_messages, messages, "messages")):
            place = f"messages.{index}"
            match message.role:
                case "system" | "developer":
                    self._instruct(message, place)
                case "user":
                    self._add("user", blocks_of(message.content, place), message)
                case "assistant":
                    self._say(message, place)
                case "tool":
                    self._return(message, place)
                case role:
                    raise refused(f"{place}.role", f"Unsupported role '{role}' in '{place}.role'.")
        self._turns = [turn for turn in self._turns if turn.blocks]
        if not self._turns and self._system:
            # A prompt of instructions alone is a question: Anthropic answers users only.
            self._turns, self._system = [_Turn("user", self._system)], []

    def instruct(self, text: str) -> None:
        """Add a text of our own behind the instructions of the client."""
        self._system.append((text_block(_encode(text)), NULL))

    @property
    def system(self) -> bytes | None:
        """The value of ``system``, where there is one."""
        return array(self._system) if self._system else None

    @property
    def messages(self) -> bytes:
        """The value of ``messages``."""
        turns = (
            b'{"role":"' + turn.role.encode() + b'","content":' + array(turn.blocks) + b"}" for turn in self._turns
        )
        return b"[" + b",".join(turns) + b"]"

    @property
    def can_go_on_thinking(self) -> bool:
        """Whether models that think by budget take it: their own last turn must not lack the thoughts of its calls."""
        last = next((turn for turn in reversed(self._turns) if turn.role == "assistant"), None)
        return last is None or (last is not self._turns[-1] and (last.has_thinking_first or not last.has_calls))

    def _turn(self, role: str) -> _Turn:
        """The turn at hand if it is that role's, else a new one: Anthropic's roles alternate."""
        if not self._turns or self._turns[-1].role != role:
            self._turns.append(_Turn(role))
        return self._turns[-1]

    def _add(self, role: str, blocks: list[Block], message: _Message) -> None:
        mark_last(blocks, message.cache_control)
        self._turn(role).blocks.extend(blocks)

    def _instruct(self, message: _Message, place: str) -> None:
        found = texts(message.content, place)
        if not self._turns:
            mark_last(found, message.cache_control)
            self._system += [(text_block(text), mark) for text, mark in found]
            return
        # Moved up to the others it would change the prompt before all turns, and their cached prefix would be lost.
        blocks = [(text_block(b'"<system>\\n' + text[1:-1] + b'\\n</system>"'), mark) for text, mark in found]
        self._add("user", blocks, message)

    def _say(self, message: _Message, place: str) -> None:
        if not is_null(message.audio):
            raise refused(f"{place}.audio", f"'{place}.audio' cannot be carried: this model has no audio.")
        if not is_null(message.function_call):
            raise refused(f"{place}.function_call", f"'{place}.function_call' is not supported: use 'tool_calls'.")
        turn = self._turn("assistant")
        thoughts = _thoughts(message.thinking_blocks, place)
        turn.has_thinking_first |= bool(thoughts) and not turn.blocks
        turn.has_calls |= bool(message.tool_calls)
        turn.blocks += thoughts
        blocks = [(text_block(text), mark) for text, mark in texts(message.content, place)]
        refusal = bytes(message.refusal)
        if refusal[:1] == b'"' and not is_blank(refusal):
            blocks.append((text_block(refusal), NULL))
        blocks += [_call(call, f"{place}.tool_calls.{index}") for index, call in enumerate(message.tool_calls or ())]
        self._add("assistant", blocks, message)

    def _return(self, message: _Message, place: str) -> None:
        if message.tool_call_id is None:
            raise refused(f"{place}.tool_call_id", f"Missing '{place}.tool_call_id'.", "missing_required_parameter")
        block = b'{"type":"tool_result","tool_use_id":' + _encode(_id(message.tool_call_id))
        content = bytes(message.content)
        if content[:1] == b'"':
            block += b"" if is_blank(content) else b',"content":' + content
        elif blocks := blocks_of(message.content, place):
            block += b',"content":' + array(blocks)
        turn = self._turn("user")
        # Results stand before all else that the user says to the calls.
        turn.blocks.insert(turn.results, (block + b"}", message.cache_control))
        turn.results += 1


def _thoughts(raw: msgspec.Raw, place: str) -> list[Block]:
    """Blocks that Anthropic takes back: those that it signed or sealed. Others are somebody else's."""
    if is_null(raw):
        return []
    found: list[Block] = []
    for block in read(_decode_thinking, raw, f"{place}.thinking_blocks"):
        if block.type == "thinking" and block.signature:
            thinking = bytes(block.thinking) if not is_null(block.thinking) else b'""'
            signature = _encode(block.signature)
            block_json = b'{"type":"thinking","thinking":' + thinking + b',"signature":' + signature + b"}"
            found.append((block_json, NULL))
        elif block.type == "redacted_thinking":
            found.append((b'{"type":"redacted_thinking","data":' + bytes(block.data) + b"}", NULL))
    return found


def _call(call: _ToolCall, place: str) -> Block:
    if call.function is None:
        raise refused(f"{place}.type", f"'{place}' is not a function call, and no other can be carried.")
    arguments = call.function.arguments.strip() or "{}"
    try:
        _decode_object(arguments)
    except (msgspec.DecodeError, RecursionError):
        param = f"{place}.function.arguments"
        raise refused(param, f"'{param}' is not a JSON object.", "invalid_value") from None
    name = string(call.function.name, f"{place}.function.name")
    head = b'{"type":"tool_use","id":' + _encode(_id(call.id)) + b',"name":' + name
    return head + b',"input":' + arguments.encode() + b"}", call.cache_control


def _id(call_id: str) -> str:
    return _NOT_IN_IDS.sub("_", call_id)
