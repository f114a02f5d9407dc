"""The names of what is found."""

from __future__ import annotations

from policies.screening.pii import ids, lettered_ids

GENERAL = frozenset(("EMAIL_ADDRESS", "PHONE_NUMBER", "IP_ADDRESS", "CREDIT_CARD", "IBAN_CODE", "CRYPTO"))
NATIONAL = frozenset(kind.name for kind in (*ids.KINDS, *lettered_ids.KINDS)) - GENERAL
KINDS = GENERAL | NATIONAL
