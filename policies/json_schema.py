"""Whether a value keeps to a JSON Schema, as far as schemas of structured answers and tools go.

Types, enumerations, objects, arrays, bounds, ``anyOf`` and its kin, and references within the schema are looked at. A
keyword that is not known asks for nothing, and neither does ``pattern``: an expression of a client's can run for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sized

_LOOKS_MAX = 100_000  # a small schema that refers to itself can ask for any number of them
_DEPTH_MAX = 100
_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "number": (int, float),
    "integer": (int, float),
}

_COMBINED = (("allOf", None, None), ("anyOf", 1, None), ("oneOf", 1, 1))  # the least that fit, the most; None: all
_UNITS: Mapping[type, str] = {str: "Length", list: "Items", dict: "Properties"}


def fits(value: object, schema: object) -> bool:
    """Whether the decoded JSON keeps to the schema. False too where that takes too long to tell."""
    return _Check(schema).fits(value, schema, 0)


class _Check:
    """One look at one value."""

    def __init__(self, root: object) -> None:
        self._root = root
        self._looks_left = _LOOKS_MAX

    def fits(self, value: object, schema: object, depth: int) -> bool:
        self._looks_left -= 1
        if self._looks_left < 0 or depth > _DEPTH_MAX:
            return False
        if not isinstance(schema, dict):
            return schema is not False
        if "$ref" in schema and not self.fits(value, self._referred(schema["$ref"]), depth + 1):
            return False
        return _is_allowed(value, schema) and self._is_combined(value, schema, depth) and (
            self._has_parts(value, schema, depth)
        )  # fmt: skip

    def _referred(self, reference: object) -> object:
        """What ``#/$defs/name`` stands for; what is elsewhere asks for nothing."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            return True
        found = self._root
        for step in reference[1:].split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name, True) if isinstance(found, dict) else True
        return found

    def _is_combined(self, value: object, schema: Mapping[str, object], depth: int) -> bool:
        for name, least, most in _COMBINED:
            of = schema.get(name)
            if isinstance(of, list):
                fitting = sum(self.fits(value, one, depth + 1) for one in of)
                if not (len(of) if least is None else least) <= fitting <= (most or len(of)):
                    return False
        return "not" not in schema or not self.fits(value, schema["not"], depth + 1)

    def _has_parts(self, value: object, schema: Mapping[str, object], depth: int) -> bool:
        if isinstance(value, list):
            first = schema.get("prefixItems")
            heads = first if isinstance(first, list) else []
            rest = schema.get("items", True)
            wanted = [*heads, *[rest] * max(0, len(value) - len(heads))]
            return all(self.fits(one, of, depth + 1) for one, of in zip(value, wanted, strict=False))
        if not isinstance(value, dict):
            return True
        required = schema.get("required")
        if isinstance(required, list) and any(isinstance(name, str) and name not in value for name in required):
            return False
        named = schema.get("properties")
        properties = named if isinstance(named, dict) else {}
        # Names by patterns are not looked at, so that the others are not known.
        others = True if "patternProperties" in schema else schema.get("additionalProperties", True)
        return all(self.fits(one, properties.get(name, others), depth + 1) for name, one in value.items())


def _is_allowed(value: object, schema: Mapping[str, object]) -> bool:
    """By itself, whatever its parts are."""
    kinds, enumeration = schema.get("type"), schema.get("enum")
    if kinds is not None and not any(_is_a(value, one) for one in (kinds if isinstance(kinds, list) else [kinds])):
        return False
    if isinstance(enumeration, list) and not any(_is_same(value, one) for one in enumeration):
        return False
    if "const" in schema and not _is_same(value, schema["const"]):
        return False
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _is_within(value, schema)
    unit = next((unit for kind, unit in _UNITS.items() if isinstance(value, kind)), None)
    return unit is None or not isinstance(value, Sized) or _has_length(len(value), schema, unit)


def _is_a(value: object, kind: object) -> bool:
    types = _TYPES.get(kind) if isinstance(kind, str) else None
    if types is None:
        return True
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, types)


def _is_same(value: object, other: object) -> bool:
    """JSON's equality, where true is not 1."""
    return value == other and isinstance(value, bool) == isinstance(other, bool)


def _is_within(value: float, schema: Mapping[str, object]) -> bool:
    bounds = [schema.get(name) for name in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")]
    least, most, above, below = (
        one if isinstance(one, int | float) and not isinstance(one, bool) else None for one in bounds
    )
    return not (
        (least is not None and value < least)
        or (most is not None and value > most)
        or (above is not None and value <= above)
        or (below is not None and value >= below)
    )


def _has_length(length: int, schema: Mapping[str, object], of: str) -> bool:
    least, most = schema.get(f"min{of}"), schema.get(f"max{of}")
    return not (isinstance(least, int) and length < least) and not (isinstance(most, int) and length > most)
