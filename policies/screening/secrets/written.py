"""Secrets known by how they are written down: key blocks, signed tokens, passwords in addresses and commands."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from policies.screening.secrets.values import is_filled_in
from policies.screening.spans import Span

# Bodies are bounded so that a text of nothing but beginnings takes no longer than any other.
_KEY_BLOCK = re.compile(
    r"-----BEGIN[ A-Z0-9]{0,40} PRIVATE KEY(?: BLOCK)?-----(?:\\[nrt]|[^-\\]|-(?!-)){24,20000}?"
    r"(?:-----END[ A-Z0-9]{0,60}-----|\Z|(?=-))"
)
_KEY_BODY = re.compile(r"[A-Za-z0-9+/]{16,}")
_PUTTY = re.compile(r"Private-Lines: \d+\s+([A-Za-z0-9+/=\s]{40,4000})")
_JWT = re.compile(
    r"(?<![A-Za-z0-9_-])(eyJ[A-Za-z0-9_-]{8,2000}={0,2})\.([A-Za-z0-9_-]{8,8000}={0,2})(?:\.[A-Za-z0-9_-]{0,1000})?"
)
_ADDRESS = re.compile(r"://([^\s/:@\"'<>`]{0,100}):([^\s/@\"'<>`]{3,200})@(?=[A-Za-z0-9\[$%{])")
_CURL = re.compile(r"\s(?:-u|--user|-U|--proxy-user)[ =]?[\"']?([^\s\"':]{0,100}):([^\s\"']{3,200})")
_NETRC = re.compile(r"\blogin\s{1,9}(\S{1,100})\s{1,9}password\s{1,9}([^\s\"']{3,200})")
_BUNDLER = re.compile(
    r"\bBUNDLE_\w{1,100}__\w{2,20}[\"']?\s{0,3}[:=]\s{0,3}[\"']?([^\s\"':]{1,100}):([^\s\"';]{3,200})"
)
_CONNECTION = re.compile(
    r"(?i)\b(?:uid|user|user id|username)\s{0,2}=\s{0,2}([^;=\"'\s]{1,100});(?:[\w ]{1,40}=[^;=]{0,100};){0,4}"
    r"\s{0,2}(?:password|pwd)\s{0,2}=\s{0,2}([^;\"'\s]{3,200})"
)
_BASIC = re.compile(r"(?i)\bbasic ([a-z0-9+/]{8,400}={0,2})")
_TO_URL_SAFE = str.maketrans("+/", "-_")
_WEAK_PASSWORDS = frozenset(
    "password pass pwd secret passwd pw passw0rd mypassword mypass yourpassword token key apikey".split()
)


def find_written(text: str) -> Iterator[Span]:
    """All of them; each form is looked for only where its mark stands."""
    if "PRIVATE KEY" in text:
        yield from _key_blocks(text)
    if "Private-Lines" in text:
        yield from (Span(found.start(1), found.end(1), "private_key") for found in _PUTTY.finditer(text))
    if "eyJ" in text:
        yield from (Span(*found.span(), "json_web_token") for found in _JWT.finditer(text) if _is_header(found[1]))
    if "://" in text and "@" in text:
        yield from _passwords(text, _ADDRESS, "password_in_url")
    if "curl" in text:
        yield from _passwords(text, _CURL, "password_in_command")
    if "login" in text and "password" in text:
        yield from _passwords(text, _NETRC, "password_in_netrc")
    if "BUNDLE_" in text:
        yield from _passwords(text, _BUNDLER, "password_in_bundler")
    if ";" in text and "=" in text:
        yield from _passwords(text, _CONNECTION, "password_in_connection")
    if "uthorization" in text:
        yield from (
            Span(found.start(1), found.end(1), "basic_auth") for found in _BASIC.finditer(text) if _is_pair(found[1])
        )


def _key_blocks(text: str) -> Iterator[Span]:
    for found in _KEY_BLOCK.finditer(text):
        if _KEY_BODY.search(text, found.start() + 30, found.end()):
            yield Span(*found.span(), "private_key")


def _decoded(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part.rstrip("=") + "=" * (-len(part.rstrip("=")) % 4))
    except (binascii.Error, ValueError):
        return b""


def _is_pair(part: str) -> bool:
    """Of a user's name and a password."""
    user, colon, password = _decoded(part.translate(_TO_URL_SAFE)).decode("utf-8", "replace").partition(":")
    return bool(colon and password) and (user + password).isprintable() and "\ufffd" not in user + password


def _is_header(part: str) -> bool:
    header = _decoded(part)
    return b'"alg"' in header or b'"typ"' in header or b'"kid"' in header or b'"enc"' in header


def _passwords(text: str, form: re.Pattern[str], kind: str) -> Iterator[Span]:
    for found in form.finditer(text):
        user, password = found.groups()
        if is_filled_in(password) or password.lower() in _WEAK_PASSWORDS or password.startswith(("$", "{", "%", "[")):
            continue
        if password.lower() == user.lower():
            continue
        yield Span(found.start(2), found.end(2), kind)
