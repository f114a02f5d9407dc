"""What the simulator makes up, from hashes: prose, vectors, and JSON that satisfies a schema."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

#: The simulator's rule of counting: one token per four bytes of UTF-8.
BYTES_PER_TOKEN = 4
_INTRODUCTION = "This is Obol's simulator, not a language model. "
_WORDS = (  # noqa: SIM905 (reads as words)
    "toll ferry river coin oar bank boat shore passage tide mist lamp rope stone bridge bell "
    "harbour wind keel mast star reed ford pier wave dusk dawn song step path gate key"
).split()


def count_tokens(text: str) -> int:
    """The simulator's rule: one token per four bytes, rounded up."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


def prose(seed: str, tokens: int) -> str:
    """ASCII text of exactly so many tokens, chosen by a hash."""
    length = tokens * BYTES_PER_TOKEN
    parts, size, block = [_INTRODUCTION], len(_INTRODUCTION), 0
    while size < length:
        for byte in hashlib.sha256(f"{seed}/{block}".encode()).digest():
            parts.append(_WORDS[byte % len(_WORDS)] + " ")
            size += len(parts[-1])
        block += 1
    return "".join(parts)[:length]


def unit_vector(text: str, dimensions: int) -> list[float]:
    """A unit vector from a hash of the text: equal texts are equal, nothing else is near anything."""
    digest = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(2 * dimensions)
    raw = [value - 32767.5 for value in struct.unpack(f"<{dimensions}H", digest)]
    norm = sum(value * value for value in raw) ** 0.5
    return [value / norm for value in raw]


def sample(schema: Any, seed: str, root: Any = None, depth: int = 0) -> Any:  # noqa: C901, PLR0911, PLR0912
    """A value that satisfies a simple JSON schema (types, enum, const, $ref, anyOf, bounds): one case per keyword."""
    root = schema if root is None else root
    if depth > 16:  # noqa: PLR2004 (a recursive schema ends somewhere)
        return None
    match schema:
        case {"const": value}:
            return value
        case {"enum": [first, *_]}:
            return first
        case {"$ref": str(reference)}:
            target = root
            for part in reference.removeprefix("#").strip("/").split("/") if reference != "#" else []:
                target = target.get(part, {}) if isinstance(target, dict) else {}
            return sample(target, seed, root, depth + 1)
        case {"anyOf": [first, *_]} | {"oneOf": [first, *_]} | {"allOf": [first, *_]}:
            return sample(first, seed, root, depth + 1)
        case {"type": [first, *_]}:
            return sample({**schema, "type": first}, seed, root, depth + 1)
        case {"type": "string"}:
            return f"simulated {seed[:8]}".ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", 10_000)]
        case {"type": "integer" | "number"}:
            lowest = schema.get("minimum", schema.get("exclusiveMinimum", 0) + ("exclusiveMinimum" in schema))
            return max(lowest, 0) if "maximum" not in schema else min(max(lowest, 0), schema["maximum"])
        case {"type": "boolean"}:
            return True
        case {"type": "null"}:
            return None
        case {"type": "array"}:
            return [sample(schema.get("items", {}), seed, root, depth + 1)] * max(schema.get("minItems", 1), 1)
        case {"type": "object"} | {"properties": _}:
            properties = schema.get("properties", {})
            return {name: sample(inner, seed, root, depth + 1) for name, inner in properties.items()}
        case _:
            return f"simulated {seed[:8]}"
