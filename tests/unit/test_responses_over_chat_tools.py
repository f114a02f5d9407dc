"""What becomes of the tools of a request of the Responses API on its way to an upstream that speaks chat."""

from __future__ import annotations

import json

import pytest
from responses_over_chat_request_parts import (
    ANTHROPIC,
    COMPATIBLE,
    FUNCTION,
    GIT,
    PATCH,
    call,
    messages,
    output,
    refusal,
    said,
    translated,
)

from gateway.api.wire import parse_body
from gateway.translation.responses_over_chat import RESPONSES_OVER_CHAT


def test_a_function_keeps_its_schema_byte_for_byte():
    schema = b'{"type":"object","properties":{"b":{"const":1.0},"a":{"type":["string","null"]}}}'
    data = (
        b'{"model":"m","input":"Hi","tools":[{"type":"function","name":"f","strict":true,"parameters":'
        + schema
        + b"}]}"
    )
    found = RESPONSES_OVER_CHAT.request(parse_body(data), COMPATIBLE).encoded_with({})
    assert b'{"type":"function","function":{"name":"f","parameters":' + schema + b',"strict":true}}' in found


def test_a_custom_tool_is_a_function_of_one_text_that_knows_the_grammar():
    (tool,) = translated(tools=[PATCH])["tools"]
    assert tool["function"]["name"] == "apply_patch"
    assert tool["function"]["parameters"]["required"] == ["input"]
    assert tool["function"]["description"].startswith("Edits files.")
    assert 'start: "x"\n' in tool["function"]["description"]


def test_a_custom_call_is_a_call_of_that_function():
    history = {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": 'a "b"\n'}
    found = messages(history, output("c1", kind="custom_tool"), tools=[PATCH])
    assert json.loads(found[0]["tool_calls"][0]["function"]["arguments"]) == {"input": 'a "b"\n'}
    assert found[1] == {"role": "tool", "content": "done", "tool_call_id": "c1"}


def test_tools_of_a_namespace_become_functions_with_names_of_their_own():
    asked = translated(input=[call("c1", "log", namespace="mcp__git")], tools=[{**FUNCTION, "name": "log"}, GIT])
    assert [tool["function"]["name"] for tool in asked["tools"]] == ["log", "mcp__git__log"]
    assert asked["tools"][1]["function"]["description"] == "About git."
    assert asked["messages"][0]["tool_calls"][0]["function"]["name"] == "mcp__git__log"


def test_an_empty_description_of_a_namespace_adds_nothing():
    tools = [{**GIT, "description": "", "tools": [{**FUNCTION, "name": "log", "description": "Shows."}]}]
    assert translated(tools=tools)["tools"][0]["function"]["description"] == "Shows."


def test_names_that_chat_does_not_take_are_made_fit_and_stay_different():
    long = {"type": "namespace", "name": "a.b" * 30, "tools": [{**FUNCTION, "name": name} for name in ("x", "y")]}
    names = [tool["function"]["name"] for tool in translated(tools=[long])["tools"]]
    assert len(set(names)) == 2
    assert all(len(name) <= 64 and name.replace("_", "").isalnum() for name in names)


def test_two_tools_never_share_a_name():
    asked = translated(tools=[{**FUNCTION, "name": "mcp__git__log"}, GIT])
    assert len({tool["function"]["name"] for tool in asked["tools"]}) == 2


def test_a_search_for_tools_is_a_function_and_what_it_found_can_be_called():
    search = {
        "type": "tool_search",
        "execution": "client",
        "description": "Finds tools.",
        "parameters": {"type": "object"},
    }
    items = [
        {"type": "tool_search_call", "call_id": "c1", "execution": "client", "arguments": {"query": "git"}},
        {"type": "tool_search_output", "call_id": "c1", "execution": "client", "tools": [GIT]},
    ]
    asked = translated(input=items, tools=[search])
    assert [tool["function"]["name"] for tool in asked["tools"]] == ["tool_search", "mcp__git__log"]
    assert json.loads(asked["messages"][0]["tool_calls"][0]["function"]["arguments"]) == {"query": "git"}
    assert "mcp__git__log" in asked["messages"][1]["content"]


def test_tools_that_the_conversation_brings_can_be_called():
    asked = translated(input=[{"type": "additional_tools", "role": "developer", "tools": [FUNCTION]}, said("x")])
    assert [tool["function"]["name"] for tool in asked["tools"]] == ["f"]


def test_a_web_search_that_may_be_left_out_is_left_out():
    asked = translated(tools=[FUNCTION, {"type": "web_search", "external_web_access": False}], tool_choice="auto")
    assert [tool["function"]["name"] for tool in asked["tools"]] == ["f"]


def test_a_web_search_travels_to_an_upstream_behind_the_hub_that_has_one():
    place = {"type": "approximate", "city": "Kyōto", "country": None}
    search = {"type": "web_search", "search_context_size": "low", "user_location": place}
    options = translated(ANTHROPIC, tools=[search])["web_search_options"]
    assert options == {
        "search_context_size": "low",
        "user_location": {"type": "approximate", "approximate": {"city": "Kyōto"}},
    }


@pytest.mark.parametrize("limit", [{"external_web_access": False}, {"filters": {"allowed_domains": ["x.org"]}}])
def test_a_web_search_with_limits_that_it_could_not_keep_is_left_out(limit):
    assert "web_search_options" not in translated(ANTHROPIC, tools=[{"type": "web_search", **limit}])


def test_a_web_search_that_is_not_allowed_is_left_out():
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}
    asked = translated(ANTHROPIC, tools=[FUNCTION, {"type": "web_search"}], tool_choice=choice)
    assert "web_search_options" not in asked


@pytest.mark.parametrize("kind", ["file_search", "code_interpreter", "mcp", "image_generation", "local_shell", "new"])
def test_tools_that_only_a_provider_runs_are_refused(kind):
    assert refusal(tools=[FUNCTION, {"type": kind}]).param == "tools.1.type"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
        ({"type": "custom", "name": "apply_patch"}, {"type": "function", "function": {"name": "apply_patch"}}),
        (
            {"type": "function", "name": "log", "namespace": "mcp__git"},
            {"type": "function", "function": {"name": "mcp__git__log"}},
        ),
        ({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]}, "required"),
    ],
)
def test_each_choice_of_tools_keeps_its_meaning(choice, expected):
    assert translated(tools=[FUNCTION, PATCH, GIT], tool_choice=choice)["tool_choice"] == expected


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        ({"type": "function", "name": "f"}, ["f"]),
        ({"type": "custom", "name": "apply_patch"}, ["apply_patch"]),
        ({"type": "namespace", "name": "mcp__git"}, ["mcp__git__log"]),
        ({"type": "function", "name": "log", "namespace": "mcp__git"}, ["mcp__git__log"]),
    ],
)
def test_tools_that_are_not_allowed_are_not_there(entry, names):
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [entry]}
    asked = translated(tools=[FUNCTION, PATCH, GIT], tool_choice=choice)
    assert [tool["function"]["name"] for tool in asked["tools"]] == names


@pytest.mark.parametrize(
    ("tools", "choice"),
    [
        ([FUNCTION], {"type": "function", "name": "g"}),
        ([], "required"),
        ([{"type": "web_search"}], "required"),
        ([FUNCTION, {"type": "web_search"}], {"type": "web_search_preview"}),
        ([FUNCTION], {"type": "mcp", "server_label": "x"}),
        ([FUNCTION], 5),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused(tools, choice):
    assert refusal(tools=tools, tool_choice=choice).param == "tool_choice"


def test_without_tools_nothing_is_said_of_their_use():
    asked = translated(tools=[], tool_choice="auto", parallel_tool_calls=True)
    assert asked.keys() == {"model", "messages"}


@pytest.mark.parametrize("wrong", [5, ["a"], {"type": "text"}])
@pytest.mark.parametrize(
    ("tool", "field"),
    [
        (lambda wrong: {**FUNCTION, "description": wrong}, "description"),
        (lambda wrong: {**PATCH, "description": wrong}, "description"),
        (lambda wrong: {**PATCH, "format": {**PATCH["format"], "definition": wrong}}, "format.definition"),
        (lambda wrong: {**GIT, "description": wrong}, "description"),
        (lambda wrong: {**GIT, "tools": [FUNCTION, {**PATCH, "description": wrong}]}, "tools.1.description"),
        (lambda wrong: {**GIT, "tools": [{**PATCH, "format": {**PATCH["format"], "definition": wrong}}]},
         "tools.0.format.definition"),
    ],
)  # fmt: skip
def test_a_description_that_is_no_string_is_refused_by_its_place(tool, field, wrong):
    assert refusal(tools=[FUNCTION, tool(wrong)]).param == f"tools.1.{field}"
