"""What the properties of round trips share: how often they are tried, and what people and tools may say."""

from __future__ import annotations

import json

import msgspec
from hypothesis import settings
from hypothesis import strategies as st

from gateway.domain import Body

CHECKS = settings(max_examples=40, deadline=None)
SAID = st.text(max_size=20).filter(lambda text: text.strip())
NAMES = st.text("abcdefgh_-", min_size=1, max_size=10)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
ARGUMENTS = st.dictionaries(st.text(max_size=5), VALUES, max_size=3)


def body_of(fields):
    return Body(msgspec.json.decode(json.dumps(fields).encode(), type=dict[str, msgspec.Raw]))


def calls_of(message):
    return [(c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in message["tool_calls"]]
