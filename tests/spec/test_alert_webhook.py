"""Alerts of a real gateway: a signed message at the webhook, a line in the log, a count in the metrics."""

from __future__ import annotations

import asyncio
import base64
import json

import httpx
import openai
import pytest
from alert_parts import SECRET, http_receiver
from journal_parts import until
from running_gateway import Gateway
from spec_parts import CATALOG, COST_NUSD, question

KEY = base64.b64decode(SECRET.removeprefix("whsec_"))


@pytest.fixture(scope="module")
async def receiver():
    async with http_receiver() as running:
        yield running


@pytest.fixture(scope="module")
async def alerting(upstream, tmp_path_factory, receiver):
    """A gateway with stores of its own: another one on them could take its alerts."""
    settings = {"OBOL_ALERT_WEBHOOK_URL": receiver.url, "OBOL_ALERT_WEBHOOK_SECRET": SECRET}
    catalog = CATALOG.replace("UPSTREAM", upstream.base_url)
    with Gateway.running(tmp_path_factory.mktemp("alerts"), catalog, **settings) as running:
        yield running


@pytest.fixture
async def client(alerting):
    key = await asyncio.to_thread(alerting.make_key)
    async with openai.AsyncOpenAI(base_url=alerting.base_url, api_key=key["key"], max_retries=0) as made:
        made.team = key["team"]
        teams = alerting.admin("GET", "teams", params={"limit": "1000"}).raise_for_status().json()["data"]
        made.team_name = next(team["name"] for team in teams if team["id"] == key["team"])
        yield made


async def in_force(gateway, client, body):
    """A new budget, once the process that serves goes by it."""
    budget = gateway.admin("POST", "budgets", json=body).raise_for_status().json()

    async def is_in_force():
        me = await client.get("/me", cast_to=httpx.Response)
        return budget["id"] in [one["id"] for one in me.json()["budgets"]]

    await until(is_in_force)
    return budget


async def messages(receiver, count, kind, **data):
    """The messages of that kind and with these data, once there are so many."""

    def found():
        of_kind = [one for one in receiver.got if one.json["type"] == kind]
        return [one for one in of_kind if data.items() <= one.json["data"].items()]

    await until(lambda: len(found()) >= count)
    return found()


def lines(gateway, team):
    """The alerts of a team in the log."""
    logged = [json.loads(line) for line in gateway.logged().splitlines() if '"event":"alert"' in line]
    return [line for line in logged if (line.get("team") or {}).get("id") == team]


async def test_a_crossed_soft_limit_and_exhaustion_reach_the_webhook_signed(alerting, client, receiver):
    limit_nusd = COST_NUSD * 10 // 9  # one call is 90 per cent of it
    body = {
        "scope": {"team": client.team},
        "limit_usd": f"0.{limit_nusd:09d}",
        "window": "month",
        "soft_limit_pct": [50, 95],
        "on_exhausted": "notify",
    }
    budget = await in_force(alerting, client, body)

    await client.chat.completions.create(**question("a/good"), max_tokens=8)
    [soft] = await messages(receiver, 1, "budget_soft_limit", team={"id": client.team, "name": client.team_name})
    await client.chat.completions.create(**question("a/good"), max_tokens=8)
    [exhausted] = await messages(receiver, 1, "budget_exhausted", team=soft.json["data"]["team"])

    assert soft.is_signed_with(KEY)
    assert exhausted.is_signed_with(KEY)
    assert soft.id != exhausted.id
    data = soft.json["data"]
    assert data["soft_limit_pct"] == 50
    assert data["budget"]["id"] == budget["id"]
    assert data["budget"]["limit_usd"] == budget["limit_usd"]
    assert data["budget"]["spent_usd"] == f"0.{COST_NUSD:09d}".rstrip("0")
    assert data["budget"]["resets_at"] == budget["period"]["resets_at"]
    assert f"has used ${data['budget']['spent_usd']} of ${data['budget']['limit_usd']} (month)" in data["message"]
    assert exhausted.json["data"]["budget"]["spent_usd"] == f"0.{2 * COST_NUSD:09d}".rstrip("0")


async def test_a_model_without_a_price_is_told_of_though_it_is_refused(client, receiver):
    for _ in range(2):
        with pytest.raises(openai.BadRequestError, match="No price is known"):
            await client.chat.completions.create(**question("unpriced"))
    await told_of(receiver, "unpriced")


async def test_a_model_without_a_price_is_told_of_though_it_is_served(client, receiver):
    for _ in range(2):
        await client.chat.completions.create(**question("unpriced-allowed"))
    await told_of(receiver, "unpriced-allowed")


async def told_of(receiver, model):
    """There is one message about a model without a price."""
    found = await messages(receiver, 1, "unpriced_model", model=model)
    assert len(found) == 1
    assert found[0].json["data"]["organization"]["name"]


async def test_an_alert_is_logged_and_counted_once(alerting, client):
    body = {"scope": {"team": client.team}, "limit_usd": "0.00001", "window": "day", "on_exhausted": "notify"}
    await in_force(alerting, client, body)
    before = await metric(alerting)

    await client.chat.completions.create(**question("a/good"), max_tokens=8)
    await until(lambda: len(lines(alerting, client.team)) >= 4)

    mine = lines(alerting, client.team)
    assert sorted(line["soft_limit_pct"] for line in mine if line["kind"] == "budget_soft_limit") == [50, 80, 95]
    assert [line["kind"] for line in mine].count("budget_exhausted") == 1
    assert await metric(alerting) == before + 3


async def metric(gateway):
    """How many crossed soft limits have been counted."""
    async with httpx.AsyncClient() as http:
        text = (await http.get(f"{gateway.url}/metrics")).text
    values = [line.split()[1] for line in text.splitlines() if 'obol_alerts_total{kind="budget_soft_limit"}' in line]
    return sum(map(float, values))


async def test_neither_the_secret_nor_the_address_of_the_webhook_is_logged(alerting, client, receiver):
    receiver.statuses.append(500)
    body = {"scope": {"team": client.team}, "limit_usd": "0.00001", "window": "hour", "on_exhausted": "notify"}
    await in_force(alerting, client, body)
    await client.chat.completions.create(**question("a/good"), max_tokens=8)
    await until(lambda: "did not take alert" in alerting.logged())
    assert SECRET.removeprefix("whsec_") not in alerting.logged()
    assert receiver.url not in alerting.logged()
