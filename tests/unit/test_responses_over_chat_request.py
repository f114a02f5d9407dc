"""What becomes of a request of the Responses API on its way to an upstream that speaks chat."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.api.wire import parse_body
from gateway.domain import Deployment, Endpoint, Provider
from gateway.errors import BadRequest
from gateway.translation.responses_over_chat import RESPONSES_OVER_CHAT
from gateway.translation.responses_over_chat.thinking import Thinking, ThinkingBlocks

COMPATIBLE = Deployment("d", Provider("p", "openai_compatible"), "m")
OPENAI = Deployment("d", Provider("p", "openai"), "m")
ANTHROPIC = Deployment("d", Provider("p", "anthropic"), "m", speaks=frozenset({Endpoint.MESSAGES}))
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}
PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "x"\n'},
}
GIT = {"type": "namespace", "name": "mcp__git", "description": "About git.", "tools": [{**FUNCTION, "name": "log"}]}


def translated(deployment=COMPATIBLE, **fields):
    asked = {"model": "m", "input": "Hi", **fields}
    body = RESPONSES_OVER_CHAT.request(parse_body(json.dumps(asked, indent=1).encode()), deployment)
    return json.loads(body.encoded_with({}))


def messages(*items, deployment=COMPATIBLE, **fields):
    return translated(deployment, input=list(items), **fields)["messages"]


def user(*parts):
    return {"type": "message", "role": "user", "content": list(parts)}


def said(text):
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def call(call_id, name="f", **more):
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": '{"a":1}', **more}


def output(call_id, value="done", kind="function"):
    return {"type": f"{kind}_call_output", "call_id": call_id, "output": value}


def refusal(**fields):
    with pytest.raises(BadRequest) as caught:
        translated(**fields)
    return caught.value


# The conversation.


def test_a_string_is_what_the_user_says():
    assert translated(input="Hi")["messages"] == [{"role": "user", "content": "Hi"}]


def test_instructions_lead_the_conversation():
    assert translated(instructions="Be brief.")["messages"][0] == {"role": "system", "content": "Be brief."}


def test_openai_is_told_by_a_developer_message():
    assert translated(OPENAI, instructions="Be brief.")["messages"][0] == {"role": "developer", "content": "Be brief."}


def test_system_messages_at_the_start_become_one_for_templates_that_take_only_one():
    developer = {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Use tools."}]}
    found = messages(developer, {"role": "user", "content": "Hi"}, developer, instructions="Be brief.")
    assert [one["content"] for one in found] == ["Be brief.\n\nUse tools.", "Hi", "Use tools."]
    assert [one["role"] for one in found] == ["system", "user", "system"]


def test_openai_gets_each_system_message_as_it_is():
    found = messages({"role": "developer", "content": "Use tools."}, deployment=OPENAI, instructions="Be brief.")
    assert [one["content"] for one in found] == ["Be brief.", "Use tools."]


def test_empty_instructions_are_no_message():
    assert len(translated(instructions="")["messages"]) == 1


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "input_text", "text": "a"}, {"type": "text", "text": "a"}),
        (
            {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low", "file_id": None},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
        ),
        (
            {"type": "input_image", "image_url": "https://x/y.png", "detail": "original"},
            {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "high"}},
        ),
        (
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
            {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
        ),
    ],
)
def test_each_part_of_a_message_keeps_its_meaning(part, expected):
    (found,) = messages(user({"type": "input_text", "text": "look"}, part))
    assert found == {"role": "user", "content": [{"type": "text", "text": "look"}, expected]}


def test_a_message_of_one_text_is_a_string_which_every_server_understands():
    assert messages(user({"type": "input_text", "text": "a"})) == [{"role": "user", "content": "a"}]


def test_what_the_assistant_said_in_parts_is_one_text():
    parts = [{"type": "output_text", "text": "one "}, {"type": "output_text", "text": "two"}]
    assert messages({"role": "assistant", "content": parts}) == [{"role": "assistant", "content": "one two"}]


def test_a_refusal_stays_one():
    parts = [{"type": "refusal", "refusal": "No."}]
    found = messages({"type": "message", "role": "assistant", "content": parts})
    assert found == [{"role": "assistant", "content": None, "refusal": "No."}]


def test_the_parallel_calls_of_a_turn_are_one_message_with_what_was_said_before_them():
    found = messages(said("Let me look."), call("c1"), call("c2", "g"), output("c1"), output("c2", "two"))
    assert [one["role"] for one in found] == ["assistant", "tool", "tool"]
    assert found[0]["content"] == "Let me look."
    assert found[0]["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
        {"id": "c2", "type": "function", "function": {"name": "g", "arguments": '{"a":1}'}},
    ]
    assert found[1:] == [
        {"role": "tool", "content": "done", "tool_call_id": "c1"},
        {"role": "tool", "content": "two", "tool_call_id": "c2"},
    ]


def test_no_message_comes_between_calls_and_their_outputs():
    found = messages(call("c1"), said("Working on it."), output("c1"))
    assert [one["role"] for one in found] == ["assistant", "tool"]
    assert found[0]["content"] == "Working on it."


def test_calls_of_different_turns_stay_apart():
    found = messages(call("c1"), output("c1"), call("c2"), output("c2"), said("Done."), said("Really."))
    assert [one["role"] for one in found] == ["assistant", "tool", "assistant", "tool", "assistant", "assistant"]


def test_an_output_of_several_texts_is_one():
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    assert messages(call("c1"), output("c1", parts))[1]["content"] == "a\nb"


def test_an_empty_output_is_an_empty_text():
    assert messages(call("c1"), output("c1", []))[1]["content"] == ""


def test_images_of_tools_follow_their_outputs_in_a_user_message():
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA"}
    found = messages(call("c1"), call("c2"), output("c1", [image]), output("c2"), {"role": "user", "content": "So?"})
    assert [one["role"] for one in found] == ["assistant", "tool", "tool", "user", "user"]
    assert found[3]["content"] == [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]


def test_images_of_tools_stay_in_their_outputs_where_the_upstream_takes_them():
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA"}
    found = messages(call("c1"), output("c1", [image]), deployment=ANTHROPIC)
    assert found[1]["content"] == [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]


def test_a_huge_output_travels_whole():
    text = 'line "quoted" \\ ü \n' * 100_000
    assert messages(call("c1"), output("c1", text))[1]["content"] == text


def test_reasoning_is_dropped_for_chat():
    thought = {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "Hm."}]}
    assert messages(thought, said("Yes.")) == [{"role": "assistant", "content": "Yes."}]


def test_thoughts_and_their_signatures_find_back_to_an_upstream_that_made_them():
    blocks = ThinkingBlocks()
    blocks.add([Thinking("thinking", thinking="Let me "), Thinking("thinking", thinking="see.", signature="sig")])
    blocks.add([Thinking("redacted_thinking", data="xx")])
    thought = {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "Let me see."}],
        "encrypted_content": json.loads(blocks.sealed()),
    }
    (found,) = messages(thought, call("c1"), deployment=ANTHROPIC)
    assert found["reasoning_content"] == "Let me see."
    assert found["thinking_blocks"] == [
        {"type": "thinking", "thinking": "Let me see.", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xx"},
    ]
    assert found["tool_calls"][0]["id"] == "c1"


@pytest.mark.parametrize("foreign", ["gAAAAABo", "obol.thinking.%%%", "obol.thinking.e30="])
def test_what_another_provider_encrypted_is_dropped(foreign):
    found = messages(
        {"type": "reasoning", "summary": [], "encrypted_content": foreign}, said("Yes."), deployment=ANTHROPIC
    )
    assert found == [{"role": "assistant", "content": "Yes."}]


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({"type": "item_reference", "id": "msg_1"}, "input.0"),
        ({"id": "msg_1"}, "input.0"),
        ({"type": "computer_call", "id": "x"}, "input.0.type"),
        ({"type": "something_new"}, "input.0.type"),
        ({"type": "message", "role": "robot", "content": "x"}, "input.0.role"),
        (user({"type": "input_image", "file_id": "file-1"}), "input.0.content.0.file_id"),
        (user({"type": "input_file", "file_url": "https://x/y.pdf"}), "input.0.content.0.file_url"),
        (user({"type": "input_file", "file_id": "file-1"}), "input.0.content.0.file_id"),
        (user({"type": "input_text", "text": "a"}, {"type": "input_smell"}), "input.0.content.1.type"),
        (user({"type": "input_text", "text": 5}), "input.0.content.0.text"),
        ({"role": "system", "content": [{"type": "input_image", "image_url": "x"}]}, "input.0.content.0.type"),
        ({"role": "user", "content": 7}, "input.0.content"),
        ({"type": "function_call", "name": "f", "arguments": "{}"}, "input.0.call_id"),
        ({"type": "function_call", "call_id": "c", "name": "f", "arguments": {}}, "input.0.arguments"),
        ({"type": "custom_tool_call", "call_id": "c", "name": "f"}, "input.0.input"),
        (output("c", [{"type": "input_file", "file_id": "f"}]), "input.0.output.0.file_id"),
    ],
)
def test_what_chat_cannot_carry_is_refused_by_its_place(item, field):
    error = refusal(input=[item])
    assert error.param == field
    assert field in error.message


def test_an_empty_input_is_refused():
    assert refusal(input=[]).param == "input"


def test_an_input_that_is_no_list_of_items_is_refused():
    assert refusal(input=[5]).param == "input"


# Tools.


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


# Parameters.


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"temperature": 0.5, "top_p": 0.9, "user": "u", "service_tier": "flex"}, None),
        ({"stream": True}, None),
        (
            {"seed": 7, "chat_template_kwargs": {"a": 1}, "new_parameter": None},
            {"seed": 7, "chat_template_kwargs": {"a": 1}},
        ),
        ({"max_output_tokens": 9}, {"max_tokens": 9}),
        ({"reasoning": {"effort": "high", "summary": "auto"}}, {"reasoning_effort": "high"}),
        ({"reasoning": {"effort": None}, "text": None, "include": None, "temperature": None}, {}),
        ({"text": {"verbosity": "low", "format": {"type": "text"}}}, {"verbosity": "low"}),
        ({"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"a": 1.0}, "strict": True}}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": {"a": 1.0}, "strict": True},
                }
            },
        ),
        ({"include": ["message.output_text.logprobs"], "top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        ({"top_logprobs": 0}, {}),
        ({"include": ["reasoning.encrypted_content"], "store": True, "truncation": "auto"}, {}),
        ({"metadata": {"a": "b"}, "client_metadata": {"c": "d"}, "max_tool_calls": 3, "store": False}, {}),
        ({"stream_options": {"include_obfuscation": False}, "context_management": [{"type": "compaction"}]}, {}),
        ({"prompt_cache_key": "k", "prompt_cache_retention": "24h", "safety_identifier": "s"}, {}),
        ({"background": False, "previous_response_id": None, "conversation": None, "prompt": None, "n": 1}, {}),
    ],
)
def test_each_parameter_has_its_place_or_none(fields, expected):
    asked = translated(**fields)
    del asked["model"], asked["messages"]
    assert asked == (fields if expected is None else expected)


def test_openai_gets_what_only_openai_knows():
    own = {"prompt_cache_key": "k", "prompt_cache_retention": "24h", "safety_identifier": "s"}
    asked = translated(OPENAI, max_output_tokens=9, **own)
    assert asked.items() >= {"max_completion_tokens": 9, **own}.items()
    assert "max_tokens" not in asked


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"prompt_cache_key": "k"}, {"type": "ephemeral"}),
        ({"prompt_cache_key": "k", "prompt_cache_retention": "in_memory"}, {"type": "ephemeral"}),
        ({"prompt_cache_key": "k", "prompt_cache_retention": "24h"}, {"type": "ephemeral", "ttl": "1h"}),
        ({"prompt_cache_key": "k", "cache_control": {"type": "mine"}}, {"type": "mine"}),
        ({"prompt_cache_key": None}, None),
    ],
)
def test_who_names_a_cache_gets_one_from_an_upstream_that_must_be_asked(fields, expected):
    assert translated(ANTHROPIC, **fields).get("cache_control") == expected
    assert translated(COMPATIBLE, **fields).get("cache_control") == fields.get("cache_control")


@pytest.mark.parametrize(
    "fields",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"conversation": {"id": "conv_1"}},
        {"prompt": {"id": "pmpt_1"}},
        {"background": True},
        {"moderation": {"model": "omni"}},
        {"messages": []},
        {"n": 2},
    ],
)
def test_what_a_client_would_rely_on_in_vain_is_refused_by_name(fields):
    (name,) = fields
    error = refusal(**fields)
    assert (error.status, error.param) == (400, name)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"reasoning": "high"}, "reasoning"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": []}, "text"),
        ({"include": "all"}, "include"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools.0.name"),
        ({"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "mcp"}]}]}, "tools.0.tools.0.type"),
        ({"instructions": ["a"]}, "instructions"),
    ],
)
def test_a_parameter_of_another_form_is_refused_by_name(fields, param):
    assert refusal(**fields).param == param


texts = st.text(max_size=40)


@settings(deadline=None)
@given(said_before=texts, asked=texts, found=texts, instructed=texts.filter(bool))
def test_every_text_arrives_as_it_was(said_before, asked, found, instructed):
    items = [user({"type": "input_text", "text": asked}), said(said_before), call("c"), output("c", found)]
    system, question, answer, result = messages(*items, instructions=instructed)
    assert system["content"] == instructed
    assert question["content"] == asked
    assert answer["content"] == said_before
    assert result["content"] == found


_words = st.sampled_from(
    (
        "type", "role", "content", "text", "name", "arguments", "output", "call_id", "tools", "format", "function",
        "summary", "encrypted_content", "message", "input_text", "input", "strict", "image_url", "mode", "schema",
    )
)  # fmt: skip
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    value=anything,
    field=st.sampled_from(
        ("input", "tools", "tool_choice", "text", "reasoning", "include", "instructions", "top_logprobs")
    ),
    kind=st.sampled_from(("message", "function_call", "function_call_output", "reasoning", "custom", "namespace", "")),
    deployment=st.sampled_from((COMPATIBLE, OPENAI, ANTHROPIC)),
)
def test_whatever_a_client_sends_is_translated_or_refused_by_name(value, field, kind, deployment):
    if isinstance(value, dict) and kind:
        value = [{**value, "type": kind}]
    named = "no refusal"
    try:
        translated(deployment, **{"tools": [FUNCTION], field: value})
    except BadRequest as error:
        named = error.param
    assert named
