"""Values that nearly keep to a schema, told in its own terms: "36" where a number belongs, one thing where a list does.

Nothing is made up: what is not there stays away. Lost is only what the schema has no place for.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from policies.json_schema import fits

_STEPS_MAX, _DEPTH_MAX = 10_000, 50
_COMBINED = ("anyOf", "oneOf")


def fitted(value: object, schema: object) -> object:
    """The value as near to the schema as it gets; whether it keeps to it is to be asked afterwards."""
    return _Fitting(schema).fitted(value, schema, 0)


class _Fitting:
    def __init__(self, root: object) -> None:
        self._root = root
        self._steps_left = _STEPS_MAX

    def fitted(self, value: object, schema: object, depth: int) -> object:
        self._steps_left -= 1
        if self._steps_left < 0 or depth > _DEPTH_MAX or not isinstance(schema, dict):
            return value
        if isinstance(name := schema.get("$ref"), str):
            return self.fitted(value, self._referred(name), depth + 1)
        for combined in _COMBINED:
            if isinstance(of := schema.get(combined), list):
                return self._first(value, of, depth)
        kinds = _kinds(schema)
        if isinstance(value, dict) and "object" in kinds:
            return self._members(value, schema, depth)
        if "array" in kinds and (isinstance(value, list) or len(kinds) == 1):
            return [self.fitted(one, schema.get("items", True), depth + 1) for one in _listed(value)]
        return _scalar(value, schema, kinds)

    def _first(self, value: object, schemas: list[object], depth: int) -> object:
        """By the first of the schemas that it can be brought to keep to."""
        for one in schemas:
            found = self.fitted(value, one, depth + 1)
            if isinstance(one, dict) and fits(found, self._rooted(one)):
                return found
        return value

    def _members(self, value: Mapping[str, object], schema: Mapping[str, object], depth: int) -> object:
        properties, required = schema.get("properties"), schema.get("required")
        if not isinstance(properties, dict):
            return value
        needed = required if isinstance(required, list) else []
        is_closed = schema.get("additionalProperties") is False and "patternProperties" not in schema
        found: dict[str, object] = {}
        for name, one in value.items():
            known = name if name in properties else _alike(name, [other for other in properties if other not in value])
            if known is None or known in found:
                if not is_closed:
                    found[name] = one
                continue
            inner = self.fitted(one, properties[known], depth + 1)
            is_none = inner is None and known not in needed and not fits(None, self._rooted(properties[known]))
            if not is_none:
                found[known] = inner
        return found

    def _rooted(self, schema: object) -> object:
        """The schema with what its references lead to."""
        if not isinstance(schema, dict) or not isinstance(self._root, dict):
            return schema
        return {**{name: self._root[name] for name in ("$defs", "definitions") if name in self._root}, **schema}

    def _referred(self, reference: str) -> object:
        found = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name, True) if isinstance(found, dict) else True
        return found


def _kinds(schema: Mapping[str, object]) -> list[object]:
    kinds = schema.get("type")
    return kinds if isinstance(kinds, list) else [] if kinds is None else [kinds]


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _scalar(value: object, schema: Mapping[str, object], kinds: list[object]) -> object:
    allowed = schema.get("enum")
    if isinstance(value, str) and isinstance(allowed, list) and value not in allowed:
        return _alike(value, [one for one in allowed if isinstance(one, str)]) or value
    if isinstance(value, str) and kinds and "string" not in kinds:
        try:
            return msgspec.json.decode(value.strip())
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return value
    if isinstance(value, bool | int) and kinds == ["string"]:
        return msgspec.json.encode(value).decode()
    return value


def _alike(word: str, words: list[str]) -> str | None:
    """The only one of the words that is the same in other letters."""
    found = [one for one in words if _plain(one) == _plain(word)]
    return found[0] if len(found) == 1 else None


def _plain(word: str) -> str:
    return word.strip().casefold().replace("_", "").replace("-", "").replace(" ", "")
