"""What becomes of the conversation of a Messages request at an upstream that speaks chat completions only."""

from __future__ import annotations

import pytest
from messages_over_chat_parts import (
    PDF,
    assistant,
    conversation,
    document,
    image,
    image_part,
    refused,
    said,
    text,
    tool_result,
    tool_use,
    translated,
    user,
)


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("Be kind.", "Be kind."),
        ([text("Be kind."), text("Be brief.")], "Be kind.\n\nBe brief."),
        ([text("x-anthropic-billing-header: cc_version=2; cch=1a2b"), text("Be kind.")], "Be kind."),
    ],
)
def test_the_system_prompt_comes_first_without_its_cache_marks(system, expected):
    messages = conversation(user("Hi"), system=system)

    assert messages == [{"role": "system", "content": expected}, said("Hi")]


@pytest.mark.parametrize("system", [None, "", [], [text("")]])
def test_an_empty_system_prompt_is_no_message(system):
    assert conversation(user("Hi"), system=system) == [said("Hi")]


def test_texts_of_one_message_become_one_string():
    assert conversation(user(text("a"), text('b "quoted"\n'))) == [said('a\n\nb "quoted"\n')]


@pytest.mark.parametrize("content", ["", [], [text("")]])
def test_empty_content_stays_empty(content):
    assert conversation({"role": "user", "content": content}) == [said("")]


def test_texts_and_images_keep_their_order():
    url = {"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}}

    (message,) = conversation(user(text("first"), image(), text("then"), url))

    assert message["content"] == [
        {"type": "text", "text": "first"},
        image_part(),
        {"type": "text", "text": "then"},
        image_part("https://x.example/a.png"),
    ]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (
            document({"type": "base64", "media_type": "application/pdf", "data": PDF}, title="law.pdf"),
            [
                {
                    "type": "file",
                    "file": {"filename": "law.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
                }
            ],
        ),
        (document({"type": "text", "media_type": "text/plain", "data": "a\nb"}), "a\nb"),
        (document({"type": "text", "data": "b"}, title="t", context="c"), "t\nc\n\nb"),
        (document({"type": "content", "content": "b"}), "b"),
        (document({"type": "content", "content": [text("a"), text("b")]}), "a\n\nb"),
        (
            {"type": "search_result", "title": "t", "source": "https://s.example", "content": [text("a"), text("b")]},
            "t\nhttps://s.example\n\na\n\nb",
        ),
    ],
)
def test_documents_become_files_or_text(block, expected):
    assert conversation(user(block)) == [said(expected)]


def test_tool_calls_and_their_results_stand_together():
    messages = conversation(
        user("Go"),
        assistant(text("I look."), tool_use("toolu_1", "f", path="/a", n=1.0), tool_use("toolu_2", "g")),
        user(tool_result("one", "toolu_1"), tool_result([text("t"), text("wo")], "toolu_2"), text("And?")),
    )

    assert messages[1:] == [
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {
                    "id": "toolu_1",
                    "type": "function",
                    "function": {"name": "f", "arguments": '{"path": "/a", "n": 1.0}'},
                },
                {"id": "toolu_2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "toolu_1", "content": "one"},
        {"role": "tool", "tool_call_id": "toolu_2", "content": "t\n\nwo"},
        said("And?"),
    ]


def test_results_follow_their_call_even_where_the_client_says_something_first():
    messages = conversation(assistant(tool_use()), user(text("Here:"), tool_result("x")))

    assert [message["role"] for message in messages] == ["assistant", "tool", "user"]
    assert messages[0]["content"] is None


def test_results_that_come_in_several_messages_follow_their_call_too():
    messages = conversation(
        assistant(tool_use("a")), assistant(tool_use("b")), user(tool_result("1", "a")), user(tool_result("2", "b"))
    )

    assert [message["role"] for message in messages] == ["assistant", "tool", "tool"]
    assert [call["id"] for call in messages[0]["tool_calls"]] == ["a", "b"]


def test_an_image_in_a_result_is_shown_in_the_next_user_message():
    messages = conversation(assistant(tool_use()), user(tool_result([text("A screen:"), image()]), text("Well?")))

    assert messages[1]["content"] == "A screen:\n\n[See the next user message for this image.]"
    assert messages[2] == said([image_part(), {"type": "text", "text": "Well?"}])


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (tool_result(), ""),
        (tool_result(""), ""),
        (tool_result([]), ""),
        (tool_result("no such file", is_error=True), "Error: no such file"),
        (tool_result([text("no"), text("file")], is_error=True), "Error: no\n\nfile"),
        (tool_result("fine", is_error=False), "fine"),
        (tool_result([{"type": "tool_reference", "tool_name": "Edit"}]), "[The tool Edit is available.]"),
        (tool_result([document({"type": "text", "data": "d"})]), "d"),
    ],
)
def test_results_become_text(result, expected):
    assert conversation(assistant(tool_use()), user(result))[1]["content"] == expected


@pytest.mark.parametrize(
    "unsaid",
    [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "server_tool_use", "id": "s", "name": "tool_search_tool_regex", "input": {}},
        {"type": "tool_search_tool_result", "tool_use_id": "s", "content": {}},
        {"type": "fallback", "from": {}, "to": {}},
    ],
)
def test_history_that_only_the_other_model_can_read_is_left_out(unsaid):
    messages = conversation(user("a"), assistant(unsaid, text("b")), assistant(unsaid), user("c"))

    assert messages == [said("a"), {"role": "assistant", "content": "b"}, said("c")]


def test_openai_gets_system_messages_where_they_stand():
    messages = conversation(user("a"), {"role": "system", "content": [text("New rule.")]}, user("b"), kind="openai")

    assert messages == [said("a"), {"role": "system", "content": "New rule."}, said("b")]


def test_other_servers_get_later_system_messages_as_reminders_in_the_user_turn():
    messages = conversation(user("a"), {"role": "system", "content": "New rule."}, user("b"))

    assert messages == [said("a\n\n<system-reminder>\nNew rule.\n</system-reminder>\n\nb")]


def test_a_system_message_for_one_turn_is_gone_in_the_next():
    rule = {"role": "system", "content": "Now only.", "clear_at": "next_user_message"}

    assert "Now only." in conversation(user("a"), rule)[0]["content"]
    assert conversation(user("a"), rule, assistant(text("b")), user("c"))[0] == said("a")


def test_vllm_goes_on_with_an_answer_that_the_client_has_begun():
    asked = translated({"messages": [user("JSON!"), assistant(text("{"))]}, kind="vllm")

    assert asked["messages"][-1] == {"role": "assistant", "content": "{"}
    assert (asked["add_generation_prompt"], asked["continue_final_message"]) == (False, True)


def test_other_servers_cannot_go_on_with_an_answer():
    assert refused({"messages": [user("JSON!"), assistant(text("{"))]}).param == "messages.1"
