"""What becomes of a Messages request's tools and parameters at an upstream that speaks chat, and what is refused."""

from __future__ import annotations

import json

import msgspec
import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from messages_over_chat_parts import (
    PDF,
    assistant,
    deployment,
    document,
    image,
    refused,
    text,
    tool_result,
    tool_use,
    translated,
    user,
)
from openai.types.chat import ChatCompletionContentPartParam
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming

from gateway.domain import Body
from gateway.errors import BadRequest
from gateway.translation.messages_over_chat import MESSAGES_OVER_CHAT

# --- tools ------------------------------------------------------------------------------------------------------------


def test_tools_become_functions_whose_schemas_are_untouched():
    schema = b'{"type":"object","properties":{"b":{"const":1.0},"a":{}},"required":[]}'
    tool = b'{"name":"f","description":"Does.","input_schema":%b,"strict":true,"defer_loading":true}' % schema
    body = Body(msgspec.json.decode(b'{"messages":[],"tools":[%b]}' % tool, type=dict[str, msgspec.Raw]))

    sent = MESSAGES_OVER_CHAT.request(body, deployment()).encoded_with({})

    assert (
        b'[{"type":"function","function":{"name":"f","description":"Does.","parameters":%b,"strict":true}}]' % schema
        in sent
    )


@pytest.mark.parametrize("schema", [{"type": "object"}, {"type": "object", "$schema": "x"}])
def test_a_schema_without_properties_gets_empty_ones(schema):
    (tool,) = translated({"tools": [{"name": "f", "input_schema": schema}]})["tools"]

    assert tool["function"]["parameters"] == {**schema, "properties": {}}


def test_the_search_among_tools_is_left_out_as_all_tools_are_sent():
    tools = [{"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}, {"name": "f"}]

    assert [tool["function"]["name"] for tool in translated({"tools": tools})["tools"]] == ["f"]


def test_no_tools_are_not_sent_and_neither_is_a_choice_among_them():
    asked = translated({"tools": [], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}})

    assert asked == {"messages": []}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        ({"type": "tool", "name": "f"}, {"tool_choice": {"type": "function", "function": {"name": "f"}}}),
        (
            {"type": "any", "disable_parallel_tool_use": True},
            {"tool_choice": "required", "parallel_tool_calls": False},
        ),
        ({"type": "auto", "disable_parallel_tool_use": False}, {"tool_choice": "auto"}),
        (None, {}),
    ],
)
def test_tool_choices(choice, expected):
    asked = translated({"tools": [{"name": "f", "type": "custom"}], "tool_choice": choice})

    del asked["messages"], asked["tools"]
    assert asked == expected


def test_long_names_of_tools_are_cut_alike_everywhere_and_stay_apart():
    one, other = "mcp__" + "x" * 70 + "1", "mcp__" + "x" * 70 + "2"
    asked = translated(
        {
            "tools": [{"name": one}, {"name": other}],
            "tool_choice": {"type": "tool", "name": one},
            "messages": [assistant(tool_use(name=one)), user(tool_result("x"))],
        }
    )

    names = [tool["function"]["name"] for tool in asked["tools"]]
    assert len(set(names)) == 2
    assert {len(name) for name in names} == {64}
    assert asked["tool_choice"]["function"]["name"] == names[0]
    assert asked["messages"][0]["tool_calls"][0]["function"]["name"] == names[0]


# --- everything else --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "kind", "expected"),
    [
        ({"max_tokens": 5}, "openai_compatible", {"max_tokens": 5}),
        ({"max_tokens": 5}, "openai", {"max_completion_tokens": 5}),
        ({"max_tokens": 5}, "azure", {"max_completion_tokens": 5}),
        ({"max_tokens": 32_000}, "vllm", {"max_tokens": 1000}),
        ({"stop_sequences": ["a", "\n"]}, "openai", {"stop": ["a", "\n"]}),
        ({"stop_sequences": list("abcde")}, "vllm", {"stop": list("abcde")}),
        ({"stop_sequences": []}, "openai", {}),
        (
            {"temperature": 1.0, "top_p": 0.5, "stream": True},
            "openai",
            {"temperature": 1.0, "top_p": 0.5, "stream": True},
        ),
        ({"top_k": 5}, "vllm", {"top_k": 5}),
        ({"metadata": {"user_id": "u1"}}, "openai", {"user": "u1"}),
        ({"metadata": {"user_id": None}}, "openai", {}),
        ({"service_tier": "auto"}, "openai", {"service_tier": "auto"}),
        ({"service_tier": "standard_only"}, "openai", {"service_tier": "default"}),
        ({"service_tier": "standard_only"}, "openai_compatible", {}),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "openai", {"reasoning_effort": "low"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 8192}}, "openai", {"reasoning_effort": "medium"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 31_999}}, "openai", {"reasoning_effort": "high"}),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, "openai", {}),
        ({"thinking": {"type": "disabled"}}, "openai", {}),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, "vllm", {"reasoning_effort": "max"}),
        ({"seed": 7, "chat_template_kwargs": {"a": None}}, "vllm", {"seed": 7, "chat_template_kwargs": {"a": None}}),
        (dict.fromkeys(["system", "tools", "tool_choice", "thinking", "metadata", "container"]), "openai", {}),
        ({"mcp_servers": []}, "openai", {}),
    ],
)
def test_parameters(asked, kind, expected):
    sent = translated(asked, kind, output_tokens_max=1000)

    del sent["messages"]
    assert sent == expected


@pytest.mark.parametrize("asked", [{"output_config": {"format": None, "effort": None}}, {"output_format": None}])
def test_no_format_is_no_format(asked):
    assert translated(asked) == {"messages": []}


@pytest.mark.parametrize("field", ["output_config", "output_format"])
def test_a_format_becomes_a_strict_schema(field):
    asked_format = {"type": "json_schema", "schema": {"type": "object", "properties": {"z": {}, "a": {}}}}

    sent = translated({field: {"format": asked_format} if field == "output_config" else asked_format})

    assert sent["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "output", "strict": True, "schema": asked_format["schema"]},
    }


def test_what_claude_code_adds_besides_is_left_out():
    extras = {
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "cache_control": {"type": "ephemeral"},
        "diagnostics": {"previous_message_id": "msg_1"},
        "speed": "fast",
    }

    assert translated(extras) == {"messages": []}


@settings(deadline=None)
@given(st.text(min_size=65))
def test_a_long_name_of_the_user_becomes_a_digest_of_64_characters(user_id):
    first = translated({"metadata": {"user_id": user_id}})["user"]

    assert len(first) == 64
    assert translated({"metadata": {"user_id": user_id}})["user"] == first
    assert translated({"metadata": {"user_id": user_id + "x"}})["user"] != first


def test_what_goes_up_is_a_chat_request_in_openais_own_types():
    asked = {
        "model": "m",
        "max_tokens": 9,
        "system": [text("a"), text("b")],
        "messages": [
            user(text("q"), image(), document({"type": "base64", "media_type": "application/pdf", "data": PDF})),
            assistant(text("I look."), tool_use("toolu_1", "f", a=[1, None]), tool_use("toolu_2", "g")),
            user(tool_result([text("r"), image()], "toolu_1"), tool_result("no", "toolu_2", is_error=True)),
            {"role": "system", "content": "New rule."},
        ],
        "tools": [{"name": "f", "description": None, "input_schema": {"type": "object"}}, {"name": "g"}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 9000},
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
    }

    sent = translated(asked, kind="openai")

    part = pydantic.TypeAdapter(ChatCompletionContentPartParam)
    for message in sent["messages"]:
        if isinstance(message["content"], list):  # read apart: inside of a message these types are read lazily
            assert [part.validate_python(one) for one in message["content"]] == message["content"]
            message["content"] = "parts"
    chat = pydantic.TypeAdapter(CompletionCreateParamsNonStreaming)
    assert json.loads(chat.dump_json(chat.validate_python(sent))) == sent  # all of it is read, and all is known


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"messages": [user("a"), user({"type": "container_upload", "file_id": "f"})]}, "messages.1.content.0.type"),
        ({"messages": [user(text("a"), {"type": "hologram"})]}, "messages.0.content.1.type"),
        ({"messages": [assistant({"type": "image", "source": {}})]}, "messages.0.content.0.type"),
        ({"messages": [assistant({"type": "mcp_tool_use"})]}, "messages.0.content.0.type"),
        (
            {"messages": [assistant({"type": "server_tool_use", "name": "web_search", "input": {}})]},
            "messages.0.content.0.type",
        ),
        ({"messages": [user(tool_result([{"type": "browser_state"}]))]}, "messages.0.content.0.content.0.type"),
        ({"messages": [user({"type": "image", "source": {"type": "file"}})]}, "messages.0.content.0.source.type"),
        ({"messages": [user({"type": "image"})]}, "messages.0.content.0.source"),
        ({"messages": [user({"type": "document"})]}, "messages.0.content.0.source"),
        ({"messages": [user({"type": "search_result", "source": "s"})]}, "messages.0.content.0.content"),
        ({"messages": [user(document({"type": "url", "url": "https://x"}))]}, "messages.0.content.0.source.type"),
        (
            {"messages": [user(document({"type": "content", "content": [document({"type": "text", "data": "x"})]}))]},
            "messages.0.content.0.source.content.0.type",
        ),
        (
            {"messages": [user(document({"type": "text", "data": "x"}, citations={"enabled": True}))]},
            "messages.0.content.0.citations",
        ),
        ({"messages": [user({"type": "text", "text": 7})]}, "messages.0.content.0.text"),
        ({"messages": [user({"type": "text"})]}, "messages.0.content.0.text"),
        ({"messages": [user({"type": 7})]}, "messages.0.content.0.type"),
        ({"messages": [assistant({"type": "tool_use", "input": [1]})]}, "messages.0.content.0.input"),
        ({"messages": [{"role": "tool", "content": ""}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0"),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0.content"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "system", "content": [{"type": "tool_addition"}]}]}, "messages.0.content.0.type"),
        ({"system": [image()]}, "system.0.type"),
        ({"system": 7}, "system"),
        ({"tools": [{"name": "f"}, {"type": "web_search_20250305", "name": "web_search"}]}, "tools.1.type"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools.0.type"),
        ({"tools": [{"input_schema": {}}]}, "tools.0.name"),
        ({"tools": [{"name": "f", "input_schema": "x"}]}, "tools.0.input_schema"),
        ({"tools": [{"name": "f"}], "tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"mcp_servers": [{"type": "url"}]}, "mcp_servers"),
        ({"container": "c"}, "container"),
        ({"thread": {"type": "create"}}, "thread"),
        ({"compaction": {"type": "x"}}, "compaction"),
        ({"inference_geo": "us"}, "inference_geo"),
        ({"output_format": {"type": "yaml"}}, "output_format.type"),
        ({"output_config": {"format": {"type": "yaml"}}}, "output_config.format.type"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"stop_sequences": [7]}, "stop_sequences.0"),
    ],
)
def test_what_cannot_be_carried_is_refused_by_its_name(asked, param):
    error = refused(asked)

    assert error.param == param
    assert f"'{param}'" in error.message


@pytest.mark.parametrize(
    ("asked", "param"), [({"top_k": 5}, "top_k"), ({"stop_sequences": list("abcde")}, "stop_sequences")]
)
def test_openai_is_not_asked_for_what_its_api_refuses(asked, param):
    assert refused(asked, kind="openai").param == param


# Whatever JSON stands in the place of any field: an answer or a refusal, never a fault, and always valid JSON.
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "text", "a"]), inner, max_size=2)
    ),
    max_leaves=4,
)
_FIELDS = ["type", "text", "source", "title", "content", "input", "id", "name", "tool_use_id", "is_error", "citations"]
_TYPES = st.sampled_from(["text", "image", "document", "tool_use", "tool_result", "search_result", "thinking"])
_BLOCKS = st.dictionaries(st.sampled_from(_FIELDS), _JSON, max_size=4).flatmap(
    lambda block: _TYPES.map(lambda kind: {**block, "type": kind})
)
_TURNS = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system"]), "content": st.lists(_BLOCKS, max_size=3) | _JSON}
)
_TOOLS = st.dictionaries(st.sampled_from(["name", "type", "description", "input_schema", "strict"]), _JSON, max_size=5)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.fixed_dictionaries(
        {"messages": st.lists(_TURNS, max_size=3)},
        optional={
            "system": _JSON,
            "tools": st.lists(_TOOLS, max_size=2) | _JSON,
            **dict.fromkeys(
                ["tool_choice", "thinking", "output_config", "output_format", "metadata", "service_tier", "max_tokens"],
                _JSON,
            ),
        },
    )
)
def test_whatever_a_client_sends_is_translated_or_refused(asked):
    try:
        sent = translated(asked, kind="openai")
    except BadRequest as error:
        named = error.param
    else:
        named = "messages" if isinstance(sent["messages"], list) else ""
    assert named
