"""POST /v1/messages through Anthropic's official SDK: what its users get, and what the ledger says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anthropic
import pytest
from running_gateway import Gateway, UpstreamProcess
from spec_parts import AGENT_RATES_NUSD, INPUT_TOKENS, OUTPUT_TOKENS, TEXT, Books

RECORDED = Path(__file__).parents[1] / "unit" / "data" / "messages"
COST_NUSD = INPUT_TOKENS * AGENT_RATES_NUSD["input"] + OUTPUT_TOKENS * AGENT_RATES_NUSD["output"]
TOOL = {
    "name": "get_weather",
    "description": "The weather of a place.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
WEATHER = [{"name": "get_weather", "arguments": '{"city": "Kyōto", "days": 2}'}]
#: Every meter that Anthropic reports, all counts different; its input_tokens leave out what was read and written.
USAGE = {
    "input_tokens": 11,
    "cache_creation_input_tokens": 700,
    "cache_read_input_tokens": 5000,
    "cache_creation": {"ephemeral_5m_input_tokens": 400, "ephemeral_1h_input_tokens": 300},
    "output_tokens": 90,
    "output_tokens_details": {"thinking_tokens": 20},
    "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0},
    "service_tier": "standard",
}
USAGE_NUSD = (
    11 * AGENT_RATES_NUSD["input"]
    + 5000 * AGENT_RATES_NUSD["cached_input"]
    + 400 * AGENT_RATES_NUSD["cache_write"]
    + 300 * AGENT_RATES_NUSD["cache_write_long"]
    + 70 * AGENT_RATES_NUSD["output"]
    + 20 * AGENT_RATES_NUSD["reasoning"]
)


@pytest.fixture
def model() -> str:
    """A preset of the upstream that nobody has made: a good answer."""
    return "messages/claude-sonnet-x"


def asked(model: str, script: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Keyword arguments of ``client.messages.create`` and ``stream``."""
    extra = {"extra_body": {"script": script}} if script is not None else {}
    return {
        "model": model,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "What now?"}],
        **extra,
        **more,
    }


def recorded(name: str) -> list[dict[str, Any]]:
    events = (RECORDED / f"{name}.sse").read_text().strip().split("\n\n")
    return [json.loads(event.partition("\ndata: ")[2]) for event in events]


def test_a_whole_answer_is_the_upstreams_and_its_charge_is_on_the_ledger(
    claude: anthropic.Anthropic, books: Books, model: str, user: str
) -> None:
    answer = claude.messages.create(**asked(model, metadata={"user_id": user}, service_tier="auto"))

    assert (answer.content[0].text, answer.stop_reason, answer.role) == (TEXT, "end_turn", "assistant")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (INPUT_TOKENS, OUTPUT_TOKENS)
    entry = books.entry(answer._request_id)
    assert (entry["endpoint"], entry["status"], entry["basis"]) == ("messages", "succeeded", "reported")
    assert (entry["input_tokens"], entry["output_tokens"]) == (INPUT_TOKENS, OUTPUT_TOKENS)
    assert (entry["cost_nusd"], entry["finish_reason"]) == (COST_NUSD, "end_turn")
    assert (entry["end_user"], entry["service_tier"]) == (user, "standard")
    assert (entry["model_asked"], entry["model"]) == (model, "claude-sonnet-x")
    assert entry["upstream_request_id"] == "req-scripted"


def test_its_headers_tell_the_cost_and_who_answered(claude: anthropic.Anthropic, model: str) -> None:
    raw = claude.messages.with_raw_response.create(**asked(model))
    assert raw.headers["request-id"] == raw.headers["x-request-id"] == raw.request_id
    assert float(raw.headers["x-obol-cost-usd"]) * 1e9 == pytest.approx(COST_NUSD)
    assert raw.headers["x-obol-deployment"] == model


def test_a_stream_adds_up_to_the_same_message(claude: anthropic.Anthropic, books: Books, model: str) -> None:
    with claude.messages.stream(**asked(model)) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()

    assert "".join(pieces) == message.content[0].text == TEXT
    assert len(pieces) == OUTPUT_TOKENS
    assert (message.usage.input_tokens, message.usage.output_tokens) == (INPUT_TOKENS, OUTPUT_TOKENS)
    entry = books.entry(stream.response.headers["request-id"])
    assert (entry["is_stream"], entry["basis"], entry["cost_nusd"]) == (True, "reported", COST_NUSD)
    assert 0 < entry["first_token_ms"] <= entry["total_ms"]


def test_the_end_of_a_stream_tells_what_it_cost(claude: anthropic.Anthropic, model: str) -> None:
    with claude.messages.create(**asked(model), stream=True) as stream:
        (ending,) = [event for event in stream if event.type == "message_delta"]
    assert ending.usage.cost * 1e9 == pytest.approx(COST_NUSD)


async def test_the_async_client_streams_too(gateway: Gateway, books: Books, model: str) -> None:
    async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key=gateway.first_key, max_retries=0) as client:
        async with client.messages.stream(**asked(model)) as stream:
            message = await stream.get_final_message()
        assert message.content[0].text == TEXT
        assert books.entry(stream.response.headers["request-id"])["cost_nusd"] == COST_NUSD


@pytest.mark.parametrize("is_stream", [False, True])
def test_thinking_keeps_its_signature_and_tools_their_input(
    claude: anthropic.Anthropic, model: str, is_stream: bool
) -> None:
    script = {"reasoning": "The user wants the weather.", "preamble": "Let me look.", "tool_calls": WEATHER}
    question = asked(model, script, tools=[TOOL], thinking={"type": "enabled", "budget_tokens": 1024})
    if is_stream:
        with claude.messages.stream(**question) as stream:
            message = stream.get_final_message()
    else:
        message = claude.messages.create(**question)

    thinking, text, tool = message.content
    assert (thinking.thinking, thinking.signature) == ("The user wants the weather.", "EqQBScriptedSignature+/==")
    assert text.text == "Let me look."
    assert (tool.name, tool.input, tool.id) == ("get_weather", {"city": "Kyōto", "days": 2}, "toolu_0")
    assert message.stop_reason == "tool_use"


def test_a_conversation_with_tool_results_goes_up_as_it_is(
    claude: anthropic.Anthropic, upstream: UpstreamProcess, model: str, user: str
) -> None:
    script = {"reasoning": "Hm.", "tool_calls": WEATHER}
    first = claude.messages.create(**asked(model, script, tools=[TOOL]))
    result = {"type": "tool_result", "tool_use_id": "toolu_0", "content": "19 degrees", "is_error": False}
    messages = [
        {"role": "user", "content": "What now?"},
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result | {"cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
    ]

    claude.messages.create(**asked(model, tools=[TOOL], metadata={"user_id": user}) | {"messages": messages})

    (call,) = upstream.calls(user)
    thinking, tool = call["body"]["messages"][1]["content"]
    assert thinking == {"type": "thinking", "thinking": "Hm.", "signature": "EqQBScriptedSignature+/=="}
    assert tool["input"] == {"city": "Kyōto", "days": 2}
    assert call["body"]["messages"][2]["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert call["body"]["tools"] == [TOOL]


@pytest.mark.parametrize("is_stream", [False, True])
def test_cached_tokens_are_billed_as_the_upstream_counts_them(
    claude: anthropic.Anthropic, books: Books, model: str, is_stream: bool
) -> None:
    question = asked(model, {"usage": USAGE})
    if is_stream:
        with claude.messages.stream(**question) as stream:
            message = stream.get_final_message()
        request_id = stream.response.headers["request-id"]
    else:
        message = claude.messages.create(**question)
        request_id = message._request_id or ""

    told = (message.usage.input_tokens, message.usage.cache_read_input_tokens, message.usage.output_tokens)
    assert told == (11, 5000, 90)
    entry = books.entry(request_id)
    assert (entry["basis"], entry["input_tokens"], entry["cached_input_tokens"]) == ("reported", 5711, 5000)
    assert (entry["cache_write_tokens"], entry["cache_write_long_tokens"]) == (700, 300)
    assert (entry["output_tokens"], entry["reasoning_tokens"]) == (90, 20)
    assert {"meter": "web_search", "quantity": 2, "rate_nusd_per_mtok": 0} in entry["meters"]
    assert entry["cost_nusd"] == USAGE_NUSD


@pytest.mark.parametrize("name", ["thinking_and_tool", "web_search", "compaction"])
def test_recorded_streams_pass_the_sdks_own_accumulator(
    claude: anthropic.Anthropic, books: Books, model: str, name: str
) -> None:
    with claude.messages.stream(**asked(model, {"events": recorded(name)})) as stream:
        message = stream.get_final_message()

    entry = books.entry(stream.response.headers["request-id"])
    assert (entry["status"], entry["basis"]) == ("succeeded", "reported")
    match name:
        case "thinking_and_tool":
            thinking, text, tool = message.content
            assert (thinking.signature, text.text) == ("EuYBCkQYAiJA0c/8kZ+Q==", "Let me look.")
            assert tool.input == {"city": "Kyōto"}
            assert (entry["input_tokens"], entry["cached_input_tokens"]) == (20544, 18432)
        case "web_search":
            assert [block.type for block in message.content][-1] == "text"
            assert message.usage.server_tool_use.web_search_requests == 3
            assert (entry["input_tokens"], entry["output_tokens"]) == (13582, 510)
        case _:
            assert (entry["input_tokens"], entry["output_tokens"]) == (203_000, 4500)


def test_betas_reach_the_upstream_in_header_and_address(
    claude: anthropic.Anthropic, upstream: UpstreamProcess, books: Books, model: str, user: str
) -> None:
    betas = ["context-1m-2025-08-07", "token-efficient-tools-2026-03-28"]
    answer = claude.beta.messages.create(
        **asked(model, metadata={"user_id": user}, betas=betas), extra_query={"beta": "true"}
    )

    (call,) = upstream.calls(user)
    assert (call["path"], call["query"]) == ("/v1/messages", {"beta": "true"})
    assert call["headers"]["anthropic-beta"].split(",") == betas
    assert call["headers"]["anthropic-version"] == claude.default_headers["anthropic-version"]
    assert books.entry(answer._request_id)["cost_nusd"] == COST_NUSD


def test_a_bearer_token_is_as_good_as_an_api_key(gateway: Gateway, books: Books, model: str) -> None:
    with anthropic.Anthropic(base_url=gateway.url, auth_token=gateway.first_key, api_key=None, max_retries=0) as client:
        answer = client.messages.create(**asked(model))
    assert books.entry(answer._request_id)["cost_nusd"] == COST_NUSD


@pytest.mark.parametrize(
    ("preset", "raised", "status", "kind"),
    [
        ("error-400", anthropic.BadRequestError, 400, "invalid_request_error"),
        ("error-401", anthropic.InternalServerError, 502, "api_error"),
        ("error-403", anthropic.InternalServerError, 502, "api_error"),
        ("error-404", anthropic.NotFoundError, 404, "not_found_error"),
        ("error-413", anthropic.RequestTooLargeError, 413, "request_too_large"),
        ("error-429", anthropic.RateLimitError, 429, "rate_limit_error"),
        ("error-quota", anthropic.RateLimitError, 429, "rate_limit_error"),
        ("error-500", anthropic.InternalServerError, 500, "api_error"),
        ("error-529", anthropic.OverloadedError, 529, "overloaded_error"),
    ],
)
@pytest.mark.parametrize("is_stream", [False, True])
def test_errors_raise_the_sdks_own_classes(
    claude: anthropic.Anthropic,
    books: Books,
    model: str,
    preset: str,
    raised: type[anthropic.APIStatusError],
    status: int,
    kind: str,
    is_stream: bool,
) -> None:
    with pytest.raises(raised) as caught:
        claude.messages.create(**asked(f"messages/{preset}~{model}"), stream=is_stream)

    body: Any = caught.value.body
    assert (caught.value.status_code, body["type"], body["error"]["type"]) == (status, "error", kind)
    assert body["request_id"] == caught.value.request_id
    for entry in books.entries(caught.value.request_id):
        assert (entry["status"], entry["basis"], entry["cost_nusd"]) == ("failed", "unbilled", 0)


def test_a_wrong_key_raises_the_sdks_class(gateway: Gateway, model: str) -> None:
    secret = "sk-obol-" + "A" * 43
    with (
        anthropic.Anthropic(base_url=gateway.url, api_key=secret, max_retries=0) as client,
        pytest.raises(anthropic.AuthenticationError) as caught,
    ):
        client.messages.create(**asked(model))
    assert secret not in str(caught.value)


def test_a_stream_that_breaks_off_raises_and_never_looks_finished(
    claude: anthropic.Anthropic, books: Books, model: str
) -> None:
    script = {"cut_after": 6, "error_event": {"type": "overloaded_error", "message": "Overloaded"}}
    with claude.messages.create(**asked(model, script), stream=True) as stream:
        request_id = stream.response.headers["request-id"]
        kinds = []
        with pytest.raises(anthropic.APIStatusError) as caught:
            kinds += [event.type for event in stream]
    assert "message_stop" not in kinds
    body: Any = caught.value.body
    assert (body["error"]["type"], body["error"]["message"]) == ("overloaded_error", "Overloaded")
    assert body["request_id"] == request_id
    entry = books.entry(request_id)
    assert (entry["status"], entry["basis"], entry["input_tokens"]) == ("interrupted", "estimated", INPUT_TOKENS)


def test_the_models_are_listed_page_by_page_in_the_sdks_form(claude: anthropic.Anthropic) -> None:
    listed = list(claude.models.list(limit=5))
    names = [model.id for model in listed]
    assert len(names) == len(set(names)) > 10
    assert {"all-meters", "free", "in-order"} <= set(names)
    assert all(model.type == "model" and model.display_name and model.created_at for model in listed)
    assert claude.models.retrieve("all-meters").display_name == "all-meters"
    with pytest.raises(anthropic.NotFoundError) as caught:
        claude.models.retrieve("nothing")
    assert caught.value.error_code == "model_not_found"
