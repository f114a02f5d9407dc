"""Usage as chat reports it, in the terms of Messages."""

from __future__ import annotations

import msgspec

_ABSENT = msgspec.Raw()


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_long_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _ServerTools(msgspec.Struct):
    web_search_requests: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None  # DeepSeek's name for cached_tokens
    server_tool_use: _ServerTools | None = None
    cost: msgspec.Raw = _ABSENT


_decode = msgspec.json.Decoder(_Usage).decode


def message_usage(raw: bytes | msgspec.Raw) -> dict[str, object]:
    """Usage of a message; zeros for what the upstream did not report.

    Chat's ``prompt_tokens`` includes what was read from and written to a cache, ``input_tokens`` excludes both. As in
    the ledger, tokens that only ``total_tokens`` counts are output.
    """
    try:
        got = _decode(raw)
    except msgspec.DecodeError:
        got = _Usage()
    into = got.prompt_tokens_details or _InputDetails()
    asked, generated = got.prompt_tokens or 0, got.completion_tokens or 0
    unlisted = max(0, (got.total_tokens or 0) - asked - generated)
    cached = into.cached_tokens or got.prompt_cache_hit_tokens or 0
    written, written_long = into.cache_write_tokens or 0, into.cache_write_long_tokens or 0
    usage: dict[str, object] = {
        "input_tokens": max(0, asked - cached - written - written_long),
        "cache_creation_input_tokens": written + written_long,
        "cache_read_input_tokens": cached,
        "output_tokens": generated + unlisted,
    }
    if written_long:
        lives = {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": written_long}
        usage["cache_creation"] = lives
    reasoning = (got.completion_tokens_details or _OutputDetails()).reasoning_tokens or 0
    if thought := max(reasoning, unlisted):
        usage["output_tokens_details"] = {"thinking_tokens": thought}
    if searches := (got.server_tool_use or _ServerTools()).web_search_requests:
        usage["server_tool_use"] = {"web_search_requests": searches, "web_fetch_requests": 0}
    if bytes(got.cost):
        usage["cost"] = got.cost
    return usage
