"""What is promised of a route, that it is what the data say, and what happens when its questions become others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from router_parts import COSTS, a_track, prompts_of, word_table, write_data
from running_gateway import Gateway, UpstreamProcess, until

from gateway.cli import main
from gateway.router import artifact, data
from gateway.router.training import to_artifact, tracks_of, train

CALIBRATED_AT = 1_796_000_000.0
CATALOG = """
providers:
  up: {kind: openai_compatible, base_url: "UPSTREAM", api_key: sk-up}
deployments:
  - {name: large, provider: up, model: large, price: {input: 8, output: 16}}
  - {name: small, provider: up, model: small, price: {input: 0.8, output: 1.6}}
routes:
  world: {deployments: [large, small], policy: cheapest_adequate, quality_loss_max: 0.1, baseline: large}
  moved: {deployments: [large, small], policy: cheapest_adequate, quality_loss_max: 0.1}
  unknown: {deployments: [large, small], policy: cheapest_adequate}
  plain: {deployments: [small, large]}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The calibration data, as files."""
    assert COSTS.keys() == {"large", "small"}
    return write_data(tmp_path_factory.mktemp("calibration"), a_track(1200, words=word_table()))


@pytest.fixture(scope="module")
def router(folder: Path) -> Path:
    words = word_table()
    pools, prompts = data.read_pools(folder), data.read_prompts(folder)
    tracks = tracks_of(pools, prompts, data.read_outcomes(folder, prompts, pools), words)
    moved = replace(tracks[0], pool=replace(tracks[0].pool, track="moved"))
    path = folder / "router.obol"
    artifact.write(to_artifact(train([*tracks, moved], words, CALIBRATED_AT), {"world": 1200, "moved": 1200}), path)
    return path


@pytest.fixture(scope="module")
def promising(
    gateway: Gateway, upstream: UpstreamProcess, router: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway of its own on the stores of the first."""
    catalog = CATALOG.replace("UPSTREAM", upstream.base_url)
    with Gateway.running(
        tmp_path_factory.mktemp("promising"), catalog, OBOL_ROUTER=str(router), **gateway.store_urls
    ) as running:
        yield running


@pytest.fixture
def client(promising: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=promising.base_url, api_key=promising.make_key()["key"], max_retries=0) as made:
        yield made


def ask(client: openai.OpenAI, text: str) -> str:
    """The request's id."""
    raw = client.chat.completions.with_raw_response.create(model="moved", messages=[{"role": "user", "content": text}])
    return str(raw.headers["x-request-id"])


def promised(gateway: Gateway, route: str = "world") -> dict[str, Any]:
    told: dict[str, Any] = gateway.admin("GET", f"routes/{route}/guarantee").raise_for_status().json()
    return told


def decided(gateway: Gateway, request_id: str) -> tuple[str, bool, str]:
    """Whom the record says that it chose, whether with a certificate, and whom the ledger paid."""

    def record() -> Any:
        answer = gateway.admin("GET", f"decisions/{request_id}")
        return answer.json() if answer.status_code == 200 else None

    found = until(record, "the decision is recorded")
    (entry,) = gateway.ledger(request=request_id)
    return found["chosen"], found["is_certified"], entry["deployment"]


def test_what_is_promised_agrees_with_a_recomputation_figure_by_figure(
    promising: Gateway, folder: Path, router: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = promised(promising)
    command = ["router", "guarantee", "--data", str(folder), "--artifact", str(router), "--route", "world", "--json"]
    assert main([*command, "--quality-loss-max", "0.1"]) == 0
    assert told | {"shift": None} == json.loads(capsys.readouterr().out)
    assert (told["target"], told["certified"], told["confidence"], told["n"]) == (0.1, True, 0.95, 1200)
    assert told["last_calibration"] == "2026-11-30T00:53:20Z"
    assert told["router_version"] == artifact.read(router).version
    assert 0.2 < told["saving"] < 0.9
    assert told["loss"] <= 0.1
    assert {one["slice"] for one in told["slices"]} == {"language", "length", "domain", "tools"}
    assert all(one["loss"] <= 0.2 for one in told["slices"] if one["n"] >= 100)


def test_routes_without_a_promise_say_why(promising: Gateway) -> None:
    assert "was not calibrated for a route of this name" in promised(promising, "unknown")["text"]
    plain = promised(promising, "plain")
    assert (plain["certified"], plain["n"], plain["last_calibration"]) == (False, 0, None)
    assert promising.admin("GET", "routes/large/guarantee").status_code == 404


def test_when_the_questions_become_others_the_strongest_answers_and_nothing_is_claimed(
    promising: Gateway, client: openai.OpenAI
) -> None:
    texts, is_hard = prompts_of(60, seed=6)
    easy = [text for text, hard in zip(texts, is_hard, strict=True) if not hard]
    before = [decided(promising, ask(client, text)) for text in easy[:10]]
    assert all(is_certified for _, is_certified, _ in before)
    assert {chosen for chosen, _, _ in before} >= {"small"}
    for number in range(110):
        ask(client, f"Übersetze {'§ ' * number}des Vertrags!")
    told = until(
        lambda: (found := promised(promising, "moved"))["shift"] and found["shift"]["is_shifted"] and found, "a shift"
    )
    assert (told["certified"], told["fallback"]) == (False, "large")
    assert told["shift"]["n"] >= 100
    assert told["shift"]["share_unfamiliar"] > 0.9
    assert "its questions are unlike those that it was calibrated on" in told["text"]
    after = [decided(promising, ask(client, text)) for text in easy[:10]]
    assert after == [("large", False, "large")] * 10
    explained = httpx.post(
        f"{promising.url}/v1/route/explain",
        json={"model": "moved", "messages": [{"role": "user", "content": easy[0]}]},
        headers={"authorization": f"Bearer {client.api_key}"},
        timeout=30,
    ).json()
    assert (explained["choice"], explained["is_certified"]) == ("large", False)
    assert 'obol_route_shifted{route="moved"} 1.0' in httpx.get(f"{promising.url}/metrics", timeout=30).text
    until(lambda: '"kind":"route_shift"' in promising.logged().replace(" ", ""), "the operator is told")
