"""Usage as chat reports it, in the terms of Messages."""

from __future__ import annotations

import msgspec

from gateway.chat_usage import cost_in, parse_usage
from gateway.domain import Usage


def message_usage(raw: msgspec.Raw) -> dict[str, object]:
    """Usage of a message; zeros for what the upstream did not report.

    Chat's ``prompt_tokens`` includes what was read from and written to a cache, ``input_tokens`` excludes both.
    """
    got = parse_usage(raw) or Usage()
    written = got.cache_write_tokens + got.cache_write_long_tokens
    usage: dict[str, object] = {
        "input_tokens": max(0, got.input_tokens - got.cached_input_tokens - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": got.cached_input_tokens,
        "output_tokens": got.output_tokens,
    }
    if got.cache_write_long_tokens:
        usage["cache_creation"] = {
            "ephemeral_5m_input_tokens": got.cache_write_tokens,
            "ephemeral_1h_input_tokens": got.cache_write_long_tokens,
        }
    if got.reasoning_tokens:
        usage["output_tokens_details"] = {"thinking_tokens": got.reasoning_tokens}
    if got.web_searches:
        usage["server_tool_use"] = {"web_search_requests": got.web_searches, "web_fetch_requests": 0}
    if (cost := cost_in(raw)) is not msgspec.UNSET:
        usage["cost"] = cost
    return usage
