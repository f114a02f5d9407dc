"""The circuit breaker, as requirements: examples first, then properties over any history."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import Bar
from policies.breaker import (
    COOLDOWN_S_MAX,
    FAILURES_TO_OPEN,
    PAUSE_S_MAX,
    PAUSE_S_MIN,
    Breaker,
    ErrorFacts,
    HealthBoard,
    Phase,
    after_failure,
    after_start,
    after_success,
    reason_against,
)

BLAMED = ErrorFacts(blames_deployment=True)
NOT_BLAMED = ErrorFacts(blames_deployment=False)


def broken(now_s: float = 0.0) -> Breaker:
    """A circuit that has just opened."""
    state = Breaker()
    for _ in range(FAILURES_TO_OPEN):
        state = after_failure(state, now_s, BLAMED)
    return state


def test_four_failures_leave_the_circuit_closed_and_the_fifth_opens_it():
    board = HealthBoard()
    for _ in range(FAILURES_TO_OPEN - 1):
        board.failed("d", 0.0, BLAMED)
    assert board.why_unavailable("d", 0.0) is None

    board.failed("d", 0.0, BLAMED)

    assert board.why_unavailable("d", 0.0).bar == Bar.CIRCUIT
    assert board.phases() == {"d": Phase.OPEN}


def test_a_success_in_between_starts_the_count_anew():
    state = Breaker()
    for _ in range(3 * FAILURES_TO_OPEN):
        state = after_failure(state, 0.0, BLAMED)
        state = after_success(state)
    assert state == Breaker()


def test_failures_that_blame_nobody_never_open_the_circuit():
    state = Breaker()
    for _ in range(100):
        state = after_failure(state, 0.0, NOT_BLAMED)
    assert reason_against(state, 0.0) is None


def test_after_its_pause_one_probe_goes_through_and_no_second_one():
    board = HealthBoard()
    for _ in range(FAILURES_TO_OPEN):
        board.failed("d", 0.0, BLAMED)
    assert board.why_unavailable("d", PAUSE_S_MIN - 0.001)

    assert board.why_unavailable("d", PAUSE_S_MIN) is None
    board.started("d", PAUSE_S_MIN)

    assert board.why_unavailable("d", PAUSE_S_MIN)
    assert board.phases() == {"d": Phase.HALF_OPEN}


def test_a_good_probe_closes_the_circuit():
    state = after_success(after_start(broken(), PAUSE_S_MIN))
    assert (state.phase, reason_against(state, PAUSE_S_MIN)) == (Phase.CLOSED, None)


def test_each_bad_probe_doubles_the_pause_up_to_its_maximum():
    state, now_s, pauses = broken(), 0.0, []
    for _ in range(5):
        now_s = state.blocked_until_s
        state = after_failure(after_start(state, now_s), now_s, BLAMED)
        pauses.append(state.blocked_until_s - now_s)
    assert pauses == [20.0, 40.0, 60.0, 60.0, 60.0]
    assert PAUSE_S_MAX == 60.0


def test_a_probe_that_never_reports_frees_its_place_after_the_pause():
    state = after_start(broken(), PAUSE_S_MIN)
    assert reason_against(state, 2 * PAUSE_S_MIN) is None


def test_an_upstreams_wish_to_be_left_alone_is_kept_even_when_it_is_not_to_blame():
    board = HealthBoard()

    board.failed("d", 100.0, ErrorFacts(blames_deployment=False, retry_after_s=7.0))

    assert board.why_unavailable("d", 106.9).bar == Bar.COOLDOWN
    assert board.why_unavailable("d", 107.0) is None


def test_a_late_success_does_not_cut_a_cooldown_short():
    board = HealthBoard()
    board.failed("d", 0.0, ErrorFacts(blames_deployment=False, retry_after_s=7.0))

    board.succeeded("d", 1.0)

    assert board.why_unavailable("d", 6.0)


def test_a_healthy_deployment_is_forgotten():
    board = HealthBoard()
    board.failed("d", 0.0, BLAMED)
    board.succeeded("d", 1.0)
    board.succeeded("never seen", 1.0)
    board.started("never seen", 1.0)
    assert board.phases() == {}


def test_deployments_do_not_share_a_circuit():
    board = HealthBoard()
    for _ in range(FAILURES_TO_OPEN):
        board.failed("bad", 0.0, BLAMED)
    assert board.why_unavailable("good", 0.0) is None


steps = st.lists(
    st.tuples(
        st.sampled_from(["start", "success", "failure", "unblamed"]),
        st.floats(0, 30, allow_nan=False),
        st.one_of(st.none(), st.floats(-10, 1e6, allow_nan=False)),
    ),
    max_size=60,
)


def played(history: list[tuple[str, float, float | None]]) -> tuple[Breaker, float]:
    state, now_s = Breaker(), 0.0
    for what, later_s, retry_after_s in history:
        now_s += later_s
        match what:
            case "start":
                state = after_start(state, now_s)
            case "success":
                state = after_success(state)
            case _:
                state = after_failure(state, now_s, ErrorFacts(what == "failure", retry_after_s))
    return state, now_s


@given(steps)
def test_no_history_keeps_a_deployment_out_for_longer_than_the_longest_pause(history):
    state, now_s = played(history)
    assert reason_against(state, now_s + max(PAUSE_S_MAX, COOLDOWN_S_MAX)) is None


@given(steps)
def test_a_closed_circuit_has_seen_fewer_failures_in_a_row_than_it_takes(history):
    state, _ = played(history)
    assert state.phase is not Phase.CLOSED or state.failures < FAILURES_TO_OPEN


@given(steps)
def test_the_pause_stays_within_its_bounds(history):
    state, _ = played(history)
    assert PAUSE_S_MIN <= state.pause_s <= PAUSE_S_MAX


@given(steps)
def test_a_success_always_closes_the_circuit(history):
    state, _ = played(history)
    assert after_success(state).phase is Phase.CLOSED


@given(steps)
def test_out_of_an_ended_pause_exactly_one_request_goes_through(history):
    state, now_s = played(history)
    if state.phase is Phase.CLOSED:
        return
    now_s = max(now_s, state.blocked_until_s, state.cooldown_until_s)
    assert reason_against(state, now_s) is None
    assert reason_against(after_start(state, now_s), now_s) is not None


def test_a_server_that_says_it_is_sick_is_left_alone_until_it_says_otherwise():
    board = HealthBoard()
    board.probed("own", 0.0, 25.0, is_healthy=False)
    assert board.why_unavailable("own", 24.9).bar == Bar.CIRCUIT
    board.probed("own", 10.0, 35.0, is_healthy=True)
    assert board.why_unavailable("own", 10.0) is None


def test_a_server_that_says_it_is_well_costs_no_memory_and_clears_no_failures():
    board = HealthBoard()
    board.probed("own", 0.0, 25.0, is_healthy=True)
    assert board.phases() == {}
    for _ in range(FAILURES_TO_OPEN):
        board.failed("own", 1.0, BLAMED)
    assert board.why_unavailable("own", 1.0)
