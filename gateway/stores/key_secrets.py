"""The secrets of virtual keys and admin keys: shown once, kept as SHA-256.

A plain hash is enough, because nobody can try 2^256 secrets.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from typing import NamedTuple

KEY_PREFIX = "sk-obol-"
ADMIN_KEY_PREFIX = "sk-obol-admin-"
_RANDOM = re.compile(r"[A-Za-z0-9_-]{43}")
_SHOWN_CHARACTERS = 4


class NewSecret(NamedTuple):
    """The one moment at which a secret is known."""

    text: str
    sha256: bytes
    prefix: str  # how it begins, for people to recognize it

    def __repr__(self) -> str:
        return f"NewSecret({self.prefix!r}...)"


def new_secret(prefix: str) -> NewSecret:
    """``prefix`` and 32 random bytes in base64url."""
    text = prefix + base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
    return NewSecret(text, hashlib.sha256(text.encode()).digest(), text[: len(prefix) + _SHOWN_CHARACTERS])


def digest(secret: str, prefix: str = KEY_PREFIX) -> bytes | None:
    """The SHA-256 under which a secret is known; None when it has not the form of one."""
    if not secret.startswith(prefix) or not _RANDOM.fullmatch(secret, len(prefix)):
        return None
    return hashlib.sha256(secret.encode()).digest()
