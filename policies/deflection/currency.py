"""Money: "100 dollars in euros", by the rates that an operator configured and by no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from policies.deflection.conversion import splits
from policies.deflection.numbers import quantity, written
from policies.deflection.text import core

_AMOUNT_MAX = 10**12
_CENTS_FROM = Fraction(1, 10)  # of less, whole cents are too rough
# Pesos, rupees, francs and crowns are those of several countries; so are dollars, but bare ones are taken for US
# dollars, and the answer says so.
_CODES = {
    "USD": "us dollar/us dollars/dollar/dollars/american dollar/american dollars/u. s. d./$/us$/bucks",
    "EUR": "euro/euros/€",
    "GBP": "british pound/british pounds/pound/pounds/pound sterling/pounds sterling/sterling/£",
    "JPY": "yen/japanese yen",
    "CAD": "canadian dollar/canadian dollars",
    "AUD": "australian dollar/australian dollars",
    "NZD": "new zealand dollar/new zealand dollars",
    "CHF": "swiss franc/swiss francs",
    "CNY": "yuan/chinese yuan/renminbi",
    "INR": "indian rupee/indian rupees",
    "MXN": "mexican peso/mexican pesos",
    "KRW": "south korean won/korean won",
    "BRL": "brazilian real/brazilian reais",
    "SEK": "swedish krona/swedish kronor",
    "NOK": "norwegian krone/norwegian kroner",
    "DKK": "danish krone/danish kroner",
    "PLN": "zloty/polish zloty",
    "TRY": "turkish lira",
    "ZAR": "south african rand",
}
#: The currencies that are known by name, by their ISO codes.
CURRENCIES = tuple(_CODES)
_NAMED = {name: code for code, names in _CODES.items() for name in names.split("/")}


@dataclass(frozen=True, slots=True)
class Rates:
    """What one US dollar is worth in each currency, by ISO code; ``as_of``: the day and source, as answers tell it."""

    per_usd: Mapping[str, Fraction]
    as_of: str


def currency(line: str, rates: Rates | None) -> str | None:
    """The amount in the other currency, rounded; None without rates, or unless the whole line asks for just that."""
    if rates is None:
        return None
    for split in splits(core(line)):
        source, target = _amount(split.source), _code(split.target)
        if source is None or target is None or source[1] == target:
            continue
        amount, code = source
        per_source, per_target = _rate(rates, code), _rate(rates, target)
        if per_source is None or per_target is None:
            return None
        value = amount / per_source * per_target
        is_rate = amount <= 1 or value < _CENTS_FROM
        shown = written(value, places=6 if is_rate else 2).text
        return f"{written(amount).text} {code} ≈ {shown} {target} ({rates.as_of})"
    return None


def _rate(rates: Rates, code: str) -> Fraction | None:
    return Fraction(1) if code == "USD" else rates.per_usd.get(code) or None


def _amount(words: Sequence[str]) -> tuple[Fraction, str] | None:
    """20 us dollars, $20, a dollar, euros."""
    lower = [word.lower() for word in words]
    if not lower:
        return None
    if lower[0] in ("$", "€", "£"):
        lower = [*lower[1:2], *(lower[2:] or lower[:1])]
    number = quantity(lower)
    code = _code(lower[number.words if number else 0 :])
    amount = number.value if number else Fraction(1)
    is_money = code is not None and 0 < amount <= _AMOUNT_MAX and written(amount).is_exact
    return (amount, code) if is_money and code else None


def _code(words: Sequence[str]) -> str | None:
    name = " ".join(words).lower().removeprefix("the ")
    return name.upper() if name.upper() in _CODES else _NAMED.get(name)
