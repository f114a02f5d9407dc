"""What becomes of a second entry for a call that the ledger has already."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from postgres_parts import make_entry, orphan_of

from gateway.domain import Basis, LedgerEntry, Meter, MeterReading, Outcome
from policies.reconciliation import AMOUNTS, correction_id, reconcile

amounts = st.fixed_dictionaries({name: st.integers(0, 10**15) for name in AMOUNTS})
readings = st.lists(
    st.builds(
        MeterReading,
        meter=st.sampled_from(list(Meter)),
        quantity=st.integers(0, 10**9),
        rate_nusd_per_mtok=st.sampled_from([0, 1, 250_000_000, 2_000_000_000]),
    ),
    max_size=6,
).map(tuple)
known = st.sampled_from([basis for basis in Basis if basis is not Basis.ORPHANED])


def by_meter_and_rate(*entries: LedgerEntry) -> dict[tuple[str, int], int]:
    quantities: Counter[tuple[str, int]] = Counter()
    for entry in entries:
        for reading in entry.meters:
            quantities[reading.meter, reading.rate_nusd_per_mtok] += reading.quantity
    return {place: quantity for place, quantity in quantities.items() if quantity}


@given(amounts, amounts, readings, readings, known)
def test_an_orphan_and_its_correction_add_up_to_the_charge(before, after, meters_before, meters_after, basis):
    incoming = make_entry(**after, meters=meters_after, basis=basis)
    standing = msgspec.structs.replace(orphan_of(incoming), **before, meters=meters_before)

    correction = reconcile(standing, incoming)

    for name in AMOUNTS:
        assert getattr(standing, name) + getattr(correction, name) == getattr(incoming, name)
    assert by_meter_and_rate(standing, correction) == by_meter_and_rate(incoming)


def test_a_correction_tells_how_the_call_ended_and_which_entry_it_corrects():
    incoming = make_entry()
    standing = orphan_of(incoming)

    correction = reconcile(standing, incoming)

    assert correction.corrects == standing.id
    assert (correction.basis, correction.status) == (Basis.REPORTED, Outcome.SUCCEEDED)
    assert correction.finish_reason == "stop"
    assert (correction.key_id, correction.request_id) == (incoming.key_id, incoming.request_id)


def test_a_correction_has_the_same_id_and_time_whoever_makes_it():
    incoming = make_entry()
    standing = orphan_of(incoming)

    first, second = reconcile(standing, incoming), reconcile(standing, incoming)

    assert first == second
    assert first.id == correction_id(standing.id) != standing.id
    assert first.created_at == standing.created_at


def test_an_orphan_found_to_be_unbilled_is_taken_back_whole():
    incoming = make_entry(basis=Basis.UNBILLED, input_tokens=0, output_tokens=0, meters=(), cost_nusd=0)
    standing = orphan_of(incoming, cost_nusd=700)

    assert reconcile(standing, incoming).cost_nusd == -700


def test_an_entry_that_knows_nothing_better_changes_nothing():
    charge = make_entry()
    orphan = orphan_of(charge)

    assert reconcile(orphan, orphan) is None
    assert reconcile(charge, orphan) is None
    assert reconcile(charge, charge) is None
    assert reconcile(charge, msgspec.structs.replace(charge, basis=Basis.ESTIMATED, cost_nusd=1)) is None


def test_every_amount_of_an_entry_is_corrected():
    integers = {field.name for field in msgspec.structs.fields(LedgerEntry) if field.type is int}

    of_the_admission = {"attempt", "held_nusd"}  # whatever the call came to, this is how it began
    assert integers - of_the_admission == set(AMOUNTS)
