"""Usage as Anthropic counts it, as chat clients know it."""

from __future__ import annotations

import msgspec

from gateway.translation.fields import NULL


class _CacheCreation(msgspec.Struct):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    thinking_tokens: int | None = None


class MessagesUsage(msgspec.Struct):
    """Of a whole answer, or what one event of a stream says of it: cumulative figures, absent where unchanged."""

    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None
    server_tool_use: msgspec.Raw = NULL
    cost: msgspec.Raw = NULL

    def later(self, update: MessagesUsage) -> MessagesUsage:
        """These figures with those of a later event, field by field."""
        return MessagesUsage(
            *(
                mine if theirs is None or theirs is NULL else theirs
                for mine, theirs in zip(msgspec.structs.astuple(self), msgspec.structs.astuple(update), strict=True)
            )
        )

    def as_chat(self) -> dict[str, object]:
        """In chat the prompt includes what was read from the cache and written to it.

        ``cache_write_tokens`` are those of five minutes, ``cache_write_long_tokens`` those of an hour.
        """
        read, written = self.cache_read_input_tokens or 0, self.cache_creation_input_tokens or 0
        parts = self.cache_creation or _CacheCreation()
        long = parts.ephemeral_1h_input_tokens or 0
        written = max(written, long + (parts.ephemeral_5m_input_tokens or 0))
        prompt, completion = (self.input_tokens or 0) + read + written, self.output_tokens or 0
        details = {"cached_tokens": read, "cache_write_tokens": written - long}
        if long:
            details["cache_write_long_tokens"] = long
        usage: dict[str, object] = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": details,
        }
        if self.output_tokens_details is not None and self.output_tokens_details.thinking_tokens is not None:
            usage["completion_tokens_details"] = {"reasoning_tokens": self.output_tokens_details.thinking_tokens}
        others = {"server_tool_use": self.server_tool_use, "cost": self.cost}
        return usage | {name: raw for name, raw in others.items() if raw != NULL}


_decode = msgspec.json.Decoder(MessagesUsage).decode


def usage_of(raw: msgspec.Raw) -> MessagesUsage:
    """Usage as an answer reports it; nothing of it where it cannot be read, for the answer is good all the same."""
    try:
        return _decode(raw)
    except msgspec.DecodeError:
        return MessagesUsage()
