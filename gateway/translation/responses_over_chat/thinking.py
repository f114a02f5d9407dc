"""Thinking blocks of an upstream behind the hub, carried by the client as the encrypted content of reasoning items."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import msgspec

_MARK = b'"obol.thinking.'  # what other providers encrypted begins otherwise
_decode_blocks = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Thinking(msgspec.Struct, omit_defaults=True):
    """A block, or a piece of one: the signature comes with its last piece."""

    type: str
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None


class ThinkingBlocks:
    """Whole blocks, put together from the pieces of a stream."""

    def __init__(self) -> None:
        self._blocks: list[tuple[Thinking, list[str]]] = []  # with the pieces of their thoughts, joined at the end
        self._is_open = False  # more pieces of the last block may come

    def add(self, pieces: Sequence[Thinking]) -> None:
        for piece in pieces:
            if not (self._is_open and piece.type == "thinking"):
                self._blocks.append((piece, []))
            block, thoughts = self._blocks[-1]
            block.signature = piece.signature or None
            if piece.thinking is not None:
                thoughts.append(piece.thinking)
            self._is_open = piece.type == "thinking" and not piece.signature

    def sealed(self) -> bytes | None:
        """As JSON of a string that only we read; ``None`` where nothing is signed, and nobody could use it again."""
        kept = []
        for block, thoughts in self._blocks:
            if block.signature or block.data:
                block.thinking = "".join(thoughts) if thoughts else None
                kept.append(block)
        return _MARK + base64.b64encode(msgspec.json.encode(kept)) + b'"' if kept else None


def opened(sealed: msgspec.Raw) -> Sequence[msgspec.Raw]:
    """The blocks in the encrypted content of a reasoning item; none if it is another provider's, or damaged."""
    data = bytes(sealed)
    if not data.startswith(_MARK):
        return ()
    try:
        return _decode_blocks(base64.b64decode(data[len(_MARK) : -1], validate=True))
    except (binascii.Error, msgspec.DecodeError):
        return ()
