"""Usage as chat upstreams report it, read once for all dialects that it is told in."""

from __future__ import annotations

import msgspec


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_long_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _ServerTools(msgspec.Struct):
    web_search_requests: int | None = None


class _Reported(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None  # DeepSeek's name for cached_tokens
    server_tool_use: _ServerTools | None = None
    cost: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class ChatUsage(msgspec.Struct, frozen=True):
    """Tokens of one answer. The input includes what was read from caches and written to them."""

    input_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0  # those of five minutes
    cache_write_long_tokens: int = 0  # those of an hour
    output_tokens: int = 0
    reasoning_tokens: int = 0
    web_searches: int = 0
    cost: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode = msgspec.json.Decoder(_Reported).decode
_NO_INPUT_DETAILS, _NO_OUTPUT_DETAILS, _NO_SERVER_TOOLS = _InputDetails(), _OutputDetails(), _ServerTools()


def chat_usage(raw: msgspec.Raw) -> ChatUsage:
    """What an answer reports; zeros where it reports nothing that can be read, for the answer is good all the same.

    As in the ledger, what ``total_tokens`` has beyond its parts is reasoning that ``completion_tokens`` left out.
    """
    try:
        got = _decode(raw)
    except msgspec.DecodeError:
        return ChatUsage()
    into = got.prompt_tokens_details or _NO_INPUT_DETAILS
    out = got.completion_tokens_details or _NO_OUTPUT_DETAILS
    asked, generated = got.prompt_tokens or 0, got.completion_tokens or 0
    unlisted = max(0, (got.total_tokens or 0) - asked - generated)
    return ChatUsage(
        input_tokens=asked,
        cached_tokens=into.cached_tokens or got.prompt_cache_hit_tokens or 0,
        cache_write_tokens=into.cache_write_tokens or 0,
        cache_write_long_tokens=into.cache_write_long_tokens or 0,
        output_tokens=generated + unlisted,
        reasoning_tokens=max(out.reasoning_tokens or 0, unlisted),
        web_searches=(got.server_tool_use or _NO_SERVER_TOOLS).web_search_requests or 0,
        cost=got.cost,
    )
