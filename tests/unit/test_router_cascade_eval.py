"""What a cascade saves on recorded outcomes: something where an answer's length tells whether it is right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from router_parts import COSTS, a_track, word_table

from gateway.router.cascade_eval import NAMES, judge_cascades
from gateway.router.training import train

# The small model answers half of all questions, whatever they look like: the prompt tells nothing.
RATES = {"large": (0.95, 0.95), "small": (0.5, 0.5)}


@pytest.fixture(scope="module")
def world():
    """A router, what it learned from and what it is judged on; nobody wrote down how long answers are."""
    words = word_table()
    learned, held = (
        a_track(count, seed=seed, words=words, rates=RATES, costs=COSTS) for seed, count in ((0, 800), (1, 600))
    )
    return train([learned], words), learned, held


def judged(world, *, is_telling, draws=0):
    """``is_telling``: the small model writes much where it is wrong."""
    router, *both = world
    return judge_cascades(router, *([with_lengths(one, is_telling)] for one in both), draws=draws)


def with_lengths(track, is_telling):
    length = np.exp(np.random.default_rng(5).normal(5, 0.3, track.outcomes.score.shape))
    if is_telling:
        length[:, 1] *= np.where(track.outcomes.score[:, 1] > 0, 1, 8)
    return replace(track, outcomes=replace(track.outcomes, output_tokens=length))


def test_where_an_answer_tells_whether_it_is_right_a_cascade_saves_what_no_router_can(world):
    found = judged(world, is_telling=True, draws=20)
    figures = found.tracks["world"]
    # Half of the questions are answered for a tenth of the cost, and the others for eleven tenths: 40 % are saved.
    assert figures["pair"] > 35
    assert figures["cascade"] > figures["router"] + 25
    assert figures["saved"] > 35
    assert figures["quality"] > 97
    assert 40 < figures["escalated"] < 60
    assert found.pairs["world"] == ("small", "large")
    gain, low, high = found.gain
    assert low <= gain <= high
    assert low > 0
    assert found.macro.keys() == set(NAMES)


def test_where_it_tells_nothing_a_cascade_is_no_better_than_the_router_and_hardly_worse(world):
    figures = judged(world, is_telling=False).tracks["world"]
    assert figures["cascade"] == pytest.approx(figures["router"], abs=5)


def test_where_nobody_wrote_lengths_down_the_router_is_all_there_is(world):
    router, learned, held = world
    found = judge_cascades(router, [learned], [held]).tracks["world"]
    assert found["cascade"] == pytest.approx(found["router"])
    assert found["escalated"] == 0


def test_tracks_that_are_too_small_or_unknown_are_left_aside(world):
    router, learned, held = world
    few = np.arange(len(held.prompts)) < 10
    assert judge_cascades(router, [learned], [held.where(few)]).tracks == {}
    assert judge_cascades(replace(router, known={}), [learned], [held]).tracks == {}
