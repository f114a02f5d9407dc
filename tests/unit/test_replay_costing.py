"""What a decision would have cost with another first: by hand, from what the ledger says was used."""

from __future__ import annotations

import pytest

from gateway.domain import Considered, DecisionRecord, Prediction, Rates
from gateway.replay.choosing import Choice, first_of
from gateway.replay.costing import OTHER_METERS, ROUTER_US, Coster
from gateway.stores.recorded import Recorded, Spent

# Nano-dollars per million tokens; cached input at a tenth.
CHEAP, DEAR = Rates(10**9, 10**8, 2 * 10**9, 3 * 10**9), Rates(5 * 10**9, 5 * 10**8, 25 * 10**9, 25 * 10**9)


def record(first="dear", conversation=None, **fields):
    names = ["cheap", "dear"]
    candidates = tuple(
        Considered(name, name, 1 if name == first else 2, rates=CHEAP if name == "cheap" else DEAR) for name in names
    )
    values = {"request_id": "r", "created_at": "2026-11-03T12:00:00.000000Z", "organization_id": "o", "team_id": "t"}
    values |= {"key_id": "k", "endpoint": "chat/completions", "route": "auto", "policy": "ordered", "draw": 0.0}
    values |= {"input_tokens": 1000, "chosen": first, "candidates": candidates, "conversation": conversation}
    return DecisionRecord(**(values | fields))


def spent(deployment="dear", cost=0, purpose="answer", number=1, tokens=(0, 0, 0, 0), baseline=0, is_by_token=True):
    return Spent(number, deployment, purpose, cost, baseline, *tokens, is_by_token)


def priced(one, first, *, coster=None, attempts=(), **choice):
    choice = {"is_changed": first != first_of(one), **choice}
    return (coster or Coster(asks_router=False)).price(
        Recorded(one, attempts, None), Choice(first, weight=1.0, **choice)
    )


ANSWER = spent(cost=30_000, tokens=(1000, 200, 100, 40), baseline=50_000)


def test_the_same_first_costs_what_the_ledger_says_attempts_and_all():
    attempts = [
        spent("cheap", 70, number=1),
        ANSWER._replace(number=2),
        spent("judge", 7, "judge"),
        spent("words", 3, "embedding"),
    ]
    found = priced(record(), "dear", attempts=attempts)
    assert found.recorded == found.replayed
    assert (found.recorded.cost_nusd, found.recorded.baseline_nusd) == (30_080, 50_000)
    assert (found.recorded.escalation_nusd, found.recorded.judge_nusd, found.recorded.embedding_nusd) == (70, 7, 3)


def test_another_first_reads_and_writes_as_many_tokens_at_its_rates_and_nothing_from_the_cache():
    attempts = [spent("cheap", 70, number=1), ANSWER._replace(number=2), spent("words", 3, "embedding")]
    attempts.append(spent("judge", 7, "judge"))
    found = priced(record(), "cheap", attempts=attempts).replayed
    # 1000 in at 1000, 60 out at 2000, 40 thought at 3000 nano-dollars each; the embedding stays, the rest is gone.
    assert found.cost_nusd == 1_000_000 + 120_000 + 120_000 + 3
    assert found.lost_cache_nusd == 200 * 900
    assert (found.escalation_nusd, found.judge_nusd, found.embedding_nusd) == (0, 0, 3)
    assert found.baseline_nusd == 50_000


def test_a_charge_is_rounded_up_once():
    one = record(candidates=(Considered("cheap", "m", 2, rates=Rates(1, 1, 1, 1)), Considered("dear", "m", 1)))
    found = priced(one, "cheap", attempts=[spent(cost=5, tokens=(3, 0, 4, 0))])
    assert found.replayed.cost_nusd == 1


def test_within_a_conversation_that_stays_with_the_other_its_cache_is_warm():
    coster = Coster(asks_router=False)
    first = priced(record(conversation="c"), "cheap", coster=coster, attempts=[ANSWER])
    second = priced(record(conversation="c"), "cheap", coster=coster, attempts=[ANSWER])
    assert first.replayed.lost_cache_nusd == 200 * 900
    assert second.replayed.lost_cache_nusd == 0
    assert first.replayed.cost_nusd - second.replayed.cost_nusd == 200 * 900


def test_a_turn_that_stays_loses_its_cache_where_the_turn_before_went_elsewhere():
    coster = Coster(asks_router=False)
    priced(record(conversation="c"), "cheap", coster=coster, attempts=[ANSWER])
    back = priced(record(conversation="c"), "dear", coster=coster, attempts=[ANSWER])
    assert back.replayed.lost_cache_nusd == 200 * 4500
    assert back.replayed.cost_nusd == back.recorded.cost_nusd + 200 * 4500
    other = priced(record(conversation="another"), "dear", coster=coster, attempts=[ANSWER])
    assert other.replayed == other.recorded


def test_turns_that_switched_by_themselves_cost_under_the_same_policy_what_they_did():
    coster = Coster(asks_router=False)
    for first in ("dear", "cheap", "dear", "dear"):
        attempt = ANSWER._replace(deployment=first)
        found = priced(record(first, conversation="c"), first, coster=coster, attempts=[attempt])
        assert found.replayed == found.recorded


@pytest.mark.parametrize(
    ("expected", "predictions", "cost"),
    [
        (None, None, 1000 * 1000 + 300 * 2000),  # by its prices, for an answer of common length
        (777, None, 777),  # as was predicted then
        (777, {"cheap": Prediction(expected_cost_nusd=888)}, 888),  # ... or is now
    ],
)
def test_what_failed_everywhere_would_have_cost_what_is_expected(expected, predictions, cost):
    candidates = tuple(
        Considered(name, name, place, rates=rates, expected_cost_nusd=expected)
        for name, place, rates in (("dear", 1, DEAR), ("cheap", 2, CHEAP))
    )
    one = record(chosen=None, candidates=candidates)
    found = priced(one, "cheap", attempts=[spent(number=1), spent(number=2)], predictions=predictions)
    assert found.replayed.cost_nusd == found.replayed.baseline_nusd == cost


def test_who_called_nobody_calls_nobody_and_who_is_refused_saves_nothing():
    assert priced(record(chosen=None), "cheap").replayed.cost_nusd == 0
    refused = priced(record(), None, attempts=[ANSWER]).replayed
    assert (refused.cost_nusd, refused.baseline_nusd) == (0, 0)


def test_who_was_asked_after_all_costs_what_it_did():
    attempts = [spent("cheap", 500, tokens=(900, 0, 80, 0)), spent("judge", 7, "judge"), ANSWER._replace(number=2)]
    alone = priced(record("cheap", policy="cascade", chosen="dear"), "cheap", attempts=attempts, is_changed=True)
    assert (alone.recorded.cost_nusd, alone.recorded.escalation_nusd, alone.recorded.judge_nusd) == (30_507, 500, 7)
    assert (alone.replayed.cost_nusd, alone.replayed.lost_cache_nusd) == (500, 0)
    strongest = priced(record("cheap", policy="cascade", chosen="dear"), "dear", attempts=attempts)
    assert (strongest.replayed.cost_nusd, strongest.replayed.escalation_nusd) == (30_000, 0)


def test_what_is_not_charged_by_text_tokens_is_kept():
    found = priced(record(), "cheap", attempts=[ANSWER._replace(is_by_token=False)])
    assert (found.kept, found.replayed) == (OTHER_METERS, found.recorded)


@pytest.mark.parametrize(
    ("was_us", "asks", "would_be_us"), [(640, True, 640), (None, True, ROUTER_US), (640, False, 0), (None, False, 0)]
)
def test_a_router_costs_the_time_that_it_takes_where_the_policy_asks_one(was_us, asks, would_be_us):
    found = priced(record(router_us=was_us), "cheap", coster=Coster(asks_router=asks), attempts=[ANSWER])
    assert (found.recorded.router_us, found.replayed.router_us) == (was_us or 0, would_be_us)
