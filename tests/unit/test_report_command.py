"""`obol report`: tables that people can read, whatever strangers put into them."""

from __future__ import annotations

import unicodedata
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from gateway.commands.report import budgets_table, costs_table
from gateway.commands.text_table import CELL_WIDTH_MAX, money, table
from gateway.domain import NANO


def sums(cost_nusd, baseline_nusd, requests=1):
    return {
        "requests": requests, "attempts": requests, "failed": 0, "input_tokens": 1234 * requests,
        "cached_input_tokens": 0, "output_tokens": 5,
        "cost_nusd": cost_nusd, "baseline_nusd": baseline_nusd, "savings_nusd": baseline_nusd - cost_nusd,
    }  # fmt: skip


def costs(rows, totals, **fields):
    span = {"from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z", "time_zone": "UTC"}
    return costs_table({**span, "data": rows, "totals": totals, "bucket": None, "group_by": [], **fields}).splitlines()


def test_costs_are_a_table_with_names_where_there_are_and_a_total_under_a_rule():
    rows = [
        {"team": "team_1", "team_name": "search", "model": "small", **sums(1_500_000_000, 3_000_000_000, 1000)},
        {"team": "team_2", "team_name": None, "model": "large", **sums(250_000, 0)},
    ]

    assert costs(rows, sums(1_500_250_000, 3_000_000_000, 1001), group_by=["team", "model"]) == [
        "Costs from 2026-11-01 until 2026-12-01 (UTC), by team, model",
        "",
        "team    model  requests  failed      input  cached  output      cost  baseline      saved     %",
        "search  small     1,000       0  1,234,000       0       5  $1.50000     $3.00   $1.50000  50.0",
        "team_2  large         1       0      1,234       0       5  $0.00025     $0.00  -$0.00025     -",
        "------  -----  --------  ------  ---------  ------  ------  --------  --------  ---------  ----",
        "total             1,001       0  1,235,234       0       5  $1.50025     $3.00   $1.49975  50.0",
    ]


def test_buckets_read_as_the_clocks_of_the_zone_show_them():
    row = {"bucket_start": "2026-11-01T00:00:00+01:00", **sums(1, 1)}

    def first_cell(bucket):
        return costs([row], sums(1, 1), bucket=bucket)[3].split("  ")[0]

    assert [first_cell(bucket) for bucket in ("month", "day", "hour")] == [
        "2026-11", "2026-11-01", "2026-11-01 00:00 +0100",
    ]  # fmt: skip


def test_teams_of_the_same_name_are_told_apart_by_their_ids():
    rows = [{"team": one, "team_name": "search", **sums(1, 1)} for one in ("team_1", "team_2")]

    lines = costs(rows, sums(2, 2), group_by=["team"])

    assert [line.split("  ")[0] for line in lines[3:5]] == ["search (team_1)", "search (team_2)"]


def test_a_report_without_calls_says_so():
    assert costs([], sums(0, 0, 0), group_by=["team"])[-1] == "Nothing was spent."


def balance(**fields):
    return {
        "budget": "budget_1", "subject": "Team search", "value": None, "value_name": None, "values": None,
        "window": "month", "on_exhausted": "refuse", "resets_at": "2026-12-01T00:00:00Z", "is_rolling": False,
        "effective_limit_nusd": 10 * NANO, "spent_nusd": 2 * NANO, "held_nusd": NANO, "remaining_nusd": 7 * NANO,
        "used_pct": 20.0, **fields,
    }  # fmt: skip


def test_budgets_are_a_table():
    rows = [balance(), balance(value="member_1", value_name="ann", held_nusd=None, remaining_nusd=None, resets_at=None)]

    assert budgets_table(rows).splitlines() == [
        "budget       of   window  when spent  resets       limit  spent   held   left  % used        id",
        "Team search  -    month   refuse      2026-12-01  $10.00  $2.00  $1.00  $7.00   20.00  budget_1",
        "Team search  ann  month   refuse      never       $10.00  $2.00      -      -   20.00  budget_1",
    ]


def test_a_budget_of_which_not_all_balances_came_says_so():
    assert budgets_table([balance(value="x", values=5)]).splitlines()[-1] == (
        "Of 5 balances of budget_1 the 1 dearest are shown."
    )


@given(st.lists(st.tuples(st.text(max_size=80), st.text(max_size=80)), min_size=1, max_size=5))
def test_whatever_clients_sent_moves_no_cursor_and_breaks_no_column(rows):
    lines = table(["a", "b"], [list(row) for row in rows], left=2)

    assert all(line.isprintable() for line in lines)
    assert all(len(line) <= 2 * CELL_WIDTH_MAX + 2 + 2 * CELL_WIDTH_MAX for line in lines)
    assert len(lines) == len(rows) + 1


def test_wide_and_combining_characters_keep_the_columns_straight():
    wide, combining = "日本", unicodedata.normalize("NFD", "é")

    assert table(["name", "n"], [[wide, "1"], [combining, "22"]], left=1) == [
        "name   n",
        f"{wide}   1",
        f"{combining}     22",
    ]


@given(st.lists(st.integers(-(2**63), 2**63), min_size=1, max_size=8))
def test_dollars_are_right_to_a_millionth_and_end_below_one_another(amounts):
    shown = money(amounts)

    assert len({len(text.partition(".")[2]) for text in shown}) == 1
    for amount, text in zip(amounts, shown, strict=True):
        value = Decimal(text.replace("$", "").replace(",", ""))
        assert abs(value - Decimal(amount) / NANO) <= Decimal("0.0000005")
