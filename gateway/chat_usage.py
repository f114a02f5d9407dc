"""Usage of chat as upstreams report it, turned into ours: for the ledger and for whoever is told it in another API."""

from __future__ import annotations

import msgspec

from gateway.domain import Usage

_TOKENS_MAX = 10**9  # no context is near; a larger figure is a fault, and its cost would not fit the ledger


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_long_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _ServerTools(msgspec.Struct):
    web_search_requests: int | None = None
    code_execution_requests: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None  # DeepSeek's name for cached_tokens
    server_tool_use: _ServerTools | None = None


_NO_INPUT_DETAILS, _NO_OUTPUT_DETAILS, _NO_SERVER_TOOLS = _InputDetails(), _OutputDetails(), _ServerTools()
_decode_usage = msgspec.json.Decoder(_Usage).decode


def parse_usage(raw: bytes | msgspec.Raw) -> Usage | None:
    """Usage as an OpenAI-compatible upstream reports it; ``None`` if it is null, malformed or negative.

    ``prompt_tokens`` includes cached tokens. Where ``total_tokens`` exceeds the two parts (Gemini's compatible
    endpoint and xAI leave reasoning out of ``completion_tokens``) the rest is reasoning output.
    """
    try:
        got = _decode_usage(raw)
    except msgspec.DecodeError:
        return None
    if got.prompt_tokens is None and got.completion_tokens is None:
        return None
    into = got.prompt_tokens_details or _NO_INPUT_DETAILS
    out = got.completion_tokens_details or _NO_OUTPUT_DETAILS
    tools = got.server_tool_use or _NO_SERVER_TOOLS
    input_tokens, output_tokens = got.prompt_tokens or 0, got.completion_tokens or 0
    unlisted = max(0, (got.total_tokens or 0) - input_tokens - output_tokens)
    return plausible(
        Usage(
            input_tokens=input_tokens,
            cached_input_tokens=into.cached_tokens or got.prompt_cache_hit_tokens or 0,
            cache_write_tokens=into.cache_write_tokens or 0,
            cache_write_long_tokens=into.cache_write_long_tokens or 0,
            audio_input_tokens=into.audio_tokens or 0,
            image_input_tokens=into.image_tokens or 0,
            output_tokens=output_tokens + unlisted,
            reasoning_tokens=max(out.reasoning_tokens or 0, unlisted),
            audio_output_tokens=out.audio_tokens or 0,
            image_output_tokens=out.image_tokens or 0,
            web_searches=tools.web_search_requests or 0,
            code_sessions=tools.code_execution_requests or 0,
        )
    )


class _Priced(msgspec.Struct):
    cost: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode_cost = msgspec.json.Decoder(_Priced).decode


def cost_in(raw: bytes | msgspec.Raw) -> msgspec.Raw | msgspec.UnsetType:
    """The ``cost`` that we have put into a usage, as it stands there."""
    try:
        return _decode_cost(raw).cost
    except msgspec.DecodeError:
        return msgspec.UNSET


def plausible(usage: Usage) -> Usage | None:
    """The usage, or ``None`` where a figure in it is negative or larger than any context."""
    figures = msgspec.structs.astuple(usage)
    return usage if min(figures) >= 0 and max(figures) <= _TOKENS_MAX else None
