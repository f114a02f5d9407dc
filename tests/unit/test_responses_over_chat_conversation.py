"""What becomes of a conversation of the Responses API on its way to an upstream that speaks chat."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from responses_over_chat_request_parts import ANTHROPIC, OPENAI, call, messages, output, refusal, said, translated, user

from gateway.translation.responses_over_chat.thinking import Thinking, ThinkingBlocks


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
    assert refusal(input=[5]).param == "input.0"


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
