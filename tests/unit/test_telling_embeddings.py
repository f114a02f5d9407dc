"""Embeddings are told again as they are, if there is a vector for each input."""

from __future__ import annotations

import json

import pytest
from telling_parts import asked, kept

from gateway.answers.telling_embeddings import is_worth_keeping, told_again, whole_of
from gateway.domain import Endpoint

VECTOR = {"object": "embedding", "index": 0, "embedding": [0.5, -1.0]}
PACKED = {"object": "embedding", "index": 0, "embedding": "AAAAPw=="}


@pytest.mark.parametrize(
    ("data", "given", "is_kept"),
    [
        ([VECTOR], "a", True),
        ([PACKED], "a", True),
        ([VECTOR], [1, 2], True),
        ([VECTOR, VECTOR], ["a", "b"], True),
        ([VECTOR, PACKED], [[1], [2]], True),
        ([VECTOR], ["a", "b"], False),
        ([], [], False),
        ([{**VECTOR, "embedding": []}], "a", False),
        ([{"object": "embedding"}], "a", False),
        (None, "a", False),
    ],
)
def test_all_inputs_have_their_vectors(data, given, is_kept):
    answer = {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 3, "total_tokens": 3}}
    raw, request = json.dumps(answer).encode(), asked(Endpoint.EMBEDDINGS, input=given)
    assert whole_of(raw, is_stream=False, usage=None) == raw == told_again(kept(answer), request)
    assert is_worth_keeping(raw, request, keeps_tool_calls=False) is is_kept
