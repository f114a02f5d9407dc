"""Usage as the Responses API reports it, and the built-in tools that are charged by the call."""

from __future__ import annotations

import msgspec

from gateway.api.answers import UNREADABLE, decoded
from gateway.chat_usage import plausible
from gateway.domain import Usage


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class _Action(msgspec.Struct):
    type: object = None


class _Item(msgspec.Struct):
    """An output item, as far as it may be charged by the call."""

    type: object = None
    status: object = None
    action: _Action | None = None
    container_id: object = None


_NO_INPUT_DETAILS, _NO_OUTPUT_DETAILS = _InputDetails(), _OutputDetails()
_decode_usage = msgspec.json.Decoder(_Usage).decode
_decode_items = msgspec.json.Decoder(list[_Item]).decode


def parse_usage(usage: msgspec.Raw, output: msgspec.Raw) -> Usage | None:
    """Usage of a response from its ``usage`` and ``output``; ``None`` if the former is null, malformed or negative.

    ``input_tokens`` includes cached and written ones. What ``total_tokens`` has beyond the two parts is reasoning.
    """
    try:
        got = _decode_usage(usage)
    except msgspec.DecodeError:
        return None
    if got.input_tokens is None and got.output_tokens is None:
        return None
    into = got.input_tokens_details or _NO_INPUT_DETAILS
    out = got.output_tokens_details or _NO_OUTPUT_DETAILS
    input_tokens, output_tokens = got.input_tokens or 0, got.output_tokens or 0
    unlisted = max(0, (got.total_tokens or 0) - input_tokens - output_tokens)
    web_searches, containers = tool_calls(output)
    return plausible(
        Usage(
            input_tokens=input_tokens,
            cached_input_tokens=into.cached_tokens or 0,
            cache_write_tokens=into.cache_write_tokens or 0,
            audio_input_tokens=into.audio_tokens or 0,
            image_input_tokens=into.image_tokens or 0,
            output_tokens=output_tokens + unlisted,
            reasoning_tokens=max(out.reasoning_tokens or 0, unlisted),
            audio_output_tokens=out.audio_tokens or 0,
            web_searches=web_searches,
            code_sessions=len(containers),
        )
    )


def tool_calls(output: bytes | msgspec.Raw) -> tuple[int, set[str]]:
    """How many web searches were made, and which containers ran code, by the items of an output.

    Opening a page that was found, or looking for words in it, is no search: only the action ``search`` is charged.
    """
    raw = bytes(output)
    if b"web_search_call" not in raw and b"code_interpreter_call" not in raw:
        return 0, set()
    try:
        items = decoded(_decode_items, raw)
    except UNREADABLE:
        return 0, set()
    searches = sum(item.type == "web_search_call" and _has_searched(item) for item in items)
    containers = {str(item.container_id) for item in items if item.type == "code_interpreter_call"}
    return searches, containers


def _has_searched(item: _Item) -> bool:
    is_search = item.action is None or item.action.type is None or item.action.type == "search"
    return is_search and item.status != "failed"
