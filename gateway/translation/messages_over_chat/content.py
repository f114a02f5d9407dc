"""What one chat message is made of while it is gathered: texts as the bytes between quotes, parts as JSON."""

from __future__ import annotations

import msgspec

from gateway.translation.fields import string

JOINT = rb"\n\n"  # between texts that were blocks of their own
encode = msgspec.json.encode


class Content:
    """The content of a chat message, in order. Texts alone become one string, which every server takes."""

    __slots__ = ("_parts", "media", "texts")

    def __init__(self) -> None:
        self.texts: list[bytes] = []  # without quotes
        self.media: list[bytes] = []  # content parts of chat that are no text
        self._parts: list[bytes] = []  # all of them, once one is no text

    def __len__(self) -> int:
        return len(self.texts) + len(self.media)

    def add_text(self, text: bytes) -> None:
        """A text as the bytes between its quotes; an empty one says nothing."""
        if text:
            self.texts.append(text)
            if self.media:
                self._parts.append(_text_part(text))

    def add_part(self, part: bytes) -> None:
        """A content part of chat as JSON."""
        if not self.media:
            self._parts = [_text_part(text) for text in self.texts]
        self.media.append(part)
        self._parts.append(part)

    def encoded(self) -> bytes:
        """A JSON string, or the array of its parts where one of them is no text."""
        if self.media:
            return b"[" + b",".join(self._parts) + b"]"
        return b'"' + JOINT.join(self.texts) + b'"'


def _text_part(text: bytes) -> bytes:
    return b'{"type":"text","text":"' + text + b'"}'


def inner_text(raw: msgspec.Raw, place: str) -> bytes:
    """The bytes between the quotes of a string of the client's. Raises Refusal for what is none."""
    return bytes(string(raw, place))[1:-1]


def inner(text: str) -> bytes:
    """A string of ours as the bytes between its quotes."""
    return encode(text)[1:-1]
