"""What a request may tell the scripted upstream to do, and the names that stand for common wishes."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

HTML = "<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1>secret-proxy-7</body></html>"


class Script(msgspec.Struct, forbid_unknown_fields=True):
    """What to do with one request. The default is a good answer."""

    # The answer
    text: str = "Hello from the scripted upstream, word by word."
    text_drawn: str | None = None  # chat only: the text instead where the request states a temperature
    again: dict[str, Any] | None = None  # the script instead where the request holds an answer already
    logprob: float | None = None  # chat only: of each token, told where it is asked for
    reasoning: str | None = None  # thought before the answer: reasoning item, thinking block, reasoning_content
    usage: dict[str, Any] | None = None  # the usage object, exactly; None: 9 input tokens, one per word of the text
    no_usage: bool = False  # report none, asked or not
    forced_usage: bool = False  # a usage chunk although nobody asked
    continuous_usage: bool = False  # usage in every chunk, like vLLM with continuous_usage_stats
    # [{"name", "arguments"}], custom tools {"name", "input"}, optionally "id"; streamed in fragments of 5 characters.
    # They take the place of the text.
    tool_calls: list[dict[str, str]] = []
    preamble: str = ""  # said before the tool calls
    refusal: str | None = None
    finish_reason: str | None = None  # in the dialect's words; with Responses: why it is incomplete
    failure: dict[str, Any] | None = None  # Responses only: the answer ends as failed, with this error object
    answered_model: str | None = None  # what the answer names as its model
    extra: dict[str, Any] = {}  # unknown fields, put on the top level of the answer and of each chunk
    events: list[dict[str, Any]] | None = None  # a stream's events exactly, each named by its ``type`` if it has one
    # Refusals and broken bodies
    status: int = 200
    body: Any = None  # the body instead of an answer: an object (sent as JSON) or a string (sent as it is)
    content_type: str | None = None
    headers: dict[str, str] = {}
    drop_last_bytes: int = 0  # truncated JSON, with a content-length that fits it
    content_length_excess: int = 0  # promise so many bytes more than come, then close
    gzip: bool = False
    # Time
    delay_ms: float = 0  # before the headers
    first_chunk_ms: float = 0  # between the headers and the first event
    chunk_ms: float = 0  # before each further event
    hang: Literal["before_headers", "after_headers", "mid_stream"] | None = None  # mid_stream: after cut_after events
    # Breaks
    drop_connection: bool = False  # close without a byte of an answer
    cut_after: int | None = None  # after so many events ...
    cut_by: Literal["reset", "close"] = "reset"  # ... reset the socket, or close it without the last chunk
    error_event: dict[str, Any] | None = None  # ... or send this error, as the dialect does it, and end properly
    # How a stream is written
    omit_done: bool = False  # leave the end mark out: [DONE], message_stop, response.completed
    comments: bool = False  # an SSE comment before each event
    crlf: bool = False
    split_events: bool = False  # each event in three TCP segments, cut inside its JSON
    join_events: bool = False  # all events in one write


PRESETS: dict[str, Script] = {
    "error-400": Script(
        status=400,
        body={"error": {"message": "too long", "type": "invalid_request_error", "param": "messages",
                        "code": "context_length_exceeded"}},
    ),
    "error-401": Script(
        status=401,
        body={"error": {"message": "Incorrect API key provided: sk-up***", "type": "invalid_request_error",
                        "param": None, "code": "invalid_api_key"}},
    ),
    "error-404": Script(status=404, body={"error": {"message": "no such model", "type": "x", "code": 404}}),
    "error-429": Script(
        status=429, headers={"retry-after": "7"},
        body={"error": {"message": "slow down", "type": "requests", "param": None, "code": "rate_limit_exceeded"}},
    ),
    "error-quota": Script(
        status=429,
        body={"error": {"message": "no money", "type": "insufficient_quota", "param": None,
                        "code": "insufficient_quota"}},
    ),
    "error-500": Script(status=500, body={"error": {"message": "oops", "type": "server_error", "code": None}}),
    "error-503": Script(status=503, body=HTML, content_type="text/html"),
    "html-200": Script(body=HTML, content_type="text/html"),
    "empty-200": Script(body=""),
    "truncated": Script(drop_last_bytes=9),
    "wrong-length": Script(content_length_excess=50),
    "hang": Script(hang="before_headers"),
    "hang-after-headers": Script(hang="after_headers"),
    "hang-mid-stream": Script(hang="mid_stream", cut_after=3),
    "late-start": Script(first_chunk_ms=600),
    "cut": Script(cut_after=3),
    "drop": Script(drop_connection=True),
    "no-done": Script(omit_done=True),
    "no-usage": Script(no_usage=True),
    "adverse": Script(text='{"adverse": true}'),
    "harmless": Script(text='{"adverse": false}'),
    "harmless-cut-short": Script(text='{"adverse": false}', finish_reason="length"),
    "unscored": Script(extra={"results": [{"flagged": False, "category_scores": {"other": 0.1}}]}),
    "grades-high": Script(text='{"score": 0.9}'),
    "grades-low": Script(text='{"score": 0.1}'),
    "failed": Script(failure={"code": "server_error", "message": "oops"}),
}  # fmt: skip


def _anthropic_error(status: int, kind: str, message: str, **headers: str) -> Script:
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_scripted"}
    return Script(status=status, body=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


#: The same on /v1/messages, where Anthropic has words of its own.
MESSAGES_PRESETS: dict[str, Script] = PRESETS | {
    "error-400": _anthropic_error(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
    "error-401": _anthropic_error(401, "authentication_error", "invalid x-api-key"),
    "error-403": _anthropic_error(403, "permission_error", "not for you"),
    "error-404": _anthropic_error(404, "not_found_error", "model: no such model"),
    "error-413": _anthropic_error(413, "request_too_large", "Request exceeds the maximum size"),
    "error-429": _anthropic_error(429, "rate_limit_error", "slow down", retry_after="7"),
    "error-quota": _anthropic_error(400, "invalid_request_error", "Your credit balance is too low to access the API."),
    "error-500": _anthropic_error(500, "api_error", "Internal server error"),
    "error-529": _anthropic_error(529, "overloaded_error", "Overloaded"),
    "overloaded-at-once": Script(cut_after=1, error_event={"type": "overloaded_error", "message": "Overloaded"}),
}


def script_of(endpoint: str, body: dict[str, Any]) -> Script:
    """The wish of a request: its field ``script``, else what its field ``scripts`` has for its model, else the preset
    that its model names, else a good answer.

    What follows a ``~`` in the name only tells models apart, whose circuit breakers shall not be shared.
    """
    if "script" in body:
        return _standing(body["script"], body)
    if str(body.get("model")) in body.get("scripts", {}):
        return _standing(body["scripts"][body["model"]], body)
    presets = MESSAGES_PRESETS if endpoint.startswith("messages") else PRESETS
    return presets.get(str(body.get("model")).partition("~")[0], Script())


def _standing(wish: dict[str, Any], body: dict[str, Any]) -> Script:
    script = msgspec.convert(wish, Script)
    turns = body.get("messages") or body.get("input") or ()
    is_again = any(isinstance(turn, dict) and turn.get("role") == "assistant" for turn in turns)
    return msgspec.convert(script.again, Script) if is_again and script.again is not None else script


def pieces_of(text: str) -> list[str]:
    """The text word by word, spaces kept: each piece is one token of the default usage."""
    return text.replace(" ", "\0 ").split("\0") if text else []


def fragments_of(text: str) -> list[str]:
    """Arguments of a tool in pieces that are no tokens and no JSON."""
    return [text[start : start + 5] for start in range(0, len(text), 5)]


def framed(data: str, script: Script, name: str | None = None) -> bytes:
    """One server-sent event, written as the script wants it."""
    event = f"event: {name}\ndata: {data}\n\n" if name else f"data: {data}\n\n"
    event = ": keep-alive\n\n" + event if script.comments else event
    return (event.replace("\n", "\r\n") if script.crlf else event).encode()
