"""Guards that ask a model: admitted, held and charged with their request, as one request, whatever ends it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
import redis
from guard_fault_parts import SECRET, Hook
from money_parts import Purse, facts
from running_gateway import Gateway, UpstreamProcess, until

STREAMED = pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
JUDGE_NUSD = 9 * 1000 + 2 * 2000  # it says {"adverse": false}
ANSWER_NUSD = 9 * 1000 + 8 * 2000
# What a judge's call holds at most: 256 tokens to answer in, and a rubric that is short.
JUDGE_HOLD_NUSD_MAX, ANSWER_HOLD_NUSD_MIN = 5_000_000, 20_000_000
LONG = {"max_tokens": 10_000}
GUARDS = {
    "pays": {"kind": "judge", "deployment": "harmless"},
    "pays-too": {"kind": "judge", "deployment": "harmless-too"},
    "blocks": {"kind": "judge", "deployment": "adverse"},
    "fails": {"kind": "judge", "deployment": "error-500"},
    "fails-open": {"kind": "judge", "deployment": "error-500-too", "on_error": "open"},
    "hangs": {"kind": "judge", "deployment": "hang"},
    "is-late": {"kind": "judge", "deployment": "hang", "on_error": "open", "timeout_s": 0.3},
    "pays-out": {"kind": "judge", "deployment": "harmless", "where": "output"},
    "blocks-out": {"kind": "judge", "deployment": "adverse", "where": "output"},
    "hangs-in-the-shadow": {"kind": "judge", "deployment": "hang-too", "mode": "shadow", "timeout_s": 3},
    "hangs-out": {"kind": "judge", "deployment": "hang", "where": "output"},
}
ROUTES = {
    **{name: [name] for name in GUARDS},
    "hook-hangs": ["hook-hangs"],
    "many": ["pays", "pays-too", "pays-out"],
    "paid-in-vain": ["pays", "blocks"],
}
JUDGES = ("harmless", "harmless-too", "adverse", "error-500", "error-500-too", "hang", "hang-too")


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def paying(
    gateway: Gateway, upstream: UpstreamProcess, hook: Hook, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway with guards that cost, on the stores of the first one."""
    stated = {"mode": "block", "on_error": "closed", "timeout_s": 60}
    rubric = {"rubric": "Nobody may speak of it."}
    guards: dict[str, Any] = {name: {**stated, **rubric, **guard} for name, guard in GUARDS.items()}
    guards["hook-hangs"] = {"kind": "webhook", "url": f"{hook.url}/hang", "secret": SECRET, **stated}
    models = {name: name.removesuffix("-too") for name in (*JUDGES, "good")}
    catalog = {
        "providers": {"up": {"kind": "openai_compatible", "base_url": upstream.base_url, "api_key": "sk-up"}},
        "deployments": [
            {"name": name, "provider": "up", "model": f"{model}~guard-costs", "price": {"input": 1, "output": 2}}
            for name, model in models.items()
        ],
        "guards": guards,
        "routes": {name: {"deployments": ["good"], "guards": names} for name, names in ROUTES.items()},
    }
    folder = tmp_path_factory.mktemp("paying")
    with Gateway.running(folder, json.dumps(catalog), **gateway.store_urls) as running:
        yield running


class Payer(Purse):
    """... whose calls that are under way are known."""

    def __init__(self, gateway: Gateway, redis_url: str, limit_nusd: int = 10**12) -> None:
        super().__init__(gateway, limit_nusd)
        self._redis_url = redis_url

    def open_intents(self) -> list[dict[str, Any]]:
        """What would be charged if the gateway died now."""
        with redis.Redis.from_url(self._redis_url) as stored:
            found = [json.loads(one) for name in stored.scan_iter("obol:{*}:open:*") for one in stored.hvals(name)]
        return [one for one in found if one["key_id"] == self.key["id"]]

    def have_one_place(self) -> None:
        """One request at a time."""
        changed = self.gateway.admin("PATCH", f"limits/{self.limit['id']}", json={"parallel_requests": 1})
        assert changed.status_code == 200, changed.text
        until(lambda: self.me()["limits"][0]["parallel_requests"] == 1, "the rule is in force")


@pytest.fixture
def make_payer(paying: Gateway, gateway: Gateway) -> Iterator[Callable[..., Payer]]:
    """Keys with a budget that no test spends, or of so many nano-dollars."""
    with contextlib.ExitStack() as stack:

        def make(limit_nusd: int = 10**12) -> Payer:
            payer = Payer(paying, gateway.store_urls["OBOL_REDIS_URL"], limit_nusd)
            stack.callback(payer.http.close)
            return payer

        yield make


@pytest.fixture
def payer(make_payer: Callable[..., Payer]) -> Payer:
    return make_payer()


def ask(purse: Purse, route: str, user: str, *, is_stream: bool = False, **fields: Any) -> str | openai.APIError:
    """What the official SDK reads, or raises."""
    client = openai.OpenAI(base_url=purse.gateway.base_url, api_key=purse.key["key"], max_retries=0)
    asked = {"messages": [{"role": "user", "content": "What now?"}], "user": user, "stream": is_stream, **fields}
    try:
        with client:
            answer = client.chat.completions.create(model=route, **asked)
            if is_stream:
                return "".join(chunk.choices[0].delta.content or "" for chunk in answer)
            return answer.choices[0].message.content or ""
    except openai.APIError as exc:
        return exc


def refusal(told: str | openai.APIError) -> tuple[int | None, str | None]:
    assert isinstance(told, openai.APIError)
    return getattr(told, "status_code", None), told.code


def by_purpose(entries: list[dict[str, Any]]) -> list[tuple[str, str, str, int]]:
    return sorted((one["purpose"], *facts(one)) for one in entries)


@STREAMED
def test_a_guard_that_the_budget_of_a_team_has_no_room_for_refuses_and_nobody_is_asked(
    payer: Payer, upstream: UpstreamProcess, user: str, is_stream: bool
) -> None:
    payer.make("budgets", {"team": payer.key["team"]}, limit_usd="0.000001", window="month", on_exhausted="refuse")
    for _ in range(2):
        assert refusal(ask(payer, "pays", user, is_stream=is_stream)) == (429, "insufficient_quota")
    assert upstream.calls(user) == []
    assert payer.entries(0) == []
    assert payer.open_intents() == []


@STREAMED
def test_a_guard_that_fits_is_charged_once_where_the_answer_after_it_does_not_fit(
    make_payer: Callable[..., Payer], upstream: UpstreamProcess, user: str, is_stream: bool
) -> None:
    purse = make_payer(JUDGE_HOLD_NUSD_MAX)
    assert refusal(ask(purse, "pays", user, is_stream=is_stream, **LONG)) == (429, "insufficient_quota")
    assert upstream.calls(user) == []  # a guard asks in nobody's name
    assert by_purpose(purse.entries(1)) == [("guard", "succeeded", "reported", JUDGE_NUSD)]
    assert purse.open_intents() == []


@STREAMED
def test_an_answer_whose_guard_does_not_fit_any_more_is_charged_once_and_not_shown(
    make_payer: Callable[..., Payer], user: str, is_stream: bool
) -> None:
    purse = make_payer(ANSWER_HOLD_NUSD_MIN + 1_000_000)  # for the answer's prompt
    told = ask(purse, "pays-out", user, is_stream=is_stream, **LONG)
    assert refusal(told)[1] == "insufficient_quota"
    (entry,) = purse.entries(1)
    assert (entry["purpose"], entry["cost_nusd"], entry["error_code"]) == ("answer", ANSWER_NUSD, "insufficient_quota")
    assert purse.open_intents() == []


@STREAMED
def test_a_request_is_one_request_with_all_that_its_guards_ask(payer: Payer, user: str, is_stream: bool) -> None:
    payer.have_one_place()
    for _ in range(3):
        assert isinstance(ask(payer, "many", user, is_stream=is_stream), str)
    found = by_purpose(payer.entries(12))
    assert found == [
        *[("answer", "succeeded", "reported", ANSWER_NUSD)] * 3,
        *[("guard", "succeeded", "reported", JUDGE_NUSD)] * 9,
    ]
    assert payer.open_intents() == []


@STREAMED
@pytest.mark.parametrize(
    ("route", "code", "charged"),
    [
        ("blocks", "content_filter", ["answer", "guard"]),
        ("paid-in-vain", "content_filter", ["answer", "guard", "guard"]),
        ("fails", "guard_unavailable", ["answer", "guard"]),
    ],
)
def test_whoever_is_refused_by_a_paid_guard_gives_the_only_place_back(
    payer: Payer, user: str, route: str, code: str, charged: list[str], is_stream: bool
) -> None:
    payer.have_one_place()
    for _ in range(2):  # the one that fails is asked four times in all: once more, and its circuit is open
        assert refusal(ask(payer, route, user, is_stream=is_stream))[1] == code
    assert isinstance(ask(payer, "pays", user, is_stream=is_stream), str)
    entries = payer.entries(2 * len(charged) + 2)
    assert sorted(one["purpose"] for one in entries) == sorted([*charged * 2, "answer", "guard"])
    assert payer.open_intents() == []


@STREAMED
def test_an_answer_that_a_paid_guard_blocks_gives_the_only_place_back(payer: Payer, user: str, is_stream: bool) -> None:
    payer.have_one_place()
    for _ in range(3):
        assert ask(payer, "blocks-out", user, is_stream=is_stream) == ""
    assert by_purpose(payer.entries(6)) == [
        *[("answer", "rejected", "reported", ANSWER_NUSD)] * 3,
        *[("guard", "succeeded", "reported", JUDGE_NUSD)] * 3,
    ]
    assert payer.open_intents() == []


@pytest.mark.parametrize("route", ["is-late", "fails-open"])
def test_a_request_that_goes_on_without_its_guard_keeps_the_only_place_until_it_ends(
    payer: Payer, user: str, route: str
) -> None:
    payer.have_one_place()
    body = {"model": route, "messages": [{"role": "user", "content": "What now?"}], "user": user, "stream": True}
    script = {"hang": "mid_stream", "cut_after": 3}
    with payer.http.stream("POST", "/v1/chat/completions", json={**body, "script": script}) as stream:
        blocks = stream.iter_raw()
        assert b"data:" in next(blocks)
        until(lambda: payer.gateway.ledger(key=payer.key["id"]), "the guard's call is charged")
        assert payer.used()["parallel_requests"] == 1
        assert refusal(ask(payer, "pays", user))[0] == 429
    assert [one["status"] for one in payer.entries(2)] in (["cancelled", "cancelled"], ["failed", "cancelled"])
    assert payer.open_intents() == []


@pytest.mark.parametrize(("route", "purposes"), [("hangs", ["guard"]), ("hook-hangs", [])])
@STREAMED
async def test_a_client_that_leaves_while_a_guard_looks_at_its_prompt_leaves_nothing_open(
    payer: Payer, upstream: UpstreamProcess, hook: Hook, user: str, route: str, purposes: list[str], is_stream: bool
) -> None:
    payer.have_one_place()
    await leave(payer, route, user, is_stream, lambda: is_looking(payer, hook, route))
    entries = await asyncio.to_thread(payer.entries, len(purposes))
    assert [(one["purpose"], one["status"]) for one in entries] == [(one, "cancelled") for one in purposes]
    assert upstream.calls(user) == []
    await asyncio.to_thread(until, lambda: not payer.open_intents(), "nothing is open")
    assert isinstance(await asyncio.to_thread(ask, payer, "pays", user), str)


@STREAMED
async def test_a_client_that_leaves_while_a_guard_looks_at_its_answer_leaves_nothing_open(
    payer: Payer, hook: Hook, user: str, is_stream: bool
) -> None:
    payer.have_one_place()
    await leave(payer, "hangs-out", user, is_stream, lambda: is_looking(payer, hook, "hangs-out"))
    answer, guard = await asyncio.to_thread(entries_by_purpose, payer)
    assert guard["status"] == "cancelled"
    assert (answer["status"], answer["basis"], answer["cost_nusd"]) == ("cancelled", "reported", ANSWER_NUSD)
    assert "passed" not in [one["verdict"] for one in answer["guards"]]
    await asyncio.to_thread(until, lambda: not payer.open_intents(), "nothing is open")
    assert isinstance(await asyncio.to_thread(ask, payer, "pays", user), str)


@STREAMED
async def test_a_client_that_leaves_while_a_shadow_looks_leaves_nothing_open_and_its_entry_has_the_verdict(
    payer: Payer, hook: Hook, upstream: UpstreamProcess, user: str, is_stream: bool
) -> None:
    payer.have_one_place()

    def is_under_way() -> bool:
        return is_looking(payer, hook, "hangs-in-the-shadow") and len(upstream.calls(user)) == 1

    await leave(payer, "hangs-in-the-shadow", user, is_stream, is_under_way)
    answer, guard = await asyncio.to_thread(entries_by_purpose, payer)
    assert [(one["purpose"], one["status"]) for one in (answer, guard)] == [
        ("answer", "cancelled"),
        ("guard", "cancelled"),
    ]
    assert [(one["guard"], one["verdict"]) for one in answer["guards"]] == [("hangs-in-the-shadow", "failed")]
    await asyncio.to_thread(until, lambda: not payer.open_intents(), "nothing is open")
    assert isinstance(await asyncio.to_thread(ask, payer, "pays", user), str)


def is_looking(purse: Payer, hook: Hook, route: str) -> bool:
    if route == "hook-hangs":
        return any(message["key_id"] == purse.key["id"] for message in hook.messages)
    return any(one["purpose"] == "guard" for one in purse.open_intents())


async def leave(purse: Purse, route: str, user: str, is_stream: bool, is_looking: Callable[[], bool]) -> None:
    """Ask, and be gone as soon as it is looked at."""
    async with openai.AsyncOpenAI(base_url=purse.gateway.base_url, api_key=purse.key["key"], max_retries=0) as client:

        async def read() -> None:
            messages: list[Any] = [{"role": "user", "content": "What now?"}]
            told: Any = await client.chat.completions.create(
                model=route, messages=messages, user=user, stream=is_stream
            )
            if is_stream:
                _ = [chunk async for chunk in told]

        call = asyncio.create_task(read())
        await asyncio.to_thread(until, is_looking, "the guard looks")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


def entries_by_purpose(purse: Purse) -> list[dict[str, Any]]:
    """Of an answer and its guard. Which of them is charged first is open, and its tokens alone are counted then."""
    until(lambda: len(purse.gateway.ledger(key=purse.key["id"])) == 2, "both are charged")
    until(lambda: (purse.balance()["held"], purse.used()["parallel_requests"]) == (0, 0), "all is given back")
    found = sorted(purse.gateway.ledger(key=purse.key["id"]), key=lambda one: str(one["purpose"]))
    assert purse.balance()["spent"] == sum(one["cost_nusd"] for one in found)
    return found
