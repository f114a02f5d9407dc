"""What a model's name tells of it, and that nobody who goes by it chooses a model that another one dominates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipeline_parts import deployment, request
from router_parts import prompts_of, two_track_router

from gateway.domain import Route
from policies.cheapest_adequate import order
from policies.routing.descriptors import prior, score_of
from policies.routing.forecast import forecast
from policies.routing.general import completed
from policies.routing.pool import Pool
from policies.view import View

ASKED = request()[0]
MODELS = ("gpt-5", "gpt-5-mini", "claude-3-haiku-20240307", "llama-3.1-8b", "strange-7b", "strange-70b", "a", "b")


@pytest.mark.parametrize(
    ("model", "score"),
    [
        ("gpt-4o-mini-2024-07-18", 64.8),
        ("openai/gpt-4o-2024-08-06", 74.0),
        ("gpt-4.1-nano", 65.7),
        ("gpt-4-1106-preview", 69.4),
        ("gpt-5-2025-08-07", 86.7),
        ("gpt-5.1-2025-11-13", 80.1),
        ("o3-mini", 79.1),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", 86.0),
        ("claude-3-5-haiku-20241022", 63.4),
        ("Claude 4 Opus (20250514)", 86.0),
        ("anthropic.claude-v2:1", 49.5),
        ("meta-llama/Llama-3.1-8B-Instruct", 47.6),
        ("llama3.1:8b", 47.6),
        ("llama-v3p1-70b-instruct", 67.6),
        ("meta.llama3-70b-instruct-v1:0", 57.4),
        ("accounts/fireworks/models/qwen2p5-72b-instruct", 72.0),
        ("Qwen/Qwen2.5-72B-Instruct-Turbo", 72.0),
        ("Qwen/Qwen3-30B-A3B-Thinking-2507", 80.5),
        ("mixtral-8x7b-instruct", 38.7),
        ("DeepSeek V3.2 Reasoner", 86.2),
        ("my-azure-deployment", None),
        ("", None),
    ],
)
def test_known_models_have_their_published_scores_whoever_serves_them(model, score):
    assert score_of(model) == score


@pytest.mark.parametrize(
    ("model", "score"),
    [("claude-opus-4-6", 88.9), ("gpt-5.4", 81.4), ("mistral-large-latest", 80.7)],
)
def test_who_was_not_measured_has_the_score_of_the_last_before_it_in_its_family(model, score):
    assert score_of(model) == score


@pytest.mark.parametrize(
    "model", ["gpt-5.4-mini", "gpt-5-pro", "o3-pro", "mistral-small-4", "grok-4.20", "command-r7b"]
)
def test_a_model_is_not_taken_for_another_one_of_nearly_the_same_name(model):
    assert score_of(model) is None


def test_of_an_unknown_model_its_size_is_read_off_its_name_and_the_larger_is_the_better():
    sizes = ["new-0.5b", "new-3b-instruct", "org/new_8B", "new-8x7b", "new-405b"]
    scores = [score_of(name) for name in sizes]
    assert scores == sorted(scores)
    assert len(set(scores)) == len(scores)
    assert score_of("new-4bit") is None
    assert score_of("new-100000b") == 85


def test_what_the_catalog_states_holds_and_the_rest_is_measured_by_it():
    told = prior(["gpt-4o", "gpt-4o-mini", "nobody-knows"], [1.0, 0.1, 0.5], [None, 0.5, None])
    assert told[1] == 0.5
    assert 0.5 < told[2] < told[0]
    bare = prior(["gpt-4o", "gpt-4o-mini", "nobody-knows"], [1.0, 0.1, 0.5], [None, None, None])
    assert told[0] - told[1] == pytest.approx(bare[0] - bare[1])


@given(
    models=st.lists(st.sampled_from(MODELS), min_size=1, max_size=6),
    usd=st.lists(st.sampled_from([0.0, 1e-12, 1e-4, 0.5, 100.0]), min_size=6, max_size=6),
    stated=st.lists(st.none() | st.floats(0, 1), min_size=6, max_size=6),
)
def test_a_prior_is_a_share_whatever_is_known(models, usd, stated):
    count = len(models)
    told = prior(models, usd[:count], stated[:count])
    assert all(0 <= one <= 1 for one in told)
    assert all(mine == said for mine, said in zip(told, stated, strict=False) if said is not None)


@given(
    offered=st.lists(
        st.tuples(st.sampled_from(MODELS), st.sampled_from([0.0, 0.1, 1.0, 1.5, 30.0]), st.none() | st.floats(0, 1)),
        min_size=1,
        max_size=6,
    ),
    seed=st.integers(0, 5),
    loss_max=st.sampled_from([0.0, 0.02, 0.3]),
)
def test_no_question_goes_to_a_model_that_is_dearer_and_taken_for_worse_than_another(offered, seed, loss_max):
    """The floor of pools that nobody calibrated: such a model is below the static hull."""
    candidates = [
        replace(deployment(f"d{place}", rate, rate), model=model, quality=quality)
        for place, (model, rate, quality) in enumerate(offered)
    ]
    for text in prompts_of(3, seed)[0]:
        told = forecast(
            two_track_router(), Route("unknown", ()), candidates, text,
            input_tokens=100, output_tokens_max=None, quality_loss_max=loss_max, cached_tokens={},
        )  # fmt: skip
        first = order(candidates, ASKED, View(Route("unknown", ()), forecast=told))[0]
        unknown = np.full(len(candidates), np.nan)
        costs = {one.name: told.predictions[one.name].expected_cost_nusd for one in candidates}
        quality, _ = completed(
            Pool(
                "", tuple(costs), np.array([one.quality for one in candidates], float),
                np.array(list(costs.values()), float), unknown, unknown, tuple(one.model for one in candidates),
            )
        )  # fmt: skip
        known = dict(zip(costs, quality, strict=True))
        assert not any(known[one] > known[first.name] and costs[one] < costs[first.name] for one in costs)
