"""A response object as upstreams send it, and what the path reads in it: why it ended and what it says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import msgspec

from backends import upstream_errors
from gateway.api.answers import ABSENT, UNREADABLE, decode_fields, decoded, items, parse_error, text_or_none
from gateway.errors import UpstreamError

#: Of a response that the upstream is still at work on.
UNDER_WAY = frozenset({"queued", "in_progress"})
#: What a response's error code stands for: the others are the upstream's own affairs.
_STATUSES: Mapping[str, int] = {
    "server_error": 500,
    **dict.fromkeys(("invalid_prompt", "bio_policy", "cyber_policy", "data_residency_mismatch"), 400),
}
_IMAGE_CODES = ("image", "invalid_image", "invalid_base64_image", "unsupported_image", "empty_image", "failed_to_down")


class _Incomplete(msgspec.Struct):
    reason: object = None


class ResponseObject(msgspec.Struct):
    """A response, as far as the path looks into it. Typed loosely where nothing hangs on it."""

    id: object = None
    model: object = None
    status: object = None
    service_tier: object = None
    store: object = None
    output: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    incomplete_details: _Incomplete | None = None

    @property
    def finish_reason(self) -> str | None:
        """Why it ended: the reason of an incomplete one, else its status."""
        reason = text_or_none(self.incomplete_details.reason) if self.incomplete_details else None
        return reason or text_or_none(self.status)

    @property
    def stored_id(self) -> str | None:
        """Its id, unless the upstream says that it does not keep it."""
        return None if self.store is False else text_or_none(self.id)

    def failure(self) -> UpstreamError | None:
        """Its error, if it failed."""
        if bytes(self.error) == b"null" and self.status != "failed":
            return None
        return failure_of(self.error)


decode_response = msgspec.json.Decoder(ResponseObject).decode


def failure_of(raw: msgspec.Raw) -> UpstreamError:
    """What a response's error (``code``, ``message``) means for the path."""
    said = upstream_errors.error_object(b'{"error":' + bytes(raw) + b"}")
    code = said.code if said else None
    if said is None or code is None:
        return parse_error(raw, 200)
    status = _STATUSES.get(code, 400 if code.startswith(_IMAGE_CODES) else None)
    if status is None:
        return parse_error(raw, 200)
    return upstream_errors.refusal_in_answer(replace(said, status=status), 200)


def next_number(event: bytes) -> int:
    """The ``sequence_number`` that follows that of an event, 0 if it has none."""
    lines = (line[5:] for line in event.split(b"\n") if line.startswith(b"data:"))
    try:
        number = sequence_number(decoded(decode_fields, b"\n".join(lines)))
    except UNREADABLE:
        number = None
    return 0 if number is None else number + 1


def sequence_number(fields: Mapping[str, msgspec.Raw]) -> int | None:
    """Where an event says that it stands in its stream."""
    try:
        return msgspec.json.decode(fields["sequence_number"], type=int)
    except (msgspec.DecodeError, KeyError):
        return None


def texts_of_output(output: msgspec.Raw) -> Iterable[str]:
    """All generated text of a response: messages, refusals, reasoning, the arguments of tools."""
    try:
        found = decoded(msgspec.json.decode, output)
    except UNREADABLE:
        return
    for item in items(found):
        if not isinstance(item, dict):
            continue
        yield from (item[name] for name in ("name", "arguments", "input", "code") if isinstance(item.get(name), str))
        for part in (*items(item.get("content")), *items(item.get("summary"))):
            if isinstance(part, dict):
                yield from (part[name] for name in ("text", "refusal") if isinstance(part.get(name), str))
