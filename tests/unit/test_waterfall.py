"""One request from its entries: what began when, what it cost to the nano-dollar, and what its guards said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from postgres_parts import make_entry

from gateway.commands.request import BAR_WIDTH, waterfall_text
from gateway.domain import Basis, GuardVerdict, Outcome, Purpose, Source, Stage, StageName
from policies.reconciliation import reconcile, voided
from policies.stages import stage_of
from policies.waterfall import waterfall

CAME = datetime(2026, 11, 29, 12, 0, 0, tzinfo=UTC)
AUTH, ROUTING, LIMITS = Stage("auth", 0, 0.5), Stage("routing", 1.0, 1.0), Stage("limits", 2.0, 1.0, "mini")


def at(ms):
    return (CAME + timedelta(milliseconds=ms)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def entry(name, began_ms, **fields):
    common = {"request_id": "req_1", "guards": (), "stages": (), "stage": None, "created_at": at(began_ms)}
    identity = f"0193795e-0000-7000-8000-{name:012d}"
    return make_entry(**(common | {"id": identity} | fields))


def call(entry_id, began_ms, ms, name="mini", stage="inference"):
    return Stage(stage, began_ms, ms, name, entry_id)


def answered(number=1, **fields):
    """An answer that came 80 ms after the request, from a call that was admitted 2 ms after it."""
    made = entry(number, 2, total_ms=78.0, **fields)
    return msgspec.structs.replace(made, stages=(AUTH, ROUTING, LIMITS, call(made.id, 3.0, 77.0)))


def of(rows, stage):
    return [row for row in rows if row.stage == stage]


def test_stages_come_by_their_start_and_the_call_has_its_entrys_tokens_and_cost():
    found = waterfall([one := answered()])

    assert [row.stage for row in found.stages] == ["auth", "routing", "limits", "inference"]
    assert (found.arrived_at, found.total_ms) == ("2026-11-29T12:00:00.000000Z", 80.0)
    (row,) = of(found.stages, "inference")
    assert (row.entry_id, row.cost_nusd, row.baseline_nusd, row.status) == (one.id, 42_500, 50_000, "succeeded")
    assert (row.tokens.input, row.tokens.cached_input, row.tokens.output) == (10, 4, 20)
    assert [row.tokens for row in found.stages if row.stage != "inference"] == [None] * 3


def test_a_call_that_no_stage_tells_of_stands_where_its_entry_began():
    embedding = entry(2, 10, purpose=Purpose.EMBEDDING, deployment="obol/encoder", total_ms=4.0, cost_nusd=3)
    found = waterfall([embedding, answered()])

    (row,) = of(found.stages, "cache")
    assert (row.name, row.started_ms, row.ms, row.cost_nusd, row.entry_id) == (
        "obol/encoder",
        10.0,
        4.0,
        3,
        embedding.id,
    )
    assert found.cost_nusd == 42_503


def test_a_correction_is_counted_with_what_it_corrects_and_tells_the_stages():
    charge = answered()
    orphan = msgspec.structs.replace(
        charge, basis=Basis.ORPHANED, status=Outcome.ORPHANED, cost_nusd=7, total_ms=None, stages=()
    )
    found = waterfall([orphan, reconcile(orphan, charge)])

    (row,) = of(found.stages, "inference")
    assert (row.entry_id, row.cost_nusd, row.status, row.tokens.output) == (charge.id, 42_500, "succeeded", 20)
    assert [row.stage for row in found.stages] == ["auth", "routing", "limits", "inference"]
    assert [one.corrects for one in found.entries] == [None, charge.id]


def test_of_a_request_whose_process_died_there_are_its_calls_without_an_end():
    orphan = entry(1, 0, basis=Basis.ORPHANED, status=Outcome.ORPHANED, total_ms=None, cost_nusd=7)
    found = waterfall([orphan])

    (row,) = found.stages
    assert (row.stage, row.started_ms, row.ms, row.cost_nusd, row.status) == ("inference", 0.0, None, 7, "orphaned")
    assert (found.arrived_at, found.total_ms, found.status) == (orphan.created_at, 0.0, "orphaned")


def test_a_call_that_was_taken_back_costs_nothing():
    orphan = entry(1, 0, basis=Basis.ORPHANED, status=Outcome.ORPHANED, total_ms=None, cost_nusd=7)
    found = waterfall([orphan, reconcile(orphan, voided(orphan))])

    assert [(row.cost_nusd, row.status) for row in found.stages] == [(0, "voided")]
    assert found.cost_nusd == 0


@pytest.mark.parametrize(
    ("source", "stage", "name"),
    [
        (Source.DEFLECTED, StageName.DEFLECTION, "arithmetic"),
        (Source.CACHE_EXACT, StageName.CACHE, "exact"),
        (Source.CACHE_SEMANTIC, StageName.CACHE, "semantic"),
        (Source.GUARD, StageName.PROMPT_MODERATION, "pii"),
    ],
)
def test_who_answers_without_a_model_does_it_at_a_stage_of_its_own(source, stage, name):
    stages = (AUTH, Stage(stage, 0.5, 0.5, "another"), Stage(stage, 1.0, 1.0, name), LIMITS)
    found = waterfall([one := entry(1, 2, source=source, stages=stages, total_ms=1.0, cost_nusd=0)])

    assert [(row.name, row.entry_id) for row in of(found.stages, stage)] == [("another", None), (name, one.id)]
    assert (found.source, len(found.stages)) == (source, 4)


def test_guards_say_their_verdict_in_their_row_by_the_side_on_which_they_stood():
    verdicts = (
        GuardVerdict("pii", "1", "input", "redact", "redacted", 0.2),
        GuardVerdict("pii", "1", "output", "flag", "passed", 0.2),
    )
    one = answered(guards=verdicts)
    more = (Stage("prompt_moderation", 0.5, 0.2, "pii"), Stage("output_moderation", 79.0, 0.2, "pii"))
    found = waterfall([msgspec.structs.replace(one, stages=(*one.stages, *more))])

    assert [(row.stage, row.verdict) for row in found.stages if row.name == "pii"] == [
        ("prompt_moderation", "redacted"),
        ("output_moderation", "passed"),
    ]
    assert found.guards == verdicts


def test_a_guards_own_call_is_paid_for_by_its_stage():
    asked = entry(2, 1, purpose=Purpose.GUARD, stage="prompt_moderation", cost_nusd=9, total_ms=20.0)
    one = answered()
    found = waterfall(
        [one, asked, entry(3, 1, purpose=Purpose.GUARD, stage="output_moderation", cost_nusd=4, total_ms=1.0)]
    )

    assert [row.cost_nusd for row in of(found.stages, "prompt_moderation")] == [9]
    assert [row.cost_nusd for row in of(found.stages, "output_moderation")] == [4]


def test_the_entry_that_knows_most_tells_the_stages_whatever_order_they_come_in():
    first, second = entry(1, 2, status=Outcome.REJECTED, total_ms=10.0), answered(2, attempt=2)
    stages = (*second.stages[:-1], call(first.id, 3.0, 9.0), second.stages[-1])
    second = msgspec.structs.replace(second, stages=stages)
    first = msgspec.structs.replace(first, stages=stages[:-1])

    for entries in ([first, second], [second, first]):
        found = waterfall(entries)
        assert [row.entry_id for row in of(found.stages, "inference")] == [first.id, second.id]
        assert found.cost_nusd == sum(row.cost_nusd for row in found.stages) == 85_000


STATES = st.fixed_dictionaries(
    {
        "purpose": st.sampled_from([*Purpose]),
        "source": st.sampled_from([*Source]),
        "cost_nusd": st.integers(-(10**15), 10**15),
        "baseline_nusd": st.integers(0, 10**15),
        "stage": st.sampled_from([None, *StageName]),
        "total_ms": st.none() | st.floats(0, 1e7),
        "began": st.integers(0, 10**6),
        "names": st.lists(st.integers(0, 9), max_size=4),
        "corrects": st.booleans(),
    }
)


@given(st.lists(STATES, min_size=1, max_size=8))
def test_costs_of_stages_add_up_exactly_whatever_entries_there_are(states):
    entries = []
    for number, state in enumerate(states):
        names = state.pop("names")
        stages = tuple(
            Stage("cache", 1.0, 2.0, None, f"0193795e-0000-7000-8000-{name:012d}" if name else None) for name in names
        )
        corrects = f"0193795e-0000-7000-8000-{number - 1:012d}" if state.pop("corrects") and number else None
        entries.append(entry(number, state.pop("began"), stages=stages, corrects=corrects, **state))

    found = waterfall(entries)

    assert sum(row.cost_nusd for row in found.stages) == found.cost_nusd == sum(one.cost_nusd for one in entries)
    assert sum(row.baseline_nusd for row in found.stages) == found.baseline_nusd
    starts = [row.started_ms for row in found.stages]
    assert starts == sorted(starts)
    waterfall_text(msgspec.to_builtins(found))


def test_what_an_entry_says_itself_comes_before_who_answered_and_that_before_why_it_was_asked():
    assert stage_of("output_moderation", Source.DEFLECTED, Purpose.GUARD) == "output_moderation"
    assert stage_of(None, Source.CACHE_EXACT, Purpose.ANSWER) == "cache"
    assert stage_of(None, Source.UPSTREAM, Purpose.JUDGE) == "routing"
    assert stage_of(None, Source.UPSTREAM, Purpose.ANSWER) == "inference"
    assert stage_of(None, "of a newer version", "of a newer version") == "inference"


def test_people_see_a_bar_from_the_start_of_each_stage_to_its_end():
    text = waterfall_text(msgspec.to_builtins(waterfall([answered()])))

    lines = {line.split()[0]: line for line in text.splitlines() if line}
    assert lines["inference"].count("█") == round(80 / 80 * BAR_WIDTH) - int(3 / 80 * BAR_WIDTH)
    assert lines["auth"].count("█") == 1
    assert "$0.0000425" in lines["inference"]
    assert lines["total"].split()[1:] == ["80.0", "10", "20", "$0.0000425"]
    assert "The reference model would have cost $0.00005." in text


def test_a_name_that_a_client_chose_moves_no_cursor():
    text = waterfall_text(msgspec.to_builtins(waterfall([answered(model_asked="a\x1b[2Jb\nc")])))

    assert "\x1b" not in text
