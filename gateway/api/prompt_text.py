"""The text of a prompt, for counting its tokens where no upstream does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

# Values that a model does not read: marks of the API's, and bytes in the form of text.
_UNREAD = frozenset({"signature", "encrypted_content", "cache_control", "media_type"})
# What ``data`` holds in a part of one of these types is no text either.
_ENCODED = frozenset({"base64", "redacted_thinking"})
_MEDIA = frozenset({"image", "image_url", "input_image", "document", "file", "input_file", "input_audio"})
_TEXT_SOURCES = frozenset({"text", "content"})


def decoded_or_text(raw: msgspec.Raw) -> object:
    """A value of the client's; one that is nested too deeply to be read here counts as the text it is."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return bytes(raw).decode(errors="replace")


def texts(value: object) -> Iterable[str]:
    """Every string of a prompt that a model reads as text; images and files are not text."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text if not text.startswith("data:"):
                yield text
            case list() as items:
                waiting.extend(reversed(items))
            case dict() as fields:
                unread = _UNREAD | {"data"} if _type_of(fields) in _ENCODED else _UNREAD
                waiting.extend(value for name, value in reversed(fields.items()) if name not in unread)


def media_in(value: object) -> int:
    """How many images, documents and recordings a prompt holds that are not given as text."""
    found = 0
    waiting = [value]
    while waiting:
        match waiting.pop():
            case list() as items:
                waiting.extend(items)
            case dict() as fields:
                found += _is_media(fields)
                waiting.extend(fields.values())
    return found


def _is_media(part: Mapping[str, object]) -> bool:
    return _type_of(part) in _MEDIA and not is_text_document(part)


def is_text_document(part: Mapping[str, object]) -> bool:
    """Whether a part is a document of Anthropic's that is given as text."""
    source = part.get("source")
    return isinstance(source, dict) and _type_of(source) in _TEXT_SOURCES


def _type_of(part: Mapping[str, object]) -> str:
    kind = part.get("type")
    return kind if isinstance(kind, str) else ""
