"""What feedback may look like: exactly its fields, and something said with them."""

from __future__ import annotations

import json

import pytest

from gateway.api.feedback import read_feedback
from gateway.domain.feedback import Feedback
from gateway.errors import BadRequest

REQUEST = {"request_id": "req_1"}


def said(**fields):
    return json.dumps(REQUEST | fields).encode()


@pytest.mark.parametrize(
    ("body", "feedback"),
    [
        (said(score=0), Feedback("req_1", 0.0)),
        (said(score=1.0, label=None), Feedback("req_1", 1.0)),
        (said(label="x" * 64), Feedback("req_1", None, "x" * 64)),
        (said(label="gut", who="w" * 200, comment="é" * 2000), Feedback("req_1", None, "gut", "w" * 200, "é" * 2000)),
    ],
)
def test_a_score_or_a_label_is_enough(body, feedback):
    assert read_feedback(body) == feedback


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (said(), "score"),
        (said(score=None, label=None, comment="but why"), "score"),
        (said(score=-0.01), "score"),
        (said(score=1.01), "score"),
        (said(score="0.5"), "score"),
        (said(score=True), "score"),
        (said(label=""), "label"),
        (said(label="x" * 65), "label"),
        (said(label="a\0"), "label"),
        (said(label="a", who="w" * 201), "who"),
        (said(label="a", comment="c" * 2001), "comment"),
        (said(label="a", rating=5), "rating"),
        (b'{"score":1}', "request_id"),
        (b'{"request_id":"","score":1}', "request_id"),
        (b'{"request_id":7,"score":1}', "request_id"),
        (b"[]", None),
        (b"null", None),
        (b"", None),
        (b'{"request_id":"req_1","score":NaN}', None),
        (b'{"request_id":"req_1","label":"\xff"}', None),
        (b'{"request_id":"req_1","label":"\\ud800"}', None),
    ],
)
def test_anything_else_is_refused_by_the_name_of_its_field(body, param):
    with pytest.raises(BadRequest) as caught:
        read_feedback(body)
    assert caught.value.param == param
    assert caught.value.message
