"""The parts of a message's content as Anthropic's blocks: texts, images, documents."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable

import msgspec

from gateway.translation.fields import NULL, Refusal, each, missing, read, string

#: A block of Anthropic's as pieces of JSON, the last of which closes it: what is long is copied once, at the end.
Block = tuple[bytes, ...]

_BLANK_BYTES_MAX = 64  # nobody sends more white space than that for a text
_SPACE = 0x20
_UNCLEAR = b'"\\'  # the end of the string, or an escape


_Say = Callable[[bytes], Block]  # how a text is put


class _ImageUrl(msgspec.Struct):
    url: msgspec.Raw


class _File(msgspec.Struct):
    file_data: msgspec.Raw = NULL
    file_id: msgspec.Raw = NULL
    filename: msgspec.Raw = NULL


class _Part(msgspec.Struct):
    type: str
    text: msgspec.Raw = NULL
    refusal: msgspec.Raw = NULL
    image_url: _ImageUrl | None = None
    file: _File | None = None
    cache_control: msgspec.Raw = NULL


_decode_parts = msgspec.json.Decoder(list[_Part]).decode
_encode = msgspec.json.encode


def text_block(text: bytes) -> Block:
    """The block of a text that is JSON already."""
    return (b'{"type":"text","text":', text, b"}")


def add_array(blocks: Iterable[Block], pieces: list[bytes]) -> None:
    """Add the pieces of an array of blocks, of which there is at least one."""
    joint = b"["
    for block in blocks:
        pieces.append(joint)
        pieces += block
        joint = b","
    pieces.append(b"]")


def marked(block: Block, mark: msgspec.Raw) -> Block:
    """The block with the cache mark that the client put on it, if it did."""
    return block if mark == NULL else (*block[:-1], b',"cache_control":', bytes(mark), b"}")


def is_blank(text: bytes) -> bool:
    """Whether the JSON string holds nothing but white space, which Anthropic refuses in text blocks."""
    first = text[1]
    if (first > _SPACE and first not in _UNCLEAR) or len(text) > _BLANK_BYTES_MAX:
        return False
    return not msgspec.json.decode(text, type=str).strip()


def text_blocks(content: msgspec.Raw, mark: msgspec.Raw) -> list[Block]:
    """The blocks of a message that holds nothing but text; blank ones are left out.

    ``mark`` is the cache mark of the whole message: it stands behind the last of them.
    """
    return _blocks(content, mark, text_block, _text_of)


def late_instructions(content: msgspec.Raw, mark: msgspec.Raw) -> list[Block]:
    """The same for instructions that stand among what users say."""
    return _blocks(content, mark, _late_instruction, _text_of)


def user_blocks(content: msgspec.Raw, mark: msgspec.Raw) -> list[Block]:
    """The blocks of what a user or a tool says."""
    return _blocks(content, mark, text_block, _other_block)


def _blocks(
    content: msgspec.Raw,
    mark: msgspec.Raw,
    say: _Say,
    translate: Callable[[_Part, _Say], Block],
) -> list[Block]:
    data = bytes(content)
    if data[:1] == b'"':
        return [] if is_blank(data) else [marked(say(data), mark)]
    found: list[Block] = []
    is_marked = False  # the last of them
    parts = [] if content == NULL else read(_decode_parts, content, "content")
    for part, block in zip(parts, each(lambda part: translate(part, say), parts, "content"), strict=True):
        if block:
            found.append(block)
            is_marked = False
        if part.cache_control != NULL and found and not is_marked:
            found[-1] = marked(found[-1], part.cache_control)
            is_marked = True
    if found and not is_marked:
        found[-1] = marked(found[-1], mark)
    return found


def _late_instruction(text: bytes) -> Block:
    return (b'{"type":"text","text":"<system-reminder>\\n', text[1:-1], b'\\n</system-reminder>"', b"}")


def _text_of(part: _Part, say: _Say) -> Block:
    match part.type:
        case "text":
            text = bytes(string(part.text, "text"))
        case "refusal":
            text = bytes(string(part.refusal, "refusal"))
        case kind:
            raise Refusal("type", f"{{}}: a part of type '{kind[:60]}' is not for this role.")
    return () if is_blank(text) else say(text)


def _other_block(part: _Part, say: _Say) -> Block:
    """The block of a part, none for a blank text."""
    match part.type:
        case "text":
            text = bytes(string(part.text, "text"))
            return () if is_blank(text) else say(text)
        case "image_url":
            if part.image_url is None:
                raise missing("image_url")
            return _image(bytes(string(part.image_url.url, "image_url.url")))
        case "file":
            if part.file is None:
                raise missing("file")
            return _document(part.file)
        case "input_audio":
            raise Refusal("", "{} is audio, which this model does not take.")
        case kind:
            raise Refusal("type", f"{{}}: a part of type '{kind[:60]}' cannot be carried to this model.")


def _image(url: bytes) -> Block:
    if not url.startswith(b'"data:'):
        return (b'{"type":"image","source":{"type":"url","url":', url, b"}", b"}")
    media_type, data = _data_url(url, "image_url.url")
    if media_type == b"image/jpg":
        media_type = b"image/jpeg"
    return (b'{"type":"image","source":', *_base64_source(media_type, data), b"}")


def _document(file: _File) -> Block:
    if file.file_data == NULL:
        place = "file.file_data" if file.file_id == NULL else "file.file_id"
        raise Refusal(place, "{}: a file must come itself, in 'file_data': this model knows no uploaded ones.")
    media_type, data = _data_url(bytes(string(file.file_data, "file.file_data")), "file.file_data")
    if media_type == b"application/pdf":
        source = _base64_source(media_type, data)
    elif media_type.startswith(b"text/"):
        source = (b'{"type":"text","media_type":"text/plain","data":', _plain_text(data), b"}")
    else:
        kind = media_type[:60].decode(errors="replace")
        raise Refusal("file.file_data", f"{{}} is of type {kind}; this model takes PDF and text.")
    title = () if file.filename == NULL else (b',"title":', bytes(string(file.filename, "file.filename")))
    return (b'{"type":"document","source":', *source, *title, b"}")


def _base64_source(media_type: bytes, data: bytes) -> Block:
    return (b'{"type":"base64","media_type":"', media_type, b'","data":"', data, b'"}')


def _data_url(url: bytes, place: str) -> tuple[bytes, bytes]:
    """Media type and base64 data of a data URL, each as it stands in the JSON string, without quotes."""
    head, found, data = url[1:-1].partition(b";base64,")
    if not found or not head.startswith(b"data:"):
        raise Refusal(place, "{} must be a data URL with base64 data.", "invalid_value")
    return head[5:].partition(b";")[0].replace(b"\\/", b"/").lower(), data


def _plain_text(data: bytes) -> bytes:
    try:
        return _encode(base64.b64decode(data.replace(b"\\/", b"/"), validate=True).decode())
    except (binascii.Error, UnicodeDecodeError):
        raise Refusal("file.file_data", "{} is not base64 of UTF-8 text.", "invalid_value") from None
