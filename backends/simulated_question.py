"""What Obol's simulator reads of a request: the usual fields, and ``simulate``, which steers it."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta


class ToolCall(msgspec.Struct):
    """A tool call to be made; ``arguments`` is an object or its JSON text."""

    name: str
    arguments: dict[str, Any] | str = {}


class Refusal(msgspec.Struct):
    """An error to answer with."""

    status: Annotated[int, Meta(ge=400, le=599)] = 500
    code: str | None = None
    message: str = "Obol's simulator was asked to fail."
    type: str | None = None


class Simulate(msgspec.Struct):
    """The steering field of a request. ``backends.simulator`` says what each field does."""

    delay_ms: float = 0
    first_token_delay_ms: float = 0
    between_tokens_ms: float = 0
    output_tokens: Annotated[int, Meta(ge=0, le=200_000)] | None = None
    error: Refusal | None = None
    cut_after_chunks: int | None = None
    hang: bool = False
    tool_call: ToolCall | None = None
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    no_usage: bool = False
    finish_reason: str | None = None
    text: str | None = None


class StreamOptions(msgspec.Struct):
    include_usage: bool = False
    continuous_usage_stats: bool = False


class Question(msgspec.Struct):
    """What the simulator reads of a request body; all else is ignored, as a lenient upstream would."""

    model: str = "simulator"
    messages: list[dict[str, Any]] = []
    prompt: Any = ""
    input: Any = ""
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    response_format: dict[str, Any] | None = None
    stream_options: StreamOptions | None = None
    encoding_format: str | None = None
    dimensions: Annotated[int, Meta(ge=1, le=8192)] | None = None
    simulate: Simulate | None = None
