"""The OpenAI dialect: chat completions, completions, embeddings, moderations, and what guards ask of classifiers.

Parsing looks only at what the path needs; everything else stays the client's own bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.api.arrival import Arrival, asked_model, check_required, end_user, first_integer
from gateway.api.needs import NOTHING, Sought, needs
from gateway.api.prompt_text import decoded_or_text, texts
from gateway.api.replies import StreamReader, WholeReader
from gateway.api.verbatim import verbatim_call
from gateway.api.wire import field, parse_body
from gateway.domain import Call, Capability, Deployment, Endpoint, Request, Usage
from gateway.ports import ReplyReader

# What the endpoint cannot do without, and how its JSON must begin: an array, or for prompts also a string.
_REQUIRED: Mapping[Endpoint, tuple[str, bytes, str]] = {
    Endpoint.CHAT: ("messages", b"[", "an array"),
    Endpoint.COMPLETIONS: ("prompt", b'["', "a string or an array"),
    Endpoint.EMBEDDINGS: ("input", b'["', "a string or an array"),
    Endpoint.MODERATIONS: ("input", b'["', "a string or an array"),
    Endpoint.CLASSIFY: ("input", b'["', "a string or an array"),
}
_STREAMING = frozenset({Endpoint.CHAT, Endpoint.COMPLETIONS})
_NULL = msgspec.Raw(b"null")
_OPENAIS_KINDS = frozenset({"openai", "azure"})  # reasoning models of theirs refuse ``max_tokens``
_SOUGHT = Sought(
    conversation="messages",
    fields={"tools": Capability.TOOLS, "functions": Capability.TOOLS, "audio": Capability.AUDIO},
    schemas=(("response_format",),),
)


def parse(arrival: Arrival) -> Request:
    """One request of the OpenAI dialect. Raises BadRequest, naming the field, for what no upstream could answer."""
    endpoint = arrival.endpoint
    body = parse_body(arrival.data)
    fields = body.fields
    model = asked_model(fields, arrival.default_model)
    check_required(fields, *_REQUIRED[endpoint])
    is_stream = endpoint in _STREAMING and bool(field(fields, "stream", bool, "a boolean"))
    options = field(fields, "stream_options", dict[str, object], "an object") if is_stream else None
    choices = field(fields, "n", int, "an integer") if "n" in fields else None
    if "best_of" in fields:
        field(fields, "best_of", int, "an integer")  # some servers read "20" as 20, for which nothing would be held
    needed = needs(fields, _SOUGHT) if endpoint is Endpoint.CHAT and arrival.is_route(model) else NOTHING
    return Request(
        id=arrival.request_id,
        endpoint=endpoint,
        model=model,
        body=body,
        body_bytes=len(arrival.data),
        is_stream=is_stream,
        wants_usage=bool(options and options.get("include_usage")),
        stream_options=options or {},
        end_user=end_user(fields, "user", "safety_identifier"),
        output_tokens_max=_output_tokens_max(fields),
        choices=max(1, choices or 1),
        service_tier=field(fields, "service_tier", str, "a string") if "service_tier" in fields else None,
        tags=arrival.kept_tags,
        headers=arrival.headers,
        query=arrival.query,
        needs=needed.capabilities,
        media_bytes=needed.media_bytes,
        placement=arrival.placement,
        chain=arrival.chain,
    )


def _output_tokens_max(fields: Mapping[str, msgspec.Raw]) -> int | None:
    """The larger of the two names for it: some servers read the one, some the other."""
    new, old = first_integer(fields, "max_completion_tokens"), first_integer(fields, "max_tokens")
    return old if new is None else new if old is None else max(new, old)


class OpenAIDialect:
    """What the path asks the dialect about one request."""

    def __init__(self, request: Request, keeps_text: bool = False) -> None:
        """``keeps_text``: answers are wanted as text, for content logging."""
        self._request = request
        self._keeps_text = keeps_text

    def call(self, deployment: Deployment, output_tokens_max: int | None = None) -> Call:
        """The client's own bytes but for ``model``, ``stream_options`` and a maximum that it left to the route."""
        request = self._request
        changes: dict[str, object] = {}
        if output_tokens_max is not None:
            has_new_name = request.endpoint is Endpoint.CHAT and deployment.provider.kind in _OPENAIS_KINDS
            changes["max_completion_tokens" if has_new_name else "max_tokens"] = output_tokens_max
        if request.is_stream and deployment.asks_stream_usage:
            options = dict(request.stream_options)
            options["include_usage"] = True
            if deployment.has_running_usage:
                options["continuous_usage_stats"] = True  # so that an aborted stream is charged exactly
            changes["stream_options"] = options
        return verbatim_call(request, deployment, changes)

    def reader(self, deployment: Deployment) -> ReplyReader:
        if self._request.is_stream:
            request = self._request
            return StreamReader(
                wants_usage=request.wants_usage,
                choices_per_prompt=request.choices,
                prompts=self._prompts(),
                has_usage_per_choice=deployment.has_running_usage,
                keeps_text=self._keeps_text,
            )
        return WholeReader(self._request.endpoint)

    def _prompts(self) -> int:
        """How many prompts one call of /v1/completions carries: an array of texts or of token arrays is several."""
        if self._request.endpoint is not Endpoint.COMPLETIONS:
            return 1
        match decoded_or_text(self._request.body.fields["prompt"]):
            case [str() | list(), *_] as prompts:
                return len(prompts)
            case _:
                return 1

    def with_unreported(self, usage: Usage) -> Usage:
        """OpenAI charges a search for each chat that asks for one (``web_search_options``) and does not count it."""
        asked = self._request.body.fields.get("web_search_options", _NULL)
        if usage.web_searches == 0 and bytes(asked) != b"null" and usage.output_tokens:
            return msgspec.structs.replace(usage, web_searches=1)
        return usage

    def input_text(self) -> str:
        fields = self._request.body.fields
        read = (
            decoded_or_text(fields[name]) for name in (_REQUIRED[self._request.endpoint][0], "tools") if name in fields
        )
        return "\n".join(text for value in read for text in texts(value))
