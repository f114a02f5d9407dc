"""What counts as a right answer: exactly expected, chosen, true to a schema, through its tests."""

from __future__ import annotations

import pytest

from gateway.router.calibration.python_tests import passes
from gateway.router.calibration.scoring import Choice, Exact, PythonTests, Schema, check_schema, sure_score
from gateway.router.data import BadData

CHOICE = Choice(("Paris", "Rome", "Bonn"), "B")
SCHEMA = Schema({"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}})


@pytest.mark.parametrize(
    ("accepted", "answer"),
    [
        ("Rome", " rome. "),
        ("Rome", "**Rome**"),
        ("rome", "It lies in Italy.\n\nRome."),
        ("Rome", "So the answer is Rome."),
        ("Rome", "**Answer:** Rome"),
        ("1000", "1,000.0"),
        ("42", "It costs $42"),
        ("42", "Six by seven, so 42 it is."),
        ("42", "Answer: 42 apples"),
        ("-3", "\u22123"),
        (r"\frac{1}{2}", r"Thus \boxed{\frac{1}{2}}."),
    ],
)
def test_an_answer_is_right_however_people_would_write_it(accepted, answer):
    assert sure_score(Exact((accepted,)), answer) == 1


@pytest.mark.parametrize(
    ("accepted", "answer"),
    [
        ("42", ""),
        ("42", "41 or 43"),
        ("42", "1,042"),
        ("42", "Answer: 41\n42"),
        ("42", r"\boxed{41} and not 42"),
        ("Rome", "Not Rome"),
        ("Rome", "Rome or Bonn"),
    ],
)
def test_what_is_concluded_counts_and_not_what_is_said_on_the_way(accepted, answer):
    assert sure_score(Exact((accepted,)), answer) == 0


def test_any_of_several_accepted_answers_is_right():
    assert sure_score(Exact(("four", "4")), "It is four:\nFour") == 1


@pytest.mark.parametrize(
    "answer", ["B", "(b)", "B) Rome", "Rome", "The answer is B.", "Answer: **B**", "Hm.\nB.", "Option B"]
)
def test_a_choice_is_named_by_its_letter_or_by_itself(answer):
    assert sure_score(CHOICE, answer) == 1


@pytest.mark.parametrize("answer", ["A", "Bonn", "Both", "Because it is old", "", "Answer: C\nB"])
def test_another_choice_and_none_are_wrong(answer):
    assert sure_score(CHOICE, answer) == 0


@pytest.mark.parametrize(
    ("answer", "score"),
    [('{"a": 1}', 1), ('Here:\n```json\n{"a": 1}\n```', 1), ('{"a": "1"}', 0), ("1, 2", 0), ("[" * 10**5, 0)],
)
def test_json_is_right_where_it_keeps_to_the_schema(answer, score):
    assert sure_score(SCHEMA, answer) == score


def test_what_is_no_schema_is_refused_and_none_is_fetched_from_elsewhere():
    with pytest.raises(BadData):
        check_schema({"type": "nonsense"})
    with pytest.raises(BadData):
        sure_score(Schema({"$ref": "http://127.0.0.1:9/schema.json"}), "1")


def test_the_longest_block_of_code_is_tested():
    answer = "Use it so:\n```python\nf(1)\n```\nIt is:\n```python\ndef f(x):\n    return x + 1\n```"
    assert sure_score(PythonTests("assert f(1) == 2"), answer) == 1
    assert sure_score(PythonTests("assert f(1) == 3"), answer) == 0


@pytest.mark.parametrize(
    "code",
    [
        "def f(",
        "import sys; sys.exit(0)",
        "import os; os._exit(0)",
        "import os; os.system('true')",
        "import subprocess; subprocess.run(['true'])",
        "import socket; socket.socket()",
        "memory = bytearray(2 << 30)",
        "open('file', 'w').write('x' * (2 << 20))",
        "print('x' * (2 << 20))",
    ],
)
def test_code_that_ends_early_or_goes_beyond_its_fence_fails(code):
    assert not passes(code, "")


def test_code_that_does_not_end_is_ended():
    assert not passes("while True: pass", "", deadline_s=0.5)


def test_code_sees_no_environment(monkeypatch):
    monkeypatch.setenv("OBOL_ADMIN_KEY", "secret")
    assert passes("import os", "assert 'OBOL_ADMIN_KEY' not in os.environ")
