"""Signatures of what we send to others, as the Standard Webhooks specification has them (standardwebhooks.com)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

_PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """The key that a secret stands for: ``whsec_`` and base64, or any text as it is. Raises ValueError."""
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as exc:
        raise ValueError("what follows whsec_ is not base64") from exc
    if not key:
        raise ValueError("nothing follows whsec_")
    return key


def signed_headers(key: bytes, message_id: str, unix_s: int, body: bytes) -> Mapping[str, str]:
    """The three headers by which the receiver knows sender, time and message."""
    signed = b"%s.%d.%s" % (message_id.encode(), unix_s, body)
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(unix_s),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
