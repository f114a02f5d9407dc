"""`obol eval answers` and `obol eval pairs`: what a semantic cache makes of known questions, by the real encoder."""

from __future__ import annotations

import gzip
import json

import pytest

from gateway.cli import main

QUESTIONS = [
    ("shop", "how long does the delivery take", "delivery"),
    ("shop", "How long does  the delivery take", "delivery"),
    ("bar", "how long does the delivery take", "delivery"),
    ("shop", "hello, how long does the delivery take? thanks!", "delivery"),
    ("shop", "what was the price in 2018", "2018"),
    ("shop", "what was the price in 2019", "2019"),
]
PAIRS = [
    ("how do I enable the alarm", "Hello, how do I enable the alarm please?", 1, "politeness"),
    ("how do I enable the alarm", "how do I disable the alarm", 0, "antonym"),
    ("what was the price in 2018", "what was the price in 2019", 0, "number"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def questions(tmp_path):
    path = tmp_path / "questions.jsonl"
    rows = [{"tenant": tenant, "text": text, "answer_class": name} for tenant, text, name in QUESTIONS]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.jsonl.gz"
    rows = [{"a": a, "b": b, "same_answer": same, "kind": kind} for a, b, same, kind in PAIRS]
    path.write_bytes(gzip.compress("".join(f"{json.dumps(row)}\n" for row in rows).encode()))
    return path


@pytest.fixture
def told(folder, capsys):
    def run(*arguments, code=0):
        assert main(["eval", *map(str, arguments), "--data-dir", str(folder)]) == code
        told = capsys.readouterr()
        return told.out if code == 0 else told.err

    return run


def test_repeats_count_as_hits_and_only_of_the_same_tenant(questions, told):
    figures = json.loads(told("answers", questions, "--json"))
    assert figures["n"] == 6
    assert figures["how"]["exact"] == 1
    assert figures["by_tenant"]["bar"]["hit_rate"] == 0


def test_another_number_is_not_answered(questions, told):
    figures = json.loads(told("answers", questions, "--json"))
    assert figures["how"]["number"] == 1
    assert (figures["wrong_per_request"], figures["wrong_per_hit"]) == (0, 0)
    assert figures["wrong_per_request_upper95"] == pytest.approx(0.393, abs=1e-3)


def test_the_same_file_gives_the_same_figures(questions, told):
    assert told("answers", questions, "--json") == told("answers", questions, "--json")


def test_without_wrong_answers_only_repeats_are_answered(questions, told):
    figures = json.loads(told("answers", questions, "--wrong-answers-max", "0", "--json"))
    assert figures["hit_rate"] == pytest.approx(1 / 6)


def test_questions_are_replayed_in_their_order_of_arrival(tmp_path, told):
    path = tmp_path / "questions.jsonl"
    path.write_text(
        '{"i": 2, "text": "what is it", "answer_class": 1}\n{"i": 1, "text": "what is it", "answer_class": 2}\n'
    )
    assert json.loads(told("answers", path, "--json"))["wrong_per_hit"] == 1


def test_pairs_are_told_by_kind(pairs, told):
    figures = json.loads(told("pairs", pairs, "--json"))
    assert (figures["changed_served"], figures["same_served"]) == (0, 1)
    assert figures["same_served_by_kind"] == {"politeness": 1}
    assert figures["refused"] == {"opposite": 1, "number": 1}


def test_both_print_tables(questions, pairs, told):
    assert "hit rate" in told("answers", questions)
    assert "changed served           0.00%" in told("pairs", pairs)


@pytest.mark.parametrize(
    ("command", "line", "complaint"),
    [
        ("answers", '{"text": "a"}', "line 1: the column answer_class is missing"),
        ("answers", '{"text": 1, "answer_class": "x"}', "line 1: text must be a string"),
        ("answers", '{"text": "a", "answer_class": "x", "i": "y"}', "line 1: i must be a number"),
        ("pairs", '{"a": "a", "b": "b", "same_answer": 2}', "line 1: a and b must be strings, and same_answer 0 or 1"),
    ],
)
def test_a_bad_row_is_told_with_its_line(tmp_path, told, command, line, complaint):
    path = tmp_path / "bad.jsonl"
    path.write_text(line + "\n")
    assert complaint in told(command, path, code=1)
