"""What the scripted upstream says on the endpoints for sound, images and reranking.

A form is recorded as its text fields by name, with ``form`` (name, file name, content type, size and SHA-256 of every
part, in order) and ``raw`` (the body as Latin-1, if it is short) beside them. ``script`` in a form is JSON text.
"""

from __future__ import annotations

import hashlib
import json
from email import message_from_bytes
from email.message import Message
from typing import Any

import msgspec

from scripted.script import Script, framed, pieces_of

ENDPOINTS = (
    *("audio/speech", "audio/transcriptions", "audio/translations", "rerank"),
    *("images/generations", "images/edits", "images/variations"),
)
SOUND = tuple(bytes([number]) * 4096 for number in range(1, 9))  # what is spoken, in the pieces it is sent in
SECONDS = 9  # as a transcript reports them
SPOKEN = {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}
_TEXT_TYPES = {"text": "text/plain; charset=utf-8", "srt": "application/x-subrip", "vtt": "text/vtt"}
_RAW_BYTES_MAX = 65_536


def form_of(content_type: str, raw: bytes) -> dict[str, Any]:
    """A form, read in another way than the gateway does."""
    body: dict[str, Any] = {"form": []}
    head = Message()
    head["content-type"] = content_type
    for part in raw.split(b"--" + str(head.get_boundary()).encode())[1:-1]:
        described, _, content = part.removeprefix(b"\r\n").removesuffix(b"\r\n").partition(b"\r\n\r\n")
        headers = message_from_bytes(described)
        name, filename = headers.get_param("name", header="content-disposition"), headers.get_filename()
        kind = headers.get_content_type() if filename else None
        body["form"].append([name, filename, kind, len(content), hashlib.sha256(content).hexdigest()])
        if filename is None:
            body[str(name)] = content.decode()
    if "script" in body:
        body["script"] = json.loads(body["script"])
    if len(raw) <= _RAW_BYTES_MAX:
        body["raw"] = raw.decode("latin-1")
    return body


def is_streamed(endpoint: str, body: dict[str, Any]) -> bool:
    return endpoint == "audio/speech" or body.get("stream") in (True, "true")


def blocks(endpoint: str, body: dict[str, Any], script: Script) -> tuple[list[bytes], Script]:
    """All blocks of a streamed answer, and the script with the content type that they have."""
    if endpoint == "audio/speech" and body.get("stream_format") != "sse":
        kind = script.content_type or "audio/mpeg"
        return list(SOUND), msgspec.structs.replace(script, headers={**script.headers, "content-type": kind})
    events = script.events if script.events is not None else _events(endpoint, body, script)
    has_names = endpoint.startswith("images")
    framed_events = [framed(json.dumps(event), script, event["type"] if has_names else None) for event in events]
    if endpoint == "audio/transcriptions" and not script.omit_done:
        framed_events.append(framed("[DONE]", script))
    return framed_events, script


def _events(endpoint: str, body: dict[str, Any], script: Script) -> list[dict[str, Any]]:
    usage = {} if script.no_usage else {"usage": script.usage}
    if endpoint == "audio/speech":
        deltas = [{"type": "speech.audio.delta", "audio": "AQID"} for _ in range(4)]
        return [*deltas, {"type": "speech.audio.done", "usage": script.usage or SPOKEN}]
    if endpoint == "audio/transcriptions":
        said = [{"type": "transcript.text.delta", "delta": piece} for piece in pieces_of(script.text)]
        return [*said, {"type": "transcript.text.done", "text": script.text, **usage}]
    kind = "image_generation" if endpoint == "images/generations" else "image_edit"
    picture = {"b64_json": "aW1hZ2U=" * 20_000, "size": "1024x1024", "quality": "high", "output_format": "png"}
    partial = [
        {"type": f"{kind}.partial_image", "partial_image_index": index, **picture}
        for index in range(int(body.get("partial_images", 2)))
    ]
    return [*partial, {"type": f"{kind}.completed", **picture, **usage}]


def whole(endpoint: str, body: dict[str, Any], script: Script) -> tuple[bytes, str]:
    """A whole answer and its content type."""
    kind = str(body.get("response_format"))
    if endpoint in ("audio/transcriptions", "audio/translations") and kind in _TEXT_TYPES:
        return script.text.encode(), _TEXT_TYPES[kind]
    return json.dumps({**_answer(endpoint, body, script, kind), **script.extra}).encode(), "application/json"


def _answer(endpoint: str, body: dict[str, Any], script: Script, kind: str) -> dict[str, Any]:
    if endpoint == "rerank":
        results = [{"index": index, "relevance_score": 1 / (index + 1)} for index in range(len(body["documents"]))]
        answer: dict[str, Any] = {"id": "rerank-1", "results": results}
        if script.usage is not None:
            answer["usage"] = script.usage
        elif not script.no_usage:
            answer["meta"] = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
        return answer
    if endpoint.startswith("images"):
        answer = {"created": 1_700_000_000, "data": [{"b64_json": "aW1hZ2U="} for _ in range(int(body.get("n") or 1))]}
        return answer if script.usage is None else {**answer, "usage": script.usage}
    answer = {"text": script.text}
    if kind == "verbose_json":
        return {**answer, "task": "transcribe", "language": "english", "duration": SECONDS - 0.53, "segments": []}
    return answer if script.no_usage else {**answer, "usage": script.usage or {"type": "duration", "seconds": SECONDS}}
