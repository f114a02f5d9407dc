"""Where a request asks for JSON and nothing else, and by which schema: in each dialect that states such a thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from gateway.domain import Endpoint, Request
from policies.gates import Form

#: What ``json_object`` asks for.
_OBJECT: Mapping[str, object] = {"type": "object"}
_FORMATS: Mapping[Endpoint, Sequence[tuple[str, ...]]] = {
    Endpoint.CHAT: (("response_format",),),
    Endpoint.RESPONSES: (("text", "format"),),
    Endpoint.MESSAGES: (("output_config", "format"), ("output_format",)),
}


def asked_form(request: Request) -> Form | None:
    """The form that its answer must have; ``None`` where it may be anything, or is a part of what is asked.

    Tools count where the answer must call one: else it mostly is no JSON.
    """
    if request.endpoint not in _FORMATS or request.choices != 1 or _goes_on(request) or _is_left(request):
        return None
    schema = _schema(request)
    tools = _tools(request) if _is_call_forced(request) else {}
    if schema is None and not tools:
        return None
    return Form(schema is not None, schema, tools)


def _schema(request: Request) -> object | None:
    for name, *inner in _FORMATS[request.endpoint]:
        value = _decoded(request, name)
        for key in inner:
            value = value.get(key) if isinstance(value, dict) else None
        match value:
            case {"type": "json_schema", "json_schema": {"schema": (dict() | bool()) as schema}}:
                return schema
            case {"type": "json_schema", "schema": (dict() | bool()) as schema}:
                return schema
            case {"type": "json_schema" | "json_object"}:
                return _OBJECT
    return None


def _is_call_forced(request: Request) -> bool:
    if request.endpoint is Endpoint.MESSAGES:
        return False  # what its tools are called with is an object by itself
    match _decoded(request, "tool_choice"):
        case "required" | {"type": "function"}:
            return True
        case _:
            return False


def _tools(request: Request) -> Mapping[str, object]:
    """What the client's functions are called with, by their names."""
    tools: dict[str, object] = {}
    found = _decoded(request, "tools")
    for tool in found if isinstance(found, list) else ():
        match tool:
            case {"type": "function", "function": {"name": str(name), **rest}} | {
                "type": "function",
                "name": str(name),
                **rest,
            }:
                parameters = rest.get("parameters")
                tools[name] = parameters if isinstance(parameters, dict) else {"type": "object"}
    return tools


def _goes_on(request: Request) -> bool:
    """Whether the answer goes on from its own beginning, which stands in the request."""
    match _decoded(request, "input" if request.endpoint is Endpoint.RESPONSES else "messages"):
        case [*_, {"role": "assistant"}]:
            return True
        case _:
            return False


def _is_left(request: Request) -> bool:
    """Whether the answer is still to come when the reply is over."""
    return _decoded(request, "background") is True


def _decoded(request: Request, name: str) -> object:
    raw = request.body.fields.get(name)
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # of another form: the upstream will refuse it
        return None
