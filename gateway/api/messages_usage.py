"""Usage as Anthropic's Messages API reports it, turned into ours.

Anthropic's ``input_tokens`` are those that were neither read from the cache nor written to it; ours are all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from gateway.api.answers import text_or_none
from gateway.chat_usage import plausible
from gateway.domain import Usage

_Count = Annotated[int, msgspec.Meta(ge=0)]


class _CacheCreation(msgspec.Struct):
    ephemeral_5m_input_tokens: _Count | None = None
    ephemeral_1h_input_tokens: _Count | None = None


class _OutputDetails(msgspec.Struct):
    thinking_tokens: _Count | None = None


class _ServerTools(msgspec.Struct):
    web_search_requests: _Count | None = None
    code_execution_requests: _Count | None = None


class _Tokens(msgspec.Struct):
    """The counts of one sampling, or of all that make up an answer."""

    type: object = None
    input_tokens: _Count | None = None
    cache_read_input_tokens: _Count | None = None
    cache_creation_input_tokens: _Count | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens: _Count | None = None


class _Usage(_Tokens):
    output_tokens_details: _OutputDetails | None = None
    server_tool_use: _ServerTools | None = None
    iterations: list[_Tokens] | None = None


# Samplings that the counts of the answer leave out, and the bill does not. An advisor is another model, whose rates
# are not known here: its tokens are charged at those of the model that asked it.
_BESIDE_THE_ANSWER = frozenset({"compaction", "advisor_message"})
_OF_INPUT = frozenset({"input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation"})
_NO_CREATION, _NO_DETAILS, _NO_TOOLS = _CacheCreation(), _OutputDetails(), _ServerTools()
_RUNS_CODE = ("code_execution", "bash_code_execution", "text_editor_code_execution")
_decode_usage = msgspec.json.Decoder(_Usage).decode


def parse_usage(raw: bytes | msgspec.Raw) -> Usage | None:
    """Usage of a message; ``None`` if it is null, malformed or negative, or says nothing of the input.

    No prompt is empty: servers that do not know the input yet, or at all, open their streams with zeros.
    """
    try:
        got = _decode_usage(raw)
    except msgspec.DecodeError:
        return None
    tools = got.server_tool_use or _NO_TOOLS
    cached, written, written_long, input_tokens, output_tokens = _counts(got)
    if input_tokens == 0:
        return None
    for sampling in got.iterations or ():
        if text_or_none(sampling.type) in _BESIDE_THE_ANSWER:
            more = _counts(sampling)
            cached, written, written_long = cached + more[0], written + more[1], written_long + more[2]
            input_tokens, output_tokens = input_tokens + more[3], output_tokens + more[4]
    return plausible(
        Usage(
            input_tokens=input_tokens,
            cached_input_tokens=cached,
            cache_write_tokens=written,
            cache_write_long_tokens=written_long,
            output_tokens=output_tokens,
            reasoning_tokens=(got.output_tokens_details or _NO_DETAILS).thinking_tokens or 0,
            web_searches=tools.web_search_requests or 0,
            code_sessions=tools.code_execution_requests or 0,
        )
    )


def _counts(got: _Tokens) -> tuple[int, int, int, int, int]:
    """Tokens read from the cache, written to it for minutes, for an hour; all of the input; the output."""
    created = got.cache_creation or _NO_CREATION
    written_long = created.ephemeral_1h_input_tokens or 0
    written = got.cache_creation_input_tokens
    if written is None:
        written = written_long + (created.ephemeral_5m_input_tokens or 0)
    cached = got.cache_read_input_tokens or 0
    # The total counts on through a stream, its breakdown does not: what is not said to be for an hour is for minutes.
    written_long = min(written_long, written)
    input_tokens = (got.input_tokens or 0) + cached + written
    return cached, written - written_long, written_long, input_tokens, got.output_tokens or 0


def merged(earlier: Mapping[str, msgspec.Raw], later: Mapping[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """Two reports of one stream: all counts are running totals, so later ones stand, and null says nothing.

    Nor do zeros for all of the input: some servers have told it in the opening, and no more in the end. It may well
    fall, to what was left of it after a compaction, which is then counted beside the answer.
    """
    said = {name: raw for name, raw in later.items() if bytes(raw) != b"null"}
    if parse_usage(msgspec.json.encode(said)) is None:
        said = {name: raw for name, raw in said.items() if name not in _OF_INPUT}
    return {**earlier, **said}


def with_tool(calls: Usage, name: object) -> Usage:
    """The calls with one more tool of Anthropic's. All code of an answer runs in one container."""
    if name == "web_search":
        return msgspec.structs.replace(calls, web_searches=calls.web_searches + 1)
    return msgspec.structs.replace(calls, code_sessions=1) if name in _RUNS_CODE else calls
