"""The operator's own admin key, OBOL_ADMIN_KEY."""

from __future__ import annotations

import hashlib
import hmac

from gateway.api.admin.guard import FindActor
from gateway.domain import Actor, Role

OPERATOR = Actor(id="admin", name="operator", role=Role.OWNER)


def operator_key(admin_key: str) -> FindActor:
    """Takes the operator's key for an owner. Raises ValueError for an empty one, which would let everyone in."""
    if not admin_key:
        raise ValueError("the admin key is empty")
    # A header is bytes that the framework reads as Latin-1; the operator's key is UTF-8.
    expected = hashlib.sha256(admin_key.encode()).digest()

    async def find(secret: str) -> Actor | None:
        # Digests, because compare_digest tells the length of what it compares.
        actual = hashlib.sha256(secret.encode("latin-1")).digest()
        return OPERATOR if hmac.compare_digest(actual, expected) else None

    return find
