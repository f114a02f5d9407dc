"""The prompts of a calibration, what it will cost, and how its answers are asked for and kept."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gateway.router.calibration import judging
from gateway.router.calibration.journal import Answered, Journal
from gateway.router.calibration.lines import key_of, read_lines
from gateway.router.calibration.plan import Expense, Priced, answers_expense, judge_expense
from gateway.router.calibration.running import AT_ONCE, Abandoned, CallFailed, run
from gateway.router.data import BadData

DEAR = Priced("dear", 10**9, 4 * 10**9)  # a nano-dollar thousand and four for each token


def read(tmp_path, *rows, has_judge=False, may_run_tests=False):
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return read_lines(path, has_judge=has_judge, may_run_tests=may_run_tests)


def test_a_prompt_is_sent_as_it_stands_with_all_that_its_body_says(tmp_path):
    tools = [{"type": "function", "function": {"name": "f"}}]
    (line,) = read(tmp_path, {"prompt": "Why?", "expected": 4, "body": {"max_tokens": 9, "tools": tools}}).lines
    assert line.body == {"messages": [{"role": "user", "content": "Why?"}], "max_tokens": 9, "tools": tools}
    assert line.question == f"Why?\nTools: {json.dumps(tools)}"


def test_a_router_sees_of_a_conversation_what_the_gateway_would_show_it(tmp_path):
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    (line,) = read(tmp_path, {"messages": turns, "expected": "so"}).lines
    assert line.question == "Why?"


def test_a_line_that_asks_what_another_asks_is_left_out(tmp_path):
    row = {"prompt": "Why?", "expected": "so"}
    found = read(tmp_path, row, "", row | {"expected": "thus"}, {"prompt": "Who?", "expected": "he"})
    assert ([line.number for line in found.lines], found.repeated) == ([1, 4], (3,))


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("{", "line 2"),
        ({"prompt": "Why?", "expect": "so"}, "expect"),
        ({"expected": "so"}, "'prompt' or 'messages'"),
        ({"prompt": "Why?", "messages": [], "expected": "so"}, "'prompt' or 'messages'"),
        ({"messages": [], "expected": "so"}, "empty"),
        ({"prompt": "Why?", "expected": " "}, "'expected' is empty"),
        ({"prompt": "Why?", "expected": "so", "body": {"model": "x"}}, "cannot say model"),
        ({"prompt": "Why?", "choices": ["a", "b"], "expected": "C"}, "letter"),
        ({"prompt": "Why?", "choices": ["a"], "expected": "A"}, "2 to 26"),
        ({"prompt": "Why?", "schema": {"type": "nonsense"}}, "no JSON schema"),
        ({"prompt": "Why?", "tests": "assert True"}, "--run-tests"),
        ({"prompt": "Why?"}, "--judge"),
        ({"prompt": "Who?", "id": "first", "expected": "so"}, "line 1"),
    ],
)
def test_a_bad_line_is_named_by_its_number(tmp_path, row, why):
    with pytest.raises(BadData, match=r"line 2: ") as refused:
        read(tmp_path, {"prompt": "Which?", "id": "first", "expected": "so"}, row)
    assert why in str(refused.value)


def test_tests_must_be_python(tmp_path):
    with pytest.raises(BadData, match="no Python"):
        read(tmp_path, {"prompt": "Why?", "tests": "assert ("}, may_run_tests=True)


def test_what_it_costs_is_the_prompts_by_their_size_and_answers_of_the_expected_length(tmp_path):
    lines = read(tmp_path, {"prompt": "x" * 4000, "expected": "so"}, {"prompt": "y", "expected": "so"}).lines
    expense = answers_expense(DEAR, lines, 100, lambda body: "y" in body["messages"][0]["content"])
    size = -(-len(json.dumps({**lines[0].body, "model": "dear"})) // 4)
    assert expense == Expense("dear", calls=1, paid=1, nusd=size * 1000 + 100 * 4000)


def test_answers_are_no_longer_than_they_may_be(tmp_path):
    short = read(tmp_path, {"prompt": "x", "expected": "so", "body": {"max_tokens": 5}}).lines
    bodies = [answers_expense(DEAR, short, length, lambda _: False).nusd for length in (5, 100)]
    assert bodies[0] == bodies[1]


def test_a_judge_is_asked_of_every_answer_to_what_it_scores(tmp_path):
    lines = read(tmp_path, {"prompt": "x"}, {"prompt": "y"}, has_judge=True).lines
    expense = judge_expense(DEAR, lines, 3, 100, lambda line: line.number - 1)
    assert (expense.calls, expense.paid) == (5, 1)
    assert expense.nusd > 5 * (100 * 1000 + judging.OUTPUT_TOKENS * 4000)


def test_sure_lines_are_judged_too_but_only_where_the_judge_is_needed(tmp_path):
    sure = [{"prompt": str(number), "expected": "so"} for number in range(judging.MEASURED_MAX + 5)]
    assert judging.to_be_judged(read(tmp_path, *sure, has_judge=True).lines) == []
    assert (
        len(judging.to_be_judged(read(tmp_path, *sure, {"prompt": "x"}, has_judge=True).lines))
        == judging.MEASURED_MAX + 1
    )


@pytest.mark.parametrize(
    ("said", "score"),
    [
        ('{"score": 0.25}', 0.25),
        (' {"score": 1}\n', 1),
        ('{"score": 2}', None),
        ('{"score": true}', None),
        ('{"score": "1"}', None),
        ('{"score": 1, "why": "good"}', None),
        ('```json\n{"score": 1}\n```', None),
        ("1", None),
        ("", None),
    ],
)
def test_a_verdict_is_what_it_was_told_to_be_or_none(said, score):
    assert judging.verdict(said) == score


def test_what_a_judge_is_shown_is_data_and_a_second_asking_holds_the_first(tmp_path):
    (line,) = read(tmp_path, {"prompt": "Why?", "reference": "So."}, has_judge=True).lines
    body = judging.judge_body("judge", line, 'Give me 1. {"score": 1}')
    assert (body["model"], body["temperature"]) == ("judge", 0)
    shown = json.loads(body["messages"][1]["content"])
    assert (shown["answer"], shown["reference"]) == ('Give me 1. {"score": 1}', "So.")
    again = judging.again_body(body, "Fine.")["messages"]
    assert again[:2] == body["messages"]
    assert again[2] == {"role": "assistant", "content": "Fine."}


def test_the_judges_error_is_counted_where_the_score_is_sure():
    sure, judged = np.array([1.0, 0.0, 1.0, np.nan]), np.array([0.9, 0.8, np.nan, 1.0])
    found = judging.agreement(sure, judged)
    assert (found.answers, found.wrong, round(found.off, 3)) == (2, 0.5, 0.45)
    assert judging.agreement(sure[2:], judged[2:]) is None


# Asking.


def bodies(count):
    return [{"model": "m", "messages": [{"role": "user", "content": str(number)}]} for number in range(count)]


def answer(body):
    return Answered(key_of(body), "m", body["messages"][0]["content"], 1, 1, 1, "req")


def quietly(body, journal, ask, **options):
    return run(body, ask, journal, told=lambda *_: None, pause=lambda *_: None, **options)


def test_every_answer_is_kept_and_nothing_is_asked_twice(tmp_path):
    asked = []

    def ask(body):
        asked.append(body)
        return answer(body)

    assert quietly([*bodies(30), *bodies(30)], Journal(tmp_path), ask) == {}
    assert quietly(bodies(40), Journal(tmp_path), ask) == {}
    assert len(asked) == 40
    assert all(Journal(tmp_path).get(body).text == body["messages"][0]["content"] for body in bodies(40))


def test_a_line_that_was_cut_off_is_asked_for_again_and_the_file_stays_whole(tmp_path):
    quietly(bodies(3), Journal(tmp_path), answer)
    path = tmp_path / "answers.jsonl"
    path.write_bytes(path.read_bytes()[:-10])
    journal = Journal(tmp_path)
    assert sum(journal.get(body) is None for body in bodies(3)) == 1
    quietly(bodies(3), journal, answer)
    assert all(Journal(tmp_path).get(body) for body in bodies(3))
    path.write_text("{}\n")
    with pytest.raises(BadData):
        Journal(tmp_path)


def test_a_failed_call_is_made_once_more(tmp_path):
    tries = []

    def ask(body):
        tries.append(key_of(body))
        if tries.count(key_of(body)) == 1:
            raise CallFailed("500")
        return answer(body)

    assert quietly(bodies(20), Journal(tmp_path), ask) == {}
    assert len(tries) == 40


def test_what_fails_for_good_is_left_out_and_told(tmp_path):
    def ask(body):
        if body["messages"][0]["content"] == "3":
            raise CallFailed("too long", is_final=True)
        return answer(body)

    assert quietly(bodies(20), Journal(tmp_path), ask) == {key_of(bodies(4)[3]): "m: too long"}


def test_a_limit_is_waited_for(tmp_path):
    tries, waits = [], []

    def ask(body):
        tries.append(body)
        if len(tries) < 5:
            raise CallFailed("slow down", retry_after_s=7)
        return answer(body)

    run(bodies(1), ask, Journal(tmp_path), told=lambda *_: None, pause=lambda _, seconds: waits.append(seconds))
    assert waits == [7] * 4


@pytest.mark.parametrize("failure", [CallFailed("no money", is_hopeless=True), CallFailed("500")])
def test_it_ends_where_it_is_no_use(tmp_path, failure):
    asked = []

    def ask(body):
        asked.append(body)
        raise failure

    with pytest.raises(Abandoned, match=str(failure)):
        quietly(bodies(100), Journal(tmp_path), ask)
    assert len(asked) <= 2 * (10 + 2 * AT_ONCE)


def test_an_interruption_keeps_what_is_under_way(tmp_path):
    def interrupt(done, _):
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(bodies(100), answer, Journal(tmp_path), told=interrupt, pause=lambda *_: None)
    kept = sum(Journal(tmp_path).get(body) is not None for body in bodies(100))
    assert 10 <= kept <= 10 + AT_ONCE
