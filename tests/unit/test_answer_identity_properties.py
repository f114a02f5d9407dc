"""Any change of any field of a request of any dialect is another request, and the order of keys is none."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pipeline_parts import CALLER, SMALL
from request_schemas import DIALECTS, names, values

from gateway.domain import ExactCache
from gateway.errors import BadRequest
from policies.answer_identity import NEUTRAL, NotKeyed, answer_key

RULES = ExactCache()
NOT_NEUTRAL_IN = {"messages": {"metadata"}}  # by which they say who asks


of_each_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)


def neutral_in(dialect):
    return NEUTRAL - NOT_NEUTRAL_IN.get(dialect.endpoint, set())


def digest(dialect, body):
    """``None`` for what is looked for nowhere: it names what stands elsewhere, or is no request at all."""
    try:
        return answer_key(b"s", RULES, dialect.asked(body, lambda one: json.dumps(one).encode()), CALLER, SMALL).digest
    except (NotKeyed, BadRequest):
        return None


def paths_in(value, path=()):
    """The path of every value below, the inner nodes too."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, child in children:
        yield (*path, step)
        yield from paths_in(child, (*path, step))


def changed(value, path, new):
    made = copy.deepcopy(value)
    inner = made
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = new
    return made


def shuffled(value, draw):
    if isinstance(value, dict):
        return {name: shuffled(value[name], draw) for name in draw(st.permutations(list(value)))}
    return [shuffled(one, draw) for one in value] if isinstance(value, list) else value


@of_each_dialect
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_order_of_keys_changes_nothing_at_any_depth(dialect, data):
    body = data.draw(dialect.bodies)
    assert digest(dialect, shuffled(body, data.draw)) == digest(dialect, body)


@of_each_dialect
@settings(max_examples=150, deadline=None)
@given(new=values, data=st.data())
def test_any_change_of_any_value_makes_another_key(dialect, new, data):
    body = data.draw(dialect.bodies)
    path = data.draw(st.sampled_from([path for path in paths_in(body) if path[0] not in neutral_in(dialect)]))
    made = changed(body, path, new)
    assume(json.dumps(made, sort_keys=True) != json.dumps(body, sort_keys=True))
    before = digest(dialect, body)
    assert before is None or digest(dialect, made) != before


@of_each_dialect
@settings(max_examples=60, deadline=None)
@given(name=names, value=values, data=st.data())
def test_a_field_that_comes_or_goes_makes_another_key(dialect, name, value, data):
    body = data.draw(dialect.bodies)
    assume(name not in body and name not in NEUTRAL)
    before = digest(dialect, body)
    assert before is None or digest(dialect, {**body, name: value}) != before


@of_each_dialect
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_every_field_that_the_sdk_knows_counts_but_the_neutral_ones(dialect, data):
    body = {"model": "auto", **dialect.least}
    before = digest(dialect, body)
    assert before is not None
    for name in sorted(dialect.fields - {"model"}):
        value = data.draw(values)
        if json.dumps(value) == json.dumps(body.get(name)):
            continue
        after = digest(dialect, {**body, name: value})
        assert (after in (before, None)) if name in neutral_in(dialect) else after != before, name
