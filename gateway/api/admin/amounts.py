"""Amounts of money in bodies: dollars as text or as a number, exact to the nano-dollar."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from gateway.domain import BUDGET_NUSD_MAX, NANO

_NANO_DIGITS = 9
_TEXT = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
_WRITTEN_MAX = 40  # characters of a number; more are no amount, and may be very much more


def parse_usd(value: object) -> int:
    """Nano-dollars of a JSON string or number (int, or Decimal for one with decimals).

    Raises ValueError for what is no positive amount of whole nano-dollars, or beyond what a window can hold.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError('must be dollars: "10.00" or 10')  # noqa: TRY004 - what pydantic takes for a finding
    written = str(value)
    if len(written) > _WRITTEN_MAX or (isinstance(value, str) and not _TEXT.fullmatch(value)):
        raise ValueError('must be dollars: "10.00" or 10')
    amount = Decimal(written)
    if not amount.is_finite() or amount <= 0:
        raise ValueError("must be more than zero dollars")
    if amount > BUDGET_NUSD_MAX // NANO:
        raise ValueError(f"must be at most {BUDGET_NUSD_MAX // NANO} dollars")
    digits, exponent = amount.as_tuple()[1:]
    whole = "".join(map(str, digits)).rstrip("0")
    exponent = int(exponent) + len(digits) - len(whole)  # by the digits alone: contexts round, and end somewhere
    if exponent < -_NANO_DIGITS:
        raise ValueError("must be whole nano-dollars: at most nine decimals")
    return int(whole + "0" * (exponent + _NANO_DIGITS))


Usd = Annotated[
    int,
    BeforeValidator(parse_usd),
    WithJsonSchema(
        {
            "description": f"Dollars, exact to the nano-dollar, more than 0 and at most {BUDGET_NUSD_MAX // NANO}.",
            "anyOf": [
                {"type": "string", "pattern": r"^(?=.*[1-9])[0-9]{1,6}(\.[0-9]{1,9})?$"},
                {"type": "integer", "minimum": 1, "maximum": BUDGET_NUSD_MAX // NANO},
                {"type": "number", "minimum": 1e-9, "maximum": BUDGET_NUSD_MAX // NANO, "multipleOf": 1e-9},
            ],
        }
    ),
]
