"""`obol eval deflect`: what deflectors answer of messages of which it is known whether they need a model."""

from __future__ import annotations

import gzip
import json
import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cli import main
from gateway.evaluation.bounds import upper_bound

ROWS = [
    {"text": "what is 2 + 2", "deflect": 1, "kind": "sums"},
    {"text": "two plus two, but as a poem", "deflect": 1, "kind": "sums"},
    {"text": "thanks!", "deflect": 1, "kind": "thanks"},
    {"text": "write a haiku", "deflect": 0, "kind": "poems"},
    {"text": "what time is it", "deflect": 0, "kind": "mislabelled"},
]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "messages.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    return path


def told(capsys, *arguments):
    assert main(["eval", "deflect", *map(str, arguments), "--now", "2026-11-29T17:05:00Z"]) == 0
    return capsys.readouterr().out


def test_figures_are_one_json_object(file, capsys):
    figures = json.loads(told(capsys, file, "--json"))
    assert figures == {
        "n": 5,
        "n_deflectable": 3,
        "n_needs_model": 2,
        "coverage": pytest.approx(2 / 3),
        "false_deflection": 0.5,
        "false_deflection_upper95": pytest.approx(math.sqrt(0.95)),
        "coverage_by_kind": {"sums": 0.5, "thanks": 1.0},
    }


def test_false_answers_are_shown_on_demand(file, capsys):
    shown = json.loads(told(capsys, file, "--json", "--show", "false", "--zone", "Asia/Tokyo"))["answers"]
    answer = "It is 02:05 (2:05 AM) on Monday, November 30, 2026 (Asia/Tokyo)."
    assert shown == [
        {"text": "what time is it", "kind": "mislabelled", "deflect": 0, "deflector": "clock", "answer": answer}
    ]
    assert len(json.loads(told(capsys, file, "--json", "--show", "all"))["answers"]) == 3


def test_the_table_counts_by_kind(file, capsys):
    lines = told(capsys, file, "--show", "false").splitlines()
    assert any(line.split() == ["sums", "2", "1", "50.0"] for line in lines)
    assert any(line.split() == ["false", "deflection", "50.000%"] for line in lines)
    assert any("what time is it" in line and "clock" in line for line in lines)


def test_a_gzipped_file_is_read_the_same(file, capsys, tmp_path):
    packed = tmp_path / "messages.jsonl.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert told(capsys, packed, "--json") == told(capsys, file, "--json")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "line 2: no JSON object"),
        ("[]", "line 2: no JSON object"),
        ('{"text": "hi"}', "line 2: the column deflect is missing"),
        ('{"text": "hi", "deflect": 2}', "line 2: text must be a string and deflect 0 or 1"),
        ('{"text": 1, "deflect": 1}', "line 2: text must be a string and deflect 0 or 1"),
    ],
)
def test_a_wrong_row_is_named(file, capsys, line, complaint):
    file.write_text(f"{json.dumps(ROWS[0])}\n{line}\n")
    assert main(["eval", "deflect", str(file)]) == 1
    assert complaint in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named(tmp_path, capsys):
    assert main(["eval", "deflect", str(tmp_path / "none.jsonl")]) == 1
    assert "none.jsonl" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("hits", "trials", "bound"),
    [
        (0, 4200, 1 - 0.05 ** (1 / 4200)),
        (0, 1, 0.95),
        (1, 10, 0.394163),
        (2, 100, 0.061620),
        (3, 3, 1.0),
        (0, 0, 1.0),
    ],
)
def test_the_bound_is_that_of_clopper_and_pearson(hits, trials, bound):
    assert upper_bound(hits, trials) == pytest.approx(bound, abs=2e-6)


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(1, 500))
def test_under_the_bound_so_few_hits_have_a_chance_of_one_in_twenty(hits, missed):
    trials = hits + missed
    share = Fraction(upper_bound(hits, trials))
    chances = (math.comb(trials, count) * share**count * (1 - share) ** (trials - count) for count in range(hits + 1))
    assert float(sum(chances)) == pytest.approx(0.05, rel=1e-6)
