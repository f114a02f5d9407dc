"""What the tests of answers that are told again share: a request of each dialect, and what was kept."""

from __future__ import annotations

import json

import msgspec
from hypothesis import strategies as st

from gateway.domain import Body, Endpoint, KeptAnswer, Request, Usage

USAGE = Usage(input_tokens=3, output_tokens=2)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def asked(endpoint=Endpoint.CHAT, *, is_stream=False, wants_usage=False, choices=1, **fields):
    return Request(
        id="req_1",
        endpoint=endpoint,
        model="auto",
        body=Body({name: msgspec.Raw(json.dumps(value).encode()) for name, value in fields.items()}),
        body_bytes=0,
        is_stream=is_stream,
        wants_usage=wants_usage,
        choices=choices,
    )


def kept(answer):
    return KeptAnswer(json.dumps(answer).encode(), USAGE)
