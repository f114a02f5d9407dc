"""JSON that models nearly write: what is mended keeps to the schema and says what was said; all else is left alone."""

from __future__ import annotations

import json
import re
import sys

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.repair import mending
from policies.repair.fitting import fitted
from policies.repair.mending import CHARACTERS_MAX, keeps, mended

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["name"],
    "additionalProperties": False,
}
ANY = {"type": "object"}
WHOLE = {"name": "Ada", "age": 36, "tags": ["a", "b"]}


@pytest.mark.parametrize(
    ("broken", "value"),
    [
        ('```json\n{"name": "Ada"}\n```', {"name": "Ada"}),
        ('```\n{"name": "Ada"}\n```\nThat is all.', {"name": "Ada"}),
        ('```json\n{"name": "Ada",}\n```', {"name": "Ada"}),
        ('Sure! Here it is: {"name": "Ada"} - anything else?', {"name": "Ada"}),
        ('{"name": "Ada", "tags": ["a", "b",],}', {"name": "Ada", "tags": ["a", "b"]}),
        ("{'name': 'Ada', 'age': 36}", {"name": "Ada", "age": 36}),
        ('{name: "Ada"}', {"name": "Ada"}),
        ("{“name”: “Ada”}", {"name": "Ada"}),
        ('{"name": "Ada", // who\n "age": 36 /* years */}', {"name": "Ada", "age": 36}),
        ('{"name": "Ada", "tags": ["a", "b"', {"name": "Ada", "tags": ["a", "b"]}),
        ('{"name": "Ada" "age": 36}', {"name": "Ada", "age": 36}),
        ('{"name": "so-called "Ada"", "age": 36}', {"name": 'so-called "Ada"', "age": 36}),
        ('{"name": "Ada\nLovelace"}', {"name": "Ada\nLovelace"}),
        ('{"name": "Ada"}}', {"name": "Ada"}),
        ('\ufeff{"name": "Ada"}', {"name": "Ada"}),
        ('{"name": "Ada"} {"name": "Ada"}', {"name": "Ada"}),
        ('{"name": "Zoë 😀",}', {"name": "Zoë 😀"}),
        # In the terms of the schema:
        ('{"name": "Ada", "age": "36"}', {"name": "Ada", "age": 36}),
        ('{"name": 1815}', {"name": "1815"}),
        ('{"name": "Ada", "tags": "a"}', {"name": "Ada", "tags": ["a"]}),
        ('{"name": "Ada", "age": null}', {"name": "Ada"}),
        ('{"Name": "Ada", "born": 1815}', {"name": "Ada"}),
        ("```json\n{'name': 'Ada', 'age': '36',}\n```", {"name": "Ada", "age": 36}),
    ],
)
def test_what_models_nearly_write_is_mended(broken: str, value: object) -> None:
    better = mended(broken, PERSON)
    assert better is not None
    assert json.loads(better) == value


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "I cannot say.",
        "I cannot say {sorry}.",
        "See [1] and [2].",
        '{"name": "A"} or {"name": "B"}',  # it says two things
        '```json\n{"name": "A"}\n```\nor\n```json\n{"name": "B"}\n```',
        '{"name": , "age": 36}',  # nothing would have to be made up
        '{"name": "Ada", "tags": ["a", "b',  # it breaks off in a word
        '{"name": "Ada", "age"',
        '{"nom": "Ada"}',
        '{"name": "Ada", "age": "thirty-six"}',
    ],
)
def test_what_would_have_to_be_made_up_is_left_alone(broken: str) -> None:
    assert mended(broken, PERSON) is None


def test_what_has_no_place_is_not_left_out_where_nothing_would_stay() -> None:
    assert mended('{"person": {"name": "Ada"}}', {**PERSON, "required": []}) is None


def test_prose_with_brackets_is_no_json_where_any_would_do() -> None:
    for prose in ("See [1] and {this}.", "if (a) { b(); }", "[TODO] ask {name}", "{{ name }}"):
        assert mended(prose, ANY) is None, prose


@pytest.mark.parametrize(
    ("value", "schema", "other"),
    [
        ("Red ", {"enum": ["red", "green"]}, "red"),
        ("true", {"type": "boolean"}, True),
        ("3", {"anyOf": [{"type": "integer"}, {"type": "null"}]}, 3),
        ([{"A": "1"}], {"type": "array", "items": {"$ref": "#/$defs/a"}}, [{"a": 1}]),
        ("x", {"type": "integer"}, "x"),
        ({"a": None}, {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"a": None}),
        ({"a": 1, "A": 2}, {"type": "object", "properties": {"a": {}}, "additionalProperties": False}, {"a": 1}),
        (12.50, {"type": "string"}, 12.50),  # who knows how it was written
    ],
)
def test_values_are_told_in_the_terms_of_their_schema(value: object, schema: dict[str, object], other: object) -> None:
    defined = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    assert fitted(value, {**schema, "$defs": {"a": defined}}) == other


def test_a_schema_that_leads_to_itself_ends() -> None:
    schema = {"anyOf": [{"$ref": "#"}, {"type": "array", "items": {"$ref": "#"}}]}
    assert fitted([["x"]], schema) == [["x"]]


def test_what_is_good_within_a_text_stays_byte_for_byte() -> None:
    inner = '{ "name": "Ada",\n  "age": 1e2 }'
    assert mended(f"Here:\n```json\n{inner}\n```", PERSON) == inner
    assert mended(f"Here: {inner}.", PERSON) == inner


def test_long_texts_are_left_alone() -> None:
    assert mended('{"name": "' + "x" * CHARACTERS_MAX + '",}', PERSON) is None


@pytest.mark.parametrize(
    "piece",
    ["{", "[", '{"a"', '{"a":', "[1,", '{"a" "b" ', "```json\n", "/*", "['", "(", '{"', '"a": "b" c', "[{'a':1},"],
)
def test_hostile_texts_end_after_so_many_looks(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    all_looks: list[mending.Looks] = []

    class Noted(mending.Looks):
        def __init__(self, left: int) -> None:
            super().__init__(left)
            all_looks.append(self)

    monkeypatch.setattr(mending, "Looks", Noted)
    for text in ((piece * CHARACTERS_MAX)[:CHARACTERS_MAX], ('{"name":"' + piece * CHARACTERS_MAX)[:CHARACTERS_MAX]):
        better = mended(text, PERSON)
        assert better is None or keeps(better, PERSON)
    assert all(looks.left >= -mending._FOUND_MAX - 1 for looks in all_looks)  # each piece may find none left


def test_the_parser_is_loaded_only_where_something_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "json_repair.json_parser", None)  # importing it would fail
    assert keeps(json.dumps(WHOLE), PERSON)
    assert mended(f"```json\n{json.dumps(WHOLE)}\n```", PERSON) is not None


# Any value of a schema, broken in the ways of models.

WORDS = st.text(st.sampled_from("abz 019'\"{}[]:,/*#\\\n\té😀`"), max_size=12)
LEAVES: list[tuple[dict[str, object], st.SearchStrategy[object]]] = [
    ({"type": "string"}, WORDS),
    ({"type": "integer"}, st.integers(-(10**9), 10**9)),
    ({"type": "number"}, st.floats(-1e6, 1e6, allow_nan=False)),
    ({"type": "boolean"}, st.booleans()),
    ({"type": ["string", "null"]}, st.none() | WORDS),
    ({"enum": ["red", "green", 3]}, st.sampled_from(["red", "green", 3])),
]


@st.composite
def asked_and_said(draw: st.DrawFn, depth: int = 0) -> tuple[dict[str, object], object]:
    """A schema of some kind, and a value that keeps to it."""
    kind = draw(st.sampled_from(["leaf", "object", "array"] if depth else ["object", "array"]))
    if depth > 2 or kind == "leaf":
        schema, values = draw(st.sampled_from(LEAVES))
        return schema, draw(values)
    if kind == "array":
        schema, _ = draw(asked_and_said(depth + 1))
        values = draw(st.lists(of(schema), max_size=3))
        return {"type": "array", "items": schema}, values
    names = draw(st.lists(st.sampled_from(["name", "age", "a b", "état", "x"]), unique=True, min_size=1, max_size=3))
    parts = {name: draw(asked_and_said(depth + 1)) for name in names}
    properties = {name: part[0] for name, part in parts.items()}
    required = draw(st.lists(st.sampled_from(names), unique=True))
    value = {name: part[1] for name, part in parts.items() if name in required or draw(st.booleans())}
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}, value


def of(schema: dict[str, object]) -> st.SearchStrategy[object]:
    """Values that keep to a schema of ours."""
    for leaf, values in LEAVES:
        if schema == leaf:
            return values
    if schema["type"] == "array":
        return st.lists(of(schema["items"]), max_size=3)
    required = {name: of(schema["properties"][name]) for name in schema["required"]}
    others = {name: of(one) for name, one in schema["properties"].items() if name not in required}
    return st.fixed_dictionaries(required, optional=others)


WAYS = {
    "fenced": lambda text: f"```json\n{text}\n```",
    "in prose": lambda text: f"Sure, here you are:\n\n{text}\n\nDo you want anything else?",
    "commas": lambda text: re.sub(r"([}\]])", r",\1", text),
    "single quotes": lambda text: text.replace('"', "'"),
    "bare names": lambda text: re.sub(r'"(\w+)":', r"\1:", text),
    "comments": lambda text: text.replace(",", ", // so\n", 1).replace("{", "{ /* see */ ", 1),
    "no commas": lambda text: text.replace(", ", " ", 1),
    "brackets cut": lambda text: text.rstrip("]}"),
    "cut": lambda text: text[: len(text) * 2 // 3],
    "python": lambda text: text.replace("true", "True").replace("null", "None"),
    "twice": lambda text: text + text,
    "too many brackets": lambda text: text + "}]",
    "escapes": lambda text: text.replace('\\"', '"'),
}


@settings(deadline=None, max_examples=400)
@given(asked_and_said(), st.lists(st.sampled_from(sorted(WAYS)), max_size=3, unique=True))
def test_what_is_mended_keeps_to_its_schema_or_is_not_mended(
    asked: tuple[dict[str, object], object], ways: list[str]
) -> None:
    schema, value = asked
    text = json.dumps(value, ensure_ascii=False)
    assert keeps(text, schema)
    for way in ways:
        text = WAYS[way](text)
    better = mended(text, schema)
    if better is not None:
        jsonschema.Draft202012Validator(schema).validate(json.loads(better))


@settings(deadline=None, max_examples=200)
@given(asked_and_said(), st.sampled_from(["fenced", "in prose"]))
def test_what_is_only_wrapped_is_found_whole(asked: tuple[dict[str, object], object], way: str) -> None:
    schema, value = asked
    text = json.dumps(value, ensure_ascii=False)
    if "`" in text:
        return
    better = mended(WAYS[way](text), schema)
    assert better is None or json.loads(better) == value
