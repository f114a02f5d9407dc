"""The messages of a chat as Anthropic's turns: what each role becomes, and in which order its blocks stand.

Texts, arguments and data URLs are copied as the JSON bytes they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from gateway.translation.chat_over_messages.parts import (
    Block,
    add_array,
    is_blank,
    late_instructions,
    marked,
    text_block,
    text_blocks,
    user_blocks,
)
from gateway.translation.fields import NULL, Refusal, each, missing, read, string

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


class _Turn(msgspec.Struct):
    role: str
    results: list[Block] = []  # of tools: they stand before all else that the user says to the calls
    blocks: list[Block] = []
    has_calls: bool = False
    has_thinking_first: bool = False


class Conversation:
    """The system blocks and turns of one chat."""

    def __init__(self, messages: msgspec.Raw) -> None:
        """Raises Refusal naming what cannot be carried."""
        self._turns: list[_Turn] = []
        self._system: list[Block] = []
        each(self._take, read(_decode_messages, messages, "messages"), "messages")
        if not self._turns and self._system:
            # A prompt of instructions alone is a question: Anthropic answers users only.
            self._turns, self._system = [_Turn("user", blocks=self._system)], []

    def _take(self, message: _Message) -> None:
        match message.role:
            case "tool":
                self._return(message)
            case "assistant":
                self._say(message)
            case "user":
                self._add("user", user_blocks(message.content, message.cache_control))
            case "system" | "developer":
                self._instruct(message)
            case role:
                raise Refusal("role", f"Unsupported role '{role[:60]}' in {{}}.", "invalid_value")

    def instruct(self, text: str) -> None:
        """Add a text of our own behind the instructions of the client."""
        self._system.append(text_block(_encode(text)))

    @property
    def system(self) -> bytes | None:
        """The value of ``system``, where there is one."""
        if not self._system:
            return None
        pieces: list[bytes] = []
        add_array(self._system, pieces)
        return b"".join(pieces)

    @property
    def messages(self) -> bytes:
        """The value of ``messages``."""
        pieces: list[bytes] = []
        for turn in self._turns:
            pieces.append(b',{"role":"user","content":' if turn.role == "user" else b',{"role":"assistant","content":')
            add_array(turn.results + turn.blocks, pieces)
            pieces.append(b"}")
        if not pieces:
            return b"[]"
        pieces[0] = b"[" + pieces[0][1:]
        pieces.append(b"]")
        return b"".join(pieces)

    @property
    def can_go_on_thinking(self) -> bool:
        """Whether models that think by budget take it: their own last turn must not lack the thoughts of its calls."""
        last = next((turn for turn in reversed(self._turns) if turn.role == "assistant"), None)
        return last is None or (last is not self._turns[-1] and (last.has_thinking_first or not last.has_calls))

    def _turn(self, role: str) -> _Turn:
        """The turn at hand if it is that role's, else a new one: Anthropic's roles alternate."""
        if self._turns and (last := self._turns[-1]).role == role:
            return last
        turn = _Turn(role)
        self._turns.append(turn)
        return turn

    def _add(self, role: str, blocks: list[Block]) -> None:
        if blocks:
            self._turn(role).blocks += blocks

    def _instruct(self, message: _Message) -> None:
        if self._turns:
            # Up with the others it would change the prompt before all turns, and their cached prefix would be lost.
            self._add("user", late_instructions(message.content, message.cache_control))
        else:
            self._system += text_blocks(message.content, message.cache_control)

    def _say(self, message: _Message) -> None:
        if message.audio != NULL:
            raise Refusal("audio", "{} cannot be carried: this model has no audio.")
        if message.function_call != NULL:
            raise Refusal("function_call", "{} is not supported: use 'tool_calls'.")
        thoughts = [] if message.thinking_blocks == NULL else _thoughts(message.thinking_blocks)
        calls, mark = message.tool_calls, message.cache_control
        blocks = text_blocks(message.content, NULL if calls else mark)
        if message.refusal != NULL and not is_blank(refusal := bytes(string(message.refusal, "refusal"))):
            blocks.append(text_block(refusal))
        if calls:
            blocks += _calls(calls, mark)
        if not (thoughts or blocks):
            return
        turn = self._turn("assistant")
        turn.has_thinking_first |= bool(thoughts) and not turn.blocks
        turn.has_calls |= bool(calls)
        turn.blocks += thoughts
        turn.blocks += blocks

    def _return(self, message: _Message) -> None:
        if message.tool_call_id is None:
            raise missing("tool_call_id")
        content = bytes(message.content)
        pieces = [b'{"type":"tool_result","tool_use_id":', _id(message.tool_call_id)]
        if content[:1] == b'"':
            if not is_blank(content):
                pieces += (b',"content":', content)
        elif blocks := user_blocks(message.content, NULL):
            pieces.append(b',"content":')
            add_array(blocks, pieces)
        pieces.append(b"}")
        self._turn("user").results.append(marked(tuple(pieces), message.cache_control))


def _thoughts(raw: msgspec.Raw) -> list[Block]:
    """Blocks that Anthropic takes back: those that it signed or sealed. Others are somebody else's."""
    found: list[Block] = []
    for block in read(_decode_thinking, raw, "thinking_blocks"):
        if block.type == "thinking" and block.signature:
            thinking = b'""' if block.thinking == NULL else bytes(block.thinking)
            signature = _encode(block.signature)
            found.append((b'{"type":"thinking","thinking":', thinking, b',"signature":', signature, b"}"))
        elif block.type == "redacted_thinking":
            found.append((b'{"type":"redacted_thinking","data":', bytes(block.data), b"}"))
    return found


def _calls(calls: Sequence[_ToolCall], mark: msgspec.Raw) -> list[Block]:
    blocks = each(_call, calls, "tool_calls")
    if calls[-1].cache_control == NULL:
        blocks[-1] = marked(blocks[-1], mark)
    return blocks


def _call(call: _ToolCall) -> Block:
    function = call.function
    if function is None:
        raise Refusal("", "{} is not a function call, and no other can be carried.")
    arguments = function.arguments.strip() or "{}"
    try:
        _decode_object(arguments)
    except (msgspec.DecodeError, RecursionError):
        raise Refusal("function.arguments", "{} is not a JSON object.", "invalid_value") from None
    name = bytes(string(function.name, "function.name"))
    block = (b'{"type":"tool_use","id":', _id(call.id), b',"name":', name, b',"input":', arguments.encode(), b"}")
    return block if call.cache_control == NULL else marked(block, call.cache_control)


def _id(call_id: str) -> bytes:
    return _encode(_NOT_IN_IDS.sub("_", call_id))
