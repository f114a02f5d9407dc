"""Secrets known by how they are written down: key blocks, signed tokens, passwords in addresses and commands."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import msgspec
import re2

from policies.screening.secrets.values import is_filled_in, is_random
from policies.screening.spans import Span

# Bodies are bounded so that a text of nothing but beginnings takes no longer than any other.
_KEY_BLOCK = re.compile(
    r"-----?[ ]?BEGIN[ A-Z0-9]{0,40} PRIVATE KEY(?: BLOCK)?[ ]?-----?(?:\\[nrt]|[^-\\]|-(?!-)){24,20000}?"
    r"(?:-----?[ ]?END[ A-Z0-9]{0,60}-----?|\Z|(?=-))"
)
_KEY_BODY = re.compile(r"[A-Za-z0-9+/]{16,}")
_PUTTY = re.compile(r"Private-Lines: \d+\s+([A-Za-z0-9+/=\s]{40,4000})")
_JWT = re.compile(
    r"(?<![A-Za-z0-9_-])(eyJ[A-Za-z0-9_-]{8,2000}={0,2})\.([A-Za-z0-9_-]{8,8000}={0,2})(?:\.[A-Za-z0-9_-]{0,1000})?"
)
# What may be a signed token, decoded. No text but one made to be slow has more: what comes after is taken for one.
LOOKS_MAX = 5_000
_BASIC = re.compile(r"(?i)\bbasic ([a-z0-9+/]{8,400}={0,2})")
_TO_URL_SAFE = str.maketrans("+/", "-_")
_WEAK_PASSWORDS = frozenset(
    "password pass pwd secret passwd pw passw0rd mypassword mypass yourpassword token key apikey tiger".split()
)


@dataclass(frozen=True, slots=True)
class _Form:
    """How a user and a password (or a secret without a user) are written where all of the ``marks`` stand.

    The first of them is the rarest.
    """

    kind: str
    marks: tuple[str, ...]
    pattern: str
    must_be_random: bool = False


_FORMS = (
    _Form(
        "password_in_url",
        ("://", "@"),
        r"://(?P<user>[^\s/:@\"'<>`]{0,100}):(?P<password>[^\s/@\"'<>`]{3,200})@(?=[A-Za-z0-9\[$%{])",
    ),
    _Form(
        "password_in_command",
        ("curl",),
        r"\s(?:-u|--user|-U|--proxy-user)(?:=| {0,3})[\"']?(?P<user>[^\s\"':]{0,100})[\"']?:[\"']?"
        r"(?P<password>[^\s\"']{3,200})",
    ),
    _Form(
        "key_in_command",
        ("curl",),
        r"\s(?:-u|--user)(?P<user>)(?:=| {0,3})[\"']?(?P<password>[^\s\"':]{8,200}):[\"'\s]",
        must_be_random=True,
    ),
    _Form("password_in_command", ("sshpass",), r"sshpass(?P<user>) -p ?[\"']?(?P<password>[^\s\"']{3,200})"),
    _Form(
        "password_in_netrc",
        ("login", "password"),
        r"\blogin\s{1,9}(?P<user>\S{1,100})\s{1,9}password\s{1,9}(?P<password>[^\s\"']{3,200})",
    ),
    _Form(
        "password_in_bundler",
        ("BUNDLE_", "__"),
        r"BUNDLE_\w{1,100}__[A-Z]{2,20}[\"']?\s{0,3}[:=]\s{0,3}[\"']?"
        r"(?P<user>[^\s\"':]{1,100}):(?P<password>[^\s\"';]{3,200})",
    ),
    _Form(
        "password_in_connection",
        (";", "=", "ser"),
        r"(?i)(?<![a-z])(?:user id|username|user)\s?=\s?(?P<user>[^;=\"'\s]{1,100});"
        r"(?:[\w ]{1,40}=[^;=]{0,100};){0,4}\s?(?:password|pwd)\s?=\s?(?P<password>[^;\"'\s]{3,200})",
    ),
    _Form(
        "password_in_connection",
        ("jdbc:", "assword="),
        r"(?i)[?&;]password=(?P<user>)(?P<password>[^&;\"'\s<>]{3,200})",
    ),
    *(
        _Form(
            "password_in_call",
            (f"({quote}", "uth"),
            rf"(?:[aA]uth ?= ?|BasicAuth|[aA]uthorization|set_?[aA]uth|asic_auth)\({quote}"
            r"(?P<user>[^\"'\n]{1,100})[\"'], ?[\"'](?P<password>[^\"'\s]{3,200})[\"']",
        )
        for quote in "\"'"
    ),
    _Form(
        "password_in_call",
        ("NetworkCredential",),
        r"NetworkCredential\(\"(?P<user>[^\"\n]{1,100})\", ?\"(?P<password>[^\"\s]{3,200})\"",
    ),
    _Form(
        "password_in_call",
        ("ConvertTo-SecureString",),
        r"ConvertTo-SecureString(?P<user>) {1,3}(?:-String {1,3})?[\"'](?P<password>[^\"'\s]{3,200})[\"']",
    ),
)


def find_written(text: str, seen: bytes) -> Iterator[Span]:
    """All of them; each form is looked for only where its marks stand.

    ``seen`` is the text, one byte for each character.
    """
    if not _marks().search(seen):
        return
    if "PRIVATE KEY" in text:
        yield from _key_blocks(text)
    if "Private-Lines" in text:
        yield from (Span(found.start(1), found.end(1), "private_key") for found in _PUTTY.finditer(text))
    if "eyJ" in text:
        yield from _signed_tokens(text)
    if "uthorization" in text:
        yield from (Span(*found.span(1), "basic_auth") for found in _BASIC.finditer(text) if _is_pair(found[1]))
    for form in _FORMS:
        if all(mark in text for mark in form.marks):
            yield from _passwords(text, form)


@cache
def _marks() -> re2._Regexp:
    firsts = {"PRIVATE KEY", "Private-Lines", "eyJ", "uthorization", *(form.marks[0] for form in _FORMS)}
    return re2.compile("|".join(map(re2.escape, sorted(firsts))).encode())


def _key_blocks(text: str) -> Iterator[Span]:
    for found in _KEY_BLOCK.finditer(text):
        if _KEY_BODY.search(text, found.start() + 30, found.end()):
            yield Span(*found.span(), "private_key")


def _signed_tokens(text: str) -> Iterator[Span]:
    for number, found in enumerate(_JWT.finditer(text)):
        if number == LOOKS_MAX:
            yield Span(found.start(), len(text), "json_web_token")
            return
        if _is_header(found[1]):
            yield Span(*found.span(), "json_web_token")


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
    try:
        header = msgspec.json.decode(_decoded(part), type=dict[str, object])
    except msgspec.DecodeError:
        return False
    return bool(header.keys() & {"alg", "typ", "kid", "enc"})


def _passwords(text: str, form: _Form) -> Iterator[Span]:
    for found in _compiled(form.pattern).finditer(text):
        user, password = found["user"], found["password"]
        if password.lower() in (user.lower(), *_WEAK_PASSWORDS) or password[0] in "$%{[(":
            continue
        if is_filled_in(password) or (user and is_filled_in(user)) or (form.must_be_random and not is_random(password)):
            continue
        yield Span(*found.span("password"), form.kind)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
