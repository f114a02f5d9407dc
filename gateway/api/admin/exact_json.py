"""Bodies read without loss: a price keeps its decimals, and no key counts that another of the same name overwrote."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, NoReturn

from fastapi import Request
from starlette.exceptions import HTTPException

_BAD_REQUEST = 400


class ExactRequest(Request):
    """A request whose JSON has Decimal for float, and is refused for repeated keys, NaN and Infinity."""

    async def json(self) -> Any:
        """Raises HTTPException, which is what the framework lets through of what goes wrong here."""
        return json.loads(
            await self.body(),
            parse_float=Decimal,
            parse_constant=_refuse_constant,
            object_pairs_hook=_without_repetition,
        )


def _refuse_constant(name: str) -> NoReturn:
    raise HTTPException(_BAD_REQUEST, f"{name} is no number of JSON.")


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise HTTPException(_BAD_REQUEST, f"The key {repeated[:100]!r} is there twice.")
    return found
