"""What a route tells of its error budget is what its plan goes by."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from policies.semantic.budget import CLOSED, EDGES, EPOCH, EPOCHS, Plan, plan
from policies.semantic.standing import standing


def counted(requests, bins, epoch=0):
    counts = {"requests": epoch * EPOCH + requests, f"{epoch}:requests": requests}
    for at, (would, looked, wrong) in bins.items():
        counts |= {f"{epoch}:would:{at}": would, f"{epoch}:looked:{at}": looked, f"{epoch}:wrong:{at}": wrong}
    return counts


# No more is found wrong than was compared.
tallies = st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20)).map(
    lambda one: (one[0], max(one[1:]), min(one[1:]))
)


@given(
    requests=st.integers(0, EPOCH - 1),
    bins=st.dictionaries(st.integers(0, len(EDGES) - 1), tallies),
    epoch=st.integers(0, 9),
    share=st.floats(0.001, 0.2),
)
def test_it_is_what_the_plan_goes_by(requests, bins, epoch, share):
    counts = counted(requests, bins, epoch)
    told, made = standing(counts, share), plan(counts, share)
    assert isinstance(made, Plan)
    assert (told.requests, told.expected_wrong) == (requests, made.expected_wrong)
    assert (told.near, told.compared, told.found_wrong) == tuple(map(sum, zip(*bins.values(), strict=True))) or not bins
    assert told.within_limit == sum(would for at, (would, _, _) in bins.items() if at <= made.limit)
    assert (told.risk_max is None) == (made.limit == CLOSED)


def test_what_no_longer_counts_is_not_told():
    counts = counted(7, {0: (5, 4, 3)}, epoch=0) | {"requests": EPOCHS * EPOCH}
    assert (standing(counts, 0.01).requests, standing(counts, 0.01).near) == (0, 0)
