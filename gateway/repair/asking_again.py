"""The request once more, with what was answered and what is wrong with it."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from gateway.domain import Endpoint, Request

#: Of what was answered, and of the schema, so many characters are told again.
_SAID_CHARACTERS_MAX, _SCHEMA_CHARACTERS_MAX = 65_536, 65_536
_encode = msgspec.json.encode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


def asked_again(request: Request, said: str, schema: object, *, is_call: bool) -> Request | None:
    """``None`` where it cannot be asked once more: its upstream keeps the conversation, or it has another form.

    ``is_call``: a tool was to be called.
    """
    fields = request.body.fields
    if "conversation" in fields:
        return None
    name = "input" if request.endpoint is Endpoint.RESPONSES else "messages"
    try:
        asked = _asked(fields[name])
    except (KeyError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    told = said[:_SAID_CHARACTERS_MAX]
    more = [{"role": "assistant", "content": told}] if told.strip() else []
    more.append({"role": "user", "content": _wrong(schema, is_call=is_call)})
    added = [msgspec.Raw(_encode(one)) for one in more]
    body = request.body.with_fields({name: msgspec.Raw(_encode([*asked, *added]))})
    return replace(request, body=body, body_bytes=request.body_bytes + sum(len(bytes(one)) for one in added))


def _asked(raw: msgspec.Raw) -> list[msgspec.Raw]:
    if bytes(raw).lstrip()[:1] == b'"':
        return [msgspec.Raw(_encode({"role": "user", "content": raw}))]
    return _items(raw)


def _wrong(schema: object, *, is_call: bool) -> str:
    wanted = _encode(schema).decode()
    form = f"JSON that keeps to this schema: {wanted}" if len(wanted) <= _SCHEMA_CHARACTERS_MAX else "JSON as asked"
    if is_call:
        return f"The tool was not called with {form}\nCall it again, and with nothing else."
    return f"That is no {form}\nAnswer again, with nothing but such JSON."
