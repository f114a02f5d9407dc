"""A team's list of questions from the command line, on a gateway whose embedder compares texts by meaning."""

from __future__ import annotations

import json
import subprocess
import uuid

import pytest
from faq_parts import LIST
from running_gateway import ADMIN_KEY, OBOL

ENTRIES = [
    {"id": name, "question": texts[0], "paraphrases": list(texts[1:]), "answer": f"This is about {name}."}
    for name, texts in LIST.items()
]

YAML = """
entries:
- id: refund
  question: How can I return my orders?
  answer: "No."
- id: returns
  question: How do I return my order?
  answer: "Yes."
"""


@pytest.fixture
def team(gateway):
    return gateway.admin("POST", "teams", json={"name": uuid.uuid4().hex}).json()["id"]


@pytest.fixture
def obol(gateway, team):
    def run(word, *words, status=0):
        command = [OBOL, "faq", word, "--team", team, *map(str, words), "--url", gateway.url, "--admin-key", ADMIN_KEY]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == status, done.stderr
        return done.stderr if status else done.stdout

    return run


def test_a_list_is_put_shown_changed_and_tried(obol, tmp_path):
    assert "has no list yet" in obol("show")
    file = tmp_path / "faq.json"
    file.write_text(json.dumps({"entries": ENTRIES}))
    assert obol("put", file) == f"version 1: {len(ENTRIES)} entries\n"

    file.write_text(obol("show", "--json").replace("This is about returns.", "Send it back."))
    assert "version 2:" in obol("put", file)
    assert "409: The list has been changed: it is of version 2 now." in obol("put", file, status=1)

    assert "returns: Send it back." in obol("try", "Hi, how can I return an order?")
    assert "no answer: polarity\nnearest: returns" in obol("try", "I can't return my order")
    assert "no answer: unsure" in obol("try", "Hi, how can I return an order?", "--wrong-answers-max", "0")
    assert "This is about returns." in obol("show", "--version", 1)
    assert [line.split()[0] for line in obol("versions").splitlines()[-2:]] == ["2", "1"]

    other = tmp_path / "faq.yaml"
    other.write_text(YAML)
    told = obol("put", other)
    assert "version 3: 2 entries" in told
    assert "refund" in told.splitlines()[-2] + told.splitlines()[-1]


@pytest.mark.parametrize("content", ["[]", "{}", "{"])
def test_a_file_that_is_no_list_is_refused_before_anything_is_asked(obol, tmp_path, content):
    file = tmp_path / "faq.json"
    file.write_text(content)
    assert "faq.json" in obol("put", file, status=1)
    assert "has no list yet" in obol("show")
