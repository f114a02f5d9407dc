"""Sound, images and reranking: bodies and answers pass verbatim but for the model's name, and are metered.

Parsing looks only at what the path needs. A body is JSON or a form, as the endpoint has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from gateway.api.arrival import Arrival, asked_model, check_required, end_user
from gateway.api.gauges import Gauge, ImageGauge, RerankGauge, SpeechGauge, TranscriptGauge
from gateway.api.media_readers import BytesReader, EventReader, ObjectReader, TextReader
from gateway.api.multipart import Form, is_form, parse_form
from gateway.api.prompt_text import decoded_or_text, texts
from gateway.api.sound import seconds_of
from gateway.api.wire import field, parse_body
from gateway.domain import AnswerForm, Body, Call, Deployment, Endpoint, Request, Usage
from gateway.errors import BadRequest
from gateway.ports import ReplyReader

_CHARACTERS_PER_TOKEN = 4
_DOCUMENTS_PER_QUERY = 100  # what Cohere and Bedrock call a search unit
_IMAGES_MAX = 1000  # a bound on what an estimate may come to; upstreams have lower ones
_TEXT_FORMATS = frozenset({"text", "srt", "vtt"})
# What both sides of the wire take for true and for false in a form.
_TRUE = frozenset({"true", "1", "on", "yes", "y", "t"})
_FALSE = frozenset({"false", "0", "off", "no", "n", "f", ""})
_READ_ONCE = ("model", "stream", "response_format", "n", "size", "quality", "user")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request is for."""

    foreseen: Usage
    is_stream: bool = False
    form: AnswerForm = AnswerForm.OBJECT


def parse(arrival: Arrival) -> Request:
    """One request. Raises BadRequest, naming the field, for what no upstream could answer."""
    endpoint = arrival.endpoint
    body = _body(arrival)
    model = asked_model(body.fields, arrival.default_model)
    asked = _ASKED[endpoint](body)
    return Request(
        id=arrival.request_id,
        endpoint=endpoint,
        model=model,
        body=body,
        body_bytes=len(arrival.data),
        is_stream=asked.is_stream,
        end_user=end_user(body.fields, "user"),
        tags=arrival.kept_tags,
        headers=arrival.headers,
        query=arrival.query,
        placement=arrival.placement,
        chain=arrival.chain,
        form=asked.form,
        foreseen=asked.foreseen,
    )


_TAKES_FORMS = frozenset(
    {Endpoint.TRANSCRIPTIONS, Endpoint.TRANSLATIONS, Endpoint.IMAGE_EDITS, Endpoint.IMAGE_VARIATIONS}
)
_TAKES_JSON_TOO = frozenset({Endpoint.IMAGE_EDITS})


_PRICED_BY = ("size", "quality")  # some image models are priced by these


def _body(arrival: Arrival) -> Body:
    endpoint = arrival.endpoint
    if endpoint not in _TAKES_FORMS:
        return parse_body(arrival.data)
    if not is_form(arrival.content_type):
        if endpoint in _TAKES_JSON_TOO:
            return parse_body(arrival.data)
        raise BadRequest(f"/v1/{endpoint} takes a body of multipart/form-data.")
    form = parse_form(arrival.data, arrival.content_type)
    for name in _READ_ONCE:
        if form.count(name) > 1:
            raise BadRequest(f"'{name}' is given more than once.", param=name, code="invalid_value")
        if form.count(name) and name not in form.fields:
            raise BadRequest(f"Invalid type for '{name}': expected a text field, got a file.", param=name)
    return form


def _speech(body: Body) -> _Asked:
    check_required(body.fields, "input", b'"', "a string")
    text = field(body.fields, "input", str, "a string") or ""
    instructions = field(body.fields, "instructions", str, "a string") or ""
    has_events = field(body.fields, "stream_format", str, "a string") == "sse"
    return _Asked(
        Usage(characters=len(text), input_tokens=_tokens_in(len(text) + len(instructions))),
        is_stream=True,
        form=AnswerForm.OBJECT if has_events else AnswerForm.BYTES,
    )


def _transcript(body: Body) -> _Asked:
    sound = body.file("file") if isinstance(body, Form) else None
    if sound is None and not {"file_id", "file_url"} & body.fields.keys():  # Mistral takes these too
        raise BadRequest("Missing required parameter: 'file'.", param="file", code="missing_required_parameter")
    is_stream = _flag(body, "stream")
    is_text = not is_stream and field(body.fields, "response_format", str, "a string") in _TEXT_FORMATS
    return _Asked(
        Usage(seconds=seconds_of(sound) if sound is not None else 0),
        is_stream=is_stream,
        form=AnswerForm.TEXT if is_text else AnswerForm.OBJECT,
    )


def _image(body: Body) -> _Asked:
    check_required(body.fields, "prompt", b'"', "a string")
    return _images(body)


def _image_of_image(body: Body) -> _Asked:
    if isinstance(body, Form) and body.file("image", "image[]") is None:
        raise BadRequest("Missing required parameter: 'image'.", param="image", code="missing_required_parameter")
    return _images(body)


def _images(body: Body) -> _Asked:
    prompt = field(body.fields, "prompt", str, "a string") or ""
    for name in _PRICED_BY:
        field(body.fields, name, str, "a string")  # read again when the answer's price is looked for
    images = min(max(1, _integer(body, "n") or 1), _IMAGES_MAX)
    return _Asked(Usage(images=images, input_tokens=_tokens_in(len(prompt))), is_stream=_flag(body, "stream"))


def _rerank(body: Body) -> _Asked:
    check_required(body.fields, "query", b'"{', "a string or an object")
    check_required(body.fields, "documents", b"[{", "an array")
    texts = bytes(body.fields["documents"])
    documents = len(msgspec.json.decode(texts, type=list[msgspec.Raw])) if texts.startswith(b"[") else 1
    # Each document is read with the query.
    size = len(bytes(body.fields["query"])) * documents + len(texts)
    queries = max(1, -(-documents // _DOCUMENTS_PER_QUERY))
    return _Asked(Usage(queries=queries, input_tokens=_tokens_in(size)))


_ASKED: Mapping[Endpoint, Callable[[Body], _Asked]] = {
    Endpoint.SPEECH: _speech,
    Endpoint.TRANSCRIPTIONS: _transcript,
    Endpoint.TRANSLATIONS: _transcript,
    Endpoint.IMAGES: _image,
    Endpoint.IMAGE_EDITS: _image_of_image,
    Endpoint.IMAGE_VARIATIONS: _image_of_image,
    Endpoint.RERANK: _rerank,
}


def _flag(body: Body, name: str) -> bool:
    if name not in body.fields or not isinstance(body, Form):
        return bool(field(body.fields, name, bool, "a boolean"))
    text = (field(body.fields, name, str, "a string") or "").lower()
    if text not in _TRUE | _FALSE:
        raise BadRequest(f"Invalid type for '{name}': expected a boolean.", param=name, code="invalid_type")
    return text in _TRUE


def _integer(body: Body, name: str) -> int | None:
    if name not in body.fields or not isinstance(body, Form):
        return field(body.fields, name, int, "an integer")
    text = field(body.fields, name, str, "a string") or ""
    if not (text.isascii() and text.isdigit() and len(text) <= 9):  # noqa: PLR2004 - digits of any sensible number
        raise BadRequest(f"Invalid type for '{name}': expected an integer.", param=name, code="invalid_type")
    return int(text)


def _tokens_in(size: int) -> int:
    return -(-size // _CHARACTERS_PER_TOKEN)


_READ_AS_TEXT: Mapping[Endpoint, tuple[str, ...]] = {
    Endpoint.SPEECH: ("input", "instructions"),
    Endpoint.RERANK: ("query", "documents"),
}
_REQUIRED: Mapping[Endpoint, tuple[str, ...]] = {
    Endpoint.TRANSCRIPTIONS: ("text",),
    Endpoint.TRANSLATIONS: ("text",),
    Endpoint.RERANK: ("results", "data"),  # Voyage has data
}


class MediaDialect:
    """What the path asks the dialect about one request."""

    def __init__(self, request: Request, keeps_text: bool = False) -> None:
        """``keeps_text``: transcripts are wanted as text, for content logging."""
        self._request = request
        self._keeps_text = keeps_text
        self._foreseen = request.foreseen or Usage()
        self._gauge: Gauge | None = None  # of the attempt that is under way

    def call(self, deployment: Deployment, output_tokens_max: int | None = None) -> Call:  # noqa: ARG002 - of texts alone
        """The client's own bytes but for ``model``."""
        request = self._request
        body = request.body
        return Call(
            deployment=deployment,
            endpoint=request.endpoint,
            body=body.encoded_with({"model": deployment.model}),
            is_stream=request.is_stream,
            headers=request.headers,
            query=request.query,
            content_type=body.content_type if isinstance(body, Form) else "application/json",
            form=request.form,
        )

    def reader(self, deployment: Deployment) -> ReplyReader:
        request, keeps_text = self._request, self._keeps_text
        gauge = self._gauge = self._gauge_for(deployment)
        if request.form is AnswerForm.BYTES:
            return BytesReader(gauge)
        if isinstance(gauge, TranscriptGauge) and request.form is AnswerForm.TEXT:
            return TextReader(gauge, keeps_text=keeps_text)
        if request.is_stream:
            return EventReader(gauge, keeps_text=keeps_text)
        return ObjectReader(gauge, _REQUIRED.get(request.endpoint, ("data",)), keeps_text=keeps_text)

    def _gauge_for(self, deployment: Deployment) -> Gauge:
        match self._request.endpoint:
            case Endpoint.SPEECH:
                return SpeechGauge(self._foreseen, deployment)
            case Endpoint.TRANSCRIPTIONS | Endpoint.TRANSLATIONS:
                return TranscriptGauge(self._foreseen, deployment)
            case Endpoint.RERANK:
                return RerankGauge(self._foreseen, deployment)
            case _:
                fields = self._request.body.fields
                size, quality = (field(fields, name, str, "a string") for name in _PRICED_BY)
                return ImageGauge(self._foreseen, deployment, size, quality)

    def with_unreported(self, usage: Usage) -> Usage:
        """What the gauge says: also where a client left before anything came, and nothing was reported."""
        return usage if self._gauge is None else self._gauge.usage()

    def input_text(self) -> str:
        fields = self._request.body.fields
        names = _READ_AS_TEXT.get(self._request.endpoint, ("prompt",))
        return "\n".join(text for name in names if name in fields for text in texts(decoded_or_text(fields[name])))
