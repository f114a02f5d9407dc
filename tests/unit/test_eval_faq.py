"""`obol eval faq`: what lists of questions answer of messages that are known, by the real encoder."""

from __future__ import annotations

import gzip
import json

import pytest
from faq_parts import LIST

from gateway.cli import main

MESSAGES = (
    ("Hi, how can I return an order?", "returns"),
    ("how long does the delivery take", "delivery"),
    ("I can't find my invoice", None),
    ("write a haiku about spring", None),
    ("Is there a warranty on lamps", None),  # a slip of whoever labelled it
)
ROWS = [
    *({"bot": "shop", "part": "train", "text": text, "faq": name} for name, texts in LIST.items() for text in texts),
    *({"bot": "shop", "part": "test", "text": text, "faq": name} for text, name in MESSAGES),
    {"bot": "bar", "part": "train", "text": "Do you take cards?", "faq": "cards"},
    {"bot": "bar", "part": "test", "text": "do you take cards", "faq": "cards"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "messages.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    return path


@pytest.fixture
def told(folder, capsys):
    def run(*arguments):
        assert main(["eval", "faq", *map(str, arguments), "--data-dir", str(folder)]) == 0
        return capsys.readouterr().out

    return run


def test_figures_are_one_json_object(file, told):
    figures = json.loads(told(file, "--json"))
    assert {name: figures[name] for name in ("n", "n_answerable", "right", "wrong")} == {
        "n": 6,
        "n_answerable": 3,
        "right": 3,
        "wrong": 1,
    }
    assert figures["answered_right"] == 1.0
    assert figures["answers_wrong"] == 0.25
    assert figures["answers_wrong_upper95"] == pytest.approx(0.7514, abs=1e-4)
    assert figures["coverage"] == pytest.approx(4 / 6)
    assert figures["by_bot"]["bar"]["answered_right"] == 1.0
    assert sum(figures["silent"].values()) == 2


def test_a_budget_of_nothing_leaves_what_is_on_the_list_word_by_word(file, told):
    figures = json.loads(told(file, "--json", "--wrong-answers-max", "0"))
    assert (figures["right"], figures["wrong"]) == (1, 1)


def test_wrong_answers_are_shown_on_demand(file, told):
    shown = json.loads(told(file, "--json", "--show", "wrong"))["answers"]
    assert shown == [{"bot": "shop", "text": MESSAGES[-1][0], "faq": None, "answered": "warranty"}]
    assert len(json.loads(told(file, "--json", "--show", "all"))["answers"]) == 4


def test_the_table_counts_by_bot_and_reads_gzip(file, told):
    packed = file.with_suffix(".jsonl.gz")
    packed.write_bytes(gzip.compress(file.read_bytes()))
    lines = told(packed, "--show", "wrong").splitlines()
    counted = [line.split() for line in lines[1:3]]
    assert counted == [["bar", "1", "1", "1", "0"], ["shop", "5", "2", "2", "1"]]
    assert any("answers wrong            25.00%" in line for line in lines)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"part": "train", "text": "a"}, "line 1: the column faq is missing"),
        ({"part": "train", "text": "a", "faq": None}, 'line 1: part must be "train", of an entry, or "test"'),
        ({"part": "live", "text": "a", "faq": "b"}, 'line 1: part must be "train", of an entry, or "test"'),
        ({"part": "test", "text": 1, "faq": "b"}, "line 1: text must be a string and faq a string or null"),
        ({"part": "test", "text": "a", "faq": "b"}, "'all' has messages but no list"),
    ],
)
def test_a_bad_row_is_named(row, says, tmp_path, folder, capsys):
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(row))
    assert main(["eval", "faq", str(path), "--data-dir", str(folder)]) == 1
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("share", ["1", "-0.1", "half"])
def test_a_budget_is_a_share(share, file, capsys):
    with pytest.raises(SystemExit):
        main(["eval", "faq", str(file), "--wrong-answers-max", share])
    assert "must be a share" in capsys.readouterr().err
