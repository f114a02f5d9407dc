"""A conversation costs what its length is, however its pieces are cut: one body must not hold all others up.

Work that grows with the square of the pieces would take minutes here.
"""

from __future__ import annotations

import json

import chat_over_messages_parts as over_messages
import pytest
from responses_over_chat_request_parts import ANTHROPIC, call, messages

from gateway.translation.responses_over_chat.freeform import FreeText
from gateway.translation.responses_over_chat.thinking import Thinking, ThinkingBlocks

pytestmark = pytest.mark.timeout(20)
MANY = 20_000
KILOBYTE = "x" * 1_000


def test_many_system_messages_become_one():
    found = messages(*[{"role": "developer", "content": KILOBYTE}] * MANY, {"role": "user", "content": "Hi"})
    assert [one["role"] for one in found] == ["system", "user"]
    assert found[0]["content"] == "\n\n".join([KILOBYTE] * MANY)


def test_many_texts_behind_a_call_are_one_message():
    (found,) = messages(call("c"), *[{"role": "assistant", "content": KILOBYTE}] * MANY)
    assert found["content"] == "\n\n".join([KILOBYTE] * MANY)
    assert [one["id"] for one in found["tool_calls"]] == ["c"]


def test_many_thoughts_are_those_of_one_message():
    blocks = ThinkingBlocks()
    blocks.add([Thinking("thinking", KILOBYTE, "signed")])
    sealed = json.loads(blocks.sealed())
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": KILOBYTE}]}
    items = [{**thought, "encrypted_content": sealed}] * MANY
    (found,) = messages(*items, {"role": "assistant", "content": "So."}, deployment=ANTHROPIC)
    assert found["reasoning_content"] == "\n\n".join([KILOBYTE] * MANY)
    assert len(found["thinking_blocks"]) == MANY


def test_many_results_of_tools_stand_before_what_the_user_said():
    said = [over_messages.user("Hi")] * (10 * MANY)
    (turn,) = over_messages.turns(*said, *[over_messages.tool("done")] * (10 * MANY))
    kinds = [block["type"] for block in turn["content"]]
    assert kinds == ["tool_result"] * (10 * MANY) + ["text"] * (10 * MANY)


def test_thoughts_that_stream_in_many_pieces_are_one_block():
    blocks = ThinkingBlocks()
    for _ in range(10 * MANY):
        blocks.add([Thinking("thinking", KILOBYTE[:100])])
    blocks.add([Thinking("thinking", "", "signed")])
    expected = ThinkingBlocks()
    expected.add([Thinking("thinking", KILOBYTE[:100] * (10 * MANY), "signed")])
    assert blocks.sealed() == expected.sealed()


@pytest.mark.parametrize(
    ("begun", "found"),
    [("", ""), ('{"patch": "', '{"patch": "'), ('{"input": "\\u12zz', "\\u12zz"), ('{"input": "\\ud83d.', "\ud83d.")],
)
def test_free_text_of_any_form_may_come_in_many_pieces(begun, found):
    text = FreeText()
    shown = [text.feed(begun), *[text.feed(KILOBYTE[:100]) for _ in range(10 * MANY)], text.rest()]
    assert "".join(shown) == found + KILOBYTE[:100] * (10 * MANY)
