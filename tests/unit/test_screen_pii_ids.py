"""Numbers of persons are told apart by their check digits, their groups, and the words near them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.screening.pii import checksums
from policies.screening.pii.find import find

# As people write them; each is valid and made up.
GROUPED = [
    ("US_SSN", "787-78-9328"),
    ("US_ITIN", "953-84-0191"),
    ("AU_TFN", "495 490 267"),
    ("AU_ABN", "98 421 755 838"),
    ("AU_ACN", "171 316 466"),
    ("AU_MEDICARE", "2123 45670 1"),
    ("CA_SIN", "380 474 866"),
    ("GR_AMKA", "250883 88092"),
    ("BR_CPF", "082.595.849-05"),
    ("BR_CNPJ", "99.664.592/4896-09"),
    ("PL_PESEL", "80120524774"),
    ("NO_NATIONAL_ID", "031114 27142"),
    ("SE_PERSONNUMMER", "730306-7230"),
    ("SE_ORGANISATIONSNUMMER", "738376-1652"),
    ("CZ_BIRTH_NUMBER", "980811/6395"),
    ("RO_CNP", "3900511212931"),
    ("EE_ISIKUKOOD", "60809023951"),
    ("DE_TAX_ID", "94 731 952 804"),
    ("DE_SOCIAL_SECURITY", "65 170839 J 003"),
    ("FR_NIR", "8 94 06 80 209 844 75"),
    ("BE_NATIONAL_NUMBER", "75.08.18-507.02"),
    ("CH_AHV", "756.4715.0900.99"),
    ("TR_NATIONAL_ID", "50193878078"),
    ("IN_AADHAAR", "8084 8182 6457"),
    ("TH_TNIN", "3-7796-22095-90-7"),
    ("KR_RRN", "240104-9932069"),
    ("KR_BRN", "741-98-00262"),
    ("CN_RESIDENT_ID", "110101191703166843"),
    ("RU_INN", "787334338546"),
    ("AR_CUIT", "50-41834289-4"),
    ("CL_RUT", "82.460.975-6"),
    ("MY_NRIC", "721022-54-0696"),
    ("PK_CNIC", "70865-1410764-8"),
    ("ZA_ID_NUMBER", "4604114733129"),
    ("UK_NINO", "AB 12 34 56 C"),
    ("UK_DRIVING_LICENCE", "MORGA657054SM9IJ"),
    ("ES_NIF", "12345678-Z"),
    ("ES_NIE", "X-1234567-L"),
    ("IT_FISCAL_CODE", "RSSMRA85T10A562S"),
    ("SG_NRIC_FIN", "S1234567D"),
    ("FI_PERSONAL_IDENTITY_CODE", "131052-308T"),
    ("IN_PAN", "ABCPE1234F"),
    ("US_MBI", "1EG4-TE5-MK73"),
    ("HK_ID", "A123456(3)"),
    ("MX_CURP", "BOXW310820HNERXN09"),
]
# Too common a form, or a check digit that one number in ten has: a word must say it.
NAMED = [
    ("UK_NHS", "NHS number: 2275014217"),
    ("AU_TFN", "my tax file number is 495490267"),
    ("CA_SIN", "SIN 380474866"),
    ("NL_BSN", "BSN: 952139844"),
    ("PT_NIF", "NIF 380575108"),
    ("PL_NIP", "NIP 6954804285"),
    ("IS_KENNITALA", "kennitala 1104741489"),
    ("AT_SVNR", "SVNR 8588210434"),
    ("BG_EGN", "ЕГН 0902245643"),
    ("HR_OIB", "OIB 16898703298"),
    ("IT_VAT_CODE", "partita IVA 00611430406"),
    ("JP_MY_NUMBER", "マイナンバー：６４２１４０２７４０３０"),
    ("CN_RESIDENT_ID", "身份证号110101191703166843。"),
    ("US_PASSPORT", "US passport 912803456"),
    ("US_DRIVER_LICENSE", "driver's license H12234567"),
    ("IN_AADHAAR", "Aadhaar no. 808481826457"),
    ("MEDICAL_LICENSE", "DEA certificate BB1388568"),
    ("ABA_ROUTING_NUMBER", "routing number 690911114"),
]


def kinds(text):
    return [span.kind for span in find(text)]


@pytest.mark.parametrize(("kind", "number"), GROUPED)
def test_a_number_as_people_write_it_is_found_in_a_sentence_and_alone(kind, number) -> None:
    assert kinds(f"They gave me {number} yesterday.") == [kind]
    assert kinds(number) == [kind]


@pytest.mark.parametrize(("kind", "text"), NAMED)
def test_bare_digits_are_found_where_a_word_near_says_what_they_are(kind, text) -> None:
    assert kinds(text) == [kind]


@pytest.mark.parametrize("digits", ["2275014217", "495490267", "380474866", "952139844", "380575108", "6954804285"])
def test_without_such_a_word_they_are_nothing(digits) -> None:
    assert kinds(f"We counted {digits} of them.") == []


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        (kind, number)
        for kind, number in GROUPED
        if kind
        not in (
            "US_SSN",
            "US_ITIN",
            "AU_MEDICARE",
            "MY_NRIC",
            "PK_CNIC",
            "UK_NINO",
            "UK_DRIVING_LICENCE",
            "IN_PAN",
            "US_MBI",
        )
    ],
)
def test_with_another_check_digit_it_is_another_thing_or_nothing(kind, number) -> None:
    place = max(index for index, character in enumerate(number) if character.isdigit())
    changed = number[:place] + str((int(number[place]) + 1) % 10) + number[place + 1 :]
    assert kind not in kinds(f"They gave me {changed} yesterday.")


@pytest.mark.parametrize(
    "number", ["000-12-3456", "666-12-3456", "123-00-4567", "123-45-0000", "078-05-1120", "999-12-3456"]
)
def test_a_social_security_number_that_is_never_given_is_none(number) -> None:
    assert "US_SSN" not in kinds(f"SSN {number}")


def test_the_nearest_word_decides_between_two_kinds() -> None:
    text = "NHS number 227 501 4217, phone 227 501 4218"
    assert kinds(text) == ["UK_NHS", "PHONE_NUMBER"]


def test_a_word_for_a_thing_right_before_it_says_that_it_is_no_person_s() -> None:
    assert kinds("order 020 7946 0958") == []
    assert kinds("at 020 7946 0958") == ["PHONE_NUMBER"]


@given(st.from_regex(r"\A[0-9]{2,18}\Z"), st.integers(0, 17), st.integers(1, 9))
def test_luhn_and_verhoeff_see_every_single_wrong_digit(body, place, by) -> None:
    for is_valid in (checksums.luhn, checksums.verhoeff):
        whole = next(body + last for last in "0123456789" if is_valid(body + last))
        place %= len(whole)
        assert not is_valid(whole[:place] + str((int(whole[place]) + by) % 10) + whole[place + 1 :])
