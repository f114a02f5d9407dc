"""Completions of the older API as one object: what was streamed comes out the same, and is told as a stream again."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telling_parts import USAGE, asked, kept, texts

from gateway.answers.telling_completions import is_worth_keeping, told_again, whole_of
from gateway.api.replies import StreamReader
from gateway.domain import Endpoint


def answer(*choices, **more):
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    whole = {"id": "c", "object": "text_completion", "created": 7, "model": "m", "choices": list(choices)}
    return {**whole, "usage": usage, **more}


def choice(text="x", finish_reason="stop", index=0, **more):
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish_reason, **more}


@given(st.lists(texts, min_size=1, max_size=3), st.booleans())
def test_what_is_told_as_a_stream_is_the_same_object_when_it_is_put_together(said, wants_usage):
    logprobs = {"tokens": ["a"], "token_logprobs": [-0.5], "top_logprobs": [{"a": -0.5}], "text_offset": [0]}
    whole = answer(*(choice(text, index=index, logprobs=logprobs, stop_reason=5) for index, text in enumerate(said)))
    request = asked(Endpoint.COMPLETIONS, is_stream=True, wants_usage=wants_usage)
    stream = told_again(kept(whole), request)
    reader = StreamReader(wants_usage=wants_usage, prompts=len(said))
    reader.feed(stream)
    assert (reader.is_complete, reader.error, reader.finish_reason) == (True, None, "stop")
    again = json.loads(whole_of(stream, is_stream=True, usage=None))
    assert {**again, "usage": whole["usage"]} == whole
    assert again.get("usage") == (whole["usage"] if wants_usage else None)


def test_pieces_of_texts_and_probabilities_are_joined():
    def chunk(text, logprobs, finish_reason=None, index=0):
        told = answer(choice(text, finish_reason, index, logprobs=logprobs), usage=None)
        return b"data: " + json.dumps(told).encode() + b"\n\n"

    one, two = ({"tokens": [text], "token_logprobs": [-1.0]} for text in ("he", "llo"))
    stream = chunk("a", None, index=1) + chunk("he", one) + chunk("llo", two) + chunk("", None, "stop")
    whole = json.loads(whole_of(stream + b"data: [DONE]\n\n", is_stream=True, usage=USAGE))
    first, second = whole["choices"]
    assert (first["text"], first["finish_reason"], second["text"]) == ("hello", "stop", "a")
    assert first["logprobs"] == {"tokens": ["he", "llo"], "token_logprobs": [-1.0, -1.0]}
    assert (whole["object"], whole["usage"]["total_tokens"]) == ("text_completion", 5)
    assert whole_of(b'data: {"choices": [5]}\n\n', is_stream=True, usage=USAGE) is None


@pytest.mark.parametrize(
    ("choices", "n", "prompt", "is_kept"),
    [
        ([choice()], 1, "a", True),
        ([choice()], 1, [1, 2, 3], True),
        ([choice(), choice()], 1, ["a", "b"], True),
        ([choice(), choice()], 1, [[1], [2]], True),
        ([choice()] * 4, 2, ["a", "b"], True),
        ([choice()], 1, ["a", "b"], False),
        ([choice()], 2, "a", False),
        ([choice(finish_reason="length")], 1, "a", False),
        ([choice(), choice(finish_reason=None)], 2, "a", False),
        ([choice(text=None)], 1, "a", False),
        (None, 1, "a", False),
    ],
)
def test_only_answers_whose_texts_all_ended_by_themselves_are_worth_keeping(choices, n, prompt, is_kept):
    whole = json.dumps({"choices": choices}).encode()
    request = asked(Endpoint.COMPLETIONS, choices=n, prompt=prompt)
    assert is_worth_keeping(whole, request, keeps_tool_calls=True) is is_kept
