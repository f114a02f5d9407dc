"""Members of the response object around its items: what the client asked for, what it used, what went wrong."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.errors import GatewayError
from gateway.translation.fields import NULL

_encode = msgspec.json.encode
#: What every response repeats of its request, and what stands where that says nothing.
_ECHOED: Mapping[str, bytes] = {
    "instructions": b"null",
    "max_output_tokens": b"null",
    "max_tool_calls": b"null",
    "metadata": b"{}",
    "parallel_tool_calls": b"true",
    "prompt_cache_key": b"null",
    "reasoning": b'{"effort":null,"summary":null}',
    "safety_identifier": b"null",
    "temperature": b"null",
    "text": b'{"format":{"type":"text"}}',
    "tool_choice": b'"auto"',
    "tools": b"[]",
    "top_logprobs": b"null",
    "top_p": b"null",
    "truncation": b'"disabled"',
    "user": b"null",
}
_NOTHING_STORED = b'"background":false,"previous_response_id":null,"store":false'

_TOO_MANY = 429


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_long_tokens: int | None = None  # ours, of writes that last: what Anthropic tells apart


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _ChatUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None  # DeepSeek's name for cached_tokens
    cost: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Usage(msgspec.Struct, omit_defaults=True):
    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int
    output_tokens_details: dict[str, int]
    total_tokens: int
    cost: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode_usage = msgspec.json.Decoder(_ChatUsage | None).decode
_NO_INPUT_DETAILS, _NO_OUTPUT_DETAILS = _InputDetails(), _OutputDetails()


def echo(fields: Mapping[str, msgspec.Raw]) -> bytes:
    """Members of the object that repeat the request, in one line as events need them."""
    members = []
    for name, default in _ECHOED.items():
        asked = bytes(fields.get(name, NULL))
        members.append(b'"%b":%b' % (name.encode(), default if asked == b"null" else asked))
    whole = b",".join([*members, _NOTHING_STORED])
    if b"\n" in whole or b"\r" in whole:  # between values only: inside a string they are escaped
        whole = msgspec.json.format(b"{" + whole + b"}", indent=-1)[1:-1]
    return whole


def usage(raw: msgspec.Raw) -> bytes:
    """Usage of chat in the terms of this API, ``cost`` kept; ``null`` where chat reported none that can be read.

    As in the ledger, what ``total_tokens`` has beyond its parts is reasoning that ``completion_tokens`` left out.
    """
    try:
        got = _decode_usage(raw)
    except msgspec.DecodeError:
        return b"null"
    if got is None or (got.prompt_tokens is None and got.completion_tokens is None):
        return b"null"
    into, out = got.prompt_tokens_details or _NO_INPUT_DETAILS, got.completion_tokens_details or _NO_OUTPUT_DETAILS
    input_tokens, output_tokens = got.prompt_tokens or 0, got.completion_tokens or 0
    unlisted = max(0, (got.total_tokens or 0) - input_tokens - output_tokens)
    output_tokens += unlisted
    return _encode(
        _Usage(
            input_tokens=input_tokens,
            input_tokens_details={
                "cached_tokens": into.cached_tokens or got.prompt_cache_hit_tokens or 0,
                "cache_write_tokens": (into.cache_write_tokens or 0) + (into.cache_write_long_tokens or 0),
            },
            output_tokens=output_tokens,
            output_tokens_details={"reasoning_tokens": max(out.reasoning_tokens or 0, unlisted)},
            total_tokens=input_tokens + output_tokens,
            cost=got.cost,
        )
    )


def failure(error: GatewayError) -> bytes:
    """The ``error`` of a failed response: its code is a string, and the upstream's own where it gave one."""
    code = error.code or ("rate_limit_exceeded" if error.status == _TOO_MANY else "server_error")
    return _encode({"code": code, "message": error.message})
