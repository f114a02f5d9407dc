"""Budgets and limits of a running gateway, as those meet them who set them and those who run into them."""

from __future__ import annotations

import subprocess

import openai
import pytest
from running_gateway import ADMIN_KEY, OBOL, until
from spec_parts import COST_NUSD, COST_USD, error_of, question


@pytest.fixture
def team(gateway):
    """A team with one key."""
    key = gateway.make_key()
    return {"id": key["team"], "key_id": key["id"], "key": key["key"]}


@pytest.fixture
def client(gateway, team):
    with openai.OpenAI(base_url=gateway.base_url, api_key=team["key"], max_retries=0) as made:
        yield made


def made(gateway, kind, **body):
    return gateway.admin("POST", kind, json=body).raise_for_status().json()


def me(http, team):
    response = http.get("/v1/me", headers={"authorization": f"Bearer {team['key']}"})
    assert response.status_code == 200, response.text
    return response.json()


def refusal_of(client, model):
    """Ask until somebody refuses; the error."""

    def refused():
        try:
            client.chat.completions.create(**question(model))
        except openai.RateLimitError as error:
            return error
        return None

    return until(refused, "a refusal", 15)


def test_a_new_budget_refuses_within_a_second_and_says_how_to_go_on(gateway, client, team, model, books):
    contact = f"{team['id']}@example.com"
    gateway.admin("PATCH", f"teams/{team['id']}", json={"contact": contact}).raise_for_status()
    budget = made(gateway, "budgets", scope={"team": team["id"]}, limit_usd="0.000000001", window="month")

    error = refusal_of(client, model)

    assert error.status_code == 429
    assert error.code == "insufficient_quota"
    assert error.response.headers["x-should-retry"] == "false"
    assert f"; ask {contact}" in error.message
    assert error.body["budget"]["id"] == budget["id"]
    assert error.body["budget"]["resets_at"] == budget["period"]["resets_at"]
    assert books.entries(error.response.headers["x-request-id"]) == []


def test_a_raise_and_its_end_apply_within_a_second(gateway, client, team, model, books):
    budget = made(gateway, "budgets", scope={"team": team["id"]}, limit_usd="0.000000001", window="day")
    refusal_of(client, model)

    gateway.admin(
        "POST", f"budgets/{budget['id']}/raise", json={"limit_usd": "1", "until": "2100-01-01T00:00:00Z"}
    ).raise_for_status()

    def answered():
        try:
            return client.chat.completions.with_raw_response.create(**question(model))
        except openai.RateLimitError:
            return None

    response = until(answered, "the raise holds", 15)
    assert books.entry(response.headers["x-request-id"])["cost_nusd"] == COST_NUSD
    gateway.admin("DELETE", f"budgets/{budget['id']}/raise").raise_for_status()
    assert refusal_of(client, model).body["budget"]["limit_usd"] == "0.000000001"


def test_a_key_sees_its_own_spend_budgets_and_limits(gateway, http, client, team, model):
    member = made(gateway, "members", team=team["id"], name="Ann")
    gateway.admin("PATCH", f"keys/{team['key_id']}", json={"member": member["id"]}).raise_for_status()
    default = made(gateway, "budgets", scope={"team": team["id"], "each": "member"}, limit_usd=1, window="month")
    limit = made(gateway, "limits", scope={"key": team["key_id"]}, requests_per_minute=7, parallel_requests=2)
    made(gateway, "budgets", scope={"model": "another"}, limit_usd=1, window="total")
    until(lambda: _knows(http, team, limit["id"]), "the rules have reached the worker", 15)

    client.chat.completions.create(**question(model, "someone else"))

    told = until(lambda: _with_spend(http, team), "the charge is settled", 15)
    assert told["key"] == {"id": team["key_id"], "name": "key", "expires_at": None, "models": None}
    assert told["team"]["id"] == team["id"]
    assert told["member"] == {"id": member["id"], "name": "Ann"}
    assert told["organization"]["id"] == "org_default"
    assert told["spend"] == {"today_usd": COST_USD, "month_usd": COST_USD}
    (budget,) = [one for one in told["budgets"] if one["id"] == default["id"]]
    assert budget["value"] == member["id"]
    assert budget["limit_usd"] == "1.00"
    assert (budget["spent_usd"], budget["held_usd"], budget["remaining_usd"]) == (COST_USD, "0.00", "0.999975")
    assert budget["resets_at"] == default["period"]["resets_at"]
    (own,) = [one for one in told["limits"] if one["id"] == limit["id"]]
    assert own["requests_per_minute"] == 7
    assert own["used"]["requests_per_minute"] == 1
    assert own["used"]["parallel_requests"] == 0


def _knows(http, team, limit_id):
    told = me(http, team)
    return told["member"] and any(limit["id"] == limit_id for limit in told["limits"])


def _with_spend(http, team):
    told = me(http, team)
    return told if told["spend"]["today_usd"] != "0.00" else None


def test_without_a_key_nobody_is_told_anything(http):
    response = http.get("/v1/me", headers={"authorization": "Bearer sk-obol-" + "x" * 43})

    assert response.status_code == 401
    assert error_of(response)["code"] == "invalid_api_key"


def test_budgets_are_administered_from_the_command_line(gateway, team):
    def obol(*words):
        done = subprocess.run(
            [OBOL, "budgets", *words, "--url", gateway.url, "--admin-key", ADMIN_KEY],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    obol("create", "--scope-team", team["id"], "--limit-usd", "12.5", "--window", "week", "--soft-limit-pct", "70,90")
    (budget,) = gateway.admin("GET", "budgets", params={"team": team["id"]}).json()["data"]

    assert (budget["limit_usd"], budget["window"], budget["soft_limit_pct"]) == ("12.50", "week", [70, 90])
    assert budget["id"] in obol("list", "--team", team["id"])
    obol("raise", budget["id"], "--limit-usd", "20", "--until", "2100-01-01T00:00:00Z")
    assert "20.00" in obol("show", budget["id"])
    obol("end-raise", budget["id"])
    assert gateway.admin("GET", f"budgets/{budget['id']}").json()["raised"] is None
    obol("reset", budget["id"])
    obol("delete", budget["id"])
    assert gateway.admin("GET", f"budgets/{budget['id']}").status_code == 404
