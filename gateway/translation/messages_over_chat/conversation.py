"""The conversation of a Messages request, as chat messages.

Texts and images in blocks are copied as bytes: none of these strings is decoded on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from gateway.errors import BadRequest
from gateway.translation.messages_over_chat.content import JOINT, Content, encode, inner, inner_text, refuse
from gateway.translation.messages_over_chat.names import chat_name_json

T = TypeVar("T")
_ABSENT, _NOTHING = msgspec.Raw(), msgspec.Raw(b'""')
# Per request another value: it would spoil every prefix cache behind chat, and says nothing to a model.
_BILLING_HEADER = b"x-anthropic-billing-header"


class _Citations(msgspec.Struct):
    enabled: bool = False


class _Source(msgspec.Struct):
    type: str = ""
    media_type: str | None = None
    data: msgspec.Raw = _ABSENT
    url: msgspec.Raw = _ABSENT
    content: msgspec.Raw = _ABSENT


class _Block(msgspec.Struct, gc=False):
    """Any block, as far as chat can say it. ``source`` is an object for media and a string for search results."""

    type: str = ""
    text: msgspec.Raw = _ABSENT
    source: msgspec.Raw = _ABSENT
    title: str | None = None
    context: str | None = None
    citations: msgspec.Raw = _ABSENT
    id: msgspec.Raw = _NOTHING
    name: msgspec.Raw = _NOTHING
    input: msgspec.Raw = _ABSENT
    tool_use_id: msgspec.Raw = _NOTHING
    tool_name: str = ""
    content: msgspec.Raw = _ABSENT
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


def read(decode: Callable[[bytes | msgspec.Raw], T], raw: bytes | msgspec.Raw, param: str) -> T:
    """Decode a part of the client's body. Raises BadRequest naming the field that is not what it should be."""
    try:
        return decode(raw)
    except msgspec.ValidationError as exc:
        expected, _, place = str(exc).partition(" - at `$")
        where = param + place.rstrip("`").replace("[", ".").replace("]", "")
        raise BadRequest(f"{where}: {expected}.", param=where, code="invalid_type") from None
    except msgspec.DecodeError:  # nothing is there: what is there was read as JSON before
        raise BadRequest(f"{param}: Field required.", param=param, code="missing_required_parameter") from None
    except RecursionError:
        raise BadRequest(f"{param}: Nested too deeply.", param=param, code="invalid_value") from None


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
        self._number = 0  # of the message at hand

    def add_system(self, raw: msgspec.Raw) -> None:
        """The system prompt."""
        said = Content()
        self._add_system_text(said, read(_system, raw, "system"), "system")
        if said:
            self._done += (b',{"role":"system","content":', said.encoded(), b"}")

    def add(self, raw: msgspec.Raw) -> None:
        """All messages of the request. Raises BadRequest naming what chat cannot say."""
        messages = read(_messages, raw, "messages")
        last_user = max((n for n, message in enumerate(messages) if message.role == "user"), default=-1)
        for n, message in enumerate(messages):
            is_system = message.role == "system"
            if is_system and message.clear_at == "next_user_message" and n < last_user:
                continue
            role = "user" if is_system and not self._takes_later_system else message.role
            if role != self._role:
                self._close_turn()
                self._role = role
            self._number = n
            if is_system:
                self._add_later_system(message.content)
            elif role in {"user", "assistant"}:
                self._add_turn(message.content)
            else:
                param = f"messages.{n}.role"
                raise BadRequest(f"{param}: Expected user, assistant or system.", param=param, code="invalid_value")
        self._close_turn()

    def unfinished(self) -> str | None:
        """The last message, if it is the assistant's: the answer is to go on from there."""
        return f"messages.{self._number}" if self._last == "assistant" else None

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
        self._add_system_text(said, content, f"messages.{self._number}.content")
        if said and self._takes_later_system:
            self._said.add_text(JOINT.join(said.texts))
        elif said:
            self._said.add_text(rb"<system-reminder>\n%b\n</system-reminder>" % JOINT.join(said.texts))

    def _add_system_text(self, said: Content, content: list[_Block] | str, param: str) -> None:
        if isinstance(content, str):
            said.add_text(inner(content))
            return
        for m, block in enumerate(content):
            if block.type != "text":
                refuse(f"{param}.{m}.type", f"A block of type '{block.type}' in a system prompt")
            text = inner_text(block.text, f"{param}.{m}.text")
            if not text.startswith(_BILLING_HEADER):
                said.add_text(text)

    def _add_turn(self, content: list[_Block] | str) -> None:
        said, is_user = self._said, self._role == "user"
        if isinstance(content, str):
            said.add_text(inner(content))
            return
        for m, block in enumerate(content):
            kind = block.type
            if kind == "text" and (text := bytes(block.text))[:1] == b'"':
                said.add_text(text[1:-1])
            elif kind == "tool_result" and is_user:
                self._add_result(block, m)
            elif kind == "tool_use" and not is_user:
                self._add_call(block, m)
            elif kind in _UNSAID or (kind == "server_tool_use" and bytes(block.name).startswith(b'"tool_search')):
                continue
            elif is_user or kind == "text":
                add_block(said, block, self._place(m))
            else:
                refuse(f"{self._place(m)}.type", f"A block of type '{kind}'")

    def _place(self, m: int) -> str:
        return f"messages.{self._number}.content.{m}"

    def _add_call(self, block: _Block, m: int) -> None:
        arguments = bytes(block.input) or b"{}"
        if arguments[:1] != b"{":
            param = f"{self._place(m)}.input"
            raise BadRequest(f"{param}: Expected an object.", param=param, code="invalid_type")
        self._calls += (
            b',{"id":' if self._calls else b'[{"id":',
            bytes(block.id),
            b',"type":"function","function":{"name":',
            chat_name_json(bytes(block.name)),
            b',"arguments":',
            encode(arguments.decode()),
            b"}}",
        )

    def _add_result(self, block: _Block, m: int) -> None:
        """A tool message. What is no text goes into the user message behind it: tool messages carry text only."""
        content = bytes(block.content)
        if content[:1] != b'"':
            texts: list[bytes] = []
            if content and content != b"null":
                where = f"{self._place(m)}.content"
                for k, item in enumerate(read(_blocks, content, where)):
                    texts += self._result_texts(item, where, k)
            content = b'"' + JOINT.join(texts) + b'"'
        if block.is_error:
            content = b'"Error: ' + content[1:]
        self._results += (b',{"role":"tool","tool_call_id":', bytes(block.tool_use_id), b',"content":', content, b"}")

    def _result_texts(self, item: _Block, where: str, k: int) -> list[bytes]:
        if item.type == "text" and (text := bytes(item.text))[:1] == b'"':
            return [text[1:-1]]
        if item.type == "tool_reference":
            return [inner(f"[The tool {item.tool_name} is available.]")]
        one = Content()
        add_block(one, item, f"{where}.{k}")
        for part in one.media:
            one.add_text(b"[See the next user message for this %b.]" % item.type.encode())
            self._said.add_part(part)
        return one.texts


def add_block(said: Content, block: _Block, where: str) -> None:
    """Add a block that a user may say. Raises BadRequest for one that chat has no part for."""
    match block.type:
        case "text":
            said.add_text(inner_text(block.text, f"{where}.text"))
        case "image":
            said.add_part(_image(read(_source, block.source, f"{where}.source"), where))
        case "document":
            _add_document(said, block, where)
        case "search_result":
            said.add_text(inner(f"{block.title or ''}\n") + inner_text(block.source, f"{where}.source"))
            for m, item in enumerate(read(_blocks, block.content, f"{where}.content")):
                said.add_text(inner_text(item.text, f"{where}.content.{m}.text"))
        case _:
            refuse(f"{where}.type", f"A block of type '{block.type}'")


def _data_url(source: _Source, media_type: str, where: str) -> bytes:
    """The bytes of a data URL as a JSON string."""
    data = inner_text(source.data, f"{where}.source.data")
    return b'"data:' + inner(source.media_type or media_type) + b";base64," + data + b'"'


def _image(source: _Source, where: str) -> bytes:
    if source.type == "base64":
        url = _data_url(source, "image/png", where)
    elif source.type == "url":
        url = b'"' + inner_text(source.url, f"{where}.source.url") + b'"'
    else:
        refuse(f"{where}.source.type", f"An image by '{source.type}'")
    return b'{"type":"image_url","image_url":{"url":' + url + b"}}"


def _add_document(said: Content, block: _Block, where: str) -> None:
    """A PDF as a file, any other document as the text that it is, under its title and context."""
    asked = read(_citations, bytes(block.citations) or b"null", f"{where}.citations")
    if isinstance(asked, _Citations) and asked.enabled:
        refuse(f"{where}.citations", "Citations")
    source = read(_source, block.source, f"{where}.source")
    if source.type == "base64":
        name = encode(block.title or "document.pdf")
        data = _data_url(source, "application/pdf", where)
        said.add_text(inner(block.context or ""))
        said.add_part(b'{"type":"file","file":{"filename":' + name + b',"file_data":' + data + b"}}")
        return
    said.add_text(inner("\n".join(filter(None, (block.title, block.context)))))
    if source.type == "text":
        said.add_text(inner_text(source.data, f"{where}.source.data"))
    elif source.type == "content" and bytes(source.content)[:1] != b"[":
        said.add_text(inner_text(source.content, f"{where}.source.content"))
    elif source.type == "content":
        for m, item in enumerate(read(_blocks, source.content, f"{where}.source.content")):
            add_block(said, item, f"{where}.source.content.{m}")
    else:
        refuse(f"{where}.source.type", f"A document by '{source.type}'")
