"""Keys that everybody has: issuers print them in their documentation, samples and emulators."""

from __future__ import annotations

import hashlib

# The first 16 digits of SHA-256, so that no tool takes them for leaked keys. The storage and the Cosmos DB emulator of
# Azure, two of Stripe's documentation, then those of Google's samples and of Firebase that gitleaks (MIT) leaves out.
_PUBLISHED = frozenset(
    """
0011cc25eb432071 aa6547439583c3a2 2cafc0970149a84f f2d6ca16515033e5
27a9a42931dff7eb 49f777db995e8260 a6c814bc555ae62c 8731261cb72d8626 37f8f09bdf12c2f2 eb540d2b6ee2a0a4 2037abcaffb2b777
3a8b61d0f636b007 4c98242dcadc8b29 ea9bb1082cf95663 3f370c9dd8225c63 a19f89ab3555eac1 e4a5542bb7fd7b67 dc0fcf046c61640c
f56e323494a6ffc2 b7d61096898ce748 0b476bdf9acf2123
""".split()
)


def is_published(secret: str) -> bool:
    """Whether it is one of them, with or without the name that belongs to it."""
    key = secret.removeprefix("AccountKey=")
    return hashlib.sha256(key.encode("ascii", "replace")).hexdigest()[:16] in _PUBLISHED
