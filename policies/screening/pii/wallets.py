"""Addresses of crypto wallets, by the check digits of their kinds."""

from __future__ import annotations

import binascii
import re
from base64 import b32decode
from dataclasses import dataclass
from hashlib import sha256

from policies.screening.pii.keccak import keccak_256

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_RIPPLE = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"
_FROM_RIPPLE = str.maketrans(_RIPPLE, _BASE58)
_BASE58_VALUE = {character: value for value, character in enumerate(_BASE58)}
_BASE58_FORM = re.compile(f"[{_BASE58}]{{25,36}}")
_BASE58_BYTES = (25, 26)  # one or two bytes of version, 20 of hash, four of check
_SEGWIT = re.compile(
    "(?:bc|tb|bcrt|ltc|tltc|addr|stake|cosmos|osmo|juno|inj|celestia|sei|kava|terra|zs|thor|band|dydx)"
    "1[02-9ac-hj-np-z]{8,110}",
    re.IGNORECASE | re.ASCII,
)
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_SUMS = (1, 0x2BC830A3)  # BIP 173 and BIP 350
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_ETHER = re.compile("0[xX][0-9A-Fa-f]{40}")
_MONERO = re.compile(f"[48][0-9AB][{_BASE58}]{{93}}")
_STELLAR = re.compile("G[A-Z2-7]{55}")
_BASE58_LONGEST = 36
SHORTEST, LONGEST = 25, 120  # characters
_CASES_MAX = 4  # each costs 0.4 ms: the hash is computed in Python
_SEGWIT_MAX = 500


@dataclass(slots=True)
class Wallets:
    """Tells addresses of one text. Only the first few Ethereum addresses have their case checked, and only the first

    hundreds of segregated-witness ones their check digits.
    """

    cases_left: int = _CASES_MAX
    segwit_left: int = _SEGWIT_MAX

    def is_wallet(self, token: str) -> bool:
        """Whether a whole run of letters and digits is an address."""
        if token[:2] not in ("0x", "0X"):
            return self._is_segwit(token) if _SEGWIT.fullmatch(token) else _is_other(token)
        if not _ETHER.fullmatch(token):
            return False
        digits = token[2:]
        if digits in (digits.lower(), digits.upper()) or not self.cases_left:
            return True
        self.cases_left -= 1
        return _has_ether_case(digits)

    def _is_segwit(self, token: str) -> bool:
        if token not in (token.lower(), token.upper()):
            return False
        self.segwit_left -= 1
        return self.segwit_left < 0 or _is_bech32(token.lower())


def _is_other(token: str) -> bool:
    if len(token) <= _BASE58_LONGEST and _BASE58_FORM.fullmatch(token):
        return _is_base58_check(token.translate(_FROM_RIPPLE) if token[0] == "r" else token)
    if _STELLAR.fullmatch(token):
        raw = b32decode(token)
        return binascii.crc_hqx(raw[:-2], 0) == int.from_bytes(raw[-2:], "little")
    return bool(_MONERO.fullmatch(token))


def _is_base58_check(token: str) -> bool:
    number = 0
    for character in token:
        number = number * 58 + _BASE58_VALUE[character]
    size = len(token) - len(token.lstrip("1")) + (number.bit_length() + 7) // 8
    raw = number.to_bytes(max(size, 1), "big")
    return size in _BASE58_BYTES and sha256(sha256(raw[:-4]).digest()).digest()[:4] == raw[-4:]


def _is_bech32(token: str) -> bool:
    prefix, _, data = token.rpartition("1")
    values = [ord(letter) >> 5 for letter in prefix] + [0] + [ord(letter) & 31 for letter in prefix]
    check = 1
    for value in (*values, *map(_BECH32.index, data)):
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            if top >> bit & 1:
                check ^= generator
    return check in _BECH32_SUMS


def _has_ether_case(digits: str) -> bool:
    """EIP-55: each letter is a capital where the hash of the address in small letters has a digit of 8 or more."""
    small = digits.lower()
    return all(
        letter.isupper() == (int(nibble, 16) >= 8)
        for letter, nibble in zip(digits, keccak_256(small.encode()).hex(), strict=False)
        if letter.isalpha()
    )
