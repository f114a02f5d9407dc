"""The conversation of a Messages request, as chat messages.

Texts and images in blocks are copied as bytes: none of these strings is decoded on the way.
"""

from __future__ import annotations

from functools import partial
from itertools import chain

import msgspec

from gateway.translation.fields import NULL, Refusal, each, read, unsupported, wrong_type
from gateway.translation.messages_over_chat.content import JOINT, Content, encode, inner, inner_text
from gateway.translation.messages_over_chat.names import chat_name_json

_NOTHING = msgspec.Raw(b'""')
# Per request another value: it would spoil every prefix cache behind chat, and says nothing to a model.
_BILLING_HEADER = b"x-anthropic-billing-header"


class _Citations(msgspec.Struct):
    enabled: bool = False


class _Source(msgspec.Struct):
    type: str = ""
    media_type: str | None = None
    data: msgspec.Raw = NULL
    url: msgspec.Raw = NULL
    content: msgspec.Raw = NULL


class _Block(msgspec.Struct, gc=False):
    """Any block, as far as chat can say it. ``source`` is an object for media and a string for search results."""

    type: str = ""
    text: msgspec.Raw = NULL
    source: msgspec.Raw = NULL
    title: str | None = None
    context: str | None = None
    citations: msgspec.Raw = NULL
    id: msgspec.Raw = _NOTHING
    name: msgspec.Raw = _NOTHING
    input: msgspec.Raw = NULL
    tool_use_id: msgspec.Raw = _NOTHING
    tool_name: str = ""
    content: msgspec.Raw = NULL
    is_error: bool | None = None


class _Message(msgspec.Struct, gc=False):
    role: str
    content: list[_Block] | str
    clear_at: str | None = None


_messages = msgspec.json.Decoder(list[_Message]).decode
_system = msgspec.json.Decoder(list[_Block] | str).decode
_blocks = msgspec.json.Decoder(list[_Block]).decode
_source = msgspec.json.Decoder(_Source).decode
_citations = msgspec.json.Decoder(_Citations | list[msgspec.Raw] | None).decode

# History that tells a chat model nothing that it could use.
_UNSAID = frozenset({"thinking", "redacted_thinking", "fallback", "tool_search_tool_result"})


class Conversation:
    """Gathers chat messages. Consecutive messages of one role are one turn, as they are in Messages."""

    def __init__(self, *, takes_later_system: bool) -> None:
        """``takes_later_system``: the upstream takes system messages anywhere, not only in front."""
        self._takes_later_system = takes_later_system
        self._done: list[bytes] = []  # pieces of JSON; each message begins with a comma
        self._role = ""  # of the turn at hand
        self._said = Content()
        self._calls: list[bytes] = []  # pieces of an array that is still open
        self._results: list[bytes] = []  # pieces, as in _done
        self._last = ""  # the role of the last chat message
        self._count = 0  # of the client's messages

    def add_system(self, raw: msgspec.Raw) -> None:
        """The system prompt."""
        said = Content()
        _add_system_text(said, read(_system, raw, "system"), "system")
        if said:
            self._done += (b',{"role":"system","content":', said.encoded(), b"}")

    def add(self, raw: msgspec.Raw) -> None:
        """All messages of the request. Raises Refusal naming what chat cannot say."""
        messages = read(_messages, raw, "messages")
        last_user = max((n for n, message in enumerate(messages) if message.role == "user"), default=-1)
        for n, message in enumerate(messages):
            if message.role == "system" and message.clear_at == "next_user_message" and n < last_user:
                continue
            try:
                self._take(message)
            except Refusal as refusal:
                raise refusal.within(f"messages.{n}") from None
        self._close_turn()
        self._count = len(messages)

    def _take(self, message: _Message) -> None:
        is_system = message.role == "system"
        role = "user" if is_system and not self._takes_later_system else message.role
        if role != self._role:
            self._close_turn()
            self._role = role
        if is_system:
            self._add_later_system(message.content)
        elif role not in {"user", "assistant"}:
            raise Refusal("role", "Invalid value for {}: expected user, assistant or system.", "invalid_value")
        elif isinstance(message.content, str):
            self._said.add_text(inner(message.content))
        else:
            each(self._add_block, message.content, "content")

    def unfinished(self) -> str | None:
        """The last message, if it is the assistant's: the answer is to go on from there."""
        return f"messages.{self._count - 1}" if self._last == "assistant" else None

    def encoded(self) -> bytes:
        """The array of chat messages as JSON."""
        first, *rest = self._done or [b","]
        return b"".join((b"[", first[1:], *rest, b"]"))

    def _close_turn(self) -> None:
        said, done = self._said, self._done
        is_silent = not (said.texts or said.media)
        if self._role == "user":
            done += self._results
            if not (is_silent and self._results):
                done += (b',{"role":"user","content":', said.encoded(), b"}")
            self._results = []
        elif self._calls:
            content = b"null" if is_silent else said.encoded()
            done += (b',{"role":"assistant","content":', content, b',"tool_calls":', *self._calls, b"]}")
            self._calls = []
        elif is_silent:
            return
        else:
            done += (b',{"role":"', self._role.encode(), b'","content":', said.encoded(), b"}")
        self._last = self._role
        if not is_silent:
            self._said = Content()

    def _add_later_system(self, content: list[_Block] | str) -> None:
        """A system message between turns, or where templates refuse it there, what Claude Code writes in its place."""
        said = Content()
        _add_system_text(said, content, "content")
        if said and self._takes_later_system:
            self._said.add_text(JOINT.join(said.texts))
        elif said:
            self._said.add_text(rb"<system-reminder>\n%b\n</system-reminder>" % JOINT.join(said.texts))

    def _add_block(self, block: _Block) -> None:
        kind, is_user = block.type, self._role == "user"
        if kind == "text":
            self._said.add_text(inner_text(block.text, "text"))
        elif kind == "tool_result" and is_user:
            self._add_result(block)
        elif kind == "tool_use" and not is_user:
            self._add_call(block)
        elif kind in _UNSAID or (kind == "server_tool_use" and bytes(block.name).startswith(b'"tool_search')):
            return
        elif is_user:
            add_block(self._said, block)
        else:
            raise _no_block(kind)

    def _add_call(self, block: _Block) -> None:
        arguments = b"{}" if block.input == NULL else bytes(block.input)
        if arguments[:1] != b"{":
            raise wrong_type("input", "an object")
        self._calls += (
            b',{"id":' if self._calls else b'[{"id":',
            bytes(block.id),
            b',"type":"function","function":{"name":',
            chat_name_json(bytes(block.name)),
            b',"arguments":',
            encode(arguments.decode()),
            b"}}",
        )

    def _add_result(self, block: _Block) -> None:
        """A tool message. What is no text goes into the user message behind it: tool messages carry text only."""
        content = bytes(block.content)
        if content[:1] != b'"':
            items = [] if content == b"null" else read(_blocks, block.content, "content")
            content = b'"' + JOINT.join(chain.from_iterable(each(self._result_texts, items, "content"))) + b'"'
        if block.is_error:
            content = b'"Error: ' + content[1:]
        self._results += (b',{"role":"tool","tool_call_id":', bytes(block.tool_use_id), b',"content":', content, b"}")

    def _result_texts(self, item: _Block) -> list[bytes]:
        if item.type == "text":
            return [inner_text(item.text, "text")]
        if item.type == "tool_reference":
            return [inner(f"[The tool {item.tool_name} is available.]")]
        one = Content()
        add_block(one, item)
        for part in one.media:
            one.add_text(b"[See the next user message for this %b.]" % item.type.encode())
            self._said.add_part(part)
        return one.texts


def _no_block(kind: str) -> Refusal:
    return unsupported("type", f"its upstream cannot be given '{kind}' blocks")


def _add_system_text(said: Content, content: list[_Block] | str, place: str) -> None:
    texts = [inner(content)] if isinstance(content, str) else each(_system_text, content, place)
    for text in texts:
        if not text.startswith(_BILLING_HEADER):
            said.add_text(text)


def _system_text(block: _Block) -> bytes:
    if block.type != "text":
        raise _no_block(block.type)
    return inner_text(block.text, "text")


def add_block(said: Content, block: _Block) -> None:
    """Add a block that a user may say. Raises Refusal for one that chat has no part for."""
    match block.type:
        case "text":
            said.add_text(inner_text(block.text, "text"))
        case "image":
            said.add_part(_image(read(_source, block.source, "source")))
        case "document":
            _add_document(said, block)
        case "search_result":
            said.add_text(inner(f"{block.title or ''}\n") + inner_text(block.source, "source"))
            for text in each(_found_text, read(_blocks, block.content, "content"), "content"):
                said.add_text(text)
        case kind:
            raise _no_block(kind)


def _found_text(item: _Block) -> bytes:
    return inner_text(item.text, "text")


def _add_content(said: Content, block: _Block) -> None:
    """Add a block of a document's content: no further documents, each of which would be read once for all around it."""
    if block.type not in {"text", "image"}:
        raise _no_block(block.type)
    add_block(said, block)


def _data_url(source: _Source, media_type: str) -> bytes:
    """The bytes of a data URL as a JSON string."""
    data = inner_text(source.data, "source.data")
    return b'"data:' + inner(source.media_type or media_type) + b";base64," + data + b'"'


def _image(source: _Source) -> bytes:
    if source.type == "base64":
        url = _data_url(source, "image/png")
    elif source.type == "url":
        url = b'"' + inner_text(source.url, "source.url") + b'"'
    else:
        raise unsupported("source.type", f"its upstream cannot be given images by '{source.type}'")
    return b'{"type":"image_url","image_url":{"url":' + url + b"}}"


def _add_document(said: Content, block: _Block) -> None:
    """A PDF as a file, any other document as the text that it is, under its title and context."""
    asked = read(_citations, block.citations, "citations")
    if isinstance(asked, _Citations) and asked.enabled:
        raise unsupported("citations", "its upstream cites no documents")
    source = read(_source, block.source, "source")
    if source.type == "base64":
        name = encode(block.title or "document.pdf")
        data = _data_url(source, "application/pdf")
        said.add_text(inner(block.context or ""))
        said.add_part(b'{"type":"file","file":{"filename":' + name + b',"file_data":' + data + b"}}")
        return
    said.add_text(inner("\n".join(filter(None, (block.title, block.context)))))
    if source.type == "text":
        said.add_text(inner_text(source.data, "source.data"))
    elif source.type == "content" and bytes(source.content)[:1] != b"[":
        said.add_text(inner_text(source.content, "source.content"))
    elif source.type == "content":
        place = "source.content"
        each(partial(_add_content, said), read(_blocks, source.content, place), place)
    else:
        raise unsupported("source.type", f"its upstream cannot be given documents by '{source.type}'")
