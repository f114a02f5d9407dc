"""Requests of every dialect whose answers are given again, made up from the schemas that the official SDKs ship."""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin

import openai.types.chat.completion_create_params as chat_params
import openai.types.completion_create_params as completion_params
import openai.types.embedding_create_params as embedding_params
import openai.types.responses.response_create_params as response_params
from anthropic.types import message_create_params
from hypothesis import strategies as st

from gateway.api import chat, messages, responses
from gateway.api.arrival import Arrival
from gateway.domain import Endpoint, Request

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.integers(-5, 2**40) | st.floats(-10, 10, allow_nan=False)
names = st.text("abcdefgh_", min_size=1, max_size=6)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
_PLAIN = {
    object: values,
    str: texts,
    int: st.integers(-5, 2**40),
    float: numbers,
    bool: st.booleans(),
    NoneType: st.none(),
}
_INLINE = texts.map(lambda text: f"data:image/png;base64,{text}")
_FIELDS_MAX = 3  # of those that may be left out, in one object


@functools.cache
def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """JSON values of a type as the SDKs write them. Files and what else is no JSON is a text."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Required, NotRequired, typing.Annotated):
        return values_of(args[0])
    if origin in (Union, UnionType):
        return st.one_of([st.deferred(lambda one=one: values_of(one)) for one in args])
    if origin is Literal:
        return st.sampled_from(args)
    if origin is dict:
        return st.dictionaries(names, values_of(args[1]), max_size=2)
    if args:  # lists, by many names
        return st.lists(st.deferred(lambda: values_of(args[0])), min_size=1, max_size=2)
    return objects_of(kind) if hasattr(kind, "__total__") else _PLAIN.get(kind, texts)


@functools.cache
def objects_of(kind: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with all fields that must be there and some of the others."""
    kinds = typing.get_type_hints(kind, include_extras=True)
    fields = {name: _INLINE if name.endswith("url") else values_of(one) for name, one in kinds.items()}
    needed = {name: one for name, one in fields.items() if kind.__total__ or get_origin(kinds[name]) is Required}
    others = sorted(fields.keys() - needed.keys())
    if not others:
        return st.fixed_dictionaries(needed)
    some = st.sets(st.sampled_from(others), max_size=_FIELDS_MAX)
    return some.flatmap(lambda chosen: st.fixed_dictionaries(needed | {one: fields[one] for one in sorted(chosen)}))


@dataclass(frozen=True)
class Dialect:
    """One endpoint: how its requests are read, all their fields by its SDK, and the least of a body."""

    endpoint: Endpoint
    parse: Callable[[Arrival], Request]
    schema: Any
    least: dict[str, Any]

    @property
    def bodies(self) -> st.SearchStrategy[dict[str, Any]]:
        kinds = typing.get_type_hints(self.schema, include_extras=True)
        question = st.fixed_dictionaries({name: values_of(kinds[name]) for name in self.least})
        parts = st.tuples(_UNKNOWN, question, objects_of(self.schema))
        return parts.map(lambda three: three[0] | three[1] | three[2] | {"model": "auto"})

    @property
    def fields(self) -> frozenset[str]:
        return frozenset(typing.get_type_hints(self.schema))

    def asked(self, body: dict[str, Any] | bytes, data: Callable[[Any], bytes]) -> Request:
        return self.parse(Arrival("req_1", self.endpoint, data(body)))


_UNKNOWN = st.dictionaries(st.just("an_unknown_one"), values, max_size=1)
_USER = {"role": "user", "content": "say hello now"}
DIALECTS = {
    "chat": Dialect(Endpoint.CHAT, chat.parse, chat_params.CompletionCreateParamsBase, {"messages": [_USER]}),
    "responses": Dialect(
        Endpoint.RESPONSES, responses.parse, response_params.ResponseCreateParamsBase, {"input": "say hello now"}
    ),
    "messages": Dialect(
        Endpoint.MESSAGES,
        messages.parse,
        message_create_params.MessageCreateParamsBase,
        {"messages": [_USER], "max_tokens": 9},
    ),
    "completions": Dialect(
        Endpoint.COMPLETIONS, chat.parse, completion_params.CompletionCreateParamsBase, {"prompt": "say hello now"}
    ),
    "embeddings": Dialect(
        Endpoint.EMBEDDINGS, chat.parse, embedding_params.EmbeddingCreateParams, {"input": "say hello now"}
    ),
}
