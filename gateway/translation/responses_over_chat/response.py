"""Members of the response object around its items: what the client asked for, what it used, what went wrong."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.chat_usage import cost_in, parse_usage
from gateway.domain import Usage
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


class _Usage(msgspec.Struct, omit_defaults=True):
    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int
    output_tokens_details: dict[str, int]
    total_tokens: int
    cost: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


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
    """Usage of chat in the terms of this API, ``cost`` kept.

    Zeros where chat reported none: the Vercel AI SDK refuses an ended response without the figures.
    """
    got = parse_usage(raw) or Usage()
    return _encode(
        _Usage(
            input_tokens=got.input_tokens,
            input_tokens_details={
                "cached_tokens": got.cached_input_tokens,
                "cache_write_tokens": got.cache_write_tokens + got.cache_write_long_tokens,
            },
            output_tokens=got.output_tokens,
            output_tokens_details={"reasoning_tokens": got.reasoning_tokens},
            total_tokens=got.input_tokens + got.output_tokens,
            cost=cost_in(raw),
        )
    )


def failure(error: GatewayError) -> bytes:
    """The ``error`` of a failed response: its code is a string, and the upstream's own where it gave one."""
    code = error.code or ("rate_limit_exceeded" if error.status == _TOO_MANY else "server_error")
    return _encode({"code": code, "message": error.message})
