"""The texts of a request that somebody may read at its upstream, taken out and put back by guards.

Taken are the strings of all its fields, also in JSON within strings, and what clients call their users; in objects
that are nobody's API (arguments of tools, metadata) keys and long numbers too. Left out are words of the API: roles,
types, ids, names that answers must match; and media.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec

from gateway.api.json_texts import Kind, Source, texts_in
from gateway.domain import Request

# Top-level fields that say how to answer, in words of the API's own; by numbers, or how it comes.
_WORDS = frozenset(
    {
        *("model", "stream", "stream_options", "service_tier", "encoding_format", "reasoning_effort", "verbosity"),
        *("tool_choice", "modalities", "logit_bias", "truncation", "include", "prompt_cache_retention"),
        *("previous_response_id", "conversation", "voice", "size", "quality", "style", "seed"),
        *("background", "output_format", "moderation", "thinking", "context_management", "inference_geo"),
        *("max_tokens", "max_completion_tokens", "max_output_tokens"),
    }
)
_TURNS = "messages"
# Values of the API's; whatever else there is may be anything.
_API = frozenset(
    {
        *("input", "system", "instructions", "prompt", "suffix", "tools", "functions", "function_call"),
        *("response_format", "text", "output_config", "mcp_servers", "prediction", "audio", "reasoning", "documents"),
        "stop",
    }
)


class RequestTexts:
    """The texts of one request, read once."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._sources: Mapping[str, Source] = {
            name: Source(bytes(raw), _kind_of(name)) for name, raw in request.body.fields.items() if name not in _WORDS
        }

    def texts(self) -> Sequence[str]:
        """All of them, in the order of the body."""
        return texts_in(list(self._sources.values()))

    def with_texts(self, others: Sequence[str]) -> Request:
        """The request with these in their places: as many, in the same order. Fields in which none differs stay."""
        waiting, body = iter(others), self._request.body
        changed: dict[str, msgspec.Raw] = {}
        for name, source in self._sources.items():
            raw = source.with_texts(waiting)
            if raw != bytes(body.fields[name]):
                changed[name] = msgspec.Raw(raw)
        body = body.with_fields(changed)
        return replace(self._request, body=body, body_bytes=len(body.encoded_with({})))


def _kind_of(name: str) -> Kind:
    if name == _TURNS:
        return Kind.TURNS
    return Kind.API if name in _API else Kind.FREE
