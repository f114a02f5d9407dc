"""The most that one request can consume, whoever serves it: bounds that cost no tokenizer, for holds.

Where a bound cannot be told from the request it is left open, and the deployment's own maxima close it
(``policies.holding``). Bounds err upwards alone: a quoted word that only looks like an image makes a larger hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from gateway.domain import Endpoint, Request, Usage

T = TypeVar("T")

# Every tokenizer in use gives a byte of text at most one token, and what frames a message has fewer tokens than its
# JSON has bytes. On top comes what upstreams put before a conversation themselves: templates with a system prompt of
# their own (some 80 tokens with the longest), and instructions on how to call tools (some 800 with Anthropic's).
OVERHEAD_TOKENS = 128
TOOLS_OVERHEAD_TOKENS = 1024
# The dearest picture known: 8 tiles of gpt-4o-mini, 2,833 + 8 x 5,667 tokens.
IMAGE_TOKENS_MAX = 49_152
# What tools of the upstream's own may do where the request does not limit them.
TOOL_CALLS_MAX = 10
# Sound: Gemini hears 32 tokens a second, OpenAI 10. An unknown length is taken for an hour.
SOUND_TOKENS_PER_S_MAX = 32
UNKNOWN_SOUND_S = 3600
# Speech: estimates count 1.4 tokens for each character; four times that is slower than anyone speaks.
SPOKEN_TOKENS_PER_BYTE_MAX = 6
# A picture made: 6,208 tokens of gpt-image-1 at its best, and three partial ones of 100.
MADE_IMAGE_TOKENS_MAX = 8_192

_GENERATING = frozenset({Endpoint.CHAT, Endpoint.RESPONSES, Endpoint.COMPACT, Endpoint.MESSAGES, Endpoint.COMPLETIONS})
_COUNTING = frozenset({Endpoint.INPUT_TOKENS, Endpoint.COUNT_TOKENS})
_IMAGES = frozenset({Endpoint.IMAGES, Endpoint.IMAGE_EDITS, Endpoint.IMAGE_VARIATIONS})
_CHARACTERS_PER_FORESEEN_TOKEN = 4
_BYTES_PER_CHARACTER_MAX = 4
_NULL = b"null"
# Names that tell of more than text. In valid JSON a bare quote cannot be part of a text, so these are names or whole
# values; a letter that is written as an escape may hide one, and is taken for all of them.
_TELLING = re.compile(
    rb'"(image_url|image|input_audio|audio|audio_url|cache_control|1h'
    rb"|file|input_file|file_id|file_url|file_data|document|container_upload"
    rb'|video|video_url|input_video|item_reference)"'
)
_PICTURES = (b"image_url", b"image")
_SOUNDS = frozenset({b"input_audio", b"audio", b"audio_url"})
_WITHIN = frozenset({*_PICTURES, b"input_audio", b"cache_control", b"1h"})  # all others bring in more than their bytes
_ESCAPE = b"\\u00"
_VEILED = re.compile(rb"\\u00[4-7]")
_NAMES_BYTES_MIN = 12  # a shorter value has no room for any of them
_TOOLS_OF_UPSTREAM = re.compile(rb'"(?:web_|code_|mcp|file_search|image_gen|computer|shell|tool_search)|\\u00[4-7]')
# What is stored elsewhere; and a vLLM may take a template of the client's, which can loop.
_MORE_THAN_BYTES_FIELDS = frozenset(
    {"previous_response_id", "conversation", "container", "mcp_servers", "chat_template"}
)
_UNREAD_FIELDS = frozenset({"model", "tools", "modalities", "audio", "metadata", "response_format", "text"})


class Demand(NamedTuple):
    """Upper bounds of one request. ``None`` and the open ones are the deployment's to close."""

    input_tokens: int = 0
    is_input_open: bool = False  # it refers to what is not in it: stored responses, documents, what searches find
    contexts: int | None = 1  # how many times the model's context may be filled; None: any
    outputs: int = 0  # how many answers are generated
    output_tokens_max: int | None = None  # of one answer, as the client limits it
    output_tokens_besides: int = 0  # rejected predictions are billed on top
    has_cache_marks: bool = False
    has_long_cache_marks: bool = False
    has_sound: bool = False
    makes_media: bool = False  # sound or pictures may come back
    is_fast: bool = False
    service_tier: str | None = None
    others: Usage | None = None  # what is not counted in tokens: pictures, characters, seconds, queries, tool calls
    has_sizes: bool = False  # pictures, which may be priced by their size


class _Tool(msgspec.Struct):
    type: object = None
    max_uses: object = None


class _Said(NamedTuple):
    """What the names in a body tell of it."""

    pictures: int = 0
    is_more_than_bytes: bool = False
    has_sound: bool = False
    has_cache_marks: bool = False
    has_long_cache_marks: bool = False


_NOTHING = Demand()
_NOTHING_SAID = _Said()


def demand(request: Request) -> Demand:
    """The bounds of a request. Costs a few microseconds and one look at each byte."""
    if request.endpoint in _COUNTING:
        return _NOTHING
    if request.foreseen is not None:
        return _of_media(request, request.foreseen)
    fields = request.body.fields
    said = _said(fields)
    tokens = request.body_bytes + OVERHEAD_TOKENS + said.pictures * IMAGE_TOKENS_MAX
    others = None
    is_open = said.is_more_than_bytes or not _MORE_THAN_BYTES_FIELDS.isdisjoint(fields)
    makes_media = "modalities" in fields or "audio" in fields
    if "tools" in fields:
        tokens += TOOLS_OVERHEAD_TOKENS
    if "tools" in fields or "web_search_options" in fields:
        others, makes_images = _tools(fields)
        makes_media = makes_media or makes_images
        is_open = is_open or others is not None
    is_completion = request.endpoint is Endpoint.COMPLETIONS
    if request.endpoint is Endpoint.RESPONSES and "prompt" in fields:
        is_open = True  # a stored one
    contexts: int | None = prompts_in(fields) if is_completion else 1
    generates = request.endpoint in _GENERATING
    choices = max(request.choices, (_read(fields, "best_of", int) or 1) if "best_of" in fields else 1)
    has_marks = said.has_cache_marks or "prompt_cache_key" in fields or "cache_control" in fields
    return Demand(
        input_tokens=tokens,
        is_input_open=is_open,
        contexts=contexts if generates else None,
        outputs=choices * (contexts or 1) if generates else 0,
        output_tokens_max=_positive(request.output_tokens_max),
        output_tokens_besides=len(bytes(fields["prediction"])) * choices if "prediction" in fields else 0,
        has_cache_marks=has_marks,
        has_long_cache_marks=has_marks and (said.has_long_cache_marks or "prompt_cache_retention" in fields),
        has_sound=said.has_sound,
        makes_media=makes_media,
        is_fast="speed" in fields,
        service_tier=request.service_tier,
        others=others,
    )


def _said(fields: Mapping[str, msgspec.Raw]) -> _Said:
    """Look for the telling names."""
    found: list[bytes] = []
    for name, value in fields.items():
        if name in _UNREAD_FIELDS:
            continue
        raw = bytes(value)
        if len(raw) < _NAMES_BYTES_MIN:
            continue
        found += _TELLING.findall(raw)
        if _ESCAPE in raw and _VEILED.search(raw):
            return _Said(raw.count(_ESCAPE), True, True, True, True)
    return _of_names(found) if found else _NOTHING_SAID


def _of_names(found: Sequence[bytes]) -> _Said:
    names = frozenset(found)
    return _Said(
        pictures=sum(found.count(one) for one in _PICTURES),
        is_more_than_bytes=not names <= _WITHIN,
        has_sound=not names.isdisjoint(_SOUNDS),
        has_cache_marks=b"cache_control" in names,
        has_long_cache_marks=b"1h" in names,
    )


def _of_media(request: Request, foreseen: Usage) -> Demand:
    """Sound, pictures, reranking: what the parser counted exactly, and tokens by what they are counted from."""
    endpoint = request.endpoint
    text_bytes = foreseen.input_tokens * _CHARACTERS_PER_FORESEEN_TOKEN * _BYTES_PER_CHARACTER_MAX
    input_tokens, output_tokens, others = text_bytes + OVERHEAD_TOKENS, 0, foreseen
    if endpoint is Endpoint.SPEECH:
        output_tokens = request.body_bytes * SPOKEN_TOKENS_PER_BYTE_MAX
    elif endpoint in {Endpoint.TRANSCRIPTIONS, Endpoint.TRANSLATIONS}:
        seconds = foreseen.seconds or UNKNOWN_SOUND_S
        others = msgspec.structs.replace(foreseen, seconds=seconds)
        output_tokens = seconds * SOUND_TOKENS_PER_S_MAX
        input_tokens += output_tokens + sum(len(bytes(raw)) for raw in request.body.fields.values())
    elif endpoint in _IMAGES:
        output_tokens = foreseen.images * MADE_IMAGE_TOKENS_MAX
        input_tokens += 0 if endpoint is Endpoint.IMAGES else IMAGE_TOKENS_MAX
    return Demand(
        input_tokens=input_tokens,
        contexts=None,
        outputs=1,
        output_tokens_max=output_tokens,
        has_sound=True,
        makes_media=True,
        others=others,
        has_sizes=endpoint in _IMAGES,
    )


def _tools(fields: Mapping[str, msgspec.Raw]) -> tuple[Usage | None, bool]:
    """What tools of the upstream's own may do, ``None`` where there are none; and whether one makes pictures."""
    raw = fields.get("tools", _NULL)
    searches = TOOL_CALLS_MAX if bytes(fields.get("web_search_options", _NULL)) != _NULL else 0
    sessions, makes_images, has_any = 0, False, searches > 0
    for tool in _decoded(raw, list[_Tool]) or () if _TOOLS_OF_UPSTREAM.search(raw) else ():
        kind = tool.type if isinstance(tool.type, str) else "function"
        calls = tool.max_uses if isinstance(tool.max_uses, int) and tool.max_uses > 0 else TOOL_CALLS_MAX
        if kind in {"function", "custom"}:
            continue
        has_any = True
        searches += calls if kind.startswith("web_search") else 0
        sessions += calls if kind.startswith("code_") else 0
        makes_images = makes_images or kind.startswith("image_gen")
    if not has_any:
        return None, False
    calls_max = (_read(fields, "max_tool_calls", int) or 0) if "max_tool_calls" in fields else 0
    if calls_max > 0:
        searches, sessions = min(searches, calls_max), min(sessions, calls_max)
    return Usage(web_searches=searches, code_sessions=sessions), makes_images


def prompts_in(fields: Mapping[str, msgspec.Raw], name: str = "prompt") -> int:
    """How many prompts a completion has, or inputs of embeddings: an array of texts or of token arrays is several."""
    raw = bytes(fields.get(name, _NULL))
    if not raw.startswith(b"["):
        return 1
    prompts = _decoded(raw, list[msgspec.Raw])
    return len(prompts) if prompts and bytes(prompts[0])[:1] in {b'"', b"["} else 1


def _positive(value: int | None) -> int | None:
    """Some servers take -1 or 0 for no maximum at all."""
    return value if value is not None and value > 0 else None


def _read(fields: Mapping[str, msgspec.Raw], name: str, kind: type[T]) -> T | None:
    return _decoded(fields[name], kind)


def _decoded(raw: msgspec.Raw | bytes, kind: type[T]) -> T | None:
    """The value, ``None`` for one of another type: the upstream will refuse it."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, RecursionError):
        return None
