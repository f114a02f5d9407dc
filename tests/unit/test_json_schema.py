"""Whether answers keep to the schemas that structured answers and tools have."""

from __future__ import annotations

import pytest

from policies.json_schema import fits

NODE = {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}}
TREE = {"$defs": {"node": NODE}, "$ref": "#/$defs/node"}


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, [1, 2.0, -3], [1.5, "1", True, None]),
        ({"type": "number", "minimum": 0, "exclusiveMaximum": 1}, [0, 0.5], [-1, 1, False]),
        ({"type": ["string", "null"], "maxLength": 2}, ["ab", None], ["abc", 1]),
        ({"enum": ["a", 1]}, ["a", 1], ["b", True, 2]),
        ({"const": {"a": 1}}, [{"a": 1}], [{"a": 2}]),
        ({"type": "array", "items": {"type": "string"}, "minItems": 1}, [["a"]], [[], [1], "a"]),
        ({"prefixItems": [{"type": "string"}], "items": {"type": "integer"}}, [["a", 1]], [["a", "b"], [1]]),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, ["a", 1], [None, 1.5]),
        ({"oneOf": [{"minimum": 1}, {"maximum": 5}]}, [0, 6], [3]),
        ({"allOf": [{"minimum": 1}, {"maximum": 5}]}, [3], [0, 6]),
        ({"not": {"type": "string"}}, [1], ["a"]),
        ({"type": "object", "required": ["a"]}, [{"a": 1}], [{}, []]),
        ({"additionalProperties": {"type": "string"}}, [{"a": "b"}], [{"a": 1}]),
        (TREE, [{"next": {"next": None}}], [{"next": {"next": 1}}, 1]),
        (True, [1, None], []),
        (False, [], [1]),
        ({"pattern": "(a+)+$", "format": "email"}, ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"], []),
        ({"$ref": "https://elsewhere.example/schema"}, [1], []),
        ({"required": [["a"], 1]}, [{}], []),
    ],
)
def test_a_value_keeps_to_a_schema_or_does_not(schema, good, bad):
    assert [value for value in good if not fits(value, schema)] == []
    assert [value for value in bad if fits(value, schema)] == []


@pytest.mark.parametrize(
    "schema", [{"$ref": "#"}, {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}, {"allOf": [{"$ref": "#"}] * 9}]
)
def test_a_schema_that_only_refers_to_itself_is_given_up(schema):
    assert not fits(1, schema)
