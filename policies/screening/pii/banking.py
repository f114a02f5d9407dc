"""Card numbers and IBANs: in any grouping, either case, with their check digits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from policies.screening.pii.checksums import luhn

# Issuers, by ranges of leading digits with both ends, and how many digits their cards have (ISO/IEC 7812).
_ISSUERS = (
    ("4", "4", (13, 16, 19)),  # Visa
    ("51", "55", (16,)),  # Mastercard
    ("2221", "2720", (16,)),
    ("34", "34", (15,)),  # American Express
    ("37", "37", (15,)),
    ("300", "305", (14, 15, 16, 17, 18, 19)),  # Diners Club
    ("3095", "3095", (14, 15, 16, 17, 18, 19)),
    ("36", "36", (14, 15, 16, 17, 18, 19)),
    ("38", "39", (14, 15, 16, 17, 18, 19)),
    ("6011", "6011", (16, 17, 18, 19)),  # Discover
    ("644", "659", (16, 17, 18, 19)),
    ("35", "35", (16, 17, 18, 19)),  # JCB
    ("2131", "2131", (15,)),
    ("1800", "1800", (15,)),
    ("62", "62", (16, 17, 18, 19)),  # UnionPay
    ("81", "81", (16, 17, 18, 19)),
    ("50", "50", (12, 13, 14, 15, 16, 17, 18, 19)),  # Maestro, Elo, Verve, RuPay
    ("56", "58", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("60", "61", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("63", "63", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("66", "69", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("82", "82", (16,)),  # RuPay
    ("2200", "2204", (16, 17, 18, 19)),  # Mir
    ("9792", "9792", (16,)),  # Troy
    ("1", "1", (15,)),  # UATP
)

# The account part of an IBAN by country: how many n (digits), a (letters), c (either). SWIFT registry, release 101.
_ACCOUNTS = {
    account[:2]: account[2:]
    for account in """
AD8n12c AE19n AL8n16c AT16n AZ4a20c BA16n BE12n BG4a6n8c BH4a14c BI23n BR23n1a1c BY4c4n16c CH5n12c CR18n CY8n16c CZ20n
DE18n DJ23n DK14n DO4c20n EE16n EG25n ES20n FI14n FK2a12n FO14n FR10n11c2n GB4a14n GE2a16n GI4a15c GL14n GR7n16c
GT4c20c HN4a20n HR17n HU24n IE4a14n IL19n IQ4a15n IS22n IT1a10n12c JO4a4n18c KW4a22c KZ3n13c LB4n20c LC4a24c LI5n12c
LT16n LU3n13c LV4a13c LY21n MC10n11c2n MD2c18c ME18n MK3n10c2n MN16n MR23n MT4a5n18c MU4a19n3a NI4a20n NL4a10n NO11n
OM3n16c PK4a16c PL24n PS4a21c PT21n QA4a21c RO4a16c RS18n RU14n15c SA2n18c SC4a20n3a SD14n SE20n SI15n SK20n SM1a10n12c
SO19n ST21n SV4a20n TL19n TN20n TR6n16c UA6n19c VA18n VG4a16n XK16n YE4a4n18c
""".split()
}
_SETS = {"n": "[0-9]", "a": "[A-Z]", "c": "[0-9A-Z]"}
_GAP = "[ ._/-]{0,2}"
_SEPARATORS = re.compile("[ ._/-]+")
_IBAN_DIGITS = {ord("A") + letter: str(10 + letter) for letter in range(26)}


def _card_lengths() -> Mapping[str, frozenset[int]]:
    """By the first four digits."""
    lengths: dict[str, frozenset[int]] = {}
    for first, last, allowed in _ISSUERS:
        for head in range(int(first.ljust(4, "0")), int(last.ljust(4, "9")) + 1):
            lengths[f"{head:04}"] = lengths.get(f"{head:04}", frozenset()) | frozenset(allowed)
    return lengths


@cache
def _iban_form(country: str) -> re.Pattern[str] | None:
    """The whole IBAN, grouped in any way."""
    account = _ACCOUNTS.get(country)
    if not account:
        return None
    parts = (f"(?:{_GAP}{_SETS[kind]}){{{count}}}" for count, kind in re.findall("([0-9]+)([nac])", account))
    body = f"{country}(?:{_GAP}[0-9]){{2}}" + "".join(parts)
    return re.compile(body + "(?![0-9A-Z])", re.IGNORECASE | re.ASCII)


_LENGTHS = _card_lengths()


def is_card(digits: str) -> bool:
    """Luhn's check digit and a length that its issuer gives."""
    return len(digits) in _LENGTHS.get(digits[:4], ()) and luhn(digits) and len(set(digits)) > 1


def iban_end(text: str, start: int) -> int:
    """Where the IBAN that begins there ends; 0 if none does."""
    form = _iban_form(text[start : start + 2].upper())
    found = form.match(text, start) if form else None
    return found.end() if found and _checks(_SEPARATORS.sub("", found[0]).upper()) else 0


def _checks(iban: str) -> bool:
    """ISO 13616: the number that it spells leaves 1 when divided by 97."""
    return int((iban[4:] + iban[:4]).translate(_IBAN_DIGITS)) % 97 == 1
