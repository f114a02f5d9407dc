"""What a decision is explained by: its record, before the call and long after."""

from __future__ import annotations

import msgspec
import pytest

from gateway.domain import Considered, DecisionRecord, Rates
from policies.explanation import explanation, explanation_of_named

RATES = Rates(input=1_000_000_000, cached_input=0, output=2_000_000_000, reasoning=0)
LARGE = Considered(
    "large", "m", 1, quality=0.9, quality_low=0.8, quality_high=0.95, expected_cost_nusd=900, rates=RATES
)
SMALL = Considered("small", "m", 2, quality=0.6, expected_cost_nusd=90, rates=RATES)
RECORD = DecisionRecord(
    request_id="req_1",
    created_at="",
    organization_id="o",
    team_id="t",
    key_id="k",
    endpoint="chat/completions",
    route="auto",
    policy="cheapest_adequate",
    router_version="abc",
    quality_loss_max=0.02,
    input_tokens=10,
    text_tokens=0,
    candidates=(SMALL, LARGE),
)


def record(**changes: object) -> DecisionRecord:
    return msgspec.structs.replace(RECORD, **changes)


def first_if(told: dict) -> dict[str, str | None]:
    return {one["deployment"]: one["first_if"] for one in told["candidates"]}


def test_the_choice_comes_first_and_what_is_out_last():
    out = Considered("eyes", "m", None, "capability", "capability: sees no images")
    told = explanation(record(candidates=(out, SMALL, LARGE)))
    assert [one["deployment"] for one in told["candidates"]] == ["large", "small", "eyes"]
    assert told["choice"] == "large"
    assert told["candidates"][2]["out"] == {"bar": "capability", "reason": "capability: sees no images"}
    assert first_if(told)["eyes"] == "it were not out"
    assert "1. large: predicted quality 0.90 (0.80 to 0.95), about $0.000000900" in told["text"]


def test_the_cost_is_told_by_part():
    told = explanation(record(input_tokens=10**6, text_tokens=None, candidates=(LARGE,)))
    assert told["candidates"][0]["expected_cost"] == {
        "input_usd": "0.000000900",
        "output_usd": "0.000000000",
        "total_usd": "0.000000900",
    }
    told = explanation(record(text_tokens=0, candidates=(LARGE,)))
    assert told["candidates"][0]["expected_cost"]["input_usd"] == "0.000000000"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "a quality loss of 33.3% were allowed"),
        ({"cost_weight": 0.0}, "its predicted quality were above 0.90"),
        ({"cost_weight": 0.001}, "it cost less than $0.000000600"),
        ({"cost_weight": 0.0001}, "it were free and better than predicted"),
        ({"is_kept": True, "answered_before": "large"}, "the conversation were a new one"),
        ({"policy": "cascade"}, None),
    ],
)
def test_it_says_what_it_would_take_for_another(changes, expected):
    assert first_if(explanation(record(**changes))) == {"large": None, "small": expected}


def test_what_is_last_for_being_slow_would_have_to_be_faster():
    slow = msgspec.structs.replace(SMALL, reason="latency: first token after 9 s")
    assert first_if(explanation(record(candidates=(LARGE, slow))))["small"] == "it were faster"


def test_where_nobody_is_left_nobody_is_chosen():
    told = explanation(record(candidates=(Considered("large", "m", None, "circuit", "circuit: open"),)))
    assert (told["choice"], told["candidates"][0]["first_if"]) == (None, None)
    assert "would ask nobody" in told["text"]


def test_a_cascade_is_told_by_its_steps_and_where_they_are_known_its_gates():
    steps = (msgspec.structs.replace(LARGE, place=2, step=2), msgspec.structs.replace(SMALL, place=1, step=1))
    told = explanation(record(policy="cascade", candidates=steps), ("schema",))
    assert told["cascade"] == {"steps": ["small", "large"], "gates": ["schema"]}
    assert "the answer of small stands if its gates (schema) accept it; else large answers" in told["text"]
    assert "if its gates accept it" in explanation(record(policy="cascade", candidates=steps))["text"]


def test_what_answers_without_asking_anybody_is_told_first():
    told = explanation(record(), deflector="arithmetic")
    assert told["deflector"] == "arithmetic"
    assert told["text"].startswith(
        "The deflector arithmetic answers this at no cost, and nobody is asked. Otherwise:\n"
    )
    assert explanation(record())["deflector"] is None


def test_a_deployment_that_is_asked_for_by_name_is_left_alone():
    told = explanation_of_named("large")
    assert (told["route"], told["policy"], told["choice"]) == (None, None, "large")
    assert told.keys() == explanation(RECORD).keys()
