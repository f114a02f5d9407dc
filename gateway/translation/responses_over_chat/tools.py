"""Tools: those of the Responses API as functions of chat, and the names by which their calls find back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import NamedTuple

import msgspec

from gateway.translation.fields import NULL, Refusal, each, joined, missing, read, string, text, unsupported
from gateway.translation.tool_names import NAME_CHARS_MAX, shortened

_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
_ONE_INPUT = msgspec.Raw(
    b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}'
)


class _Format(msgspec.Struct, gc=False):
    type: str = "text"
    syntax: str = ""
    definition: msgspec.Raw = NULL


class Tool(msgspec.Struct):
    """A tool as the client describes it."""

    type: str
    name: str = ""
    description: msgspec.Raw = NULL
    parameters: msgspec.Raw = NULL
    strict: bool | None = None
    format: _Format | None = None
    tools: list[Tool] = []
    execution: str | None = None
    external_web_access: bool | None = None
    filters: msgspec.Raw = NULL
    search_context_size: msgspec.Raw = NULL
    user_location: msgspec.Raw = NULL


class _Function(msgspec.Struct, omit_defaults=True):
    name: str
    description: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    parameters: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    strict: bool | msgspec.UnsetType = msgspec.UNSET


class _ChatTool(msgspec.Struct):
    type: str
    function: _Function


class Kind(Enum):
    """What a call of a function is to the client."""

    FUNCTION = "function_call"
    CUSTOM = "custom_tool_call"
    TOOL_SEARCH = "tool_search_call"


class Origin(NamedTuple):
    """The client's tool behind a function of chat."""

    kind: Kind
    name: str
    namespace: str | None = None


class _Allowed(msgspec.Struct):
    type: str = ""
    name: str = ""
    namespace: str | None = None


class _Choice(msgspec.Struct):
    type: str = ""
    name: str = ""
    namespace: str | None = None
    mode: str = "auto"
    tools: list[_Allowed] = []


decode_tools = msgspec.json.Decoder(list[Tool]).decode
_decode_choice = msgspec.json.Decoder(str | _Choice).decode
_decode_location = msgspec.json.Decoder(dict[str, msgspec.Raw] | None).decode
TOOL_SEARCH = "tool_search"
_WEB_SEARCH = "web_search"
_NOTHING_SAID = (NULL, text(""))


class Toolbox:
    """The client's tools under the names that a chat upstream knows them by."""

    def __init__(self) -> None:
        self._functions: dict[str, _Function] = {}
        self._origins: dict[str, Origin] = {}
        self._flat: dict[tuple[str | None, str], str] = {}
        self._web_search: Tool | None = None

    def add(self, tools: Iterable[Tool], field: str) -> None:
        """Take a list of tools, which stands at that field. Raises Refusal for a tool that chat cannot have."""
        each(self._add, tools, field)

    def _add(self, tool: Tool) -> None:
        if tool.type == "namespace":
            said = _descriptions(tool, "")
            for number, inner in enumerate(tool.tools):
                if inner.type not in ("function", "custom"):
                    raise unsupported(f"tools.{number}.type", f"a namespace cannot hold '{inner.type}'")
                if not inner.name:
                    raise missing(f"tools.{number}.name")
                self._put(inner, tool.name, said, f"tools.{number}.")
                said = []  # the model reads once what the namespace is for
        elif tool.type in ("function", "custom"):
            if not tool.name:
                raise missing("name")
            self._put(tool, None, [])
        elif tool.type == TOOL_SEARCH and tool.execution == "client":
            tool.name = TOOL_SEARCH
            self._put(tool, None, [])
        elif tool.type.startswith(_WEB_SEARCH):
            self._web_search = tool
        else:
            raise unsupported("type", f"its provider has no tool '{tool.type}'")

    def _put(self, tool: Tool, namespace: str | None, said: list[msgspec.Raw], place: str = "") -> None:
        """``said``: what stands before the tool's own description. ``place``: what comes before its fields' names."""
        said = said + _descriptions(tool, place)
        function = _Function("")
        if tool.type == "custom":
            kind, function.parameters = Kind.CUSTOM, _ONE_INPUT
            said += _form_of(tool.format, place)
        else:
            kind = Kind.FUNCTION if tool.type == "function" else Kind.TOOL_SEARCH
            if tool.parameters != NULL:
                function.parameters = tool.parameters
        if tool.strict:
            function.strict = True
        if said:
            function.description = joined(said, b"\\n\\n")
        function.name = flat = self._name_for(namespace, tool.name)
        self._functions[flat] = function
        self._origins[flat] = Origin(kind, tool.name, namespace)
        self._flat[namespace, tool.name] = flat

    def _name_for(self, namespace: str | None, name: str) -> str:
        flat = flat_name(namespace, name)
        known = self._origins.get(flat)
        return flat if known is None or known[1:] == (name, namespace) else _short(flat, f"{namespace}\0{name}")

    def name_of(self, namespace: str | None, name: str) -> str:
        """The function that stands for a tool, described or only called in the conversation."""
        return self._flat.get((namespace, name)) or flat_name(namespace, name)

    def origin(self, function: str) -> Origin:
        """The client's tool behind the function that a model called; one that nobody described is what it says."""
        return self._origins.get(function) or Origin(Kind.FUNCTION, function)

    def chat_fields(self, choice: msgspec.Raw) -> Mapping[str, msgspec.Raw]:
        """``tools`` and ``tool_choice`` of the chat request. Raises Refusal for a choice that cannot be made."""
        wanted = "auto" if choice == NULL else read(_decode_choice, choice, "tool_choice")
        functions = list(self._functions.values())
        name: str | None = None
        if isinstance(wanted, _Choice):
            if wanted.type == "allowed_tools":
                allowed = {self._allowed(one) for one in wanted.tools}
                if not any(one.type.startswith(_WEB_SEARCH) for one in wanted.tools):
                    self._web_search = None
                functions = [one for one in functions if not allowed.isdisjoint(self._handles(one.name))]
                wanted = wanted.mode
            elif wanted.type in ("function", "custom"):
                name, wanted = self.name_of(wanted.namespace, wanted.name), "required"
            else:
                raise unsupported("tool_choice", f"its provider has no tool '{wanted.type}'")
        if not functions or (name is not None and name not in self._functions):
            if wanted == "required":
                raise Refusal("tool_choice", "{} asks for a tool that is not there.", "invalid_value")
            return {}
        tools = msgspec.Raw(msgspec.json.encode([_ChatTool("function", one) for one in functions]))
        if name is not None:
            return {
                "tools": tools,
                "tool_choice": msgspec.Raw(msgspec.json.encode(_ChatTool("function", _Function(name)))),
            }
        return {"tools": tools} if choice == NULL else {"tools": tools, "tool_choice": text(wanted)}

    def web_search_options(self) -> Mapping[str, msgspec.Raw]:
        """The parameter by which chat asks for searches, unless the client restricts them in ways it cannot say."""
        search = self._web_search
        if search is None or search.external_web_access is False or search.filters != NULL:
            return {}
        options = {} if search.search_context_size == NULL else {"search_context_size": search.search_context_size}
        location = read(_decode_location, search.user_location, "tools")
        if location is not None:
            place = {name: raw for name, raw in location.items() if name != "type" and raw != NULL}
            wrapped = {"type": "approximate", "approximate": place}
            options["user_location"] = msgspec.Raw(msgspec.json.encode(wrapped))
        return {"web_search_options": msgspec.Raw(msgspec.json.encode(options))}

    def _allowed(self, one: _Allowed) -> tuple[str | None, str | None]:
        return (one.name, None) if one.type == "namespace" else (one.namespace, one.name)

    def _handles(self, function: str) -> set[tuple[str | None, str | None]]:
        """What an entry of allowed tools may call it: itself, or its whole namespace."""
        origin = self._origins[function]
        itself: set[tuple[str | None, str | None]] = {(origin.namespace, origin.name)}
        return itself | {(origin.namespace, None)} if origin.namespace else itself


def flat_name(namespace: str | None, name: str) -> str:
    """A function name for a tool of a namespace, the same each time: chat has no namespaces."""
    flat = name if not namespace else namespace + name if namespace.endswith("__") else f"{namespace}__{name}"
    if namespace and (len(flat) > NAME_CHARS_MAX or _NOT_IN_NAMES.search(flat)):
        return _short(flat, f"{namespace}\0{name}")
    return flat


def _short(flat: str, exact: str) -> str:
    return shortened(_NOT_IN_NAMES.sub("_", flat), exact)


def _descriptions(tool: Tool, place: str) -> list[msgspec.Raw]:
    """The tool's description, if it says anything. Raises Refusal unless it is a string."""
    return [] if tool.description in _NOTHING_SAID else [string(tool.description, f"{place}description")]


def _form_of(form: _Format | None, place: str) -> Iterable[msgspec.Raw]:
    """What tells a model the form of a custom tool's free text, which no upstream will enforce. Raises Refusal."""
    yield text("Put the whole input of this tool, as free text, into `input`.")
    if form is not None and form.type == "grammar" and form.definition != NULL:
        yield text(f"It must match this {form.syntax} grammar:")
        yield string(form.definition, f"{place}format.definition")
