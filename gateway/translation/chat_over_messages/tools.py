"""Functions as Anthropic's tools, and which of them the model is to call."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.translation.fields import NULL, Refusal, each, json_object, read, string, wrong_type

_NO_PARAMETERS = b'{"type":"object","properties":{}}'
_NOTHING = frozenset({b"null", b"{}"})
_NATIVE_CHOICES = frozenset({"auto", "any", "tool", "none"})


class _Function(msgspec.Struct):
    name: msgspec.Raw = NULL
    description: msgspec.Raw = NULL
    parameters: msgspec.Raw = NULL
    strict: bool | None = None


class _Tool(msgspec.Struct):
    type: str = ""
    function: _Function | None = None
    custom: msgspec.Raw = NULL
    cache_control: msgspec.Raw = NULL


class _Choice(msgspec.Struct):
    type: str
    function: _Function | None = None


class _Location(msgspec.Struct):
    approximate: dict[str, msgspec.Raw] | None = None


class _WebSearch(msgspec.Struct):
    user_location: _Location | None = None


_decode_tools = msgspec.json.Decoder(list[_Tool]).decode
_decode_verbatim = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_choice = msgspec.json.Decoder(str | _Choice).decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_search = msgspec.json.Decoder(_WebSearch).decode


def tools(fields: Mapping[str, msgspec.Raw]) -> list[bytes]:
    """All tools as Anthropic defines them; those that it defines itself pass as they are."""
    raw = fields.get("tools", NULL)
    made = [] if raw == NULL else each(_tool, read(_decode_tools, raw, "tools"), "tools")
    verbatim = _decode_verbatim(raw) if None in made else ()
    found = [bytes(verbatim[index]) if tool is None else tool for index, tool in enumerate(made)]
    search = fields.get("web_search_options", NULL)
    if search != NULL:
        found.append(_web_search(search))
    return found


def _tool(tool: _Tool) -> bytes | None:
    """A function as a tool, ``None`` for what is one already."""
    function = tool.function
    if function is None:
        if tool.custom != NULL or tool.type == "function":
            raise Refusal("type", f"{{}}: a tool of type '{tool.type[:60]}' without a schema cannot be carried.")
        return None
    parameters = bytes(function.parameters)
    pieces = [b'{"name":', bytes(string(function.name, "function.name"))]
    if function.description != NULL:
        pieces += (b',"description":', bytes(function.description))
    pieces += (b',"input_schema":', _NO_PARAMETERS if parameters in _NOTHING else parameters)
    if function.strict:
        pieces.append(b',"strict":true')
    if tool.cache_control != NULL:
        pieces += (b',"cache_control":', bytes(tool.cache_control))
    pieces.append(b"}")
    return b"".join(pieces)


def _web_search(raw: msgspec.Raw) -> bytes:
    members = {"type": b'"web_search_20250305"', "name": b'"web_search"'}
    options = read(_decode_search, raw, "web_search_options")
    if options.user_location is not None and options.user_location.approximate:
        near = {name: bytes(value) for name, value in options.user_location.approximate.items() if value != NULL}
        members["user_location"] = json_object({"type": b'"approximate"'} | near)
    return json_object(members)


def tool_choice(fields: Mapping[str, msgspec.Raw]) -> dict[str, bytes]:
    """Which tool is to be called, member by member; empty where the client leaves it open."""
    raw = fields.get("tool_choice", NULL)
    chosen = {} if raw == NULL else _choice(raw)
    parallel = bytes(fields.get("parallel_tool_calls", NULL))
    if parallel == b"false" and chosen.get("type") != b'"none"':
        chosen = {"type": b'"auto"'} | chosen | {"disable_parallel_tool_use": b"true"}
    elif parallel not in {b"true", b"false", b"null"}:
        raise wrong_type("parallel_tool_calls", "a boolean")
    return chosen


def is_forced(chosen: Mapping[str, bytes]) -> bool:
    """Whether the model has to call a tool."""
    return chosen.get("type") in {b'"any"', b'"tool"'}


def _choice(raw: msgspec.Raw) -> dict[str, bytes]:
    match read(_decode_choice, raw, "tool_choice"):
        case "auto":
            return {"type": b'"auto"'}
        case "none":
            return {"type": b'"none"'}
        case "required":
            return {"type": b'"any"'}
        case _Choice("function", _Function() as function):
            return {"type": b'"tool"', "name": bytes(string(function.name, "tool_choice.function.name"))}
        case _Choice(kind) if kind in _NATIVE_CHOICES:
            return {name: bytes(value) for name, value in _decode_members(raw).items()}
        case _:
            shown = bytes(raw)[:60].decode(errors="replace")
            raise Refusal("tool_choice", f"Unsupported value for {{}}: {shown}.")
