"""The ladder of a budget that downgrades: which deployment may be called until how much of it is used."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.ladder import ladder_pcts

HOLDS = st.lists(st.integers(0, 50), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("holds", "pcts"),
    [
        ([7], [100]),
        ([7, 7], [100, 100]),
        ([9, 1], [50, 100]),
        ([1, 9], [100, 50]),
        ([9, 5, 1], [50, 95, 100]),
        ([9, 5, 5, 1], [50, 95, 95, 100]),
        ([9, 7, 5, 1], [50, 72, 95, 100]),
        ([9, 0], [50, 100]),
    ],
)
def test_the_dearest_goes_until_half_and_the_cheapest_until_the_end(holds, pcts):
    assert list(ladder_pcts(holds)) == pcts


@given(HOLDS)
def test_a_cheaper_deployment_is_never_shut_before_a_dearer_one(holds):
    by_hold = sorted(zip(holds, ladder_pcts(holds), strict=True), reverse=True)
    assert [pct for _, pct in by_hold] == sorted(pct for _, pct in by_hold)
    assert by_hold[-1][1] == 100
    assert all(50 <= pct <= 100 for _, pct in by_hold)


@given(HOLDS, st.randoms())
def test_the_order_of_the_route_changes_nothing(holds, random):
    shuffled = list(holds)
    random.shuffle(shuffled)
    assert dict(zip(shuffled, ladder_pcts(shuffled), strict=True)) == dict(zip(holds, ladder_pcts(holds), strict=True))
