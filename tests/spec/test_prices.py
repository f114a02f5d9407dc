"""What calls cost, worked out anew here in exact decimals and compared to the nano-dollar."""

from __future__ import annotations

import json
from decimal import ROUND_CEILING, Decimal
from typing import Any

import httpx
import openai
import pytest
from running_gateway import UpstreamProcess
from spec_parts import COST_NUSD, INPUT_TOKENS, OUTPUT_TOKENS, Books, error_of, question


def nusd(*amounts: tuple[int, str], discount_pct: str = "0") -> int:
    """The sum of tokens times USD per million, in nano-dollars, rounded up once."""
    factor = 1 - Decimal(discount_pct) / 100
    dollars = sum((tokens * Decimal(rate) * factor / 1_000_000 for tokens, rate in amounts), Decimal(0))
    return int((dollars * 10**9).to_integral_value(ROUND_CEILING))


def usage(
    input_tokens: int, output_tokens: int, into: dict[str, int] | None = None, out: dict[str, int] | None = None
) -> dict[str, Any]:
    return {
        "prompt_tokens": input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
        "prompt_tokens_details": into or {},
        "completion_tokens_details": out or {},
    }


# Deployment, usage as reported, further fields of the request, charge.
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], int]] = {
    "plain": ("all-meters", usage(1000, 333), {}, nusd((1000, "1.25"), (333, "10"))),
    "cached": (
        "all-meters",
        usage(1000, 7, into={"cached_tokens": 640}),
        {},
        nusd((360, "1.25"), (640, "0.125"), (7, "10")),
    ),
    "cache written": (
        "all-meters",
        usage(1000, 7, into={"cached_tokens": 100, "cache_write_tokens": 300}),
        {},
        nusd((600, "1.25"), (100, "0.125"), (300, "1.5"), (7, "10")),
    ),
    "reasoning": (
        "all-meters",
        usage(10, 500, out={"reasoning_tokens": 448}),
        {},
        nusd((10, "1.25"), (52, "10"), (448, "12")),
    ),
    "audio": (
        "all-meters",
        usage(100, 90, into={"audio_tokens": 60}, out={"audio_tokens": 80}),
        {},
        nusd((40, "1.25"), (60, "32"), (10, "10"), (80, "64")),
    ),
    "exactly 200k": ("all-meters", usage(200_000, 9), {}, nusd((200_000, "1.25"), (9, "10"))),
    "above 200k": (
        "all-meters",
        usage(200_001, 9, into={"cached_tokens": 50_000}),
        {},
        nusd((150_001, "2.5"), (50_000, "0.25"), (9, "15")),
    ),
    "flex": ("all-meters", usage(999, 99), {"service_tier": "flex"}, nusd((999, "0.625"), (99, "5"))),
    "standard tier": ("all-meters", usage(999, 99), {"service_tier": "auto"}, nusd((999, "1.25"), (99, "10"))),
    "rates that fall back": (
        "fall-back-rates",
        usage(100, 50, {"cached_tokens": 30, "audio_tokens": 10}, {"reasoning_tokens": 20, "audio_tokens": 5}),
        {},
        nusd((100, "3"), (50, "7")),
    ),
    "discount": ("discounted", usage(1001, 77), {}, nusd((1001, "0.37"), (77, "1.13"), discount_pct="12.5")),
    "nothing": ("all-meters", usage(0, 0), {}, 0),
}


@pytest.mark.parametrize("case", CASES)
def test_the_charge_is_exact_to_the_nano_dollar(client: openai.OpenAI, books: Books, case: str) -> None:
    deployment, reported, fields, expected = CASES[case]
    raw = client.chat.completions.with_raw_response.create(**question(deployment, script={"usage": reported}), **fields)
    entry = books.entry(raw.request_id)
    assert entry["cost_nusd"] == expected
    assert entry["basis"] == "reported"
    assert Decimal(raw.headers["x-obol-cost-usd"]) * 10**9 == expected
    assert (entry["input_tokens"], entry["output_tokens"]) == (reported["prompt_tokens"], reported["completion_tokens"])


@pytest.mark.parametrize("case", CASES)
def test_a_stream_costs_the_same_and_says_so_in_its_last_chunk(http: httpx.Client, books: Books, case: str) -> None:
    deployment, reported, fields, expected = CASES[case]
    asked = {**question(deployment), **fields, "script": {"usage": reported}, "stream": True}
    answer = http.post("/v1/chat/completions", json={**asked, "stream_options": {"include_usage": True}})
    last = answer.text.split("\n\n")[-3].removeprefix("data: ")
    assert json.loads(last, parse_float=Decimal)["usage"]["cost"] * 10**9 == expected
    assert books.entry(answer.headers["x-request-id"])["cost_nusd"] == expected


@pytest.mark.parametrize("case", CASES)
def test_the_meters_of_an_entry_add_up_to_its_charge(client: openai.OpenAI, books: Books, case: str) -> None:
    deployment, reported, fields, expected = CASES[case]
    answer = client.chat.completions.create(**question(deployment, script={"usage": reported}), **fields)
    meters = books.entry(answer._request_id)["meters"]
    total = sum(meter["quantity"] * meter["rate_nusd_per_mtok"] for meter in meters)
    assert -(-total // 1_000_000) == expected
    tokens = reported["prompt_tokens"] + reported["completion_tokens"]
    assert sum(meter["quantity"] for meter in meters) == tokens  # each token in exactly one meter


def test_a_free_deployment_costs_nothing(client: openai.OpenAI, books: Books) -> None:
    raw = client.chat.completions.with_raw_response.create(**question("free"))
    entry = books.entry(raw.request_id)
    assert (entry["cost_nusd"], entry["baseline_nusd"], entry["input_tokens"]) == (0, 0, INPUT_TOKENS)
    assert raw.headers["x-obol-cost-usd"] == "0"


def test_a_model_without_a_price_is_refused_and_the_refusal_says_how_to_set_one(
    http: httpx.Client, upstream: UpstreamProcess, books: Books, user: str
) -> None:
    answer = http.post("/v1/chat/completions", json=question("unpriced", user))
    assert answer.status_code == 400
    error = error_of(answer)
    assert (error["code"], error["param"]) == ("model_unpriced", "model")
    assert "price" in error["message"]
    assert "unpriced: allow" in error["message"]
    assert upstream.calls(user) == []
    assert books.entries(answer.headers["x-request-id"]) == []


def test_an_unpriced_model_is_served_where_the_operator_allowed_it(client: openai.OpenAI, books: Books) -> None:
    answer = client.chat.completions.create(**question("unpriced-allowed"))
    entry = books.entry(answer._request_id)
    assert (entry["cost_nusd"], entry["basis"]) == (0, "reported")
    assert (entry["input_tokens"], entry["output_tokens"]) == (INPUT_TOKENS, OUTPUT_TOKENS)


def test_the_baseline_of_a_route_is_its_reference_models_price_for_the_same_tokens(
    client: openai.OpenAI, books: Books
) -> None:
    answer = client.chat.completions.create(**question("with-baseline"))
    entry = books.entry(answer._request_id)
    assert entry["cost_nusd"] == COST_NUSD
    assert entry["baseline_nusd"] == nusd((INPUT_TOKENS, "5"), (OUTPUT_TOKENS, "25"))
    assert entry["is_baseline_estimated"] is False


def test_a_baseline_outlives_the_switching_off_of_its_model(client: openai.OpenAI, books: Books) -> None:
    answer = client.chat.completions.create(**question("with-baseline-off"))
    assert books.entry(answer._request_id)["baseline_nusd"] == nusd((INPUT_TOKENS, "1"), (OUTPUT_TOKENS, "2"))


@pytest.mark.parametrize(
    "reported", [{"prompt_tokens": -5, "completion_tokens": 1, "total_tokens": -4}, {"prompt_tokens": "9"}, {}, []]
)
def test_usage_that_makes_no_sense_is_counted_anew(
    client: openai.OpenAI, books: Books, model: str, reported: Any
) -> None:
    extra = {"usage": reported}
    raw = client.chat.completions.with_raw_response.create(**question(model, script={"extra": extra}))
    entry = books.entry(raw.request_id)
    assert entry["basis"] == "estimated"
    assert entry["cost_nusd"] > 0
