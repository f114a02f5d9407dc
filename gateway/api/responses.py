"""The Responses dialect of OpenAI: what agents such as Codex and the Agents SDK speak.

Parsing looks only at what the path needs; everything else stays the client's own bytes.
"""

from __future__ import annotations

from gateway.api.arrival import Arrival, asked_model, end_user, first_integer
from gateway.api.needs import NOTHING, Sought, needs
from gateway.api.prompt_text import decoded_or_text, texts
from gateway.api.responses_reader import ResponseStreamReader, WholeResponseReader
from gateway.api.verbatim import verbatim_call
from gateway.api.whole_answer import TokenCountReader
from gateway.api.wire import field, parse_body
from gateway.domain import Body, Call, Capability, Deployment, Endpoint, Request, Usage
from gateway.errors import BadRequest
from gateway.ports import ReplyReader

# What may stand in for ``input``: something that the upstream keeps and that holds one.
_INSTEAD_OF_INPUT = ("previous_response_id", "prompt", "conversation")
_PROMPT_FIELDS = ("instructions", "input", "tools")
_NULL = b"null"
_SOUGHT = Sought(conversation="input", fields={"tools": Capability.TOOLS}, schemas=(("text", "format"),))


def parse(arrival: Arrival) -> Request:
    """One request of the Responses dialect. Raises BadRequest, naming the field, for what no upstream could answer."""
    body = parse_body(arrival.data)
    fields = body.fields
    model = asked_model(fields, arrival.default_model)
    _check_input(body)
    is_stream = arrival.endpoint is Endpoint.RESPONSES and bool(field(fields, "stream", bool, "a boolean"))
    needed = needs(fields, _SOUGHT) if arrival.is_route(model) else NOTHING
    return Request(
        id=arrival.request_id,
        endpoint=arrival.endpoint,
        model=model,
        body=body,
        body_bytes=len(arrival.data),
        is_stream=is_stream,
        wants_usage=is_stream,
        end_user=end_user(fields, "safety_identifier", "user"),
        output_tokens_max=first_integer(fields, "max_output_tokens"),
        service_tier=field(fields, "service_tier", str, "a string") if "service_tier" in fields else None,
        tags=arrival.kept_tags,
        headers=arrival.headers,
        query=arrival.query,
        needs=needed.capabilities,
        media_bytes=needed.media_bytes,
        placement=arrival.placement,
        chain=arrival.chain,
        continues=field(fields, "previous_response_id", str, "a string"),
        foreseen=Usage() if arrival.endpoint is Endpoint.INPUT_TOKENS else None,  # it costs nothing
    )


def _check_input(body: Body) -> None:
    given = bytes(body.fields.get("input", _NULL))
    if given == _NULL:
        if all(bytes(body.fields.get(name, _NULL)) == _NULL for name in _INSTEAD_OF_INPUT):
            raise BadRequest(
                "One of 'input', 'previous_response_id', 'prompt' or 'conversation' must be provided.",
                param="input",
                code="missing_required_parameter",
            )
    elif given[:1] not in (b'"', b"["):
        raise BadRequest("Invalid type for 'input': expected a string or an array.", param="input", code="invalid_type")


class ResponsesDialect:
    """What the path asks the dialect about one request."""

    def __init__(self, request: Request, keeps_text: bool = False) -> None:
        """``keeps_text``: answers are wanted as text, for content logging."""
        self._request = request
        self._keeps_text = keeps_text

    def call(self, deployment: Deployment, output_tokens_max: int | None = None) -> Call:
        """The client's own bytes but for ``model`` and a maximum that it left to the route."""
        changes = {} if output_tokens_max is None else {"max_output_tokens": output_tokens_max}
        return verbatim_call(self._request, deployment, changes)

    def reader(self, deployment: Deployment) -> ReplyReader:
        if self._request.endpoint is Endpoint.INPUT_TOKENS:
            return TokenCountReader()
        # A conversation that was made shorter comes back to the client, and is kept by it alone.
        is_stored = self._request.endpoint is Endpoint.RESPONSES and not self._says("store", b"false")
        if self._request.is_stream:
            is_background = self._says("background", b"true")
            return ResponseStreamReader(
                deployment, is_stored=is_stored, is_background=is_background, keeps_text=self._keeps_text
            )
        return WholeResponseReader(deployment, is_stored=is_stored)

    def _says(self, name: str, value: bytes) -> bool:
        return bytes(self._request.body.fields.get(name, _NULL)) == value

    def with_unreported(self, usage: Usage) -> Usage:
        return usage

    def input_text(self) -> str:
        if self._request.endpoint is Endpoint.INPUT_TOKENS:
            return ""  # it is counted, not read
        fields = self._request.body.fields
        read = (decoded_or_text(fields[name]) for name in _PROMPT_FIELDS if name in fields)
        return "\n".join(text for value in read for text in texts(value))
