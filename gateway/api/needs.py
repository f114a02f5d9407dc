"""What a request needs of a model besides reading and writing text, found without decoding what is not needed.

Tools and schemas are names of fields. Images, sound and files are parts of the conversation, told by their ``type``:
one search through its bytes says whether there may be any, and only then it is decoded. Names whose letters a client
writes as escapes are not seen: the upstream judges those.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from gateway.api.prompt_text import decoded_or_text, is_text_document
from gateway.domain import Capability

_NONE = msgspec.Raw(b"null")
_NOTHING_GIVEN = re.compile(rb"\s*(?:null|\[\s*\])\s*")
# In valid JSON these bytes cannot be part of a text, where quotes are escaped.
_MAY_BE_MEDIA = re.compile(rb'"type"\s*:\s*"(?:image|input_(?:image|audio|file)|audio_url|file|document|computer_s)')
_NEEDED_BY: Mapping[str, Capability] = {
    "image_url": Capability.VISION,
    "image": Capability.VISION,
    "input_image": Capability.VISION,
    "image_generation_call": Capability.VISION,  # an image that was made before, in a conversation that goes on
    "computer_screenshot": Capability.VISION,
    "input_audio": Capability.AUDIO,
    "audio_url": Capability.AUDIO,
    "file": Capability.FILES,
    "input_file": Capability.FILES,
    "document": Capability.FILES,
}
_LEVELS = 3  # messages or items, their parts, and the parts of a tool's result


class _Typed(msgspec.Struct):
    type: object = None


@dataclass(frozen=True, slots=True)
class Sought:
    """Where a dialect says what is needed.

    ``conversation``: the field that holds it. ``fields``: what is needed where one of them holds anything. ``schemas``:
    paths to the objects that ask for a JSON schema by their ``type``.
    """

    conversation: str
    fields: Mapping[str, Capability]
    schemas: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Needs:
    """The capabilities that a request asks for, and how many of its bytes are images, sound and files."""

    capabilities: frozenset[Capability] = frozenset()
    media_bytes: int = 0


NOTHING = Needs()

_typed = msgspec.json.Decoder(_Typed).decode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def needs(fields: Mapping[str, msgspec.Raw], sought: Sought) -> Needs:
    """What a body asks for, by the names of its dialect."""
    found, media_bytes = _media(sought.conversation, fields.get(sought.conversation, _NONE))
    found |= {needed for name, needed in sought.fields.items() if name in fields and _is_given(fields[name])}
    if any(path[0] in fields and _type_at(fields, path) == "json_schema" for path in sought.schemas):
        found.add(Capability.JSON_SCHEMA)
    return Needs(frozenset(found), media_bytes) if found else NOTHING


def _is_given(raw: msgspec.Raw) -> bool:
    """Whether a field holds anything but null or an empty array."""
    return _NOTHING_GIVEN.fullmatch(memoryview(raw)) is None


def _type_at(fields: Mapping[str, msgspec.Raw], path: Sequence[str]) -> object:
    try:
        for name in path[:-1]:
            fields = _fields(fields.get(name, _NONE))
        return _typed(fields.get(path[-1], _NONE)).type
    except (msgspec.DecodeError, RecursionError):  # of another form: the upstream will refuse it
        return None


def _media(name: str, conversation: msgspec.Raw) -> tuple[set[Capability], int]:
    """The kinds of media in a conversation, and their bytes."""
    raw = bytes(conversation)
    found: set[Capability] = set()
    media_bytes = 0
    # Parts of messages stand in arrays of their own, which texts without a bracket have not: that is seen at once.
    if raw[:1] != b"[" or (name == "messages" and raw.find(b"[", 1) < 0) or _MAY_BE_MEDIA.search(raw) is None:
        return found, 0
    level = [decoded_or_text(conversation)]
    for _ in range(_LEVELS):
        inner: list[object] = []
        for part in _parts_in(level):
            kind = part.get("type")
            needed = _NEEDED_BY.get(kind) if isinstance(kind, str) else None
            if needed is not None and not is_text_document(part):
                found.add(needed)
                media_bytes += _size_of(part)
            inner += (part.get("content"), part.get("output"))
        level = inner
    return found, media_bytes


def _parts_in(values: Iterable[object]) -> Iterator[Mapping[str, object]]:
    """The objects among the values and in arrays among them."""
    for value in values:
        if isinstance(value, dict):
            yield value
        elif isinstance(value, list):
            yield from (part for part in value if isinstance(part, dict))


def _size_of(part: Mapping[str, object]) -> int:
    """The characters of a part's texts; media are given in such as have one byte each."""
    return sum(
        len(text)
        for value in part.values()
        for text in (value.values() if isinstance(value, dict) else (value,))
        if isinstance(text, str)
    )
