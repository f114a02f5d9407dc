"""The request: parameters of the Responses API as those of chat. What chat lacks is refused by name, or dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from gateway.domain import Body, Deployment, Endpoint
from gateway.translation.fields import NULL, Refusal, each, read, string, unsupported
from gateway.translation.responses_over_chat.items import NO_ITEMS, Conversation, Item, read_items
from gateway.translation.responses_over_chat.tools import Toolbox, decode_tools

_FALSE, _TRUE, _EMPTY = (msgspec.Raw(raw) for raw in (b"false", b"true", b'""'))
# Anthropic caches only what it is asked to: who names a cache expects one, and pays a tenth for what it holds.
_CACHED, _CACHED_LONG = msgspec.Raw(b'{"type":"ephemeral"}'), msgspec.Raw(b'{"type":"ephemeral","ttl":"1h"}')
_LONG_RETENTION = msgspec.Raw(b'"24h"')
_STORED = "answers of this model are not stored"
#: What a client relies on when it sends it: refused unless null, or the value that asks for nothing.
_REFUSED: Mapping[str, tuple[msgspec.Raw, str]] = {
    "previous_response_id": (NULL, _STORED),
    "conversation": (NULL, _STORED),
    "prompt": (NULL, "its upstream has no stored prompts"),
    "background": (_FALSE, _STORED),
    "moderation": (NULL, "its upstream does not moderate"),
    "messages": (NULL, "the Responses API calls it 'input'"),
    "n": (msgspec.Raw(b"1"), "the Responses API gives one answer"),
}
#: Written anew, or dropped as ``docs/translation.md`` says.
_OURS = frozenset(
    (
        "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "max_output_tokens", "max_tool_calls",
        "reasoning", "text", "include", "top_logprobs", "metadata", "store", "truncation", "client_metadata",
        "stream_options", "context_management", *_REFUSED,
    )
)  # fmt: skip
#: Known to OpenAI alone, and refused by servers that are strict.
_OPENAI_ONLY = frozenset(("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "safety_identifier"))


class _Reasoning(msgspec.Struct):
    effort: msgspec.Raw = NULL


class _Format(msgspec.Struct):
    type: str = "text"
    name: msgspec.Raw = NULL
    description: msgspec.Raw = NULL
    schema: msgspec.Raw = NULL
    strict: msgspec.Raw = NULL


class _TextSettings(msgspec.Struct):
    format: _Format | None = None
    verbosity: msgspec.Raw = NULL


_decode_reasoning = msgspec.json.Decoder(_Reasoning | None).decode
_decode_text = msgspec.json.Decoder(_TextSettings | None).decode
_decode_include = msgspec.json.Decoder(list[str] | None).decode


def chat_request(body: Body, deployment: Deployment) -> Body:
    """The client's request as chat. Raises BadRequest naming the field that cannot be carried."""
    try:
        return Body(_chat_fields(body.fields, deployment))
    except Refusal as refusal:
        raise refusal.as_bad_request() from None


def _chat_fields(fields: Mapping[str, msgspec.Raw], deployment: Deployment) -> Mapping[str, msgspec.Raw]:
    for name, (harmless, why) in _REFUSED.items():
        raw = fields.get(name, NULL)
        if raw not in (NULL, harmless):
            raise unsupported(name, why)
    is_openai = deployment.provider.kind in ("openai", "azure")
    items = read_items(fields.get("input", NO_ITEMS))
    toolbox = described_tools(fields, items)
    written = {
        name: raw
        for name, raw in fields.items()
        if name not in _OURS and raw != NULL and (is_openai or name not in _OPENAI_ONLY)
    }
    is_for_messages = deployment.asked_as(Endpoint.RESPONSES) is Endpoint.MESSAGES
    conversation = Conversation(
        toolbox,
        system_role="developer" if is_openai else "system",
        merges_system=not (is_openai or is_for_messages),
        is_for_messages=is_for_messages,
    )
    written["messages"] = _messages(fields, items, conversation)
    written |= toolbox.chat_fields(fields.get("tool_choice", NULL))
    if is_for_messages:
        written |= toolbox.web_search_options()
        if fields.get("prompt_cache_key", NULL) != NULL:
            is_long = fields.get("prompt_cache_retention", NULL) == _LONG_RETENTION
            written.setdefault("cache_control", _CACHED_LONG if is_long else _CACHED)
    if "tools" in written:
        _copy(fields, "parallel_tool_calls", written)
    _copy(fields, "max_output_tokens", written, "max_completion_tokens" if is_openai else "max_tokens")
    for settings in (_reasoning(fields), _text(fields), _logprobs(fields)):
        written |= settings
    return written


def described_tools(fields: Mapping[str, msgspec.Raw], items: Sequence[Item]) -> Toolbox:
    """The request's tools: those it lists, and those that the conversation brought. Raises Refusal."""
    toolbox = Toolbox()
    raw = fields.get("tools", NULL)
    if raw != NULL:
        toolbox.add(read(decode_tools, raw, "tools"), "tools")
    for number, item in enumerate(items):
        if item.tools and item.type in ("additional_tools", "tool_search_output"):
            toolbox.add(item.tools, f"input.{number}.tools")
    return toolbox


def _messages(fields: Mapping[str, msgspec.Raw], items: Sequence[Item], conversation: Conversation) -> msgspec.Raw:
    instructions = fields.get("instructions", NULL)
    if instructions not in (NULL, _EMPTY):
        conversation.instruct(string(instructions, "instructions"))
    each(conversation.add, items, "input")
    return conversation.messages()


def _copy(fields: Mapping[str, msgspec.Raw], name: str, into: dict[str, msgspec.Raw], as_name: str = "") -> None:
    raw = fields.get(name, NULL)
    if raw != NULL:
        into[as_name or name] = raw


def _reasoning(fields: Mapping[str, msgspec.Raw]) -> Mapping[str, msgspec.Raw]:
    reasoning = read(_decode_reasoning, fields.get("reasoning", NULL), "reasoning")
    return {} if reasoning is None or reasoning.effort == NULL else {"reasoning_effort": reasoning.effort}


def _text(fields: Mapping[str, msgspec.Raw]) -> Mapping[str, msgspec.Raw]:
    settings = read(_decode_text, fields.get("text", NULL), "text")
    if settings is None:
        return {}
    written = {} if settings.verbosity == NULL else {"verbosity": settings.verbosity}
    form = settings.format
    if form is None or form.type == "text":
        return written
    if form.type == "json_object":
        return {**written, "response_format": msgspec.Raw(b'{"type":"json_object"}')}
    if form.type != "json_schema":
        raise Refusal(
            "text.format.type", "Invalid value for {}: it must be text, json_object or json_schema.", "invalid_value"
        )
    schema = {
        name: raw
        for name, raw in (
            ("name", form.name), ("description", form.description), ("schema", form.schema), ("strict", form.strict),
        )
        if raw != NULL
    }  # fmt: skip
    wanted = {"type": "json_schema", "json_schema": schema}
    return {**written, "response_format": msgspec.Raw(msgspec.json.encode(wanted))}


def _logprobs(fields: Mapping[str, msgspec.Raw]) -> Mapping[str, msgspec.Raw]:
    top = fields.get("top_logprobs", NULL)
    include = read(_decode_include, fields.get("include", NULL), "include") or ()
    if "message.output_text.logprobs" not in include and bytes(top) in (b"null", b"0"):
        return {}
    return {"logprobs": _TRUE} if top == NULL else {"logprobs": _TRUE, "top_logprobs": top}
