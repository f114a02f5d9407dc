"""The names of what is found."""

from __future__ import annotations

from collections.abc import Iterable

from policies.screening.pii import ids, lettered_ids

GENERAL = frozenset(("EMAIL_ADDRESS", "PHONE_NUMBER", "IP_ADDRESS", "CREDIT_CARD", "IBAN_CODE", "CRYPTO"))
NATIONAL = frozenset(kind.name for kind in (*ids.KINDS, *lettered_ids.KINDS)) - GENERAL
KINDS = GENERAL | NATIONAL

NATIONAL_ID = "NATIONAL_ID"  # stands for any number that a state gives


def expanded(names: Iterable[str]) -> frozenset[str]:
    """The kinds that these names stand for. Raises ValueError for a name of none."""
    kinds = frozenset(names)
    unknown = sorted(kinds - KINDS - {NATIONAL_ID})
    if unknown:
        raise ValueError(f"no kind of personal data: {', '.join(unknown)}")
    return kinds - {NATIONAL_ID} | (NATIONAL if NATIONAL_ID in kinds else frozenset())
