"""E-mail and IP addresses, each found from the one character that it must have."""

from __future__ import annotations

import re
from collections.abc import Iterator

# Letters of alphabets that separate words: in Chinese or Japanese what stands beside an address is no part of it.
_LETTER = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u052f"
_LABEL = f"[{_LETTER}0-9](?:[{_LETTER}0-9_-]{{0,61}}[{_LETTER}0-9])?"
_TOP = f"xn--[A-Za-z0-9-]{{2,59}}|[{_LETTER}]{{2,24}}"
# No name goes on behind it: a digit or an underscore would say that the label was no top-level domain.
_AT = re.compile(
    f"@(?<=[{_LETTER}0-9_+%.'!#$&*/=?^`{{|}}~\"-]@)(?>((?:{_LABEL}\\.){{1,8}})({_TOP}))"
    "(?![0-9A-Za-z_]|[-_][0-9A-Za-z_])"
)
_LOCAL_REVERSED = re.compile(f"[{_LETTER}0-9_%+'&!#~-][{_LETTER}0-9_%+'&!#~.-]{{0,63}}")
_QUOTED_REVERSED = re.compile(r'"[^"\r\n]{1,62}"')
_LOCAL_MAX = 64
_LEADING = "-.'!#&~%+"
_NO_DOMAINS = frozenset(
    "png jpg jpeg gif svg webp bmp ico pdf js jsx ts tsx mjs css scss html htm json yaml yml xml toml txt csv md rst "
    "log php cpp hpp java exe dll tar gz bak tmp lock conf cfg ini sql ipynb local localdomain internal".split()
)
_ESCAPES = "nrtbf"

_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_V4_AT = re.compile(rf"{_BYTE}(?:\.{_BYTE}){{3}}(?![0-9])")
_NO_ADDRESS_AFTER = re.compile(r"\.?[0-9A-Za-z_]|-[A-Za-z]")
_VERSION_BEFORE = re.compile(
    r"(?:\b(?:v|ver|versions?|releases?|build|section|chapter|firmware|kernel|upgraded? to)[ .:#]*"
    r"|[A-Za-z_]-|[0-9A-Za-z_]|[0-9]\.|[<>=~]= ?|[~^] ?)$",
    re.IGNORECASE,
)
_OPEN = " \t\n([{\"'`,;|"  # what may stand before an address, and no version is written so
_ANY_LETTER = re.compile("[A-Za-z<>=~^]")
# With two colons somewhere, or six and more.
_V6_AT = re.compile(":(?=[0-9A-Fa-f]{0,4}:)(?=:|[0-9A-Fa-f:]*?::|(?:[0-9A-Fa-f]*:){5})[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]*")
_V6_HEAD_REVERSED = re.compile("[0-9A-Fa-f]{1,4}")
_V6_LONGEST = 39
_V6_GROUPS = 8
_V6_NO_GROUP = re.compile("[0-9A-Fa-f]{5}")
_V6_TAIL = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_NAME = re.compile("[0-9A-Za-z_]")


def emails(text: str) -> Iterator[tuple[int, int]]:
    if "@" not in text:
        return
    has_urls = "://" in text
    for domain in _AT.finditer(text):
        at = domain.start()
        end = domain.end()
        start = at if domain[2].lower() in _NO_DOMAINS else _local_start(text, at)
        if start < at and not (has_urls and _is_in_url(text, start)) and not _is_git(text, start, at, end):
            yield start, end


def _local_start(text: str, at: int) -> int:
    before = text[max(0, at - _LOCAL_MAX - 1) : at][::-1]
    local = (_QUOTED_REVERSED if before[0] == '"' else _LOCAL_REVERSED).match(before)
    if not local:
        return at
    start = at - local.end()
    while start < at and text[start] in _LEADING:
        start += 1
    # In JSON within text "\n" is written as two characters: the letter is no part of the address.
    if start and text[start - 1] == "\\" and text[start] in _ESCAPES:
        start += 1
    return start


def _is_in_url(text: str, start: int) -> bool:
    """Credentials before a host."""
    token = text[max(0, start - 80) : start].rsplit(None, 1)
    return bool(token) and "://" in token[-1] and not text[start - 1].isspace() and "?" not in token[-1]


def _is_git(text: str, start: int, at: int, end: int) -> bool:
    """Where git fetches from."""
    return text[start:at] == "git" and text[end : end + 1] in (":", "/")


def v4(text: str, start: int) -> int:
    """Where the IPv4 address that begins there ends; 0 if none does, or if it reads as a version."""
    found = _V4_AT.match(text, start)
    if not found or _NO_ADDRESS_AFTER.match(text, found.end()):
        return 0
    before = text[max(0, start - 16) : start]
    if not before or (before[-1] in _OPEN and not _ANY_LETTER.search(before)):
        return found.end()
    return 0 if _VERSION_BEFORE.search(before) and before[-2:] not in ("\\n", "\\t", "\\r") else found.end()


def v6(text: str) -> Iterator[tuple[int, int]]:
    if text.count(":") < 2:
        return
    for colons in _V6_AT.finditer(text):
        head = _V6_HEAD_REVERSED.match(text[max(0, colons.start() - 4) : colons.start()][::-1])
        start = colons.start() - (head.end() if head else 0)
        end = colons.end()
        if end - start > _V6_LONGEST:
            continue
        body = text[start:end]
        tail = _V6_TAIL.match(text, text.rfind(":", start, end) + 1)
        end = tail.end() if tail else end - (body.endswith(":") and not body.endswith("::"))
        if not _NAME.match(text, end) and not _goes_on_before(text, start) and _is_v6(text[start:end]):
            is_slice = (
                text[start - 1 : start] == "[" and text[end : end + 2] != "]:" and text[start:end].startswith("::")
            )
            if not is_slice:
                yield start, end


def _goes_on_before(text: str, start: int) -> bool:
    return start > 0 and (text[start - 1] == ":" or bool(_NAME.match(text, start - 1)))


def _is_v6(address: str) -> bool:
    """Groups of four digits at most, eight or fewer and two colons. With a digit: words of hexadecimal letters stand

    before two colons in code.
    """
    head, colons, tail = address.partition("::")
    if "::" in tail or tail.startswith(":") or _V6_NO_GROUP.search(address):
        return False
    ends_in_v4 = "." in address
    if ends_in_v4 and not _V4_AT.fullmatch(address, address.rindex(":") + 1):
        return False
    count = (head.count(":") + bool(head)) + (tail.count(":") + bool(tail)) + ends_in_v4
    if not (count < _V6_GROUPS if colons else count == _V6_GROUPS):
        return False
    return not (head.startswith(":") or (address.endswith(":") and address[-2:] != "::")) and any(
        map(str.isdigit, address)
    )
