"""Names of tools where chat lets them be no longer than 64 characters."""

from __future__ import annotations

import hashlib

NAME_CHARS_MAX = 64
_DIGEST_CHARS = 8


def shortened(name: str, exact: str) -> str:
    """The beginning of a name; the digest of what exactly it stands for tells it apart from others like it."""
    digest = hashlib.sha256(exact.encode(errors="replace")).hexdigest()[:_DIGEST_CHARS]
    return f"{name[: NAME_CHARS_MAX - _DIGEST_CHARS - 1]}_{digest}"
