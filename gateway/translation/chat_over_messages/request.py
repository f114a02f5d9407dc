"""A chat request as a Messages request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from gateway.domain import Body, Deployment
from gateway.translation.chat_over_messages.conversation import Conversation
from gateway.translation.chat_over_messages.thinking import Thinking, thinking_for
from gateway.translation.chat_over_messages.tools import is_forced, tool_choice, tools
from gateway.translation.fields import NULL, Refusal, json_object, missing, read

#: ``max_tokens`` where neither the client nor the catalog says how much: all Claude models since 3.5 can do it.
OUTPUT_TOKENS_MAX = 8192

# What Anthropic has no counterpart for and nothing of the answer hangs on.
_DROPPED = frozenset({"store", "prompt_cache_key", "prompt_cache_retention", "verbosity", "stream_options"})
# What cannot be carried, but for the values that ask for nothing.
_REFUSED: Mapping[str, tuple[object, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "seed": (),
    "prediction": (),
    "audio": (),
    "modalities": (["text"],),
    "functions": ([],),
    "function_call": ("auto", "none"),
}
# What is read below.
_TRANSLATED = frozenset(
    {
        *("messages", "tools", "tool_choice", "parallel_tool_calls", "web_search_options", "max_tokens"),
        *("max_completion_tokens", "stop", "temperature", "top_p", "top_k", "reasoning_effort", "thinking"),
        *("output_config", "response_format", "user", "safety_identifier", "metadata", "service_tier"),
    }
)
_SERVICE_TIERS: Mapping[str, bytes] = {
    **dict.fromkeys(("auto", "priority", "scale"), b'"auto"'),
    **dict.fromkeys(("default", "standard_only"), b'"standard_only"'),
}
_JSON_ONLY = "Answer with a single JSON object and nothing else: no text around it, no code fence."

T = TypeVar("T")

_encode = msgspec.json.encode
_decode_any = msgspec.json.Decoder().decode
_decode_integer = msgspec.json.Decoder(int).decode
_decode_number = msgspec.json.Decoder(float).decode
_decode_string = msgspec.json.Decoder(str).decode
_decode_stop = msgspec.json.Decoder(str | list[str]).decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class _Schema(msgspec.Struct):
    schema: msgspec.Raw = NULL


class _Format(msgspec.Struct):
    type: str
    json_schema: _Schema | None = None


_decode_format = msgspec.json.Decoder(_Format).decode


def messages_request(body: Body, deployment: Deployment) -> Body:
    """The request as Anthropic's API takes it. Raises BadRequest naming the field that cannot be carried."""
    try:
        return Body({name: msgspec.Raw(value) for name, value in _fields(body.fields, deployment).items()})
    except Refusal as refusal:
        raise refusal.as_bad_request() from None


def _fields(fields: Mapping[str, msgspec.Raw], deployment: Deployment) -> dict[str, bytes]:
    made: dict[str, bytes] = {}
    for name, raw in fields.items():
        if name in _REFUSED:
            _check_neutral(name, raw)
        elif name not in _TRANSLATED and name not in _DROPPED and raw != NULL:
            made[name] = bytes(raw)  # Anthropic's own, or news: the upstream says itself what it does not take
    conversation = Conversation(fields["messages"])
    chosen = _set_tools(made, fields)
    _set_limits(made, fields, deployment)
    output_config = _set_thinking(made, fields, conversation, deployment, is_tool_forced=is_forced(chosen))
    output_config |= _format(fields, conversation)
    if output_config:
        made["output_config"] = json_object(output_config)
    _set_identity(made, fields)
    if (system := conversation.system) is not None:
        made["system"] = system
    made["messages"] = conversation.messages
    return made


def _value(fields: Mapping[str, msgspec.Raw], name: str, decode: Callable[[msgspec.Raw], T]) -> T | None:
    raw = fields.get(name, NULL)
    return None if raw == NULL else read(decode, raw, name)


def _check_neutral(name: str, raw: msgspec.Raw) -> None:
    if raw != NULL and read(_decode_any, raw, name) not in _REFUSED[name]:
        raise Refusal(
            name, "{} cannot be carried to this model, which has nothing of the kind.", "unsupported_parameter"
        )


def _set_tools(made: dict[str, bytes], fields: Mapping[str, msgspec.Raw]) -> Mapping[str, bytes]:
    found = tools(fields)
    chosen = tool_choice(fields)
    if found:
        made["tools"] = b"[" + b",".join(found) + b"]"
        if chosen:
            made["tool_choice"] = json_object(chosen)
    elif is_forced(chosen):
        raise Refusal("tool_choice", "{} is only allowed when 'tools' are given.", "invalid_value")
    return chosen


def _set_limits(made: dict[str, bytes], fields: Mapping[str, msgspec.Raw], deployment: Deployment) -> None:
    asked = _value(fields, "max_completion_tokens", _decode_integer)
    if asked is None:
        asked = _value(fields, "max_tokens", _decode_integer)
    if asked is None:
        asked = deployment.output_tokens_max or OUTPUT_TOKENS_MAX
    made["max_tokens"] = b"%d" % asked
    stop = _value(fields, "stop", _decode_stop)
    if stop is None:
        return
    sequences = [stop] if isinstance(stop, str) else stop
    if not all(sequence.strip() for sequence in sequences):
        raise Refusal("stop", "{} holds nothing but white space, at which this model cannot stop.")
    if sequences:
        made["stop_sequences"] = _encode(sequences)


def _set_thinking(
    made: dict[str, bytes],
    fields: Mapping[str, msgspec.Raw],
    conversation: Conversation,
    deployment: Deployment,
    *,
    is_tool_forced: bool,
) -> dict[str, bytes]:
    """Set ``thinking`` and what depends on it; return the members of ``output_config`` so far."""
    given = _value(fields, "output_config", _decode_members) or {}
    output_config = {name: bytes(raw) for name, raw in given.items()}
    effort = _value(fields, "reasoning_effort", _decode_string)
    own = fields.get("thinking", NULL)
    wanted = Thinking()
    if effort is not None:
        wanted = thinking_for(
            effort,
            deployment.model,
            output_tokens_max=int(made["max_tokens"]),
            is_tool_forced=is_tool_forced,
            can_go_on_thinking=conversation.can_go_on_thinking,
        )
        if wanted.effort is not None:
            output_config.setdefault("effort", _encode(wanted.effort))
    thinking = wanted.thinking if own == NULL else bytes(own)
    if thinking is not None:
        made["thinking"] = thinking
    if not (own == NULL and wanted.is_on):
        _set_sampling(made, fields)  # while it thinks Anthropic takes no other than its own
    return output_config


def _set_sampling(made: dict[str, bytes], fields: Mapping[str, msgspec.Raw]) -> None:
    """Values that stand for the model's own are left out: models without these parameters refuse even those."""
    temperature = _value(fields, "temperature", _decode_number)
    if temperature is not None and temperature < 1:
        made["temperature"] = bytes(fields["temperature"])
    top_p = _value(fields, "top_p", _decode_number)
    if top_p is not None and top_p != 1:
        made["top_p"] = bytes(fields["top_p"])
    if fields.get("top_k", NULL) != NULL:
        made["top_k"] = bytes(fields["top_k"])


def _format(fields: Mapping[str, msgspec.Raw], conversation: Conversation) -> dict[str, bytes]:
    """The member of ``output_config`` that says in which form the answer is to come."""
    match _value(fields, "response_format", _decode_format):
        case None | _Format("text"):
            return {}
        case _Format("json_object"):
            conversation.instruct(_JSON_ONLY)
            return {}
        case _Format("json_schema", _Schema(schema)) if schema != NULL:
            return {"format": b'{"type":"json_schema","schema":' + bytes(schema) + b"}"}
        case _Format("json_schema"):
            raise missing("response_format.json_schema.schema")
        case _Format(kind):
            raise Refusal("response_format.type", f"Unsupported value for {{}}: '{kind[:60]}'.")


def _set_identity(made: dict[str, bytes], fields: Mapping[str, msgspec.Raw]) -> None:
    user = _value(fields, "user", _decode_string) or _value(fields, "safety_identifier", _decode_string)
    metadata = _value(fields, "metadata", _decode_members) or {}
    if user:
        made["metadata"] = json_object({"user_id": _encode(user)})
    elif "user_id" in metadata:
        made["metadata"] = json_object({"user_id": bytes(metadata["user_id"])})
    tier = _value(fields, "service_tier", _decode_string)
    if tier is not None:
        if tier not in _SERVICE_TIERS:
            raise Refusal("service_tier", f"Unsupported value for {{}}: '{tier[:60]}'. This upstream has none such.")
        made["service_tier"] = _SERVICE_TIERS[tier]
