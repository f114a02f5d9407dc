"""What the path writes down of its decisions: one record a request to a route, true to what was decided and done."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
import pytest
from pipeline_parts import BIG, CALLER, SMALL, STREAM, WHOLE, Backend, deployment, path, request, walk

from gateway.decision_records import kept_prompt, record_of
from gateway.domain import Bar, Decision, Forecast, Meter, Prediction, Rates, Reason, Tariff
from gateway.errors import NoDeployment, RateLimited, UnpricedModel, UpstreamUnreachable
from policies.pricing import make_rate_card

UNPRICED = replace(deployment("unpriced", 1, 1), tariff=None)
CREATED_AT = "2023-11-14T22:13:20.000000Z"  # the clock of the path in these tests


class Log:
    def __init__(self):
        self.records, self.prompts = [], []

    def record(self, record, prompt=None):
        self.records.append(record)
        self.prompts.append(prompt)

    @property
    def only(self):
        (record,) = self.records
        return record


def decided(*candidates, **fields):
    offered = fields.pop("offered", candidates)
    return Decision("auto", candidates, BIG, offered=offered, policy="ordered", **fields)


def recorded(decision, **asked):
    return record_of(request(**asked)[0], CALLER, decision, None, CREATED_AT)


async def test_a_request_to_a_route_leaves_a_record_of_who_asked_what_and_who_answered():
    log = Log()
    pipeline, journal, _ = path(Backend(WHOLE), decisions=log)
    await walk(pipeline, *request(max_tokens=50))

    (entry,) = journal.settled.values()
    record = log.only
    assert (record.request_id, record.created_at) == (entry.request_id, CREATED_AT)
    assert (record.organization_id, record.team_id, record.key_id) == ("org_1", "team_1", "key_1")
    assert (record.endpoint, record.route, record.policy) == ("chat/completions", "auto", "ordered")
    assert record.output_tokens_max == 50
    assert (record.chosen, record.propensity, record.baseline) == (entry.deployment, 1.0, "big")
    assert [(one.deployment, one.model, one.place) for one in record.candidates] == [
        ("small", "real-small", 1),
        ("big", "real-big", 2),
    ]
    assert record.candidates[0].rates == Rates(10**9, 10**9, 4 * 10**9, 4 * 10**9)


async def test_a_named_deployment_leaves_no_record():
    log = Log()
    pipeline, _, _ = path(Backend(WHOLE), decisions=log)
    await walk(pipeline, *request("small"))

    assert log.records == []


async def test_a_stream_is_recorded_once_when_it_begins():
    log = Log()
    pipeline, _, _ = path(Backend(STREAM), decisions=log)
    answer = await pipeline.answer(*request(stream=True))
    assert log.only.chosen == "small"
    while await answer.next() is not None:
        pass
    assert len(log.records) == 1


async def test_after_a_fallback_the_record_names_the_deployment_that_answered():
    log = Log()
    backend = Backend(UpstreamUnreachable("down"), UpstreamUnreachable("down"), WHOLE)
    pipeline, _, _ = path(backend, decisions=log)
    await walk(pipeline, *request())

    assert log.only.chosen == "big"
    assert [one.place for one in log.only.candidates] == [1, 2]


async def test_where_no_deployment_answers_none_is_chosen():
    log = Log()
    pipeline, _, _ = path(Backend(UpstreamUnreachable("down")), decisions=log)
    with pytest.raises(UpstreamUnreachable):
        await walk(pipeline, *request())

    assert log.only.chosen is None


async def test_where_no_deployment_may_serve_the_record_says_why_each_is_out():
    log = Log()
    pipeline, _, _ = path(Backend(WHOLE), UNPRICED, decisions=log)
    with pytest.raises(UnpricedModel):
        await walk(pipeline, *request())

    (one,) = log.only.candidates
    assert (log.only.chosen, one.place, one.bar, one.rates) == (None, None, "unpriced", None)
    assert one.reason.startswith("unpriced: ")


async def test_a_deployment_that_is_out_is_recorded_beside_those_that_are_tried():
    log = Log()
    pipeline, _, _ = path(Backend(WHOLE), UNPRICED, SMALL, decisions=log)
    await walk(pipeline, *request())

    assert [(one.deployment, one.place, one.bar) for one in log.only.candidates] == [
        ("unpriced", None, "unpriced"),
        ("small", 1, None),
    ]


async def test_a_client_that_leaves_before_the_answer_leaves_a_record_without_a_choice():
    log = Log()
    pipeline, _, tasks = path(Backend(WHOLE), decisions=log)
    task = asyncio.create_task(walk(pipeline, *request()))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await tasks.drain()

    assert log.only.chosen is None


@pytest.mark.parametrize(
    ("refusal", "count"),
    [(RateLimited("slower", details={"limit": {"id": "limit_1"}}), 0), (NoDeployment("a fault elsewhere"), 1)],
    ids=["by a limit of ours", "by anything else"],
)
async def test_who_is_refused_by_a_limit_of_ours_leaves_no_record(refusal, count):
    log = Log()
    pipeline, journal, _ = path(Backend(WHOLE), decisions=log)
    journal.refuses = {"small": refusal, "big": refusal}
    with pytest.raises(type(refusal)):
        await walk(pipeline, *request())

    assert len(log.records) == count


async def test_a_log_that_breaks_takes_no_answer_with_it():
    class Broken:
        def record(self, record, prompt=None):
            raise ValueError(record, prompt)

    pipeline, journal, _ = path(Backend(WHOLE), decisions=Broken())
    assert await walk(pipeline, *request()) == WHOLE[0]
    assert len(journal.settled) == 1


async def test_what_was_asked_is_kept_where_the_route_says_so_and_nowhere_else():
    log = Log()
    for days in (None, 7):
        pipeline, _, _ = path(Backend(WHOLE), decisions=log, route={"keep_prompts_days": days})
        await walk(pipeline, *request())

    not_kept, kept = log.prompts
    assert not_kept is None
    assert (kept.text, kept.route, kept.team_id) == (request()[1].question().text, "auto", "team_1")
    assert kept.request_id == log.records[1].request_id
    days = datetime.fromisoformat(kept.expires_at) - datetime.fromisoformat(kept.created_at)
    assert days == timedelta(days=7)


def test_a_kept_prompt_is_cut_to_its_size_and_holds_nothing_that_postgres_does_not():
    record = recorded(decided(SMALL))
    kept = kept_prompt(record, "a\0b\ud800" + "€" * 30_000, 1, 0.0)
    assert kept.text.startswith("a\ufffdb?€")
    assert 65_530 < len(kept.text.encode()) <= 65_536


def test_a_record_has_what_the_policy_predicted_and_how_probable_its_choice_was():
    told = Prediction(0.8, 0.7, 0.9, 12_000)
    decision = decided(
        SMALL, BIG, forecast=Forecast("r7", {"small": told}, 0.02), propensity=0.25, quality_loss_max=0.02
    )
    record = recorded(decision)

    assert (record.propensity, record.router_version, record.quality_loss_max) == (0.25, "r7", 0.02)
    first, second = record.candidates
    assert (first.quality, first.quality_low, first.quality_high, first.expected_cost_nusd) == (0.8, 0.7, 0.9, 12_000)
    assert (second.quality, second.expected_cost_nusd) == (None, None)


def test_a_record_has_all_that_the_policy_went_by():
    forecast = Forecast("r7", {}, 0.0, 1e-7, "big", quality_loss_target=0.05, router_us=640)
    decision = decided(
        SMALL,
        BIG,
        draw=0.75,
        first_token_p95_s={"big": 1.5},
        is_loss_asked=True,
        is_certified=True,
        forecast=forecast,
    )
    record = recorded(decision, stream=True)

    assert (record.draw, record.is_stream, record.router_us) == (0.75, True, 640)
    assert (record.quality_loss_target, record.is_loss_asked) == (0.05, True)
    assert (record.cost_weight, record.strongest, record.is_certified) == (1e-7, "big", True)
    assert [one.first_token_p95_s for one in record.candidates] == [None, 1.5]


def test_a_deployment_that_the_policy_leaves_out_has_neither_place_nor_bar():
    record = recorded(decided(SMALL, offered=(SMALL, BIG)))

    assert [(one.place, one.bar, one.reason) for one in record.candidates] == [(1, None, None), (None, None, None)]


def test_a_deployment_that_does_not_know_the_response_gone_on_from_is_out_for_that():
    asked = replace(request()[0], continues="resp_1")
    decision = decided(SMALL, offered=(SMALL, BIG, UNPRICED), rejected={"unpriced": Reason(Bar.UNPRICED, "no price")})
    record = record_of(asked, CALLER, decision, "small", CREATED_AT)

    assert [one.bar for one in record.candidates] == [None, "origin", "unpriced"]


def test_rates_are_those_of_the_service_tier_and_the_context_that_are_asked_for():
    standard = make_rate_card({Meter.INPUT: 100, Meter.OUTPUT: 200}, {50: {Meter.INPUT: 300, Meter.OUTPUT: 400}})
    flex = make_rate_card({Meter.INPUT: 10, Meter.OUTPUT: 20}, {}, standard)
    tiered = replace(SMALL, tariff=Tariff({"standard": standard, "flex": flex}))

    def input_rate(**asked):
        return recorded(decided(tiered), **asked).candidates[0].rates.input

    assert input_rate() == 100
    assert input_rate(service_tier="flex") == 10
    assert input_rate(metadata={"filler": "x" * 400}) == 300


def test_a_record_survives_its_json():
    record = recorded(decided(SMALL, BIG))

    assert msgspec.json.decode(msgspec.json.encode(record), type=type(record)) == record


async def test_no_record_holds_anything_of_the_prompt():
    log = Log()
    pipeline, _, _ = path(Backend(WHOLE), decisions=log)
    await walk(pipeline, *request(user="mallory", metadata={"note": "a word nobody may see"}))

    for told in (b"hello", b"mallory", b"a word nobody may see"):
        assert told not in msgspec.json.encode(log.only)
