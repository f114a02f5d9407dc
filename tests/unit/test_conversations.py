"""Conversations: who answered goes on answering, unless a change gains more than it costs or cannot be helped."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipeline_parts import deployment

from gateway.domain import (
    NANO,
    CachedPrefix,
    Conversation,
    Conversations,
    Forecast,
    LedgerEntry,
    Meter,
    Prediction,
    PrefixCache,
    Tariff,
)
from policies.conversations import answered, as_of, kept_tokens, stay, switching_nusd
from policies.pricing import make_rate_card

STICKY = Conversations(is_sticky=True)
SAVING = Conversations(is_sticky=True, switching_share_max=0.1)
AUTOMATIC = PrefixCache(ttl_s=300, tokens_min=1024, is_automatic=True)
MARKED = PrefixCache(ttl_s=300, tokens_min=1024)


def caching(name, usd, *, cache=AUTOMATIC, **rates):
    """A deployment whose cached input costs a tenth."""
    card = make_rate_card({Meter.INPUT: usd * NANO, Meter.CACHED_INPUT: usd * NANO // 10, **rates})
    made = deployment(name, usd, usd)
    return replace(made, tariff=Tariff({"standard": card}), provider=replace(made.provider, prefix_cache=cache))


LARGE, SMALL = caching("large", 10), caching("small", 1)


def foreseen(large, small, strongest=None):
    """Quality and cost of both."""
    both = {"large": Prediction(large[0], None, None, large[1]), "small": Prediction(small[0], None, None, small[1])}
    return Forecast("r", both, 0.02, strongest=strongest)


def after(name, tokens=0, *, cost_nusd=0, switching_nusd=0):
    return Conversation(name, {name: CachedPrefix(tokens, 1000.0)} if tokens else {}, cost_nusd, switching_nusd)


def test_who_answered_answers_on_though_another_would_be_cheaper():
    found = stay([SMALL, LARGE], foreseen((0.9, 1000), (0.9, 10)), STICKY, after("large"), 100)
    assert (found.kept, found.switching_nusd) == ("large", 0)


def test_a_better_answer_is_worth_a_change():
    found = stay([LARGE, SMALL], foreseen((0.9, 1000), (0.4, 10)), STICKY, after("small", 2000), 3000)
    assert found.kept is None
    assert found.switching_nusd == 2000 * 9_000, "large would have read them at a tenth"


def test_who_must_answer_for_the_promise_does():
    found = stay([LARGE, SMALL], foreseen((0.4, 1000), (0.9, 10), strongest="large"), STICKY, after("small"), 100)
    assert found.kept is None


def test_who_is_out_is_changed_from_at_any_cost():
    found = stay([SMALL], foreseen((0.9, 0), (0.1, 10**9)), STICKY, after("large", 5000), 6000)
    assert (found.kept, found.switching_nusd) == (None, 5000 * 900)


def test_policies_that_foresee_nothing_keep_to_who_answered():
    assert stay([LARGE, SMALL], None, STICKY, after("small"), 100).kept == "small"
    assert stay([SMALL, LARGE], None, STICKY, after("small"), 100).kept is None


def test_a_change_that_saves_is_made_within_the_share_that_changes_may_cost():
    order, forecast = [SMALL, LARGE], foreseen((0.9, 10_000), (0.8, 10))
    cost_nusd = 1024 * 900
    rich = after("large", 1024, cost_nusd=cost_nusd * 10)
    assert stay(order, forecast, SAVING, rich, 2000).switching_nusd == cost_nusd
    assert stay(order, forecast, STICKY, rich, 2000).kept == "large", "where changes may cost nothing"
    for spent in ({"cost_nusd": cost_nusd * 10 - 1}, {"cost_nusd": cost_nusd * 10, "switching_nusd": 1}):
        assert stay(order, forecast, SAVING, after("large", 1024, **spent), 2000).kept == "large"
    dearer = foreseen((0.9, 9), (0.8, 10))
    assert stay(order, dearer, SAVING, rich, 2000).kept == "large", "what saves nothing is no reason"


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.sampled_from([AUTOMATIC, MARKED]))
def test_a_change_costs_what_is_lost_and_never_less_than_nothing(kept, kept_there, input_tokens, cache):
    cached = {"large": CachedPrefix(kept, 1.0), "small": CachedPrefix(kept_there, 1.0)}
    conversation = Conversation("large", cached)
    to = caching("small", 1, cache=cache, **{Meter.CACHE_WRITE: 1_250_000_000})
    lost = max(0, min(kept, input_tokens) - kept_there)
    rate = 1_000 if cache is AUTOMATIC else 1_250
    assert switching_nusd(conversation, to, input_tokens) == lost * (rate - 100)
    assert switching_nusd(conversation, LARGE, input_tokens) == 0


ENTRY = LedgerEntry(
    id="e",
    request_id="r",
    created_at="",
    instance="i",
    attempt=1,
    organization_id="o",
    team_id="t",
    key_id="k",
    endpoint="chat/completions",
    is_stream=False,
    deployment="large",
    provider="p",
    model_asked="auto",
    model="m",
    basis="reported",
    status="succeeded",
    input_tokens=5000,
    cost_nusd=70,
)


def charged(**changes):
    return LedgerEntry(**{name: getattr(ENTRY, name) for name in ENTRY.__struct_fields__} | changes)


def test_an_automatic_cache_keeps_the_whole_prompt_for_its_time():
    state = answered(None, ENTRY, AUTOMATIC, 0, 100.0)
    assert state == Conversation("large", {"large": CachedPrefix(5000, 400.0)}, 70, 0)
    assert kept_tokens(as_of(state, 399.0)) == {"large": 5000}
    assert kept_tokens(as_of(state, 400.0)) == {}


def test_a_cache_that_wants_to_be_asked_keeps_what_usage_says():
    assert kept_tokens(answered(None, ENTRY, MARKED, 0, 100.0)) == {}
    read = charged(cached_input_tokens=2000, cache_write_tokens=1000)
    assert kept_tokens(answered(None, read, MARKED, 0, 100.0)) == {"large": 3000}


@pytest.mark.parametrize("cache", [AUTOMATIC, MARKED])
def test_what_is_too_short_is_not_kept(cache):
    short = charged(input_tokens=1023, cached_input_tokens=1023)
    assert kept_tokens(answered(None, short, cache, 0, 100.0)) == {}


def test_who_kept_nothing_though_it_should_have_is_not_trusted_with_it_again():
    first = answered(None, ENTRY, AUTOMATIC, 0, 100.0)
    assert kept_tokens(answered(first, ENTRY, AUTOMATIC, 0, 150.0)) == {}
    assert kept_tokens(answered(first, charged(cached_input_tokens=4992), AUTOMATIC, 0, 150.0)) == {"large": 5000}


def test_charges_and_changes_add_up_over_a_conversation():
    state = answered(None, ENTRY, AUTOMATIC, 0, 100.0)
    state = answered(state, charged(deployment="small", cost_nusd=5), AUTOMATIC, 3, 110.0)
    assert (state.deployment, state.cost_nusd, state.switching_nusd) == ("small", 75, 3)
    assert kept_tokens(state) == {"large": 5000, "small": 5000}
