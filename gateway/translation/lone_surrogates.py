"""Halves of pairs of surrogate escapes: an emoji that a model split over two deltas.

Other JSON decoders take them; ours does not. A translation must neither fail on one nor lose the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from gateway.errors import UpstreamBroken

_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
HALF_A_PAIR = re.compile(rb"%b(?!%b)|(?<!%b)%b" % (_HIGH, _LOW, _HIGH, _LOW))
# While it is translated, a half is the noncharacter U+FDD0 and the digits of its own escape.
_MARKED = re.compile(rb"\\ufdd0([dD][89a-fA-F][0-9a-fA-F]{2})")


def leniently(translate: Callable[[bytes], bytes], data: bytes) -> bytes:
    """Translate JSON that may hold halves; they come out as they went in. Raises UpstreamBroken for what is no JSON.

    ``translate`` must change nothing when it raises.
    """
    try:
        return translate(data)
    except msgspec.DecodeError:
        pass
    except (UnicodeDecodeError, RecursionError) as exc:
        raise _broken() from exc
    try:
        return restored(translate(HALF_A_PAIR.sub(_marked, data)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise _broken() from exc


def _marked(half: re.Match[bytes]) -> bytes:
    return rb"\ufdd0" + half[0][2:]


def restored(text: bytes) -> bytes:
    """What was marked, as it came: for parts of a translation that are kept for later."""
    return _MARKED.sub(rb"\\u\1", text) if b"\\ufdd0" in text else text


def _broken() -> UpstreamBroken:
    return UpstreamBroken("The upstream's answer is not valid JSON, or none of its API.")
