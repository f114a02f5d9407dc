"""The catalog is changed while the gateway serves: a good one comes into force whole, a bad one not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import openai
import pytest
from running_gateway import Gateway, UpstreamProcess, until
from spec_parts import question

IN_FORCE_WITHIN_S = 2.0
CATALOG = """
providers:
  up: {{kind: openai_compatible, base_url: "{base_url}", api_key: sk-up}}
deployments:
  - {{name: stays, provider: up, model: x, price: {{input: {price}, output: 2}}}}
{more}
"""


@pytest.fixture(scope="module")
def changing(
    gateway: Gateway, upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway of its own on the stores of the first, whose catalog these tests write."""
    catalog = CATALOG.format(base_url=upstream.base_url, price=1, more="")
    with Gateway.running(tmp_path_factory.mktemp("changing"), catalog, **gateway.store_urls) as running:
        yield running


@pytest.fixture
def key(changing: Gateway) -> dict[str, str]:
    made: dict[str, str] = changing.make_key()
    return made


def write(changing: Gateway, upstream: UpstreamProcess, price: float | str, more: str = "") -> None:
    changing.catalog.write_text(CATALOG.format(base_url=upstream.base_url, price=price, more=more))


def catalog_hash(changing: Gateway) -> str:
    found: str = httpx.get(f"{changing.url}/health/ready").json()["catalog"]
    return found


def cost_of_a_call(changing: Gateway, key: dict[str, str]) -> int:
    with openai.OpenAI(base_url=changing.base_url, api_key=key["key"], max_retries=0) as client:
        answer = client.chat.completions.create(**question("stays"))
    (entry,) = changing.ledger(request=str(answer._request_id))
    cost: int = entry["cost_nusd"]
    return cost


async def test_a_good_catalog_is_in_force_within_two_seconds_and_no_request_is_dropped(
    changing: Gateway, upstream: UpstreamProcess, key: dict[str, str]
) -> None:
    is_over = asyncio.Event()
    answered = 0

    async def ask(client: openai.AsyncOpenAI) -> None:
        nonlocal answered
        while not is_over.is_set():
            await client.chat.completions.create(**question("stays", script={"delay_ms": 5}))
            answered += 1

    async with openai.AsyncOpenAI(base_url=changing.base_url, api_key=key["key"], max_retries=0) as client:
        askers = [asyncio.create_task(ask(client)) for _ in range(4)]
        for price in (3, 4):
            before, seen = catalog_hash(changing), answered
            name = f"new-{price}"
            new = f"  - {{name: {name}, provider: up, model: y, price: free}}"
            write(changing, upstream, price, new)
            await asyncio.to_thread(
                until, lambda before=before: catalog_hash(changing) != before, "in force", IN_FORCE_WITHIN_S
            )
            assert (await client.chat.completions.create(**question(name))).choices
            await asyncio.to_thread(
                until,
                lambda seen=seen: answered >= seen + 8 or any(asker.done() for asker in askers),
                "some were asked of the new one",
            )
        is_over.set()
        await asyncio.gather(*askers)  # raises what any of them met
    costs = {entry["cost_nusd"] for entry in changing.ledger(key=key["id"]) if entry["deployment"] == "stays"}
    assert {3 * 9000 + 16000, 4 * 9000 + 16000} <= costs
    assert cost_of_a_call(changing, key) == 4 * 9 * 1000 + 16000


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("  - {name: stays, provider: up, model: z, price: free}", "stays"),
        ("  - {name: other, provider: nobody, model: z, price: free}", "nobody"),
        ("  - {name: other, provider: up, model: z, prize: free}", "prize"),
        ("  - {name: other, provider: up, model: z, price: {input: cheap}}", "input"),
        ("  - {name: [", "not YAML"),
        ("  - {name: other, provider: up, model: '${NO_SUCH_VARIABLE}', price: free}", "NO_SUCH_VARIABLE"),
    ],
)
def test_a_bad_catalog_is_refused_with_its_line_and_the_old_one_stays(
    changing: Gateway, upstream: UpstreamProcess, key: dict[str, str], bad: str, reason: str
) -> None:
    write(changing, upstream, 5)
    until(lambda: cost_of_a_call(changing, key) == 5 * 9 * 1000 + 16000, "the good one is in force")
    before, logged = catalog_hash(changing), len(changing.logged())
    write(changing, upstream, 6, bad)
    until(lambda: "refused" in changing.logged()[logged:], "the refusal is logged")
    line = next(line for line in changing.logged()[logged:].splitlines() if "refused" in line)
    assert f"{changing.catalog}:" in line
    assert reason in line
    assert catalog_hash(changing) == before
    assert cost_of_a_call(changing, key) == 5 * 9 * 1000 + 16000


def test_a_catalog_that_vanished_leaves_the_old_one_in_force(
    changing: Gateway, upstream: UpstreamProcess, key: dict[str, str]
) -> None:
    write(changing, upstream, 7)
    until(lambda: cost_of_a_call(changing, key) == 7 * 9 * 1000 + 16000, "the good one is in force")
    logged = len(changing.logged())
    changing.catalog.unlink()
    until(lambda: "refused" in changing.logged()[logged:], "the refusal is logged")
    assert cost_of_a_call(changing, key) == 7 * 9 * 1000 + 16000


def test_the_hash_stands_in_readiness_and_metrics(changing: Gateway) -> None:
    until(lambda: catalog_hash(changing) in httpx.get(f"{changing.url}/metrics").text, "the metrics name it")
