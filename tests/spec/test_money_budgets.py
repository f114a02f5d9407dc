"""Budgets over HTTP: whom they cover, what they hold, how they refuse, and how routes slow down before they stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anthropic
import httpx
import openai
import pytest
from money_parts import Purse, chat_hold, usd
from running_gateway import Gateway, UpstreamProcess, until
from spec_parts import COST_NUSD, INPUT_NUSD, OUTPUT_NUSD, question

from policies.holding import UNKNOWN_TOKENS_MAX

MakePurse = Callable[..., Purse]


def spend(purse: Purse, model: str, output_tokens: int) -> None:
    """Have an upstream bill so many tokens of output at 2,000 nano-dollars, and none of input."""
    usage = {"prompt_tokens": 0, "completion_tokens": output_tokens}
    purse.ask(model, {"usage": usage}, max_tokens=10).raise_for_status()


# What is held.


def test_without_a_clients_maximum_all_that_the_model_can_write_is_held(purse: Purse, model: str) -> None:
    answer = purse.ask(model)
    assert purse.entry()["held_nusd"] == chat_hold(answer, UNKNOWN_TOKENS_MAX, INPUT_NUSD, OUTPUT_NUSD)


def test_a_routes_maximum_goes_up_with_the_request_and_is_what_is_held(
    purse: Purse, upstream: UpstreamProcess, user: str
) -> None:
    answer = purse.ask("with-a-maximum", user=user)
    (call,) = upstream.calls(user)
    assert call["body"]["max_tokens"] == 33
    assert purse.entry()["held_nusd"] == chat_hold(answer, 33, INPUT_NUSD, OUTPUT_NUSD)


def test_a_hold_that_does_not_fit_is_refused_and_a_smaller_one_is_served(make_purse: MakePurse, model: str) -> None:
    purse = make_purse(limit_nusd=1_000_000)
    refused = purse.ask(model, max_tokens=500)
    budget = refused.json()["error"]["budget"]
    assert refused.status_code == 429
    assert budget["hold_usd"] == usd(chat_hold(refused, 500, INPUT_NUSD, OUTPUT_NUSD)).rstrip("0")
    assert purse.ask(model, max_tokens=50).status_code == 200
    assert purse.entry()["cost_nusd"] == COST_NUSD


# How a refusal is told.


def test_a_refusal_says_whose_budget_it_is_what_is_used_when_it_resets_and_whom_to_ask(
    gateway: Gateway, make_purse: MakePurse, model: str
) -> None:
    purse = make_purse()
    team = purse.key["team"]
    contact = "owner@example.com"
    name = gateway.admin("PATCH", f"teams/{team}", json={"contact": contact}).raise_for_status().json()["name"]
    budget = purse.make("budgets", {"team": team}, limit_usd=usd(COST_NUSD), window="month", on_exhausted="notify")
    assert purse.ask(model, max_tokens=10).status_code == 200
    gateway.admin("PATCH", f"budgets/{budget['id']}", json={"on_exhausted": "refuse"}).raise_for_status()
    refused = until(lambda: (got := purse.ask(model, max_tokens=10)).status_code == 429 and got, "the change applies")

    error = refused.json()["error"]
    resets_at = budget["period"]["resets_at"]
    spent_usd = error["budget"]["spent_usd"]
    assert error["message"] == (
        f"Team {name} has used ${spent_usd} of $0.000025 (month); resets {resets_at[:10]}; ask {contact}"
    )
    assert (error["type"], error["code"], error["param"]) == ("insufficient_quota", "insufficient_quota", None)
    assert {
        field: error["budget"][field] for field in ("id", "window", "limit_usd", "held_usd", "resets_at", "contact")
    } == {
        "id": budget["id"],
        "window": "month",
        "limit_usd": "0.000025",
        "held_usd": "0.00",
        "resets_at": resets_at,
        "contact": contact,
    }
    assert error["budget"]["scope"]["team"] == team


def test_the_sdks_do_not_ask_again_when_a_budget_refused(gateway: Gateway, make_purse: MakePurse, model: str) -> None:
    purse = make_purse(limit_nusd=1000)
    with (
        openai.OpenAI(base_url=gateway.base_url, api_key=purse.key["key"]) as client,
        pytest.raises(openai.RateLimitError) as by_openai,
    ):
        client.chat.completions.create(**question(model))
    with (
        anthropic.Anthropic(base_url=gateway.url, api_key=purse.key["key"]) as claude,
        pytest.raises(anthropic.RateLimitError) as by_anthropic,
    ):
        claude.messages.create(model=model, max_tokens=10, messages=[{"role": "user", "content": "x"}])
    assert by_openai.value.code == "insufficient_quota"
    for response in (by_openai.value.response, by_anthropic.value.response):
        assert response.headers["x-should-retry"] == "false"
        assert response.request.headers["x-stainless-retry-count"] == "0", "the refusal that was raised is the first"
    assert purse.entries(0) == []


# What becomes of calls when it is spent.


def test_a_budget_that_downgrades_moves_a_route_down_step_by_step_and_then_refuses(
    make_purse: MakePurse, model: str
) -> None:
    purse = make_purse(limit_nusd=10_000_000, on_exhausted="downgrade")

    def served_by() -> str:
        answer = purse.ask("down-the-ladder", max_tokens=10)
        return answer.headers.get("x-obol-deployment", answer.json().get("error", {}).get("code"))

    assert served_by() == "dear"
    spend(purse, model, 3000)  # beyond 50 per cent
    assert served_by() == "a/middle"
    spend(purse, model, 1650)  # beyond 95
    assert served_by() == "discounted"
    spend(purse, model, 190)
    assert served_by() == "insufficient_quota"
    entries = purse.entries(6)
    assert [entry["deployment"] for entry in entries][::2] == ["dear", "a/middle", "discounted"]
    assert sum(entry["cost_nusd"] for entry in entries) <= 10_000_000


def test_a_budget_that_only_notifies_refuses_nothing_and_counts_all(make_purse: MakePurse, model: str) -> None:
    purse = make_purse(limit_nusd=1, on_exhausted="notify")
    assert [purse.ask(model).status_code for _ in range(3)] == [200] * 3
    assert sum(entry["cost_nusd"] for entry in purse.entries(3)) == 3 * COST_NUSD


def test_a_reset_begins_anew_and_the_ledger_keeps_what_was_spent(
    gateway: Gateway, make_purse: MakePurse, model: str
) -> None:
    purse = make_purse(limit_nusd=500_000)
    spend(purse, model, 240)
    assert purse.ask(model, max_tokens=10).status_code == 429
    gateway.admin("POST", f"budgets/{purse.budget['id']}/reset").raise_for_status()
    until(lambda: purse.balance()["spent"] == 0, "the reset applies")
    assert purse.ask(model, max_tokens=10).status_code == 200
    assert purse.balance()["spent"] == COST_NUSD
    assert [entry["cost_nusd"] for entry in gateway.ledger(key=purse.key["id"])] == [COST_NUSD, 480_000]


def test_a_budget_made_later_counts_what_its_window_has_spent_already(purse: Purse, model: str) -> None:
    assert purse.ask(model, max_tokens=10).status_code == 200
    purse.entry()
    purse.budget = purse.make("budgets", {"key": purse.key["id"]}, limit_usd="1", window="day")
    assert purse.balance()["spent"] == COST_NUSD
    assert purse.ask(model, max_tokens=10).status_code == 200
    purse.entries(2)


# Whom budgets cover.


def test_a_member_is_bound_to_keys_whatever_user_its_client_sends(gateway: Gateway, purse: Purse, model: str) -> None:
    team = purse.key["team"]
    ann, bob = (gateway.admin("POST", "members", json={"team": team, "name": name}).json() for name in ("Ann", "Bob"))
    keys = [
        gateway.admin("POST", "keys", json={"team": team, "name": "key", "member": member["id"]}).json()["key"]
        for member in (ann, ann, bob)
    ]
    gateway.admin(
        "POST", "budgets", json={"scope": {"team": team, "each": "member"}, "limit_usd": "0.0003", "window": "month"}
    ).raise_for_status()

    def status(key: str, user: str) -> int:
        body = {**question(model, user), "max_tokens": 10}
        return httpx.post(
            f"{gateway.base_url}/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}
        ).status_code

    until(
        lambda: any(
            one["value"] == ann["id"]
            for one in httpx.get(f"{gateway.base_url}/me", headers={"authorization": f"Bearer {keys[0]}"}).json()[
                "budgets"
            ]
        ),
        "the budget is in force",
    )
    served = 0
    while status(keys[served % 2], f"user-{served}") == 200:  # with either key, as ever another user
        served += 1
    assert served >= 1
    assert status(keys[0], bob["id"]) == 429
    assert status(keys[1], "Bob") == 429
    assert status(keys[2], "Ann") == 200, "another member has a budget of its own"
    assert purse.ask(model, user=ann["id"]).status_code == 200, "a key of nobody is not covered"
    spent = {member: len(gateway.ledger(member=member)) * COST_NUSD for member in (ann["id"], bob["id"])}
    assert spent == {ann["id"]: served * COST_NUSD, bob["id"]: COST_NUSD}
    assert spent[ann["id"]] <= 300_000


def test_an_end_user_whose_name_no_database_can_hold_has_a_balance_like_any_other(purse: Purse, model: str) -> None:
    scope = {"key": purse.key["id"], "each": "end_user"}
    purse.make("budgets", scope, limit_usd=usd(COST_NUSD), window="month", on_exhausted="refuse")
    until(lambda: purse.ask(model, user="another", max_tokens=10).status_code == 429, "the budget is in force")
    refused = purse.ask(model, user="a\0b", max_tokens=10)
    assert refused.status_code == 429
    assert refused.json()["error"]["budget"]["value"] == "a\ufffdb"


@pytest.mark.parametrize("end_user", ["customer 7", "Ünï/çødé:{}"])
def test_an_end_users_budget_covers_that_user_alone(purse: Purse, model: str, end_user: str) -> None:
    scope = {"key": purse.key["id"], "end_user": end_user}
    purse.make("budgets", scope, limit_usd="0.000000001", window="total")
    until(lambda: purse.ask(model, user=end_user).status_code == 429, "the budget is in force")
    assert purse.ask(model, user="another").status_code == 200
    assert purse.ask(model).status_code == 200


def test_a_budget_of_a_model_covers_it_by_each_of_its_names_and_through_routes(purse: Purse) -> None:
    purse.make("budgets", {"key": purse.key["id"], "model": "a/middle"}, limit_usd="0.000000001", window="week")
    assert purse.ask("a/middle").status_code == 429
    assert purse.ask("down-the-ladder").headers["x-obol-deployment"] == "dear"


def test_a_budget_of_a_route_covers_calls_through_it_alone(purse: Purse) -> None:
    purse.make("budgets", {"key": purse.key["id"], "route": "down-the-ladder"}, limit_usd="0.000000001", window="hour")
    assert purse.ask("down-the-ladder").status_code == 429
    assert purse.ask("a/middle").status_code == 200


def test_every_budget_must_have_room_and_the_refusal_names_the_one_that_has_not(purse: Purse, model: str) -> None:
    small = purse.make("budgets", {"team": purse.key["team"]}, limit_usd="0.0001", window="hour")
    refused = purse.ask(model, max_tokens=10)
    assert refused.json()["error"]["budget"]["id"] == small["id"]
    assert purse.entries(0) == []


def test_a_call_draws_on_all_budgets_that_cover_it(purse: Purse, model: str) -> None:
    others = [
        purse.make("budgets", scope, limit_usd="1", window=window, starts=starts)
        for scope in ({"team": purse.key["team"]}, {"key": purse.key["id"]})
        for window, starts in (("hour", "calendar"), ("day", "rolling"), ("month", "Asia/Kolkata"))
    ]
    assert purse.ask(model, max_tokens=10).status_code == 200
    purse.entry()
    spent = {one["id"]: one["spent_usd"] for one in purse.me()["budgets"]}
    assert {spent[budget["id"]] for budget in [purse.budget, *others]} == {"0.000025"}


# Replicas.


def test_replicas_draw_on_one_balance_and_learn_of_changes(
    gateway: Gateway, second_gateway: Gateway, make_purse: MakePurse, model: str
) -> None:
    purse = make_purse()
    replica = httpx.Client(base_url=second_gateway.url, headers=purse.headers, timeout=30)
    with replica:

        def budget_there() -> dict[str, Any]:
            told = replica.get("/v1/me").raise_for_status().json()["budgets"]
            return next((one for one in told if one["id"] == purse.budget["id"]), {})

        until(budget_there, "the replica knows the budget")
        body = {**question(model), "max_tokens": 10}
        assert replica.post("/v1/chat/completions", json=body).status_code == 200
        assert purse.ask(model, max_tokens=10).status_code == 200
        purse.entries(2)
        assert budget_there()["spent_usd"] == "0.00005"
        gateway.admin("PATCH", f"budgets/{purse.budget['id']}", json={"limit_usd": "0.00006"}).raise_for_status()
        until(lambda: budget_there()["limit_usd"] == "0.00006", "the replica knows the change")
        refused = replica.post("/v1/chat/completions", json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")
