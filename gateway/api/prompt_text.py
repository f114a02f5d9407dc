"""The text of a prompt, for counting its tokens where an upstream reports none."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


def decoded_or_text(raw: msgspec.Raw) -> object:
    """A value of the client's; one that is nested too deeply to be read here counts as the text it is."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return bytes(raw).decode(errors="replace")


def texts(value: object) -> Iterable[str]:
    """Every string of a prompt that a model reads as text; images and files (data URLs) are not text."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text if not text.startswith("data:"):
                yield text
            case list() as items:
                waiting.extend(reversed(items))
            case dict() as fields:
                waiting.extend(reversed(fields.values()))
