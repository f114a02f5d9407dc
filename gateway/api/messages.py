"""Anthropic's Messages dialect: what Claude Code and Anthropic's SDKs speak.

Parsing looks only at what the path needs; everything else stays the client's own bytes.
"""

from __future__ import annotations

import msgspec

from gateway.api.arrival import Arrival, asked_model, check_required, end_user, first_integer
from gateway.api.messages_reader import MessageStreamReader, WholeMessageReader
from gateway.api.needs import NOTHING, Sought, needs
from gateway.api.prompt_text import decoded_or_text, texts
from gateway.api.verbatim import verbatim_call
from gateway.api.whole_answer import TokenCountReader
from gateway.api.wire import field, parse_body
from gateway.domain import Body, Call, Capability, Deployment, Endpoint, Request, Usage
from gateway.ports import ReplyReader

PROMPT_FIELDS = ("system", "messages", "tools")
_SOUGHT = Sought(
    conversation="messages",
    fields={"tools": Capability.TOOLS},
    schemas=(("output_config", "format"), ("output_format",)),
)


def parse(arrival: Arrival) -> Request:
    """One request of the Messages dialect. Raises BadRequest, naming the field, for what no upstream could answer."""
    endpoint = arrival.endpoint
    body = parse_body(arrival.data)
    fields = body.fields
    model = asked_model(fields, arrival.default_model)
    check_required(fields, "messages", b"[", "an array")
    is_stream = endpoint is Endpoint.MESSAGES and bool(field(fields, "stream", bool, "a boolean"))
    needed = needs(fields, _SOUGHT) if arrival.is_route(model) else NOTHING
    return Request(
        id=arrival.request_id,
        endpoint=endpoint,
        model=model,
        body=body,
        body_bytes=len(arrival.data),
        is_stream=is_stream,
        wants_usage=is_stream,
        end_user=_end_user(body),
        output_tokens_max=first_integer(fields, "max_tokens"),
        service_tier=field(fields, "service_tier", str, "a string") if "service_tier" in fields else None,
        tags=arrival.kept_tags,
        headers=arrival.headers,
        query=arrival.query,
        needs=needed.capabilities,
        media_bytes=needed.media_bytes,
        placement=arrival.placement,
        chain=arrival.chain,
        foreseen=Usage() if endpoint is Endpoint.COUNT_TOKENS else None,  # it costs nothing
    )


def _end_user(body: Body) -> str | None:
    """Who the client's own user is: ``metadata.user_id``."""
    if "metadata" not in body.fields:
        return None
    return end_user(field(body.fields, "metadata", dict[str, msgspec.Raw], "an object") or {}, "user_id")


class MessagesDialect:
    """What the path asks the dialect about one request."""

    def __init__(self, request: Request, keeps_text: bool = False) -> None:
        """``keeps_text``: answers are wanted as text, for content logging."""
        self._request = request
        self._keeps_text = keeps_text

    def call(self, deployment: Deployment, output_tokens_max: int | None = None) -> Call:  # noqa: ARG002 - it has one
        """The client's own bytes but for ``model``."""
        return verbatim_call(self._request, deployment)

    def reader(self, deployment: Deployment) -> ReplyReader:  # noqa: ARG002 - all of them answer alike
        request = self._request
        if request.endpoint is Endpoint.COUNT_TOKENS:
            return TokenCountReader()
        if request.is_stream:
            return MessageStreamReader(request.id, keeps_text=self._keeps_text)
        return WholeMessageReader(request.id)

    def with_unreported(self, usage: Usage) -> Usage:
        return usage

    def input_text(self) -> str:
        if self._request.endpoint is Endpoint.COUNT_TOKENS:
            return ""  # it is counted, not read
        fields = self._request.body.fields
        read = (decoded_or_text(fields[name]) for name in PROMPT_FIELDS if name in fields)
        return "\n".join(text for value in read for text in texts(value))
