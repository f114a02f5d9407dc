"""Numbers of persons that have letters in them. Forms are of capitals; a check sees a number without separators."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from string import ascii_uppercase

from policies.screening.pii.checksums import is_day, weighted
from policies.screening.pii.id_checks import anything, cl_check, cn_resident, fi_person, it_vat
from policies.screening.pii.ids import Needs

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_VALUE = {character: value for value, character in enumerate(_ALPHABET)}
_NIF = "TRWAGMYFPDXBNJZSQVHLCKE"
_FISCAL_ODD = dict(
    zip(
        _ALPHABET,
        (
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            2,
            4,
            18,
            20,
            11,
            3,
            6,
            8,
            12,
            14,
            16,
            10,
            22,
            25,
            24,
            23,
        ),
        strict=True,
    )
)
_FISCAL_DIGITS = str.maketrans("LMNPQRSTUV", "0123456789")  # where two people had the same code
_IRISH = "WABCDEFGHIJKLMNOPQRSTUV"
_NRIC = {
    "S": (0, "JZIHGFEDCBA"),
    "T": (4, "JZIHGFEDCBA"),
    "F": (0, "XWUTRQPNMLK"),
    "G": (4, "XWUTRQPNMLK"),
    "M": (3, "XWUTRQPNJLK"),
}
_TAIWAN = "ABCDEFGHJKLMNPQRSTUVXYWZIO"
_NINO_NEVER = frozenset(("BG", "GB", "KN", "NK", "NT", "TN", "ZZ"))


def _letter_at(letters: str, number: int) -> str:
    return letters[number % len(letters)]


def _always(_compact: str) -> bool:
    return True


def _uk_nino(compact: str) -> bool:
    return compact[:2] not in _NINO_NEVER


def _uk_driver(compact: str) -> bool:
    """Women have 50 added to the month of birth, which stands between the two digits of the year."""
    return is_day(int(compact[6:8]) % 50, int(compact[8:10]))


def _es_nif(compact: str) -> bool:
    is_literal = compact[:-1].endswith("0000")  # 10000000L is a number in a program
    return _letter_at(_NIF, int(compact[:-1])) == compact[-1] and not is_literal and anything(compact[:-1])


def _es_nie(compact: str) -> bool:
    return _letter_at(_NIF, int(str("XYZ".index(compact[0])) + compact[1:-1])) == compact[-1]


def _es_cif(compact: str) -> bool:
    digits = compact[1:8]
    check = -(sum(map(int, digits[1::2])) + sum(sum(divmod(2 * int(digit), 10)) for digit in digits[0::2])) % 10
    return compact[8] in (str(check), "JABCDEFGHI"[check])


def _it_fiscal(compact: str) -> bool:
    total = sum(_FISCAL_ODD[character] for character in compact[0:15:2])
    total += sum(_VALUE[character] - 10 if character.isalpha() else int(character) for character in compact[1:15:2])
    day = int(compact[9:11].translate(_FISCAL_DIGITS)) % 40
    return 1 <= day <= 31 and _letter_at(ascii_uppercase, total) == compact[15]


def _it_vat_prefixed(compact: str) -> bool:
    return it_vat(compact[2:])


def _fr_corsican(compact: str) -> bool:
    number = int(compact[:13].replace("2A", "19").replace("2B", "18"))
    return 97 - number % 97 == int(compact[13:])


def _ie_pps(compact: str) -> bool:
    extra = 9 * (_VALUE[compact[8]] - 9) if compact[8:] not in ("", "W") else 0
    is_literal = compact[3:7] == "0000"
    return _letter_at(_IRISH, weighted(compact[:7], range(8, 1, -1)) + extra) == compact[7] and not is_literal


def _de_pension(compact: str) -> bool:
    """Deutsche Rentenversicherung: the letter counts as its two digits; the last digit checks."""
    digits = compact[:8] + f"{_VALUE[compact[8]] - 9:02}" + compact[9:11]
    sums = (
        sum(divmod(int(digit) * weight, 10))
        for digit, weight in zip(digits, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), strict=True)
    )
    return is_day(int(compact[4:6]), int(compact[2:4]) % 50 or 1) and sum(sums) % 10 == int(compact[11])


def _de_health(compact: str) -> bool:
    digits = f"{_VALUE[compact[0]] - 9:02}" + compact[1:9]
    sums = (sum(divmod(int(digit) * weight, 10)) for digit, weight in zip(digits, (1, 2) * 5, strict=True))
    return sum(sums) % 10 == int(compact[9])


def _icao(compact: str) -> bool:
    """ICAO 9303: the tenth digit, if there is one, checks the nine before it."""
    total = sum(_VALUE[character] * weight for character, weight in zip(compact[:9], (7, 3, 1) * 3, strict=True))
    return len(compact) == 9 or total % 10 == int(compact[9])


def _sg_nric(compact: str) -> bool:
    offset, letters = _NRIC[compact[0]]
    rest = (weighted(compact[1:8], (2, 7, 6, 5, 4, 3, 2)) + offset) % 11
    if compact[0] == "M":
        return "KLJNPQRTUWX"[10 - rest] == compact[8]
    return letters[rest] == compact[8]


def _sg_uen(compact: str) -> bool:
    """Businesses and companies; other bodies have a letter first and their own weights."""
    if compact[0].isalpha():
        letters = "ABCDEFGHJKLMNPQRSTUVWX0123456789"
        weights = (4, 3, 5, 3, 10, 2, 2, 5, 7)
        return letters[(sum(map(int.__mul__, map(letters.index, compact[:9]), weights)) - 5) % 11] == compact[9]
    if len(compact) == 9:
        return "XMKECAWLJDB"[weighted(compact, (10, 4, 9, 3, 8, 2, 7, 1)) % 11] == compact[8]
    return "ZKCMDNERGWH"[weighted(compact, (10, 8, 6, 4, 9, 7, 5, 3, 1)) % 11] == compact[9] and compact[:4] < "2100"


def _in_gstin(compact: str) -> bool:
    total = 0
    for position, character in enumerate(compact[:14]):
        total += sum(divmod(_VALUE[character] * (1 + position % 2), 36))
    return 1 <= int(compact[:2]) <= 38 and _ALPHABET[-total % 36] == compact[14]


def _dea(compact: str) -> bool:
    digits = compact[2:]
    return (sum(map(int, digits[0:6:2])) + 2 * sum(map(int, digits[1:6:2]))) % 10 == int(digits[6])


def _mx_curp(compact: str) -> bool:
    letters = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"
    total = sum(letters.index(character) * (18 - position) for position, character in enumerate(compact[:17]))
    return is_day(int(compact[6:8]), int(compact[8:10])) and str(-total % 10) == compact[17]


def _hk_id(compact: str) -> bool:
    letters = compact[:-7].rjust(2)
    values = [36 if letter == " " else _VALUE[letter] for letter in letters] + [int(digit) for digit in compact[-7:-1]]
    return (sum(map(int.__mul__, values, range(9, 1, -1))) + _VALUE[compact[-1]]) % 11 == 0


def _tw_id(compact: str) -> bool:
    head = str(10 + _TAIWAN.index(compact[0]))
    return weighted(head + compact[1:], (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1)) % 10 == 0


def _cl_rut(compact: str) -> bool:
    return cl_check(compact[:-1]) == compact[-1]


@dataclass(frozen=True, slots=True)
class Lettered:
    """``form``: of the whole, with the separators that people put in it."""

    name: str
    form: re.Pattern[str]
    is_valid: Callable[[str], bool]
    needs: Needs


def _kind(name: str, form: str, is_valid: Callable[[str], bool], needs: Needs = Needs.NOTHING) -> Lettered:
    return Lettered(name, re.compile(form, re.ASCII), is_valid, needs)


_MBI_LETTER, _MBI_EITHER = "[AC-HJKMNP-RT-Y]", "[AC-HJKMNP-RT-Y0-9]"
_FISCAL_DIGIT = "[0-9L-NP-V]"
_FISCAL_BIRTH = rf"{_FISCAL_DIGIT}{{2}}[ABCDEHLMPRST]{_FISCAL_DIGIT}{{2}}"

# In the order in which they are preferred.
KINDS = (
    _kind(
        "IT_FISCAL_CODE",
        rf"[A-Z]{{3}} ?[A-Z]{{3}} ?{_FISCAL_BIRTH} ?[A-Z]{_FISCAL_DIGIT}{{3}} ?[A-Z]",
        _it_fiscal,
    ),
    _kind("MX_CURP", r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[0-9A-Z]\d", _mx_curp),
    _kind("IN_GSTIN", r"\d{2}[A-Z]{5}\d{4}[A-Z][1-9A-Z]Z[0-9A-Z]", _in_gstin),
    _kind("UK_DRIVING_LICENCE", r"[A-Z][A-Z9]{4} ?\d[0156]\d[0-3]\d{2} ?[A-Z9]{2}[0-9A-Z][A-Z]{2}", _uk_driver),
    _kind("CN_RESIDENT_ID", r"\d{6} ?\d{8} ?\d{3}X", cn_resident),
    _kind("FR_NIR", r"[12] ?\d{2} ?\d{2} ?2[AB] ?\d{3} ?\d{3} ?\d{2}", _fr_corsican),
    _kind(
        "US_MBI",
        rf"[1-9]{_MBI_LETTER}{_MBI_EITHER}\d-?{_MBI_LETTER}{_MBI_EITHER}\d-?{_MBI_LETTER}{{2}}\d{{2}}",
        _always,
    ),
    _kind("DE_SOCIAL_SECURITY", r"\d{2} ?\d{6} ?[A-Z] ?\d{2} ?\d", _de_pension),
    _kind("FI_PERSONAL_IDENTITY_CODE", r"\d{6}[-+A-FU-Y]\d{3}[0-9A-Y]", fi_person),
    _kind("SG_NRIC_FIN", r"[STFGM]\d{7}[A-Z]", _sg_nric),
    _kind("ES_NIF", r"\d{8}[- ]?[A-HJ-NP-TV-Z]|\d{1,2}\.\d{3}\.\d{3}[- ]?[A-HJ-NP-TV-Z]", _es_nif),
    _kind("ES_NIE", r"[XYZ][- ]?\d{7}[- ]?[A-HJ-NP-TV-Z]", _es_nie),
    _kind("UK_NINO", r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][ -]?\d{2}[ -]?\d{2}[ -]?\d{2}[ -]?[A-D]", _uk_nino),
    _kind("IN_PAN", r"[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]", _always),
    _kind("IE_PPS", r"\d{7}[A-W][A-IW]?", _ie_pps),
    _kind("HK_ID", r"[A-Z]{1,2}\d{6}\([0-9A]\)", _hk_id),
    _kind("CL_RUT", r"\d{1,2}\.?\d{3}\.?\d{3}-K", _cl_rut),
    _kind("IT_VAT_CODE", r"IT ?\d{11}", _it_vat_prefixed),
    _kind("SG_UEN", r"\d{8,9}[A-Z]|[TSR]\d{2}[A-Z]{2}\d{4}[A-Z]", _sg_uen, Needs.ITS_FORM),
    _kind("DE_HEALTH_INSURANCE", r"[A-Z]\d{9}", _de_health, Needs.ITS_FORM),
    _kind("TW_ID", r"[A-Z][1289]\d{8}", _tw_id, Needs.ITS_FORM),
    _kind("MEDICAL_LICENSE", r"[ABCDEFGHJKLMPRSTUX][A-Z9]\d{7}", _dea, Needs.ITS_FORM),
    _kind("IT_IDENTITY_CARD", r"C[A-Z]\d{5}[A-Z]{2}", _always, Needs.ITS_FORM),
    _kind("ES_CIF", r"[ABCDEFGHJNPQRSUVW]-?\d{7}-?[0-9A-J]", _es_cif, Needs.ITS_FORM),
    _kind("IN_VOTER", r"[A-Z]{3}\d{7}", _always, Needs.CONTEXT),
    _kind("IN_PASSPORT", r"[A-PR-WY][1-9]\d ?\d{4}[1-9]", _always, Needs.CONTEXT),
    _kind("KR_PASSPORT", r"[MSRODG]\d{8}|[MSRODG]\d{3}[A-Z]\d{4}", _always, Needs.CONTEXT),
    _kind("US_PASSPORT", r"[A-Z]\d{8}", _always, Needs.CONTEXT),
    _kind("DE_PASSPORT", r"[CFGHJKLMNPRTVWXYZ][CFGHJKLMNPRTVWXYZ0-9]{8}\d?", _icao, Needs.CONTEXT),
    _kind("DE_ID_CARD", r"[LMNPRTVWXYZ][CFGHJKLMNPRTVWXYZ0-9]{8}\d?|T\d{8}", _icao, Needs.CONTEXT),
    _kind("UK_PASSPORT", r"[A-Z]{2}\d{7}", _always, Needs.CONTEXT),
    _kind("IT_PASSPORT", r"[A-Z]{2}\d{7}", _always, Needs.CONTEXT),
    _kind("PH_PASSPORT", r"[A-Z]\d{7}[A-Z]|[A-Z]{2}\d{7}", _always, Needs.CONTEXT),
    _kind("ZA_PASSPORT", r"[ADMT]\d{8}", _always, Needs.CONTEXT),
    _kind("ES_PASSPORT", r"[A-Z]{3}\d{6}", _always, Needs.CONTEXT),
    _kind("IT_IDENTITY_CARD", r"[A-Z]{2} ?\d{7}|\d{7}[A-Z]{2}", _always, Needs.CONTEXT),
    _kind("IT_DRIVER_LICENSE", r"[A-Z]{2}\d{7}[A-Z]|U1[0-9A-Z]{7}[A-Z]", _always, Needs.CONTEXT),
    _kind("MX_RFC", r"[A-Z&]{3,4}\d{6}[0-9A-Z]{3}", _always, Needs.CONTEXT),
    _kind("US_DRIVER_LICENSE", r"[A-Z]{1,2}\d{4,13}|[A-Z]\d{2,4}-\d{3,4}-\d{3,4}(?:-\d{2,4})*", _always, Needs.CONTEXT),
)
# Their form is all that proves them, so it has to be in capitals.
ONLY_FORM = frozenset(("UK_NINO", "UK_DRIVING_LICENCE", "IN_PAN", "US_MBI"))
SEPARATORS = str.maketrans("", "", " -.()")


def _by_length(kinds: Iterable[Lettered]) -> Mapping[int, tuple[Lettered, ...]]:
    """For runs of letters and digits without separators: those whose form can be so long."""
    lengths = {
        "IT_FISCAL_CODE": (16,),
        "MX_CURP": (18,),
        "IN_GSTIN": (15,),
        "UK_DRIVING_LICENCE": (16,),
        "CN_RESIDENT_ID": (18,),
        "FR_NIR": (15,),
        "US_MBI": (11,),
        "DE_SOCIAL_SECURITY": (12,),
        "FI_PERSONAL_IDENTITY_CODE": (11,),
    }
    return {
        size: tuple(kind for kind in kinds if size in lengths.get(kind.name, range(7, 16))) for size in range(7, 19)
    }


BY_LENGTH = _by_length(KINDS)
# Whether any of them has the form, asked first: most runs of letters and digits are something else.
ANY_BY_LENGTH = {
    size: re.compile("|".join(f"(?:{kind.form.pattern})" for kind in kinds), re.ASCII)
    for size, kinds in BY_LENGTH.items()
}
_ALSO_SPACED = frozenset(
    "IT_FISCAL_CODE UK_DRIVING_LICENCE CN_RESIDENT_ID FR_NIR US_MBI DE_SOCIAL_SECURITY FI_PERSONAL_IDENTITY_CODE "
    "ES_NIF ES_NIE UK_NINO HK_ID CL_RUT IT_VAT_CODE ES_CIF".split()
)
SPACED = tuple(kind for kind in KINDS if kind.name in _ALSO_SPACED and kind.needs is not Needs.CONTEXT)
ANY_SPACED = re.compile(
    "(?<![0-9A-Za-z])(?:" + "|".join(kind.form.pattern for kind in SPACED) + ")(?![0-9A-Za-z])", re.ASCII
)
