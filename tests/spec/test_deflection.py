"""A route that answers some messages itself: ordinary answers in each dialect, at no cost, and never in any doubt."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest
from deflection_parts import ANSWER, SUM, USER, Messenger, entry_of
from running_gateway import until
from spec_parts import chunks, error_of

NODE = Path(__file__).parent / "node"
NOTHING_USED = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


@pytest.mark.parametrize(
    ("text", "answerer", "told"),
    [
        (SUM, "arithmetic", ANSWER),
        ("10 miles in km", "units", "16.09344 kilometers"),
        ("what time zone is tokyo in", "clock", "Asia/Tokyo"),
        ("what is today's date", "clock", "Europe/Paris"),
        ("100 dollars in euros", "currency", "86 EUR (rates of 2026-11-29)"),
        ("hello!", "smalltalk", "Hello! How can I help you?"),
    ],
)
def test_a_message_that_can_be_computed_is_answered_at_no_cost_and_nobody_is_asked(
    deflecting, messenger, text, answerer, told
):
    answer = messenger.chat(text)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert told in said["choices"][0]["message"]["content"]
    assert (said["object"], said["model"], said["choices"][0]["finish_reason"]) == ("chat.completion", "auto", "stop")
    assert NOTHING_USED.items() <= said["usage"].items()
    assert {name: answer.headers.get(f"x-obol-{name}") for name in ("source", "deflector", "cost-usd", "cache")} == {
        "source": "deflected",
        "deflector": answerer,
        "cost-usd": "0",
        "cache": None,
    }
    assert messenger.heard() == 0
    entry = entry_of(deflecting, answer)
    assert (entry["source"], entry["basis"], entry["status"]) == ("deflected", "none", "succeeded")
    assert (entry["cost_nusd"], entry["input_tokens"], entry["output_tokens"]) == (0, 0, 0)
    assert (entry["route"], entry["provider"], entry["deployment"]) == ("auto", "obol", f"obol/{answerer}")
    assert entry["deflector"] == answerer
    assert entry["is_baseline_estimated"]
    assert entry["baseline_nusd"] > 0


def test_what_is_saved_is_what_the_words_would_have_cost_at_the_baseline_by_an_estimate(deflecting, messenger):
    words = len("user") + 1 + len(SUM)  # as tokens of a prompt are counted
    assert (
        entry_of(deflecting, messenger.chat())["baseline_nusd"]
        == -(-words // 4) * 5000 + -(-len(ANSWER.encode()) // 4) * 25_000
    )
    without_baseline = entry_of(deflecting, messenger.chat(model="arithmetic"))
    assert without_baseline["baseline_nusd"] == -(-words // 4) * 1000 + -(-len(ANSWER.encode()) // 4) * 2000


def test_reports_show_what_was_saved_by_source(deflecting, messenger, deflecting_key):
    messenger.chat()
    until(lambda: deflecting.ledger(team=deflecting_key["team"]), "the entry is on the ledger")
    report = deflecting.admin(
        "GET", "reports/costs", params={"team": deflecting_key["team"], "source": "deflected"}
    ).json()
    assert (report["totals"]["cost_usd"], report["totals"]["requests"]) == ("0.00", 1)
    assert report["totals"]["savings_nusd"] == deflecting.ledger(team=deflecting_key["team"])[0]["baseline_nusd"] > 0


def test_chat_clients_parse_it_whole_and_streamed(deflecting, deflecting_key):
    with openai.OpenAI(base_url=deflecting.base_url, api_key=deflecting_key["key"], max_retries=0) as client:
        asked: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": SUM}]}
        whole = client.chat.completions.create(**asked)
        assert whole.choices[0].message.content == ANSWER
        with client.chat.completions.with_streaming_response.create(**asked, stream=True) as raw:
            assert raw.headers["x-obol-deflector"] == "arithmetic"
        options = {"include_usage": True}
        events = list(client.chat.completions.create(**asked, stream=True, stream_options=options))
    assert "".join(one.choices[0].delta.content or "" for one in events if one.choices) == ANSWER
    assert [one.choices[0].finish_reason for one in events if one.choices][-1] == "stop"
    assert events[0].choices[0].delta.role == "assistant"
    assert events[-1].choices == []
    assert events[-1].usage.total_tokens == 0
    assert len({one.id for one in events} | {whole.id}) == 2


def test_a_stream_tells_usage_only_where_it_is_asked_for(messenger):
    answer = messenger.chat(stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-obol-cost-usd"] == "0"
    assert all("usage" not in one for one in chunks(answer.text))


@pytest.mark.parametrize("model", ["auto", "claude"])
def test_clients_of_messages_parse_it_whole_and_streamed(deflecting, deflecting_key, model):
    with anthropic.Anthropic(base_url=deflecting.url, api_key=deflecting_key["key"], max_retries=0) as client:
        asked: dict[str, Any] = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": SUM}]}
        raw = client.messages.with_raw_response.create(**asked)
        whole = raw.parse()
        with client.messages.stream(**asked) as stream:
            text = "".join(stream.text_stream)
            final = stream.get_final_message()
            headers = stream.response.headers
    assert (raw.headers["x-obol-source"], headers["x-obol-source"]) == ("deflected", "deflected")
    assert whole.content[0].text == final.content[0].text == text == ANSWER
    for message in (whole, final):
        assert (message.stop_reason, message.model, message.role) == ("end_turn", model, "assistant")
        assert (message.usage.input_tokens, message.usage.output_tokens) == (0, 0)
    assert entry_of(deflecting, raw)["endpoint"] == "messages"


def test_clients_of_responses_parse_it_whole_and_streamed(deflecting, deflecting_key):
    with openai.OpenAI(base_url=deflecting.base_url, api_key=deflecting_key["key"], max_retries=0) as client:
        raw = client.responses.with_raw_response.create(model="auto", input=SUM)
        whole = raw.parse()
        with client.responses.stream(model="auto", input=[{"role": "user", "content": SUM}]) as stream:
            final = [event.type for event in stream] and stream.get_final_response()
    assert raw.headers["x-obol-deflector"] == "arithmetic"
    for response in (whole, final):
        assert (response.output_text, response.status, response.model) == (ANSWER, "completed", "auto")
        assert response.usage.total_tokens == 0
        assert response.store is False
    assert entry_of(deflecting, raw)["source"] == "deflected"


def test_the_node_sdk_parses_it_too(deflecting, deflecting_key):
    node = shutil.which("node")
    if node is None or not (NODE / "node_modules" / "openai").exists():
        pytest.fail("Node.js or its packages are missing: `make test` installs them", pytrace=False)
    command = [node, "deflection.mjs", deflecting.base_url, deflecting_key["key"]]
    done = subprocess.run(command, cwd=NODE, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"deflector": "arithmetic", "texts": [ANSWER] * 4, "tokens": [0] * 4}


def test_a_response_that_somebody_on_the_route_would_store_is_left_to_it(messenger):
    def source(**fields: Any) -> str:
        return str(messenger.post("responses", {"model": "storing", "input": SUM, **fields}).headers["x-obol-source"])

    assert source(store=False) == "deflected"
    assert source() == source(store=True) == "upstream"


def test_a_client_opts_out_by_a_header_and_a_wrong_wish_is_refused(messenger):
    assert messenger.chat(headers={"x-obol-deflect": "off"}).headers["x-obol-source"] == "upstream"
    assert messenger.chat(headers={"x-obol-deflect": "on"}).headers["x-obol-source"] == "deflected"
    refused = messenger.chat(headers={"x-obol-deflect": "no"})
    assert refused.status_code == 400
    assert error_of(refused)["param"] == "x-obol-deflect"


def test_kept_answers_and_what_a_client_says_of_them_do_not_matter(messenger):
    for control in ("no-store", "no-cache", "only-if-cached"):
        answer = messenger.chat(model="cached", headers={"cache-control": control})
        assert (answer.headers["x-obol-source"], answer.headers.get("x-obol-cache")) == ("deflected", None)


def test_it_is_answered_where_no_deployment_is_well(messenger):
    assert messenger.chat(model="gone").json()["choices"][0]["message"]["content"] == ANSWER
    assert messenger.chat("and now?", model="gone").status_code >= 500


def test_a_question_that_is_asked_again_goes_to_a_model_and_is_reported(deflecting, messenger, deflecting_key):
    first = messenger.chat().json()["choices"][0]["message"]
    body = {"model": "auto", "messages": [USER, first, {"role": "user", "content": f"{SUM.upper()}?"}]}
    again = messenger.post("chat/completions", {**body, "user": messenger.user})
    assert again.headers["x-obol-source"] == "upstream"
    assert messenger.heard() == 1
    assert entry_of(deflecting, again)["deflector"] == "arithmetic"
    asked = {"team": deflecting_key["team"], "route": "auto", "group_by": "deflector,source"}
    rows = deflecting.admin("GET", "reports/costs", params=asked).json()["data"]
    assert {(row["deflector"], row["source"]): row["requests"] for row in rows} == {
        ("arithmetic", "deflected"): 1,
        ("arithmetic", "upstream"): 1,
    }

    def counted() -> str:
        return httpx.get(f"{deflecting.url}/metrics").text

    until(
        lambda: 'obol_deflection_misses_total{deflector="arithmetic",route="auto"}' in counted(), "the miss is counted"
    )
    assert 'obol_deflected_total{deflector="arithmetic",route="auto"}' in counted()


def test_limits_of_requests_count_it_and_a_spent_budget_does_not_refuse_it(deflecting, messenger, deflecting_key):
    scope = {"scope": {"team": deflecting_key["team"]}}
    budget = {**scope, "limit_usd": "0.000000001", "window": "month"}
    deflecting.admin("POST", "budgets", json=budget).raise_for_status()
    until(lambda: messenger.chat("and now?").status_code == 429, "the budget refuses models")
    assert messenger.chat().headers["x-obol-source"] == "deflected"
    deflecting.admin("POST", "limits", json={**scope, "requests_per_minute": 3}).raise_for_status()
    refused = until(lambda: (answer := messenger.chat()).status_code == 429 and answer, "the limit refuses")
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"


def test_parallel_places_are_given_back(deflecting, messenger, deflecting_key):
    limit = {"scope": {"team": deflecting_key["team"]}, "parallel_requests": 1}
    deflecting.admin("POST", "limits", json=limit).raise_for_status()
    assert [messenger.chat().status_code for _ in range(20)] == [200] * 20


def test_keys_that_may_not_call_the_route_are_refused_as_ever(deflecting, upstream, messenger, deflecting_key):
    other = deflecting.make_key(models=["good"])
    refused = Messenger(deflecting, upstream, other["key"]).chat()
    assert (refused.status_code, error_of(refused)["param"]) == (403, "model")
    assert messenger.chat().status_code == 200
    deflecting.admin("DELETE", f"keys/{deflecting_key['id']}").raise_for_status()
    until(lambda: messenger.chat().status_code == 401, "the key is revoked")
    assert messenger.chat(model="nowhere").status_code == 401


def test_explain_says_that_nobody_would_be_asked(messenger):
    body = {"model": "auto", "messages": [USER]}
    told = messenger.post("route/explain", body).json()
    assert told["deflector"] == "arithmetic"
    assert told["text"].startswith("The deflector arithmetic answers this")
    assert messenger.post("route/explain", body, {"x-obol-deflect": "off"}).json()["deflector"] is None
