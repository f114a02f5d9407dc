"""The parts of a message's content as Anthropic's blocks: texts, images, documents."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence

import msgspec

from gateway.translation.chat_over_messages.fields import NULL, is_null, json_object, read, refused, string

#: A block of Anthropic's as JSON bytes, and the cache mark that the client put on it (null where it put none).
Block = tuple[bytes, msgspec.Raw]

_BLANK_BYTES_MAX = 64  # nobody sends more white space than that for a text


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


def text_block(text: bytes) -> bytes:
    """The block of a text that is JSON already."""
    return b'{"type":"text","text":' + text + b"}"


def array(blocks: Iterable[Block]) -> bytes:
    """The JSON of several blocks, each with its cache mark."""
    return b"[" + b",".join([block if is_null(mark) else _marked(block, mark) for block, mark in blocks]) + b"]"


def _marked(block: bytes, mark: msgspec.Raw) -> bytes:
    return block[:-1] + b',"cache_control":' + bytes(mark) + b"}"


def mark_last(blocks: list[Block], mark: msgspec.Raw) -> None:
    """Put a cache mark that stands behind the blocks on the last of them, unless it has its own."""
    if blocks and not is_null(mark) and is_null(blocks[-1][1]):
        blocks[-1] = (blocks[-1][0], mark)


def is_blank(text: bytes) -> bool:
    """Whether the JSON string holds nothing but white space, which Anthropic refuses in text blocks."""
    if len(text) > _BLANK_BYTES_MAX or (text[1:2] > b" " and text[1:2] not in b'\\"'):
        return False
    return not msgspec.json.decode(text, type=str).strip()


def texts(content: msgspec.Raw, place: str) -> list[Block]:
    """The texts, as JSON strings, of a message that holds nothing else; blank ones are left out."""
    if is_null(content):
        return []
    data = bytes(content)
    if data[:1] == b'"':
        return [] if is_blank(data) else [(data, NULL)]
    found: list[Block] = []
    for index, part in enumerate(_parts(content, place)):
        param = f"{place}.content.{index}"
        match part.type:
            case "text":
                text = string(part.text, f"{param}.text")
            case "refusal":
                text = string(part.refusal, f"{param}.refusal")
            case kind:
                raise refused(f"{param}.type", f"'{param}' is of type '{kind}', which this role cannot have.")
        if is_blank(text):
            mark_last(found, part.cache_control)
        else:
            found.append((text, part.cache_control))
    return found


def blocks_of(content: msgspec.Raw, place: str) -> list[Block]:
    """The blocks of what a user or a tool says."""
    if bytes(memoryview(content)[:1]) != b"[":
        return [(text_block(text), mark) for text, mark in texts(content, place)]
    blocks: list[Block] = []
    for index, part in enumerate(_parts(content, place)):
        if block := _block(part, f"{place}.content.{index}"):
            blocks.append((block, part.cache_control))
        else:
            mark_last(blocks, part.cache_control)
    return blocks


def _parts(content: msgspec.Raw, place: str) -> Sequence[_Part]:
    return read(_decode_parts, content, f"{place}.content")


def _block(part: _Part, param: str) -> bytes:
    """The block of a part, none for a blank text."""
    match part.type:
        case "text":
            text = string(part.text, f"{param}.text")
            return b"" if is_blank(text) else text_block(text)
        case "image_url" if part.image_url is not None:
            return _image(string(part.image_url.url, f"{param}.image_url.url"), f"{param}.image_url.url")
        case "file" if part.file is not None:
            return _document(part.file, f"{param}.file")
        case "input_audio":
            raise refused(param, f"'{param}' is audio, which this model does not take.")
        case kind:
            raise refused(f"{param}.type", f"'{param}' of type '{kind}' cannot be carried to this model.")


def _image(url: bytes, param: str) -> bytes:
    if not url.startswith(b'"data:'):
        source = b'{"type":"url","url":' + url + b"}"
    else:
        media_type, data = _data_url(url, param)
        source = _base64_source(b"image/jpeg" if media_type == b"image/jpg" else media_type, data)
    return b'{"type":"image","source":' + source + b"}"


def _document(file: _File, param: str) -> bytes:
    if is_null(file.file_data):
        name = f"{param}.file_id" if not is_null(file.file_id) else f"{param}.file_data"
        raise refused(name, f"'{param}' must hold the file itself in 'file_data': this model knows no uploaded files.")
    media_type, data = _data_url(string(file.file_data, f"{param}.file_data"), f"{param}.file_data")
    if media_type == b"application/pdf":
        source = _base64_source(media_type, data)
    elif media_type.startswith(b"text/"):
        source = json_object({"type": b'"text"', "media_type": b'"text/plain"', "data": _plain_text(data, param)})
    else:
        kind = media_type.decode(errors="replace")
        raise refused(f"{param}.file_data", f"'{param}' is of type {kind}; this model takes PDF and text.")
    members = {"type": b'"document"', "source": source}
    if not is_null(file.filename):
        members["title"] = string(file.filename, f"{param}.filename")
    return json_object(members)


def _base64_source(media_type: bytes, data: bytes) -> bytes:
    return b'{"type":"base64","media_type":"' + media_type + b'","data":"' + data + b'"}'


def _data_url(url: bytes, param: str) -> tuple[bytes, bytes]:
    """Media type and base64 data of a data URL, each as it stands in the JSON string, without quotes."""
    head, found, data = url[1:-1].partition(b";base64,")
    if not found or not head.startswith(b"data:"):
        raise refused(param, f"'{param}' must be a data URL with base64 data.", "invalid_value")
    return head[5:].partition(b";")[0].replace(b"\\/", b"/").lower(), data


def _plain_text(data: bytes, param: str) -> bytes:
    try:
        return _encode(base64.b64decode(data.replace(b"\\/", b"/"), validate=True).decode())
    except (binascii.Error, UnicodeDecodeError):
        raise refused(
            f"{param}.file_data", f"'{param}.file_data' is not base64 of UTF-8 text.", "invalid_value"
        ) from None
