"""The scripted upstream speaks as the real ones do: the official SDKs' own types accept all that it says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from scripted import messages
from scripted.responses import ResponsesAnswer
from scripted.script import Script

FUNCTION = {"name": "look", "arguments": '{"at": "the sky"}'}
CUSTOM = {"name": "patch", "input": "*** Begin Patch"}
ANSWERS = {
    "text": Script(),
    "reasoning": Script(reasoning="Let me think."),
    "a tool call": Script(tool_calls=[FUNCTION]),
    "words before two tool calls": Script(preamble="I look twice.", tool_calls=[FUNCTION, FUNCTION]),
    "a refusal": Script(refusal="No."),
    "no usage": Script(no_usage=True),
}
RESPONSES_ONLY = {
    "a custom tool call": Script(tool_calls=[CUSTOM]),
    "an incomplete answer": Script(finish_reason="max_output_tokens"),
    "a failure": Script(failure={"code": "server_error", "message": "oops"}),
}


@pytest.fixture(scope="module")
def openai_event() -> TypeAdapter[ResponseStreamEvent]:
    return TypeAdapter(ResponseStreamEvent)


@pytest.fixture(scope="module")
def anthropic_event() -> TypeAdapter[RawMessageStreamEvent]:
    return TypeAdapter(RawMessageStreamEvent)


def payloads(events: list[bytes]) -> list[dict[str, Any]]:
    """The data of each event, whose name is its type."""
    found = []
    for event in events:
        name, data = event.decode().removesuffix("\n\n").split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


@pytest.mark.parametrize(
    "script", [pytest.param(script, id=name) for name, script in (ANSWERS | RESPONSES_ONLY).items()]
)
def test_responses_are_openais(script: Script, openai_event: TypeAdapter[ResponseStreamEvent]) -> None:
    answer = ResponsesAnswer({"model": "x", "input": "Hello"}, script)
    Response.model_validate(answer.whole)
    events = payloads(list(answer.events()))
    for event in events:
        openai_event.validate_python(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["response"] == answer.whole


@pytest.mark.parametrize(
    "script", [pytest.param(script, id=name) for name, script in ANSWERS.items() if name != "no usage"]
)
def test_messages_are_anthropics(script: Script, anthropic_event: TypeAdapter[RawMessageStreamEvent]) -> None:
    whole = messages.whole_answer({"model": "x"}, script)
    Message.model_validate(whole)
    events = [
        event for event in payloads(list(messages.stream_events({"model": "x"}, script))) if event["type"] != "ping"
    ]
    for event in events:
        anthropic_event.validate_python(event)
    assert (events[0]["type"], events[-1]["type"]) == ("message_start", "message_stop")
    assert events[-2]["delta"]["stop_reason"] == whole["stop_reason"]
    assert events[-2]["usage"].items() <= whole["usage"].items()
