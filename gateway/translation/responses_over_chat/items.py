"""The conversation: input items of the Responses API as messages of chat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from gateway.translation.fields import (
    NULL,
    Refusal,
    as_string,
    each,
    is_string,
    joined,
    missing,
    read,
    string,
    text,
    unsupported,
)
from gateway.translation.responses_over_chat.thinking import opened
from gateway.translation.responses_over_chat.tools import TOOL_SEARCH, Tool, Toolbox

T = TypeVar("T")
_SEND_ITEMS = "its answers are not stored, so send the items themselves, and 'store': false so that your SDK does"
_PARAGRAPH = b"\\n\\n"
_TEXTS = frozenset(("input_text", "output_text", "text"))
_ORIGINAL, _HIGH = text("original"), text("high")  # the finest details: of this API, and of chat
_IMAGES_FOLLOW = text("The tool's images follow.")


class _Text(msgspec.Struct, gc=False):
    text: msgspec.Raw = NULL


class _Part(msgspec.Struct, gc=False):
    """A content part of the client's, of any type."""

    type: str = ""
    text: msgspec.Raw = NULL
    refusal: msgspec.Raw = NULL
    image_url: msgspec.Raw = NULL
    detail: msgspec.Raw = NULL
    file_id: msgspec.Raw = NULL
    file_url: msgspec.Raw = NULL
    file_data: msgspec.Raw = NULL
    filename: msgspec.Raw = NULL
    input_audio: msgspec.Raw = NULL


class Item(msgspec.Struct, gc=False):
    """An input item of the client's, of any type; a message needs none."""

    type: str | None = None
    role: str | None = None
    content: msgspec.Raw = NULL
    call_id: str | None = None
    name: str = ""
    namespace: str | None = None
    arguments: msgspec.Raw = NULL
    input: msgspec.Raw = NULL
    output: msgspec.Raw = NULL
    summary: msgspec.Raw = NULL
    encrypted_content: msgspec.Raw = NULL
    tools: list[Tool] = []


class _ChatPart(msgspec.Struct, omit_defaults=True):
    type: str
    text: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    image_url: dict[str, msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    file: dict[str, msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    input_audio: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _ChatCall(msgspec.Struct):
    id: str
    type: str
    function: dict[str, msgspec.Raw]


class _Message(msgspec.Struct, omit_defaults=True):
    role: str
    content: msgspec.Raw | list[_ChatPart] | msgspec.UnsetType = msgspec.UNSET
    refusal: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    reasoning_content: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    thinking_blocks: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    tool_calls: list[_ChatCall] | msgspec.UnsetType = msgspec.UNSET
    tool_call_id: str | msgspec.UnsetType = msgspec.UNSET


class _Turn(msgspec.Struct):
    """What the assistant says in one message: pieces, joined once, so that a long turn costs what its length is."""

    texts: list[msgspec.Raw] = []
    refusals: list[msgspec.Raw] = []
    thoughts: list[msgspec.Raw] = []
    blocks: list[msgspec.Raw] = []
    calls: list[_ChatCall] = []

    def message(self) -> _Message:
        return _Message(
            "assistant",
            content=joined(self.texts, _PARAGRAPH) if self.texts else NULL,
            refusal=joined(self.refusals, _PARAGRAPH) if self.refusals else msgspec.UNSET,
            reasoning_content=joined(self.thoughts, _PARAGRAPH) if self.thoughts else msgspec.UNSET,
            thinking_blocks=self.blocks or msgspec.UNSET,
            tool_calls=self.calls or msgspec.UNSET,
        )


#: What ``input`` is where it is left out.
NO_ITEMS = msgspec.Raw(b"[]")
_decode_items = msgspec.json.Decoder(list[Item]).decode
_decode_parts = msgspec.json.Decoder(list[_Part]).decode
_decode_texts = msgspec.json.Decoder(list[_Text]).decode


def read_items(raw: msgspec.Raw) -> Sequence[Item]:
    """The items of ``input``; a bare string is what the user says."""
    return [Item(role="user", content=raw)] if is_string(raw) else read(_decode_items, raw, "input")


class Conversation:
    """Messages of chat, grown item by item."""

    def __init__(self, toolbox: Toolbox, *, system_role: str, merges_system: bool, is_for_messages: bool) -> None:
        """``merges_system``: system messages at the start become one, which many templates of open models need.

        ``is_for_messages``: the upstream behind the hub speaks Messages, which has thoughts, and images of tools.
        """
        self._toolbox = toolbox
        self._system_role = system_role
        self._merges_system = merges_system
        self._is_for_messages = is_for_messages
        self._leading: list[msgspec.Raw] = []  # what the one system message at the start is made of
        self._messages: list[_Message] = []
        self._turn: _Turn | None = None  # the assistant's, while items may still join it
        self._images: list[_ChatPart] = []  # of tool outputs, which chat carries in a user message behind them

    def messages(self) -> msgspec.Raw:
        """All of them as JSON. Raises Refusal if there are none."""
        self._end_turn()
        self._show_images()
        leading = [_Message(self._system_role, content=joined(self._leading, _PARAGRAPH))] if self._leading else []
        if not (leading or self._messages):
            raise Refusal("input", "{} is empty.", "invalid_value")
        return msgspec.Raw(msgspec.json.encode(leading + self._messages))

    def instruct(self, content: msgspec.Raw) -> None:
        """Say something as the system."""
        self._end_turn()
        self._show_images()
        if self._merges_system and not self._messages:
            self._leading.append(content)
        else:
            self._messages.append(_Message(self._system_role, content=content))

    def add(self, item: Item) -> None:
        """Take one item. Raises Refusal for one that chat cannot carry."""
        match item.type or ("message" if item.role else "item_reference"):
            case "message":
                self._message(item)
            case "function_call" | "custom_tool_call" | "tool_search_call":
                self._call(item)
            case "function_call_output" | "custom_tool_call_output" | "tool_search_output":
                self._output(item)
            case "reasoning":
                if self._is_for_messages:
                    self._reasoning(item)
            case "additional_tools" | "web_search_call":
                pass  # tools are read before; what a search found is in the message that follows it
            case "item_reference":
                raise unsupported("", _SEND_ITEMS)
            case other:
                raise unsupported("type", f"its upstream cannot be given '{other}' items")

    def _message(self, item: Item) -> None:
        match item.role:
            case "user":
                self._end_turn()
                self._show_images()
                self._messages.append(_Message("user", content=_content(item.content, "content")))
            case "system" | "developer":
                self.instruct(_plain_text(item.content))
            case "assistant":
                self._say(item.content)
            case _:
                raise Refusal(
                    "role", "Invalid value for {}: it must be user, assistant, system or developer.", "invalid_value"
                )

    def _assistant(self) -> _Turn:
        self._show_images()
        if self._turn is None:
            self._turn = _Turn()
        return self._turn

    def _say(self, content: msgspec.Raw) -> None:
        said, refused = (content, []) if is_string(content) else _said(content)
        turn = self._turn
        if turn is not None and not turn.calls and (turn.texts or turn.refusals):
            self._end_turn()  # another message of the assistant's
        turn = self._assistant()
        if refused:
            turn.refusals.append(joined(refused))
        if said is not None:
            turn.texts.append(said)

    def _call(self, item: Item) -> None:
        name, arguments = self._toolbox.name_of(item.namespace, item.name), item.arguments
        if item.type == "custom_tool_call":
            arguments = as_string(msgspec.Raw(b'{"input":' + bytes(string(item.input, "input")) + b"}"))
        elif item.type == "tool_search_call":
            name = TOOL_SEARCH
            arguments = arguments if is_string(arguments) else as_string(arguments)
        function = {"name": text(name), "arguments": string(arguments, "arguments")}
        call = _ChatCall(_call_id(item), "function", function)
        self._assistant().calls.append(call)

    def _output(self, item: Item) -> None:
        call_id = _call_id(item)
        self._end_turn()
        if item.type == "tool_search_output":
            names = [self._toolbox.name_of(*one) for one in _names(item.tools)]
            said: msgspec.Raw | list[_ChatPart] = text(
                "These tools can be called now: " + ", ".join(names) if names else "No tool was found."
            )
        elif is_string(item.output):
            said = item.output
        else:
            said = self._listed_output(item.output)
        self._messages.append(_Message("tool", content=said, tool_call_id=call_id))

    def _listed_output(self, output: msgspec.Raw) -> msgspec.Raw | list[_ChatPart]:
        parts = _content(output, "output")
        if self._is_for_messages or not isinstance(parts, list):
            return parts
        texts = [part.text for part in parts if isinstance(part.text, msgspec.Raw)]
        others = [part for part in parts if part.text is msgspec.UNSET]
        self._images += others
        return joined([*texts, _IMAGES_FOLLOW] if others else texts, b"\\n")

    def _reasoning(self, item: Item) -> None:
        turn = self._turn
        if turn is not None and not turn.calls and turn.texts:
            self._end_turn()
        blocks = opened(item.encrypted_content)
        said = [] if item.summary == NULL else read(_decode_texts, item.summary, "summary")
        if item.content != NULL:
            said += read(_decode_texts, item.content, "content")
        texts = [one.text for one in said if is_string(one.text)]
        if not (blocks or texts):
            return
        turn = self._assistant()
        turn.blocks += blocks
        turn.thoughts += texts

    def _end_turn(self) -> None:
        if self._turn is not None:
            self._messages.append(self._turn.message())
            self._turn = None

    def _show_images(self) -> None:
        if self._images:
            self._messages.append(_Message("user", content=self._images))
            self._images = []


def _call_id(item: Item) -> str:
    if not item.call_id:
        raise missing("call_id")
    return item.call_id


def _names(tools: Sequence[Tool]) -> list[tuple[str | None, str]]:
    return [
        pair
        for tool in tools
        for pair in ([(tool.name, one.name) for one in tool.tools] if tool.type == "namespace" else [(None, tool.name)])
    ]


def _each(translate: Callable[[_Part], T], content: msgspec.Raw, field: str) -> list[T]:
    """All parts of a field, translated."""
    return [] if content == NULL else each(translate, read(_decode_parts, content, field), field)


def _content(content: msgspec.Raw, field: str) -> msgspec.Raw | list[_ChatPart]:
    """What a user or a tool says: one text as a string, which every server understands, else a list of parts."""
    if is_string(content):
        return content
    parts = _each(_chat_part, content, field)
    if not parts:
        return text("")
    only = parts[0].text if len(parts) == 1 else msgspec.UNSET
    return only if isinstance(only, msgspec.Raw) else parts


def _chat_part(part: _Part) -> _ChatPart:
    if part.type in _TEXTS:
        return _ChatPart("text", text=string(part.text, "text"))
    for name in ("file_id", "file_url"):
        if getattr(part, name) != NULL:
            raise unsupported(name, "only data in the request itself reaches its upstream")
    match part.type:
        case "input_image":
            image = {"url": string(part.image_url, "image_url")}
            if part.detail != NULL:
                image["detail"] = _HIGH if part.detail == _ORIGINAL else part.detail
            return _ChatPart("image_url", image_url=image)
        case "input_file":
            file = {"file_data": string(part.file_data, "file_data")}
            if part.filename != NULL:
                file["filename"] = part.filename
            return _ChatPart("file", file=file)
        case "input_audio":
            return _ChatPart("input_audio", input_audio=part.input_audio)
        case other:
            raise unsupported("type", f"its upstream cannot be given '{other}' parts")


def _plain_text(content: msgspec.Raw) -> msgspec.Raw:
    """What the system says, which is text alone."""
    return content if is_string(content) else joined(_each(_text_of, content, "content"), _PARAGRAPH)


def _text_of(part: _Part) -> msgspec.Raw:
    if part.type not in _TEXTS:
        raise unsupported("type", f"neither the system nor the assistant can say '{part.type}' parts")
    return string(part.text, "text")


def _said(content: msgspec.Raw) -> tuple[msgspec.Raw | None, list[msgspec.Raw]]:
    """The text of the assistant, if any, and its refusals."""
    texts: list[msgspec.Raw] = []
    refusals: list[msgspec.Raw] = []

    def take(part: _Part) -> None:
        if part.type == "refusal":
            refusals.append(string(part.refusal, "refusal"))
        else:
            texts.append(_text_of(part))

    _each(take, content, "content")
    return (joined(texts) if texts or not refusals else None), refusals
