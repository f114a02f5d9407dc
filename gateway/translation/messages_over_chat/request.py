"""A Messages request as a chat completions request."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.domain import Body, Deployment
from gateway.translation.fields import NULL, Refusal, each, read, string, unsupported, wrong_type
from gateway.translation.messages_over_chat.content import encode
from gateway.translation.messages_over_chat.conversation import Conversation
from gateway.translation.messages_over_chat.names import chat_name, chat_name_json, chat_user

Fields = dict[str, msgspec.Raw]

_TRUE, _FALSE = msgspec.Raw(b"true"), msgspec.Raw(b"false")

# All other fields go up as they are: what both dialects call the same (temperature), and what neither knows.
_TRANSLATED = frozenset(
    {
        *("system", "messages", "max_tokens", "stop_sequences", "tools", "tool_choice", "thinking", "output_config"),
        *("output_format", "metadata", "service_tier"),
    }
)
# What docs/translation.md says is left out: hints, and services around the answer that clients do without.
_DROPPED = frozenset(
    {
        *("cache_control", "context_management", "diagnostics", "fallbacks", "fallback_credit_token", "speed"),
        *("betas", "anthropic_beta", "anthropic_version"),
    }
)
_REFUSED = frozenset({"container", "mcp_servers", "compaction", "thread", "billing_policy", "inference_geo"})
_OF_MESSAGES = _TRANSLATED | _DROPPED | _REFUSED

_STRICT_KINDS = frozenset({"openai", "azure"})  # refuse what their API does not name
_STOPS_MAX = 4  # of OpenAI's API

# From how many tokens of thinking on an effort is at least so high.
_EFFORTS = ((16_384, "high"), (8_192, "medium"), (0, "low"))


class _Tool(msgspec.Struct, gc=False):
    name: msgspec.Raw = NULL
    type: str | None = None
    description: msgspec.Raw = NULL
    input_schema: msgspec.Raw = NULL
    strict: bool | None = None


class _ToolChoice(msgspec.Struct):
    type: str = ""
    name: str = ""
    disable_parallel_tool_use: bool | None = None


class _Thinking(msgspec.Struct):
    type: str = ""
    budget_tokens: int | None = None


class _Format(msgspec.Struct):
    type: str = ""
    schema: msgspec.Raw = NULL


class _OutputConfig(msgspec.Struct):
    effort: str | None = None
    format: _Format | None = None


class _Metadata(msgspec.Struct):
    user_id: str | None = None


_tools = msgspec.json.Decoder(list[_Tool]).decode
_tool_choice = msgspec.json.Decoder(_ToolChoice).decode
_thinking = msgspec.json.Decoder(_Thinking).decode
_format = msgspec.json.Decoder(_Format).decode
_output_config = msgspec.json.Decoder(_OutputConfig).decode
_metadata = msgspec.json.Decoder(_Metadata).decode
_integer = msgspec.json.Decoder(int).decode
_string = msgspec.json.Decoder(str).decode
_strings = msgspec.json.Decoder(list[str]).decode

_STRICT = {True: b',"strict":true', False: b',"strict":false', None: b""}
_TOOL_CHOICES = {"auto": b'"auto"', "any": b'"required"', "none": b'"none"'}
_TIERS = {"auto": b'"auto"', "standard_only": b'"default"'}


def chat_request(body: Body, deployment: Deployment) -> Body:
    """The same request for a chat upstream. Raises BadRequest naming the field that cannot be carried."""
    try:
        return Body(_chat_fields(body, deployment))
    except Refusal as refusal:
        raise refusal.as_bad_request() from None


def _chat_fields(body: Body, deployment: Deployment) -> Fields:
    asked = {name: raw for name, raw in body.fields.items() if name not in _OF_MESSAGES or raw != NULL}
    fields = {name: raw for name, raw in asked.items() if name not in _OF_MESSAGES}
    _check(asked, deployment)
    _carry_conversation(asked, fields, deployment)
    _carry_tools(asked, fields)
    _carry_limits(asked, fields, deployment)
    _carry_output(asked, fields)
    if "metadata" in asked and (user := read(_metadata, asked["metadata"], "metadata").user_id):
        fields["user"] = msgspec.Raw(encode(chat_user(user)))
    if "service_tier" in asked and deployment.provider.kind in _STRICT_KINDS:
        tier = read(_string, asked["service_tier"], "service_tier")
        fields["service_tier"] = msgspec.Raw(_TIERS.get(tier) or encode(tier))
    return fields


def _check(asked: Mapping[str, msgspec.Raw], deployment: Deployment) -> None:
    for name in _REFUSED & asked.keys():
        if bytes(asked[name]) not in (b"[]", b"{}"):
            raise unsupported(name, "its upstream has nothing of the kind")
    if asked.get("top_k", NULL) != NULL and deployment.provider.kind in _STRICT_KINDS:
        raise unsupported("top_k", "its upstream takes none")


def _carry_conversation(asked: Mapping[str, msgspec.Raw], fields: Fields, deployment: Deployment) -> None:
    conversation = Conversation(takes_later_system=deployment.provider.kind in _STRICT_KINDS)
    if "system" in asked:
        conversation.add_system(asked["system"])
    conversation.add(asked.get("messages", NULL))
    fields["messages"] = msgspec.Raw(conversation.encoded())
    if (param := conversation.unfinished()) is not None:
        if deployment.provider.kind != "vllm":
            raise unsupported(param, "its upstream cannot go on with an answer that the client has begun")
        fields["add_generation_prompt"], fields["continue_final_message"] = _FALSE, _TRUE


def _carry_tools(asked: Mapping[str, msgspec.Raw], fields: Fields) -> None:
    """Functions, and how to choose among them; without functions chat takes neither."""
    tools = read(_tools, asked["tools"], "tools") if "tools" in asked else []
    functions = [function for function in each(_function, tools, "tools") if function is not None]
    if not functions:
        return
    fields["tools"] = msgspec.Raw(b"[" + b",".join(functions) + b"]")
    if "tool_choice" not in asked:
        return
    choice = read(_tool_choice, asked["tool_choice"], "tool_choice")
    if choice.type == "tool":
        name = encode(chat_name(choice.name))
        fields["tool_choice"] = msgspec.Raw(b'{"type":"function","function":{"name":' + name + b"}}")
    elif choice.type in _TOOL_CHOICES:
        fields["tool_choice"] = msgspec.Raw(_TOOL_CHOICES[choice.type])
    else:
        raise unsupported("tool_choice.type", f"its upstream knows no choice by '{choice.type}'")
    if choice.disable_parallel_tool_use:
        fields["parallel_tool_calls"] = _FALSE


def _function(tool: _Tool) -> bytes | None:
    """A tool as a function; ``None`` for the search among tools, all of which are sent anyway."""
    if tool.type not in (None, "custom"):
        if tool.type.startswith("tool_search_tool"):
            return None
        raise unsupported("type", f"its provider has no tool '{tool.type}'")
    name = chat_name_json(bytes(string(tool.name, "name")))
    description, schema = (b"" if raw == NULL else bytes(raw) for raw in (tool.description, tool.input_schema))
    return b'{"type":"function","function":{"name":%b%b%b%b%b%b}}' % (
        name,
        b',"description":' if description else b"",
        description,
        b',"parameters":' if schema else b"",
        _with_properties(schema) if schema else b"",
        _STRICT[tool.strict],
    )


def _with_properties(schema: bytes) -> bytes:
    """OpenAI refuses an object's schema without ``properties``, which tools without arguments leave out."""
    if schema[:1] != b"{":
        raise wrong_type("input_schema", "an object")
    if b'"properties"' in schema or b'"object"' not in schema:
        return schema
    return schema[:-1].rstrip() + b',"properties":{}}'


def _carry_limits(asked: Mapping[str, msgspec.Raw], fields: Fields, deployment: Deployment) -> None:
    is_strict = deployment.provider.kind in _STRICT_KINDS
    if "max_tokens" in asked:
        limit, most = read(_integer, asked["max_tokens"], "max_tokens"), deployment.output_tokens_max
        # Chat servers refuse a limit beyond what the model can do anyway; agents ask for what Anthropic's models can.
        limit = limit if most is None else min(limit, most)
        fields["max_completion_tokens" if is_strict else "max_tokens"] = msgspec.Raw(b"%d" % limit)
    if "stop_sequences" in asked:
        stops = read(_strings, asked["stop_sequences"], "stop_sequences")
        if is_strict and len(stops) > _STOPS_MAX:
            raise unsupported("stop_sequences", f"its upstream takes no more than {_STOPS_MAX}")
        if stops:
            fields["stop"] = asked["stop_sequences"]


def _carry_output(asked: Mapping[str, msgspec.Raw], fields: Fields) -> None:
    """How hard to think, and in what form to answer."""
    config = read(_output_config, asked["output_config"], "output_config") if "output_config" in asked else None
    effort = config.effort if config else None
    if "thinking" in asked:
        thinking = read(_thinking, asked["thinking"], "thinking")
        if effort is None and thinking.type == "enabled" and thinking.budget_tokens is not None:
            budget = thinking.budget_tokens
            effort = next((name for tokens, name in _EFFORTS if budget >= tokens), None)
    if effort is not None:
        fields["reasoning_effort"] = msgspec.Raw(encode(effort))
    asked_format, param = (config.format, "output_config.format") if config else (None, "")
    if asked_format is None and "output_format" in asked:
        asked_format, param = read(_format, asked["output_format"], "output_format"), "output_format"
    if asked_format is None:
        return
    if asked_format.type != "json_schema":
        raise unsupported(f"{param}.type", f"its upstream has no format '{asked_format.type}'")
    schema = b"{}" if asked_format.schema == NULL else bytes(asked_format.schema)
    fields["response_format"] = msgspec.Raw(
        b'{"type":"json_schema","json_schema":{"name":"output","strict":true,"schema":' + schema + b"}}"
    )
