"""The router in force: read when a route wants one, swapped when its file changes, kept when the new one is bad."""

from __future__ import annotations

import logging
import os
from dataclasses import replace

import numpy as np
import pytest
from pipeline_parts import deployment, request
from router_parts import a_track, prompts_of, word_table

from gateway.domain import NANO, Meter, Route, Tariff
from gateway.router import artifact
from gateway.router.file import RouterFile
from gateway.router.training import to_artifact, train
from policies.pricing import make_rate_card

WORDS = word_table()
LARGE, SMALL = deployment("large", 10, 20), deployment("small", 1, 2)
CACHING = replace(
    LARGE,
    tariff=Tariff(
        {"standard": make_rate_card({Meter.INPUT: 10 * NANO, Meter.OUTPUT: 20 * NANO, Meter.CACHED_INPUT: NANO})}
    ),
)
ROUTE = Route("world", ("large", "small"), policy="cheapest_adequate", quality_loss_max=0.1)
ASKED = request()[0]


def write(path, seed: int) -> str:
    return artifact.write(to_artifact(train([a_track(800, seed, WORDS)], WORDS), {}), path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "router.obol"


async def test_nothing_is_read_while_no_route_wants_a_router(path):
    file = RouterFile(path, lambda: False)
    await file.refresh()
    assert file.version is None
    assert file.forecast(ROUTE, [LARGE, SMALL], ASKED, "Why?", {}) is None


async def test_a_changed_file_is_in_force_and_a_bad_one_is_not(path, caplog):
    first = write(path, 0)
    file = RouterFile(path, lambda: True)
    await file.refresh()
    assert file.version == first
    second = write(path, 1)
    os.utime(path, ns=(1, 1))  # whatever the clock's grain, it is another time
    await file.refresh()
    assert file.version == second != first
    path.write_bytes(b"no router")
    with caplog.at_level(logging.ERROR):
        await file.refresh()
    assert f"the router is refused, {second} stays in force" in caplog.text
    path.unlink()
    caplog.clear()
    for _ in range(3):
        await file.refresh()
    assert file.version == second
    assert len(caplog.records) == 1, "what is missing is told of once"


async def test_a_calibrated_route_is_told_what_cost_weighs_and_another_one_is_not(path):
    write(path, 0)
    file = RouterFile(path, lambda: True)
    await file.refresh()
    texts, is_hard = prompts_of(60, seed=3)
    found = [file.forecast(ROUTE, [LARGE, SMALL], ASKED, text, {}) for text in texts]
    assert all(one.is_certified and one.cost_weight is not None for one in found)
    small = np.array([one.predictions["small"].quality for one in found])
    assert small[~is_hard].mean() > small[is_hard].mean() + 0.3
    assert all(len(one.features) == 2 * len(WORDS.vectors[0]) + 2 * 162 for one in found)
    assert all(one.quality_loss_target == 0.1 and one.router_us > 0 for one in found)
    other = file.forecast(Route("other", ("large", "small")), [LARGE, SMALL], ASKED, texts[0], {})
    assert (other.cost_weight, other.is_certified) == (None, False)
    assert other.predictions["large"].expected_cost_nusd > other.predictions["small"].expected_cost_nusd


async def test_nothing_is_certified_while_a_deployment_is_out(path):
    write(path, 0)
    file = RouterFile(path, lambda: True)
    await file.refresh()
    found = file.forecast(ROUTE, [SMALL], ASKED, "What is the colour?", {})
    assert not found.is_certified


async def test_where_nothing_can_be_certified_the_strongest_is_asked_and_nothing_is_claimed(path):
    write(path, 0)
    file = RouterFile(path, lambda: True)
    await file.refresh()
    strict = Route("world", ("large", "small"), policy="cheapest_adequate", quality_loss_max=0.0)
    found = file.forecast(strict, [LARGE, SMALL], ASKED, "What is the colour?", {})
    assert (found.cost_weight, found.quality_loss_max) == (None, 0.0)
    assert (found.strongest, found.is_certified) == ("large", False)


@pytest.mark.parametrize("candidates", [[LARGE], [SMALL, LARGE], [deployment("free", 0, 0), LARGE]])
async def test_one_deployment_a_free_one_and_any_order_are_foreseen(path, candidates):
    write(path, 0)
    file = RouterFile(path, lambda: True)
    await file.refresh()
    found = file.forecast(ROUTE, candidates, ASKED, "", {})
    assert found.predictions.keys() == {one.name for one in candidates}
    assert all(0 <= one.quality <= 1.1 for one in found.predictions.values())


async def test_what_was_said_before_is_paid_at_the_list_and_changes_no_choice(path):
    write(path, 0)
    file = RouterFile(path, lambda: True)
    await file.refresh()
    text = prompts_of(1, seed=3)[0][0]
    alone = file.forecast(ROUTE, [LARGE, SMALL], ASKED, text, {})
    long = file.forecast(ROUTE, [LARGE, SMALL], replace(ASKED, body_bytes=40_000), text, {})
    for name, usd_per_million in (("large", 10), ("small", 1)):
        more_nusd = long.predictions[name].expected_cost_nusd - alone.predictions[name].expected_cost_nusd
        assert more_nusd == pytest.approx(10_000 * usd_per_million * 1000, rel=0.02)
    assert long.cost_weight < alone.cost_weight / 10, "or dearer answers would be asked less often"


async def test_who_keeps_the_prompt_is_expected_to_ask_its_cached_price(path):
    write(path, 0)
    file = RouterFile(path, lambda: True)
    await file.refresh()
    asked = replace(ASKED, body_bytes=40_000)
    costs = [
        file.forecast(ROUTE, [CACHING, SMALL], asked, "Why?", cached).predictions["large"].expected_cost_nusd
        for cached in ({}, {"large": 8_000}, {"large": 10**9})
    ]
    assert costs[0] - costs[1] == pytest.approx(8_000 * 9_000, abs=2)
    assert 0 < costs[2] < costs[1], "no more than the whole prompt is kept"
