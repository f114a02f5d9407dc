"""Reads answers of the Responses API as they pass, whole or streamed: what to show, what they consumed.

A stream begins with events that only announce it (``response.created``, ``response.in_progress``). They are held back
until something else comes, so that an upstream which announces an answer and then fails at once is still replaced by
the next one. Its end (``response.completed``, ``response.incomplete``) is held back until the charge is durable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from gateway.api.answers import ABSENT, UNREADABLE, decode_fields, decoded, text_or_none
from gateway.api.response_objects import (
    UNDER_WAY,
    ResponseObject,
    decode_response,
    failure_of,
    next_number,
    sequence_number,
    texts_of_output,
)
from gateway.api.responses_usage import parse_usage, tool_calls
from gateway.api.typed_events import TypedStreamReader
from gateway.api.whole_answer import WholeAnswerReader
from gateway.api.wire import dollars
from gateway.domain import Call, Deployment, Endpoint, Usage
from gateway.errors import GatewayError, UpstreamBroken
from gateway.ports import Pending

_OPENING = frozenset({"response.created", "response.queued", "response.in_progress"})
_END = frozenset({"response.completed", "response.incomplete"})
_NO_OUTPUT = msgspec.Raw(b"[]")
_encode = msgspec.json.encode


class WholeResponseReader(WholeAnswerReader):
    """Reads a response that is not streamed."""

    def __init__(self, deployment: Deployment, *, is_stored: bool = True) -> None:
        """``is_stored``: the request lets the upstream keep the response."""
        super().__init__()
        self._deployment = deployment
        self._is_stored = is_stored

    def take(self, answer: bytes) -> None:
        response = decoded(decode_response, answer)
        self.model_answered = text_or_none(response.model)
        self.service_tier = text_or_none(response.service_tier)
        self.finish_reason = response.finish_reason
        self.usage = parse_usage(response.usage, response.output)
        self.error = response.failure()
        if self.error is None and bytes(response.output)[:1] != b"[":
            self.error = UpstreamBroken("The upstream's answer has no 'output'.")
        if self.error is not None:
            return
        self.stored_id = response.stored_id if self._is_stored else None
        if text_or_none(response.status) in UNDER_WAY and (response_id := text_or_none(response.id)):
            self.pending = _pending(self._deployment, response_id)

    def texts_in(self, answer: bytes) -> Iterable[str]:
        return texts_of_output(decoded(decode_fields, answer).get("output", _NO_OUTPUT))


def _pending(deployment: Deployment, response_id: str) -> Pending:
    """How to ask after a response that the upstream works on in the background."""
    call = Call(deployment, Endpoint.RESPONSES, b"", is_stream=False, headers={}, method="GET", item=(response_id,))
    return Pending(call, lambda: WholeResponseReader(deployment))


class ResponseStreamReader(TypedStreamReader):
    """Reads a streamed response event by event."""

    passing = frozenset(
        b"response." + name + b".delta"
        for name in (
            *(b"output_text", b"refusal", b"reasoning_text", b"reasoning_summary_text"),
            *(b"function_call_arguments", b"custom_tool_call_input", b"mcp_call_arguments"),
            b"code_interpreter_call_code",
        )
    )

    def __init__(
        self,
        deployment: Deployment,
        *,
        is_stored: bool = True,
        is_background: bool = False,
        keeps_text: bool = False,
    ) -> None:
        """``is_background``: the upstream works on without us, so that being announced is an answer already."""
        super().__init__(keeps_text=keeps_text)
        self._deployment = deployment
        self._is_stored = is_stored
        self._is_background = is_background
        self._response: dict[str, msgspec.Raw] = {}  # as last announced, or as it ended
        self._kind = ""
        self._last = b""  # the event that was shown last
        self._end: dict[str, msgspec.Raw] | None = None
        self._containers: set[str] = set()  # those that ran code

    @property
    def pending(self) -> Pending | None:
        """In the background the upstream goes on when its stream breaks, or when nobody reads it any more."""
        response_id = _id(self._response) if self._is_background and self._end is None else None
        return _pending(self._deployment, response_id) if response_id else None

    def look(self, kind: str, event: bytes, fields: dict[str, msgspec.Raw]) -> bytes:
        if kind in _OPENING and not self.has_data:
            self._announce(fields)
            self._last = event
            self._opening.append(event)
            self.has_data = self._is_background
            return b""
        if kind in _END:
            self._complete(kind, fields)
            return b""
        if kind == "response.failed":
            response = self._read(fields)
            self._meter(response)
            self.error = response.failure() or UpstreamBroken("The upstream's response failed.")
            self._end = fields
            return b""
        if kind == "error":
            said = {name: raw for name, raw in fields.items() if name in {"code", "message", "param"}}
            self.error = failure_of(fields["error"] if "error" in fields else msgspec.Raw(_encode(said)))
            self._end = fields
            return b""
        self.has_data = True
        if kind == "response.output_item.done":
            self._count_calls(fields.get("item", ABSENT))
        if kind.encode() in self.passing:
            self._keep(event)
        else:
            self._last = event
        return event

    def look_at_untyped(self, payload: bytes) -> bytes:
        if payload.strip() == b"[DONE]":  # some servers end this API's streams like the other one's
            return b""
        try:
            error = decoded(decode_fields, payload).get("error", ABSENT)
        except UNREADABLE:
            error = ABSENT
        if bytes(error) == b"null":
            return super().look_at_untyped(payload)
        self.error = failure_of(error)
        return b""

    def _announce(self, fields: dict[str, msgspec.Raw]) -> None:
        response = self._read(fields)
        self.stored_id = response.stored_id if self._is_stored else None

    def _read(self, fields: dict[str, msgspec.Raw]) -> ResponseObject:
        """Take over what the response in an event says of itself."""
        raw = fields.get("response", ABSENT)
        try:
            response = decoded(decode_response, raw)
            self._response = decoded(decode_fields, raw)
        except UNREADABLE:
            return ResponseObject()
        self.model_answered = text_or_none(response.model) or self.model_answered
        self.service_tier = text_or_none(response.service_tier) or self.service_tier
        return response

    def _meter(self, ended: ResponseObject) -> None:
        """Only the end knows the usage: what some servers say of it before, zeros mostly, is no report."""
        self.usage = parse_usage(ended.usage, ended.output)
        if self.usage is not None:
            self.unreported_calls = Usage()

    def _count_calls(self, item: msgspec.Raw) -> None:
        """Count a tool that is charged by the call, in case that the stream is cut before it is reported."""
        searches, containers = tool_calls(b"[" + bytes(item) + b"]")
        self._containers |= containers
        searches += self.unreported_calls.web_searches
        self.unreported_calls = Usage(web_searches=searches, code_sessions=len(self._containers))

    def _complete(self, kind: str, fields: dict[str, msgspec.Raw]) -> None:
        response = self._read(fields)
        self._meter(response)
        if bytes(response.output)[:1] != b"[":
            self.error = UpstreamBroken("The upstream's stream ended without a response.")
            return
        if self._is_stored and self.stored_id is None:
            self.stored_id = response.stored_id
        self.finish_reason = response.finish_reason
        self._kind, self._end = kind, fields
        self.has_data = self.is_ended = True

    def closing(self, cost_nusd: int) -> bytes:
        """The end, with ``usage.cost`` in US dollars."""
        if self._end is None:
            return b""
        raw = self._response.get("usage", ABSENT)
        reported = decoded(decode_fields, raw) if bytes(raw)[:1] == b"{" else usage_fields(self.usage or Usage())
        usage = {**reported, "cost": msgspec.Raw(dollars(cost_nusd).encode())}
        response = {**self._response, "usage": usage}
        return _event(self._kind, {**self._end, "response": response})

    def failing(self, error: GatewayError) -> bytes:
        """``response.failed``, in the place of the upstream's own or as the next event after the last one shown.

        Of a response that the upstream goes on with only the stream has failed: that is an ``error``.
        """
        number = sequence_number(self._end) if self._end is not None else None
        if number is None:
            number = next_number(self._last)
        said = {"code": error.code or "server_error", "message": error.message}
        if self.pending is not None:
            return _event("error", {"type": "error", "sequence_number": number, "param": None, **said})
        response = {"object": "response", "output": [], **self._response, "status": "failed", "error": said}
        event = {"type": "response.failed", "sequence_number": number, "response": response}
        return _event("response.failed", event)

    def texts_of(self, payload: dict[str, object]) -> Iterable[str]:
        if isinstance(delta := payload.get("delta"), str):
            yield delta

    def output_text(self) -> str:
        text = super().output_text()
        return text or "".join(texts_of_output(self._response.get("output", _NO_OUTPUT)))

    def _keep(self, event: bytes) -> None:
        self._last = event
        super()._keep(event)


def _event(kind: str, fields: Mapping[str, object]) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + _encode(fields) + b"\n\n"


def _id(response: Mapping[str, msgspec.Raw]) -> str | None:
    try:
        return msgspec.json.decode(response["id"], type=str)
    except (msgspec.DecodeError, KeyError):
        return None


def usage_fields(used: Usage) -> Mapping[str, object]:
    """Counted usage, as the API reports it."""
    return {
        "input_tokens": used.input_tokens,
        "input_tokens_details": {
            "cached_tokens": used.cached_input_tokens,
            "cache_write_tokens": used.cache_write_tokens + used.cache_write_long_tokens,
        },
        "output_tokens": used.output_tokens,
        "output_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
        "total_tokens": used.input_tokens + used.output_tokens,
    }
