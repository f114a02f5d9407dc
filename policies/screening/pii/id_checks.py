"""The rules by which the numbers of `ids.py` are made, as their issuers publish them. Each takes a string of digits."""

from __future__ import annotations

from collections import Counter

from policies.screening.pii.checksums import is_day, luhn, mod_11_10, verhoeff, weighted

# Numbers that were printed on samples and in advertisements.
_SSN_SAMPLES = frozenset(("078051120", "219099999", "123456789", "457555462", "111111111", "333333333"))
_ITIN_GROUPS = frozenset((*range(50, 66), *range(70, 89), *range(90, 93), *range(94, 100)))


def anything(digits: str) -> bool:
    """No rule but the length: context must say what it is."""
    return len(set(digits)) > 1


def _day(month: str, day: str) -> bool:
    return is_day(int(month), int(day))


def us_ssn(digits: str) -> bool:
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    if area in ("000", "666") or area[0] == "9" or group == "00" or serial == "0000":
        return False
    return digits not in _SSN_SAMPLES and len(set(digits)) > 1


def us_itin(digits: str) -> bool:
    return digits[0] == "9" and int(digits[3:5]) in _ITIN_GROUPS


def us_npi(digits: str) -> bool:
    return digits[0] in "12" and luhn("80840" + digits)


def aba_routing(digits: str) -> bool:
    head = int(digits[:2])
    known = 1 <= head <= 12 or 21 <= head <= 32 or 61 <= head <= 72 or head == 80
    return known and weighted(digits, (3, 7, 1) * 3) % 10 == 0


def uk_nhs(digits: str) -> bool:
    check = (11 - weighted(digits, range(10, 1, -1)) % 11) % 11
    return check == int(digits[9]) and len(set(digits)) > 1


def au_tfn(digits: str) -> bool:
    weights = (1, 4, 3, 7, 5, 8, 6, 9, 10) if len(digits) == 9 else (10, 7, 8, 4, 6, 3, 5, 1)
    return weighted(digits, weights) % 11 == 0 and len(set(digits)) > 1


def au_abn(digits: str) -> bool:
    return digits[0] != "0" and (weighted(digits, (10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)) - 10) % 89 == 0


def au_acn(digits: str) -> bool:
    return (-weighted(digits, range(8, 0, -1)) - int(digits[8])) % 10 == 0 and len(set(digits)) > 1


def au_medicare(digits: str) -> bool:
    return digits[0] in "23456" and digits[9] != "0" and weighted(digits, (1, 3, 7, 9) * 2) % 10 == int(digits[8])


def ca_sin(digits: str) -> bool:
    return digits[0] not in "08" and luhn(digits)


def nl_bsn(digits: str) -> bool:
    padded = digits.zfill(9)
    return weighted(padded, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0 and len(set(digits)) > 1


def pt_nif(digits: str) -> bool:
    check = (11 - weighted(digits, range(9, 1, -1)) % 11) % 11
    return (digits[0] in "12356789" or digits[:2] == "45") and check % 10 == int(digits[8])


def gr_afm(digits: str) -> bool:
    return (
        weighted(digits, tuple(2**power for power in range(8, 0, -1))) % 11 % 10 == int(digits[8]) and int(digits) > 0
    )


def gr_amka(digits: str) -> bool:
    return _day(digits[2:4], digits[:2]) and luhn(digits)


def il_id(digits: str) -> bool:
    return luhn(digits) and len(set(digits)) > 1


def br_cpf(digits: str) -> bool:
    return len(set(digits)) > 1 and all(
        (weighted(digits, range(length + 1, 1, -1)) * 10 % 11) % 10 == int(digits[length]) for length in (9, 10)
    )


def br_cnpj(digits: str) -> bool:
    weights = (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)
    return len(set(digits)) > 1 and all(
        (weighted(digits[:length], weights[13 - length :]) * 10 % 11) % 10 == int(digits[length]) for length in (12, 13)
    )


def tr_national(digits: str) -> bool:
    odd, even = sum(map(int, digits[0:9:2])), sum(map(int, digits[1:8:2]))
    return (
        digits[0] != "0"
        and (odd * 7 - even) % 10 == int(digits[9])
        and sum(map(int, digits[:10])) % 10 == int(digits[10])
    )


def pl_pesel(digits: str) -> bool:
    century, month = divmod(int(digits[2:4]), 20)
    is_born = century < 5 and is_day(month, int(digits[4:6]))
    return is_born and weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def pl_nip(digits: str) -> bool:
    return weighted(digits, (6, 5, 7, 2, 3, 4, 5, 6, 7)) % 11 == int(digits[9]) and digits[0] != "0"


def no_birth_number(digits: str) -> bool:
    day = int(digits[:2])
    return (
        is_day(int(digits[2:4]) % 40, day - 40 if day > 40 else day)
        and weighted(digits, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11 == 0
        and weighted(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0
    )


def se_person(digits: str) -> bool:
    """Coordination numbers have 60 added to the day."""
    ten, day = digits[-10:], int(digits[-6:-4])
    is_century = len(digits) == 10 or digits[:2] in ("18", "19", "20")
    return is_century and is_day(int(ten[2:4]), day - 60 if day > 60 else day) and luhn(ten)


def se_organisation(digits: str) -> bool:
    return digits[0] in "1235679" and digits[2] >= "2" and luhn(digits)


def dk_cpr(digits: str) -> bool:
    """Since 2007 numbers without a check digit are given: then the form and context must tell."""
    return _day(digits[2:4], digits[:2]) and len(set(digits)) > 1


def fi_person(compact: str) -> bool:
    """Nine digits and a last character that may be a letter; the sign of the century between them does not count."""
    digits = compact[:6] + compact[-4:-1]
    return _day(digits[2:4], digits[:2]) and "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(digits) % 31] == compact[-1]


def is_kennitala(digits: str) -> bool:
    check = (11 - weighted(digits, (3, 2, 7, 6, 5, 4, 3, 2)) % 11) % 11
    return _day(digits[2:4], digits[:2]) and check == int(digits[8]) and digits[9] in "089"


def at_svnr(digits: str) -> bool:
    total = weighted(digits, (3, 7, 9, 0, 5, 8, 4, 2, 1, 6))
    return digits[0] != "0" and _day(digits[6:8], digits[4:6]) and total % 11 == int(digits[3])


def cz_birth(digits: str) -> bool:
    """Women have 50 added to the month; 20 where a day ran out of numbers."""
    month = int(digits[2:4]) % 50
    is_born = is_day(month - 20 if month > 20 else month, int(digits[4:6]))
    return is_born and int(digits[:9]) % 11 % 10 == int(digits[9])


def bg_egn(digits: str) -> bool:
    century, month = divmod(int(digits[2:4]), 20)
    is_born = century < 3 and is_day(month, int(digits[4:6]))
    return is_born and weighted(digits, (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11 % 10 == int(digits[9])


def ro_cnp(digits: str) -> bool:
    check = weighted(digits, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    is_place = 1 <= int(digits[7:9]) <= 52 or digits[7:9] in ("70", "80")
    return (
        digits[0] != "0"
        and _day(digits[3:5], digits[5:7])
        and is_place
        and (check % 10 + check // 10) == int(digits[12])
    )


def ee_personal(digits: str) -> bool:
    """Estonia's and Lithuania's."""
    if digits[0] not in "123456" or not _day(digits[3:5], digits[5:7]):
        return False
    check = weighted(digits, (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)) % 11
    if check == 10:
        check = weighted(digits, (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)) % 11 % 10
    return check == int(digits[10])


def de_tax(digits: str) -> bool:
    """Of the first ten digits exactly one comes twice or three times, and no other more than once."""
    counts = Counter(digits[:10]).values()
    repeated = [count for count in counts if count > 1]
    return digits[0] != "0" and len(repeated) == 1 and repeated[0] <= 3 and mod_11_10(digits)


def fr_nir(digits: str) -> bool:
    month = int(digits[3:5])
    is_month = 1 <= month <= 12 or 20 <= month <= 42 or month >= 50
    return digits[0] in "123478" and is_month and 97 - int(digits[:13]) % 97 == int(digits[13:])


def be_national(digits: str) -> bool:
    check = int(digits[9:])
    is_born = int(digits[2:4]) % 20 <= 12 and int(digits[4:6]) <= 31
    return is_born and check in (97 - int(digits[:9]) % 97, 97 - int("2" + digits[:9]) % 97) and int(digits[:9]) > 0


def ch_ahv(digits: str) -> bool:
    return digits[:3] == "756" and weighted(digits, (1, 3) * 6 + (1,)) % 10 == 0


def hr_oib(digits: str) -> bool:
    return mod_11_10(digits)


def it_vat(digits: str) -> bool:
    return int(digits[:7]) > 0 and (1 <= int(digits[7:10]) <= 121 or digits[7:10] in ("888", "999")) and luhn(digits)


def in_aadhaar(digits: str) -> bool:
    return digits[0] not in "01" and verhoeff(digits) and digits != digits[::-1]


def ng_nin(digits: str) -> bool:
    return verhoeff(digits) and len(set(digits)) > 1


def za_id(digits: str) -> bool:
    return _day(digits[2:4], digits[4:6]) and digits[10] in "012" and luhn(digits)


def th_national(digits: str) -> bool:
    return digits[0] in "12345678" and (11 - weighted(digits, range(13, 1, -1)) % 11) % 10 == int(digits[12])


def _kr_checked(digits: str, base: int) -> bool:
    return (base - weighted(digits, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10 == int(digits[12])


def kr_rrn(digits: str) -> bool:
    """Those given since October 2020 end in any digits: only births since then can have one from the start."""
    is_born = digits[6] in "012349" and _day(digits[2:4], digits[4:6])
    return is_born and (_kr_checked(digits, 11) or (digits[6] in "34" and 2010 <= int(digits[:4]) <= 2912))


def kr_frn(digits: str) -> bool:
    return digits[6] in "5678" and _day(digits[2:4], digits[4:6]) and _kr_checked(digits, 13)


def kr_business(digits: str) -> bool:
    total = weighted(digits, (1, 3, 7, 1, 3, 7, 1, 3, 5)) + int(digits[8]) * 5 // 10
    return (10 - total % 10) % 10 == int(digits[9]) and digits[:3] >= "101"


def kr_driver(digits: str) -> bool:
    return 11 <= int(digits[:2]) <= 28


def cn_resident(digits: str) -> bool:
    """17 digits and a last one that may be X."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    is_born = digits[6:8] in ("18", "19", "20") and _day(digits[10:12], digits[12:14])
    return is_born and digits[0] in "123456789" and "10X98765432"[weighted(digits[:17], weights) % 11] == digits[17]


def jp_my_number(digits: str) -> bool:
    rest = weighted(digits, (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return (0 if rest <= 1 else 11 - rest) == int(digits[11])


def ru_inn(digits: str) -> bool:
    return (
        weighted(digits, (7, 2, 4, 10, 3, 5, 9, 4, 6, 8)) % 11 % 10 == int(digits[10])
        and weighted(digits, (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)) % 11 % 10 == int(digits[11])
        and int(digits[:4]) > 0
    )


def ru_snils(digits: str) -> bool:
    return weighted(digits, range(9, 0, -1)) % 101 % 100 == int(digits[9:]) and len(set(digits)) > 1


def ar_cuit(digits: str) -> bool:
    check = (11 - weighted(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11) % 11
    is_holder = digits[:2] in ("20", "23", "24", "25", "26", "27", "30", "33", "34", "50", "51", "55")
    return is_holder and check == int(digits[10])


def cl_rut(digits: str) -> bool:
    return cl_check(digits[:-1]) == digits[-1]


def cl_check(number: str) -> str:
    """The character that checks a Chilean number: a digit or K."""
    return "0123456789K"[-weighted(number[::-1], (2, 3, 4, 5, 6, 7, 2, 3)) % 11]


def pk_cnic(digits: str) -> bool:
    return digits[0] in "1234567" and len(set(digits)) > 2


def my_nric(digits: str) -> bool:
    return _day(digits[2:4], digits[4:6]) and digits[6:8] not in ("00", "17", "18", "19", "20", "69", "70", "73", "80")


def mx_nss(digits: str) -> bool:
    return luhn(digits)


def ec_cedula(digits: str) -> bool:
    return 1 <= int(digits[:2]) <= 24 and digits[2] < "6" and luhn(digits)


def id_nik(digits: str) -> bool:
    day = int(digits[6:8])
    return _day(digits[8:10], f"{day - 40 if day > 40 else day:02}") and digits[0] in "123456789"
