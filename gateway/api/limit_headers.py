"""What limits of ours leave, as headers: in the OpenAI API's words, and for Anthropic's clients in theirs too."""

from __future__ import annotations

from gateway.api.wire import Headers
from gateway.domain import Room
from gateway.error_objects import ErrorShape
from gateway.ids import rfc3339

_SECOND_MS, _MINUTE_MS, _HOUR_MS = 1_000, 60_000, 3_600_000
_WHAT, _FIGURES = ("requests", "tokens"), ("limit", "remaining", "reset")
NAMES = tuple(f"x-ratelimit-{figure}-{what}" for figure in _FIGURES for what in _WHAT)
ANTHROPIC_NAMES = tuple(f"anthropic-ratelimit-{what}-{figure}" for what in _WHAT for figure in _FIGURES)


def room_headers(room: Room, shape: ErrorShape, now_unix_s: float) -> Headers:
    """Headers for the tightest limits that applied; none where none did."""
    headers: Headers = []
    if room.limit_requests is not None:
        _add(headers, b"requests", room.limit_requests, room.remaining_requests or 0, room.reset_requests_ms)
        if shape is ErrorShape.ANTHROPIC:
            reset_s = now_unix_s + room.reset_requests_ms / _SECOND_MS
            _add_anthropics(headers, b"requests", room.limit_requests, room.remaining_requests or 0, reset_s)
    if room.limit_tokens is not None:
        _add(headers, b"tokens", room.limit_tokens, room.remaining_tokens or 0, room.reset_tokens_ms)
        if shape is ErrorShape.ANTHROPIC:
            reset_s = now_unix_s + room.reset_tokens_ms / _SECOND_MS
            _add_anthropics(headers, b"tokens", room.limit_tokens, room.remaining_tokens or 0, reset_s)
    return headers


def _add(headers: Headers, what: bytes, limit: int, remaining: int, reset_ms: int) -> None:
    headers += (
        (b"x-ratelimit-limit-" + what, b"%d" % limit),
        (b"x-ratelimit-remaining-" + what, b"%d" % max(0, remaining)),
        (b"x-ratelimit-reset-" + what, duration(reset_ms).encode()),
    )


def _add_anthropics(headers: Headers, what: bytes, limit: int, remaining: int, reset_unix_s: float) -> None:
    prefix = b"anthropic-ratelimit-" + what
    headers += (
        (prefix + b"-limit", b"%d" % limit),
        (prefix + b"-remaining", b"%d" % max(0, remaining)),
        (prefix + b"-reset", rfc3339(reset_unix_s).encode()),
    )


def duration(ms: int) -> str:
    """As the OpenAI API writes it: ``120ms``, ``1s``, ``8.64s``, ``6m0s``, ``1h0m0s``."""
    if ms < _SECOND_MS:
        return f"{max(0, ms)}ms"
    hours, rest = divmod(ms, _HOUR_MS)
    minutes, rest = divmod(rest, _MINUTE_MS)
    seconds = f"{rest / _SECOND_MS:.3f}".rstrip("0").rstrip(".")
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
