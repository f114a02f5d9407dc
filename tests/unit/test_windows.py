"""Windows of budgets: every instant lies in exactly one, whatever the clocks of its time zone do."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import Budget, Limit, Period, Scope, Window
from policies.windows import balance_name, counter_name, period_of, zone_of

CALENDAR = [Window.HOUR, Window.DAY, Window.WEEK, Window.MONTH]
ROLLING = CALENDAR
# Berlin: plain; Kolkata: half an hour off; Lord Howe: changes by half an hour; Havana: changes at midnight;
# St. John's: changed one minute after midnight until 2011; Apia: skipped a whole day.
ZONES = ["UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/Havana", "America/St_Johns"]
ZONES += ["Pacific/Apia", "America/Sao_Paulo", "Africa/Casablanca", "Asia/Kathmandu"]
HOUR_MS = 3_600_000


def ms(text: str, zone: str = "UTC", fold: int = 0) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


def budget(window: Window, zone: str = "UTC", **fields: object) -> Budget:
    return Budget("bud_1", Scope("org_1"), 1, window, time_zone=zone, **fields)


moments = st.integers(ms("2005-01-01"), ms("2045-01-01"))


@given(st.sampled_from(CALENDAR), st.sampled_from(ZONES), moments)
def test_every_instant_lies_in_its_window_and_windows_tile(window, zone, at_ms):
    rule = budget(window, zone)

    period = period_of(rule, at_ms)

    assert period.start_ms <= at_ms < period.end_ms
    assert period_of(rule, period.start_ms) == period
    assert period_of(rule, period.end_ms - 1) == period
    assert period_of(rule, period.start_ms - 1).end_ms == period.start_ms
    assert period_of(rule, period.end_ms).start_ms == period.end_ms


@given(st.sampled_from(ZONES), moments)
def test_no_window_is_much_longer_than_its_name(zone, at_ms):
    lengths = {window: period_of(budget(window, zone), at_ms) for window in CALENDAR}
    hours = {window: (period.end_ms - period.start_ms) / HOUR_MS for window, period in lengths.items()}

    assert hours[Window.HOUR] <= 1
    assert hours[Window.DAY] <= 25
    assert hours[Window.WEEK] <= 7 * 24 + 1
    assert hours[Window.MONTH] <= 31 * 24 + 1


@given(st.sampled_from(ZONES), st.sampled_from([Window.DAY, Window.WEEK, Window.MONTH]), moments)
def test_days_weeks_and_months_begin_with_a_date_of_their_zone(zone, window, at_ms):
    start = datetime.fromtimestamp(period_of(budget(window, zone), at_ms).start_ms / 1000, ZoneInfo(zone))
    before = datetime.fromtimestamp(start.timestamp() - 1, ZoneInfo(zone))

    assert before.date() < start.date()
    assert window is not Window.WEEK or start.weekday() == 0 or (start.date() - before.date()).days > 1
    assert window is not Window.MONTH or start.month != before.month


@pytest.mark.parametrize(
    ("window", "zone", "at", "start", "end"),
    [
        (Window.HOUR, "UTC", "2026-11-23T11:59:59", "2026-11-23T11:00", "2026-11-23T12:00"),
        (Window.HOUR, "Asia/Kolkata", "2026-11-23T11:30", "2026-11-23T11:00", "2026-11-23T12:00"),
        (Window.DAY, "Asia/Kathmandu", "2026-11-23T00:00", "2026-11-23T00:00", "2026-11-24T00:00"),
        (Window.DAY, "UTC", "2028-02-29T23:59:59", "2028-02-29T00:00", "2028-03-01T00:00"),
        (Window.WEEK, "UTC", "2026-11-22T23:59", "2026-11-16T00:00", "2026-11-23T00:00"),
        (Window.WEEK, "UTC", "2027-01-01T00:00", "2026-12-28T00:00", "2027-01-04T00:00"),
        (Window.MONTH, "UTC", "2028-02-29T12:00", "2028-02-01T00:00", "2028-03-01T00:00"),
        (Window.MONTH, "Europe/Berlin", "2026-12-31T23:59:59", "2026-12-01T00:00", "2027-01-01T00:00"),
        (Window.MONTH, "Europe/Berlin", "2027-01-01T00:00", "2027-01-01T00:00", "2027-02-01T00:00"),
    ],
)
def test_windows_follow_the_clock_and_calendar_of_their_zone(window, zone, at, start, end):
    assert period_of(budget(window, zone), ms(at, zone)) == Period(ms(start, zone), ms(end, zone))


def test_a_day_on_which_clocks_change_has_23_or_25_hours():
    spring = period_of(budget(Window.DAY, "Europe/Berlin"), ms("2026-03-29T12:00", "Europe/Berlin"))
    autumn = period_of(budget(Window.DAY, "Europe/Berlin"), ms("2026-10-25T12:00", "Europe/Berlin"))

    assert spring.end_ms - spring.start_ms == 23 * HOUR_MS
    assert autumn.end_ms - autumn.start_ms == 25 * HOUR_MS


def test_an_hour_that_the_clocks_show_twice_is_two_windows():
    rule = budget(Window.HOUR, "Europe/Berlin")

    first = period_of(rule, ms("2026-10-25T02:30", "Europe/Berlin"))
    second = period_of(rule, ms("2026-10-25T02:30", "Europe/Berlin", fold=1))

    assert first.end_ms == second.start_ms
    assert second.end_ms - second.start_ms == HOUR_MS


def test_clocks_that_change_by_half_an_hour_cut_the_hour():
    rule = budget(Window.HOUR, "Australia/Lord_Howe")
    change_ms = ms("2026-04-04T15:00")  # from 02:00 back to 01:30

    assert period_of(rule, change_ms) == Period(change_ms, change_ms + HOUR_MS // 2)
    assert period_of(rule, change_ms - 1) == Period(change_ms - HOUR_MS, change_ms)


def test_a_skipped_day_is_no_window():
    rule = budget(Window.DAY, "Pacific/Apia")  # 2011-12-30 did not happen there

    before, after = (ms(day, "Pacific/Apia") for day in ("2011-12-29T12:00", "2011-12-31T12:00"))

    assert period_of(rule, before).end_ms == period_of(rule, after).start_ms


def test_the_total_never_ends():
    assert period_of(budget(Window.TOTAL), ms("2026-11-23T11:00")) == Period(0, None)


def test_a_window_in_which_a_reset_lies_begins_with_it():
    reset_ms = ms("2026-11-23T11:00")
    rule = budget(Window.MONTH, reset_at_ms=reset_ms)
    month = period_of(budget(Window.MONTH), reset_ms)

    assert period_of(rule, reset_ms) == Period(reset_ms, month.end_ms)
    assert period_of(rule, reset_ms - 1) == month
    assert period_of(rule, month.end_ms) == period_of(budget(Window.MONTH), month.end_ms)


@pytest.mark.parametrize("window", ROLLING)
def test_a_rolling_window_counts_in_cells_from_the_last_reset_on(window):
    reset_ms = ms("2026-11-23T11:00")
    lengths = {Window.HOUR: 1, Window.DAY: 24, Window.WEEK: 7 * 24, Window.MONTH: 30 * 24}

    period = period_of(budget(window, is_rolling=True, reset_at_ms=reset_ms), reset_ms)

    assert period.start_ms == reset_ms
    assert period.end_ms is None
    assert period.cell_ms * period.cells == lengths[window] * HOUR_MS
    assert period_of(budget(window, is_rolling=True, reset_at_ms=reset_ms), reset_ms - 1).start_ms == 0


@given(st.sampled_from(CALENDAR), st.sampled_from(ZONES), moments, moments)
def test_a_reset_moves_nothing_but_the_beginning_of_its_own_window(window, zone, at_ms, reset_ms):
    plain = period_of(budget(window, zone), at_ms)

    period = period_of(budget(window, zone, reset_at_ms=reset_ms), at_ms)

    is_in_force = plain.start_ms <= reset_ms <= at_ms
    assert period == plain._replace(start_ms=reset_ms if is_in_force else plain.start_ms)


def test_balances_are_named_by_budget_period_and_value():
    rolling = budget(Window.DAY, is_rolling=True)

    assert balance_name(budget(Window.DAY), Period(5, 6), None) == "bud_1:5"
    assert balance_name(budget(Window.DAY), Period(5, 6), "mem_1") == "bud_1:5:mem_1"
    assert balance_name(rolling, Period(0, None, 900_000, 96), "a@b.c") == "bud_1:r96.0:a@b.c"
    assert counter_name(Limit("lim_1", Scope("org_1")), None) == "lim_1"
    assert counter_name(Limit("lim_1", Scope("org_1")), "key_1") == "lim_1:key_1"


@given(st.text(st.characters(), max_size=200))
def test_any_value_makes_a_short_plain_name(value):
    name = counter_name(Limit("l", Scope("org_1")), value)

    assert len(name) <= 66
    assert name.isascii()
    assert not set(name) & set(" {}\0\n*")


@given(st.text(max_size=80), st.text(max_size=80))
def test_different_values_have_different_names(one, other):
    limit = Limit("l", Scope("org_1"))

    assert (one == other) == (counter_name(limit, one) == counter_name(limit, other))


@pytest.mark.parametrize(
    "name",
    ["", "Mars/Base", "../etc/passwd", "/etc/localtime", "localtime", "right/UTC", "America", "a\0b", "é", "x" * 99],
)
def test_only_names_of_time_zones_are_time_zones(name):
    with pytest.raises(ValueError, match="no time zone"):
        zone_of(name)


def test_a_time_zone_is_found_by_its_name():
    assert datetime(2026, 7, 1, tzinfo=zone_of("Europe/Berlin")).astimezone(UTC).hour == 22
