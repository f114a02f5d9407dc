"""Headers of answers, health, metrics and CORS: what operators and browsers see."""

from __future__ import annotations

import re

import httpx
import openai
from running_gateway import Gateway, UpstreamProcess
from spec_parts import Books, question

CHAT = "/v1/chat/completions"


def test_every_answer_has_a_request_id_of_its_own(http: httpx.Client, gateway: Gateway) -> None:
    answers = [
        http.get("/health/live"),
        http.get("/health/ready"),
        http.get("/metrics"),
        http.get("/v1/models"),
        http.get("/v1/models/nothing"),
        http.get("/nowhere"),
        http.post(CHAT, json=question("free")),
        http.post(CHAT, json={**question("free"), "stream": True}),
        http.post(CHAT, content=b"{"),
        gateway.admin("GET", "ledger"),
        httpx.get(f"{gateway.url}/admin/ledger"),
    ]
    ids = [answer.headers.get_list("x-request-id") for answer in answers]
    assert all(len(found) == 1 and found[0] for found in ids)
    assert len({found[0] for found in ids}) == len(ids)


def test_the_server_does_not_name_itself(http: httpx.Client) -> None:
    assert "server" not in http.post(CHAT, json=question("free")).headers


def test_a_stream_is_not_held_back_by_proxies(http: httpx.Client, books: Books) -> None:
    answer = http.post(CHAT, json={**question("free"), "stream": True})
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert "content-length" not in answer.headers
    assert "x-obol-cost-usd" not in answer.headers  # not known yet; the usage chunk tells it
    assert answer.headers["x-obol-deployment"] == "free"
    assert books.entry(answer.headers["x-request-id"])["status"] == "succeeded"


def test_a_whole_answer_says_its_length_and_keeps_the_connection(http: httpx.Client) -> None:
    first = http.post(CHAT, json=question("free"))
    second = http.post(CHAT, json=question("free"))
    assert int(first.headers["content-length"]) == len(first.content)
    streams = [answer.extensions["network_stream"].get_extra_info("client_addr") for answer in (first, second)]
    assert streams[0] == streams[1]


def test_no_header_comes_twice(http: httpx.Client, model: str) -> None:
    for asked in (question(model), {**question(model), "stream": True}, question("error-404"), {}):
        names = [name.lower() for name, _ in http.post(CHAT, json=asked).headers.multi_items()]
        assert len(set(names)) == len(names)


def test_the_clients_own_request_id_travels(http: httpx.Client, upstream: UpstreamProcess, user: str) -> None:
    http.post(CHAT, json=question("free", user), headers={"x-client-request-id": "mine-7"})
    (call,) = upstream.calls(user)
    assert call["headers"]["x-client-request-id"] == "mine-7"


def test_liveness_readiness_and_metrics_need_no_key(gateway: Gateway) -> None:
    assert httpx.get(f"{gateway.url}/health/live").status_code == 200
    ready = httpx.get(f"{gateway.url}/health/ready")
    assert ready.status_code == 200
    assert ready.json()["status"] == "ready"
    assert re.fullmatch(r"[0-9a-f]{12}", ready.json()["catalog"])
    metrics = httpx.get(f"{gateway.url}/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")


def test_metrics_count_calls_tokens_money_and_refusals(
    gateway: Gateway, client: openai.OpenAI, http: httpx.Client
) -> None:
    client.chat.completions.create(**question("all-meters"))
    http.post(CHAT, json=question("no-such-model"))
    text = httpx.get(f"{gateway.url}/metrics").text
    samples = [line for line in text.splitlines() if line and not line.startswith("#")]
    about = [line for line in samples if "all-meters" in line]
    assert any(line.startswith("obol_") for line in about)
    assert any("cost" in line for line in about), about
    assert any("tokens" in line for line in about), about
    assert any('obol_refusals_total{error="ModelNotFound"}' in line for line in samples)
