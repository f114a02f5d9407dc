"""The time to the first token, as a sliding window knows it, against one that keeps everything and sorts it anew."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from policies.first_token import MIN_OBSERVATIONS, OBSERVATIONS_MAX, WINDOW_S, FirstTokenBoard

STEPS = st.lists(
    st.tuples(st.floats(0, WINDOW_S / 8), st.sampled_from([0.0, 0.1, 0.25, 1.0, 7.5]) | st.floats(0, 100)), max_size=400
)


def naive_p95_s(seen, now_s):
    kept = [observed_s for at_s, observed_s in seen[-OBSERVATIONS_MAX:] if at_s > now_s - WINDOW_S]
    if len(kept) < MIN_OBSERVATIONS:
        return None
    return sorted(kept)[math.ceil(len(kept) * 95 / 100) - 1]


@given(STEPS, st.booleans())
def test_the_window_knows_what_sorting_everything_would_tell(steps, is_busy):
    board, seen, now_s = FirstTokenBoard(), [], 1000.0
    for pause_s, observed_s in steps:
        now_s += pause_s / 100 if is_busy else pause_s
        seen.append((now_s, observed_s))
        board.observed("d", observed_s, now_s)
        assert board.p95_s("d", now_s) == naive_p95_s(seen, now_s)
    for later_s in (0.0, WINDOW_S / 2, WINDOW_S, 2 * WINDOW_S):
        assert board.p95_s("d", now_s + later_s) == naive_p95_s(seen, now_s + later_s)


def test_more_observations_than_the_window_holds_push_the_oldest_out():
    board, seen = FirstTokenBoard(), []
    for number in range(3 * OBSERVATIONS_MAX):
        seen.append((1.0, float(number * 7919 % 1000)))
        board.observed("d", seen[-1][1], 1.0)
    assert board.p95_s("d", 1.0) == naive_p95_s(seen, 1.0)


def test_too_few_observations_say_nothing():
    board = FirstTokenBoard()
    for _ in range(MIN_OBSERVATIONS - 1):
        board.observed("d", 1.0, 0.0)
    assert board.p95_s("d", 0.0) is None
    board.observed("d", 1.0, 0.0)
    assert board.p95_s("d", 0.0) == 1.0


def test_deployments_are_told_apart_and_forgotten_when_nothing_of_them_is_left():
    board = FirstTokenBoard()
    for name, observed_s in (("a", 1.0), ("b", 2.0)):
        for _ in range(MIN_OBSERVATIONS):
            board.observed(name, observed_s, 0.0)
    assert (board.p95_s("a", 0.0), board.p95_s("b", 0.0), board.p95_s("c", 0.0)) == (1.0, 2.0, None)
    assert board.p95_s("a", WINDOW_S) is None
    assert list(board._windows) == ["b"]
