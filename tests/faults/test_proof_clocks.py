"""Proof 6: gateways whose clocks disagree count, date and refuse as if they had one; that of Redis decides.

The replicas of all proofs live two seconds behind, two seconds ahead, and forty days ahead, in another hour, day, week
and month (conftest.py), so the other proofs say the same. Edges of windows: tests/stores/test_window_edges.py.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from house import House, nusd
from proofs import IS_WHOLE
from replica_client import Answer, ask, clients
from replicas import INPUT_NUSD, OUTPUT_NUSD, Replicas
from running_gateway import until
from scripted.server import user_of

from policies.demand import OVERHEAD_TOKENS
from policies.refusal_text import dollars

pytestmark = pytest.mark.proof

TEXT, WORDS, INPUT_TOKENS = "Four words, no more.", 4, 9  # as the scripted upstream reports them
COST_NUSD = INPUT_TOKENS * INPUT_NUSD + WORDS * OUTPUT_NUSD
OUTPUT_TOKENS_MAX = 50
ALL_WINDOWS = [(window, starts) for starts in ("calendar", "rolling") for window in ("hour", "day", "week", "month")]
WINDOWS = ALL_WINDOWS if IS_WHOLE else [("hour", "calendar"), ("month", "rolling")]


def question(user: str) -> dict[str, Any]:
    return {
        "model": "one",
        "user": f"{user:-<60}",  # all of one length, so that all hold the same
        "messages": [{"role": "user", "content": "a question"}],
        "max_tokens": OUTPUT_TOKENS_MAX,
        "script": {"text": TEXT},
    }


def room_for(calls: int) -> int:
    """The least amount that so many questions fit into, one after the other."""
    input_tokens = len(json.dumps(question(""))) + OVERHEAD_TOKENS
    return (calls - 1) * COST_NUSD + input_tokens * INPUT_NUSD + OUTPUT_TOKENS_MAX * OUTPUT_NUSD


async def asked_in_turn(house: House, key: Mapping[str, Any], count: int) -> list[int]:
    """Questions one after the other, each of the next gateway; their statuses."""
    gateways = house.replicas.gateways
    async with clients() as session:
        return [
            (await ask(session, gateways[number % len(gateways)].url, key, question(house.user()))).status
            for number in range(count)
        ]


def wait_for_an_hour_that_lasts() -> None:
    """All windows end with an hour: none may end in the middle of a test."""
    until(lambda: time.time() % 3600 < 3600 - 30, "the next hour has begun", 40)


async def test_a_budget_is_one_on_replicas_whose_clocks_are_in_other_windows(replicas: Replicas) -> None:
    wait_for_an_hour_that_lasts()
    house = House(replicas)
    team = house.team()
    for window, starts in WINDOWS:
        key = house.key(team)
        house.budget({"key": key["id"]}, room_for(calls=4), window=window, starts=starts)
        assert await asked_in_turn(house, key, 7) == [200] * 4 + [429] * 3, (window, starts)
        told = [house.me(key, gateway)["budgets"] for gateway in replicas.gateways]
        assert told == [told[0]] * len(told), "every replica names the same amounts and the same end of the window"
    assert house.books_are_right().spent_nusd == len(WINDOWS) * 4 * COST_NUSD


async def test_raises_and_resets_made_by_one_clock_hold_by_all(replicas: Replicas) -> None:
    wait_for_an_hour_that_lasts()
    house = House(replicas)
    key = house.key(house.team())
    budget = house.budget({"key": key["id"]}, room_for(calls=1), window="hour")
    raised = {"limit_usd": dollars(room_for(calls=2)), "until": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}

    def stands(limit_nusd: int, spent_nusd: int) -> bool:
        told = [house.me(key, gateway)["budgets"][0] for gateway in replicas.gateways]
        return all((nusd(one["limit_usd"]), nusd(one["spent_usd"])) == (limit_nusd, spent_nusd) for one in told)

    for gateway in replicas.gateways:
        assert await asked_in_turn(house, key, 4) == [200, 429, 429, 429]
        gateway.admin("POST", f"budgets/{budget['id']}/raise", json=raised).raise_for_status()
        until(lambda: stands(room_for(calls=2), COST_NUSD), "the raise is in force")
        assert await asked_in_turn(house, key, 4) == [200, 429, 429, 429]
        gateway.admin("DELETE", f"budgets/{budget['id']}/raise").raise_for_status()
        gateway.admin("POST", f"budgets/{budget['id']}/reset").raise_for_status()
        until(lambda: stands(room_for(calls=1), 0), "the reset is in force")
    assert sum(one["cost_nusd"] for one in house.entries()) == len(replicas.gateways) * 2 * COST_NUSD


async def test_entries_are_dated_by_the_clock_of_redis(replicas: Replicas) -> None:
    house = House(replicas)
    key = house.key(house.team())
    asked_at_s: dict[str, float] = {}
    async with clients() as session:
        for gateway in replicas.gateways * 3:
            body = question(house.user())
            asked_at_s[body["user"]] = time.time()
            assert (await ask(session, gateway.url, key, body)).status == 200
    called_at_s = {user_of(call["body"]): call["started_at"] for call in house.calls()}
    until(house.is_at_rest, "all are in the ledger")

    entries = house.entries()

    assert len(entries) == len(asked_at_s)
    for entry in entries:
        created_s = datetime.fromisoformat(entry["created_at"]).timestamp()
        # The time of Redis is known to half of a round trip, which may be long on a machine that is busy.
        assert asked_at_s[entry["end_user"]] - 1 < created_s < called_at_s[entry["end_user"]] + 1


async def test_limits_count_by_the_clock_of_redis(replicas: Replicas) -> None:
    house = House(replicas)
    key = house.key(house.team())
    house.limit({"key": key["id"]}, requests_per_minute=7)

    async with clients() as session:
        answers: list[Answer] = await asyncio.gather(
            *(ask(session, gateway.url, key, question(house.user())) for gateway in replicas.gateways * 8)
        )

    assert Counter(answer.status for answer in answers) == {200: 7, 429: len(answers) - 7}
    admitted = [answer.headers for answer in answers if answer.status == 200]
    assert sorted(int(headers["x-ratelimit-remaining-requests"]) for headers in admitted) == list(range(7))
    assert {headers["x-ratelimit-reset-requests"] for headers in admitted} == {"1m1s"}
    waits_ms = [int(answer.headers["retry-after-ms"]) for answer in answers if answer.status == 429]
    assert all(0 < wait_ms <= 61_000 for wait_ms in waits_ms)


async def test_a_key_expires_by_the_clock_of_redis(replicas: Replicas) -> None:
    house = House(replicas)
    in_an_hour = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    key = house.key(house.team(), expires_at=in_an_hour)

    assert await asked_in_turn(house, key, 3) == [200, 200, 200]
