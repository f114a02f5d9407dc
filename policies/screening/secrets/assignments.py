"""Values that are given to a name such as api_key or password, in code, configuration, headers and sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import re2

from policies.screening.secrets.issuers import ISSUERS
from policies.screening.secrets.values import DIGITS, LETTERS, LOOKED_AT_MAX, count, is_filled_in, is_random
from policies.screening.spans import Span

# A word of a name, what may stand between it and a value, and the beginning of a value that no plain word has. What may
# stand between and what may begin a value share no character: the automaton stays small on any text.
_BETWEEN = r"[\s\"'`\\\])>}(\[{:=,|?]"
_BEGINS_VALUE = r"[^\s\"'`\\\])>}(\[{:=,|?<]"
# What may follow one in a line, such as ``;token=``, is another's.
_IN_VALUE = r"[^\s\"'`\\\])>}(\[{:,|?<;&]"
_FILLERS = r"(?:is|was|value|bearer|basic|token|apikey|ssws|&?str|string|default)"
_SIGN = r"[0-9!@#$%^&*]"
# Six characters and more, of which one is such a sign.
_SIX = "|".join(f"{_BEGINS_VALUE}{_IN_VALUE}{{{before}}}{_SIGN}{_IN_VALUE}{{{4 - before}}}" for before in range(4))
_VALUE = rf"{_SIGN}{_IN_VALUE}{{5}}|{_SIX}|{_BEGINS_VALUE}{_IN_VALUE}{{4}}{_IN_VALUE}*{_SIGN}"
_FINDER = (
    r"(?i)(?:key|token|secret|passw|pwd|passphrase|passcode|credential|creds|auth|bearer|sonar[._]?login|\bpass\b|_pass\b|_pat\b"
    rf"|{'|'.join(sorted(ISSUERS))})"
    rf"[\w.-]*{_BETWEEN}+(?:{_FILLERS}{_BETWEEN}+)?(?:{_VALUE})"
)
_ASSIGNMENT = re.compile(
    rf"(?P<rest>[\w.-]{{0,60}})(?P<between>{_BETWEEN}{{1,24}}(?:(?P<filler>{_FILLERS}){_BETWEEN}{{1,24}})?)"
    r"(?:(?<=(?P<quote>[\"'`]))(?P<quoted>[^\n\\\"'`]{1,300})(?=\\?(?P=quote))|(?P<bare>[^\s\"'`<>,;&|)\]}\\]{1,300}))",
    re.IGNORECASE | re.ASCII,
)
_TELLING = re.compile(r"[:=>(,]|is|\A-")
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_KEY = re.compile(r"(?!sha[0-9]|0x)[0-9A-Za-z_./+=:~-]+")
# What guards put in the place of what they found: [EMAIL_ADDRESS_1], [ASSIGNED_SECRET_FMANJBKC].
_PLACEHOLDER = re.compile(r"(?<=\[)[A-Z][A-Z0-9_]{0,60}_(?:[0-9]{1,7}|[A-P]{8})(?=\\?\])", re.IGNORECASE)
_SIGNS = b"!@#$%^&*?+~"
_NAME = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"

# Variables, paths, calls, addresses, members of objects, contracts of tokens.
_OTHER = re.compile(
    r"\$[\w({]|@|/[^/.]*[/.]|[a-z_]{3,}=[^=]|\S*\s|[\w:]*://|[\w.]*\(|[\w.+-]+@[\w-]+\.[a-z]{2,8}\Z"
    r"|[A-Za-z_]\w{0,30}(?:\.[A-Za-z_]\w{0,30})+\Z|0x[0-9a-fA-F]{40}\Z"
)
_AFTER_CODE = tuple(",)([")
_NAME_LENGTH_MAX = 40
_LENGTH_MIN = 6
_LENGTH_MIN_UNTOLD = 16
_KEY_LENGTH_MIN = 10
# Names with values that are looked at closer: what comes after is taken for a secret.
LOOKS_MAX = 10_000

_PASSWORDS = ("password", "passwd", "pwd", "passphrase", "passcode", "pass", "pw")
_KEYS = frozenset(
    """
key keys token tokens secret secrets credential credentials creds auth authorization bearer apikey login pat
""".split()
)
_ENDINGS = tuple(
    """
password passwd pwd passphrase secret token apikey appkey accesskey secretkey privatekey privkey authkey accountkey
encryptionkey signingkey masterkey licensekey sharedkey clientkey servicekey sessionkey
""".split()
)
# What comes after makes it a fact about the secret, what comes before makes it no secret.
_ABOUT = frozenset(
    """
address alg algorithm alias arn bits board budget budgets checksum class code column count counter created date digest
dir down email endpoint env error event expiration expires expiry field file files fingerprint folder format header
hint host id ids index input label len length limit location manager map max md5 message mgr min name names output
pair param parameter path pattern policy port prefix press pressed provider ref regex region ring rotation schema
server set sha sha1 sha256 size state status store str suffix sum tab text time timeout title ttl type types up
updated uri url urls usage user username validator var variable vault version word words zone
""".split()
)
_PUBLIC = frozenset(
    """
answer author bucket cache cancellation cell checksum commit composite continuation csrf cursor dictionary donkey
foreign group hash hot i18n idempotency image index integrity issue jira jump measure monkey next object page
pagination partition pk primary project pub public recv registry routing row schema sequence shard shortcut site sort
sync translation turkey version xsrf
""".split()
)


class _Assigned(NamedTuple):
    """``is_told``: by more than a space before it; ``is_code``: the value may be another name."""

    name: str
    value: str
    start: int
    is_told: bool
    is_code: bool


def find_assignments(text: str, seen: bytes) -> Iterator[Span]:
    """Values with a secret's name; ``seen`` is the text, one byte for each character."""
    # Of this text alone: names come again, and a text made to be slow repeats its values too.
    kind_of, is_secret = cache(_kind), cache(_is_secret)
    for number, found in enumerate(_finder().finditer(seen)):
        if number == LOOKS_MAX:
            yield Span(found.start(), len(text), "assigned_secret")
            return
        assigned = _assigned(text, found.start())
        if assigned is None or _PLACEHOLDER.match(text, assigned.start):
            continue
        kind = kind_of(assigned.name)
        if kind and is_secret(kind, assigned.value, assigned.is_told, assigned.is_code):
            yield Span(assigned.start, assigned.start + len(assigned.value), "assigned_secret")


@cache
def _finder() -> re2._Regexp:
    options = re2.Options()
    options.log_errors = False
    return re2.compile(_FINDER.encode(), options)


def _assigned(text: str, start: int) -> _Assigned | None:
    found = _ASSIGNMENT.match(text, start)
    if found is None:
        return None
    rest, between, filler, _, quoted, bare = found.groups()
    is_block = filler is not None and filler.lower() == "default"  # of a variable of Terraform
    if "\n" in between and not is_block and ("=" in between or not (":" in between or ">" in between)):
        return None
    before = text[max(0, start - _NAME_LENGTH_MAX) : start]
    name = before[len(before.rstrip(_NAME)) :] + rest
    if filler and _is_key(filler.lower()):
        name = f"{name}_{filler}"
    return _Assigned(
        name=name,
        value=quoted or bare.rstrip(".:;,!?"),
        start=found.start("quoted" if quoted else "bare"),
        is_told=quoted is not None or _TELLING.search(between) is not None or name.startswith("-"),
        is_code=bare is not None and (" =" in between or text[found.end() : found.end() + 1] in _AFTER_CODE),
    )


def _is_secret(kind: str, value: str, is_told: bool, is_code: bool) -> bool:
    if len(value) < (_LENGTH_MIN if is_told else _LENGTH_MIN_UNTOLD) or _OTHER.match(value):
        return False
    if kind == "password":
        is_code = is_code or len(value) > LOOKED_AT_MAX
        return is_told and _is_password(value[:LOOKED_AT_MAX], is_code) and not is_filled_in(value)
    if kind == "issuer" and not is_told:
        return False
    if _UUID.fullmatch(value):
        return len(set(value)) > 4  # noqa: PLR2004 - a made-up one counts up, and so may a real one
    if kind == "issuer":
        return _is_issued(value)
    return len(value) >= _KEY_LENGTH_MIN and is_random(value, 5.0, 0.45) and not is_filled_in(value)


def _is_issued(value: str) -> bool:
    """Of a value with an issuer's name before it and no more: it may be anything of theirs."""
    is_key = len(value) >= _LENGTH_MIN_UNTOLD and _KEY.fullmatch(value) is not None
    return is_key and is_random(value, 6.0) and not is_filled_in(value)


def _is_password(value: str, is_code: bool) -> bool:
    """Digits or signs among letters; in code, which gives names to passwords too, signs or little that is a word."""
    letters, digits, signs = (count(value, some) for some in (LETTERS, DIGITS, _SIGNS))
    return letters > 0 and (signs > 0 or (digits > 0 and (not is_code or is_random(value, 3.0, 0.3))))


def _kind(name: str) -> str | None:
    """Of a password, a key, or no more than an issuer; None for other names, and for those that tell about a secret."""
    words = [word.lower() for word in _WORDS.findall(name)]
    at = max((place for place, word in enumerate(words) if _is_key(word)), default=-1)
    if at < 0 and _issuer().search("".join(words).encode()):
        return None if _ABOUT.intersection(words) else "issuer"
    if at < 0 or _ABOUT.intersection(words[at + 1 :]) or _PUBLIC.intersection(words[:at]):
        return None
    if words[at] == "login" and "sonar" not in words:
        return None
    return "password" if words[at].endswith(_PASSWORDS) else "key"


@cache
def _issuer() -> re2._Regexp:
    return re2.compile("|".join(sorted(ISSUERS)).encode())


def _is_key(word: str) -> bool:
    return word in _KEYS or word in _PASSWORDS or word.endswith(_ENDINGS)
