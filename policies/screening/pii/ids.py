"""Numbers that states, tax offices and health services give, told apart by check digits and form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

from policies.screening.pii import id_checks as check
from policies.screening.pii.banking import is_card
from policies.screening.pii.checksums import luhn

Form = tuple[int, ...]


class Needs(IntEnum):
    """What must be seen of a number besides its check digits, so that others are rarely taken for it."""

    NOTHING = 0
    ITS_FORM = 1  # grouped as people write it, or alone in its text, or a word near it says that it is some person's
    ITS_GROUPS = 2  # grouped as people write it: it has no check digit
    CONTEXT = 3  # a word near it that says what it is


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """``digits``: how many it may have; ``forms``: lengths of the groups that people write it in."""

    name: str
    digits: tuple[int, ...]
    forms: tuple[Form, ...]
    is_valid: Callable[[str], bool]
    needs: Needs = Needs.ITS_FORM
    separators: frozenset[str] = frozenset(" -.")


_STRONG, _FORM, _GROUPS, _CONTEXT = Needs

_CARD_FORMS = ((4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3))
CARD = Kind("CREDIT_CARD", tuple(range(12, 20)), _CARD_FORMS, is_card, _STRONG, frozenset(" -._/"))

# In the order in which they are preferred where nothing but the digits tells: the rarer a chance match, the earlier.
KINDS = (
    Kind("CN_RESIDENT_ID", (18,), ((6, 8, 4),), check.cn_resident, _STRONG),
    Kind("ZA_ID_NUMBER", (13,), ((6, 4, 3), (6, 4, 2, 1), (6, 4, 1, 1, 1)), check.za_id, _STRONG),
    CARD,
    Kind("FR_NIR", (15,), ((1, 2, 2, 2, 3, 3, 2), (13, 2)), check.fr_nir, _STRONG),
    Kind("CH_AHV", (13,), ((3, 4, 4, 2),), check.ch_ahv, _STRONG),
    Kind("KR_RRN", (13,), ((6, 7),), check.kr_rrn, _STRONG),
    Kind("KR_FRN", (13,), ((6, 7),), check.kr_frn, _STRONG),
    Kind("RO_CNP", (13,), (), check.ro_cnp, _STRONG),
    Kind("BR_CNPJ", (14,), ((2, 3, 3, 4, 2),), check.br_cnpj, _STRONG, frozenset(" -./")),
    Kind("CREDIT_CARD", tuple(range(13, 20)), (), luhn, _CONTEXT),  # of an issuer that is not listed
    Kind("NO_NATIONAL_ID", (11,), ((6, 5), (6, 3, 2)), check.no_birth_number, _STRONG),
    Kind("TR_NATIONAL_ID", (11,), (), check.tr_national, _STRONG),
    Kind("BR_CPF", (11,), ((3, 3, 3, 2),), check.br_cpf, _STRONG),
    Kind("BE_NATIONAL_NUMBER", (11,), ((2, 2, 2, 3, 2), (6, 3, 2)), check.be_national, _STRONG),
    Kind("AU_ABN", (11,), ((2, 3, 3, 3),), check.au_abn, _STRONG),
    Kind("RU_SNILS", (11,), ((3, 3, 3, 2),), check.ru_snils, _FORM),
    Kind("DE_TAX_ID", (11,), ((2, 3, 3, 3), (3, 3, 3, 2), (2, 9)), check.de_tax, _STRONG, frozenset(" -./")),
    Kind("EE_ISIKUKOOD", (11,), (), check.ee_personal, _STRONG),
    Kind("GR_AMKA", (11,), ((6, 5),), check.gr_amka, _STRONG),
    Kind("PL_PESEL", (11,), ((6, 5),), check.pl_pesel, _STRONG),
    Kind("SE_PERSONNUMMER", (10, 12), ((6, 4), (8, 4)), check.se_person, _STRONG, frozenset(" -+")),
    Kind("FI_PERSONAL_IDENTITY_CODE", (10,), ((6, 4),), check.fi_person, _FORM, frozenset("-+")),
    Kind("US_SSN", (9,), ((3, 2, 4),), check.us_ssn, _GROUPS),
    Kind("US_ITIN", (9,), ((3, 2, 4),), check.us_itin, _GROUPS),
    Kind("AR_CUIT", (11,), ((2, 8, 1),), check.ar_cuit, _FORM),
    Kind("PK_CNIC", (13,), ((5, 7, 1),), check.pk_cnic, _GROUPS),
    Kind("CL_RUT", (8, 9), ((2, 3, 3, 1), (1, 3, 3, 1), (8, 1), (7, 1)), check.cl_rut, _GROUPS),
    Kind("MY_NRIC", (12,), ((6, 2, 4),), check.my_nric, _GROUPS, frozenset("-")),
    Kind("KR_DRIVER_LICENSE", (12,), ((2, 2, 6, 2),), check.kr_driver, _GROUPS, frozenset(" -")),
    Kind("KR_BRN", (10,), ((3, 2, 5),), check.kr_business, _GROUPS),
    Kind("AU_MEDICARE", (10, 11), ((4, 5, 1), (4, 5, 1, 1)), check.au_medicare, _FORM, frozenset(" -./")),
    Kind("CZ_BIRTH_NUMBER", (10,), ((6, 4),), check.cz_birth, _FORM, frozenset("/")),
    Kind("IS_KENNITALA", (10,), ((6, 4),), check.is_kennitala, _FORM),
    Kind("AT_SVNR", (10,), ((4, 6), (4, 2, 2, 2)), check.at_svnr, _FORM),
    Kind("DK_CPR_NUMBER", (10,), ((6, 4), (2, 2, 2, 4)), check.dk_cpr, _GROUPS),
    Kind("BG_EGN", (10,), (), check.bg_egn, _FORM),
    Kind("UK_NHS", (10,), ((3, 3, 4),), check.uk_nhs, _FORM),
    Kind("SE_ORGANISATIONSNUMMER", (10,), ((6, 4),), check.se_organisation, _FORM),
    Kind("US_NPI", (10,), ((4, 3, 3),), check.us_npi, _FORM),
    Kind("PL_NIP", (10,), ((3, 3, 2, 2), (3, 2, 2, 3)), check.pl_nip, _CONTEXT),
    Kind("IN_AADHAAR", (12,), ((4, 4, 4),), check.in_aadhaar, _FORM, frozenset(" -")),
    Kind("RU_INN", (12,), (), check.ru_inn, _STRONG),
    Kind("TH_TNIN", (13,), ((1, 4, 5, 2, 1),), check.th_national, _FORM),
    Kind("NG_NIN", (11,), ((4, 3, 4),), check.ng_nin, _FORM),
    Kind("IT_VAT_CODE", (11,), (), check.it_vat, _FORM),
    Kind("HR_OIB", (11,), (), check.hr_oib, _CONTEXT),
    Kind("AU_TFN", (8, 9), ((3, 3, 3),), check.au_tfn, _FORM),
    Kind("AU_ACN", (9,), ((3, 3, 3),), check.au_acn, _FORM),
    Kind("CA_SIN", (9,), ((3, 3, 3),), check.ca_sin, _FORM),
    Kind("NL_BSN", (8, 9), ((4, 2, 3), (3, 3, 3)), check.nl_bsn, _CONTEXT),
    Kind("PT_NIF", (9,), ((3, 3, 3),), check.pt_nif, _CONTEXT),
    Kind("GR_AFM", (9,), (), check.gr_afm, _CONTEXT),
    Kind("IL_ID", (9,), (), check.il_id, _CONTEXT),
    Kind("JP_MY_NUMBER", (12,), ((4, 4, 4),), check.jp_my_number, _CONTEXT),
    Kind("MX_NSS", (11,), (), check.mx_nss, _CONTEXT),
    Kind("EC_CEDULA", (10,), (), check.ec_cedula, _CONTEXT),
    Kind("ID_NIK", (16,), (), check.id_nik, _CONTEXT),
    Kind("US_PASSPORT", (9,), (), check.anything, _CONTEXT),
    Kind("UK_PASSPORT", (9,), (), check.anything, _CONTEXT),
    Kind("US_DRIVER_LICENSE", (7, 8, 9, 10, 12), ((3, 3, 3), (2, 3, 3), (3, 3, 2)), check.anything, _CONTEXT),
    Kind("US_BANK_NUMBER", tuple(range(8, 18)), (), check.anything, _CONTEXT),
    Kind("ABA_ROUTING_NUMBER", (9,), ((4, 4, 1),), check.aba_routing, _CONTEXT),
    Kind(
        "DE_TAX_NUMBER",
        (10, 11, 13),
        ((2, 3, 5), (3, 3, 5), (3, 4, 4), (5, 5)),
        check.anything,
        _CONTEXT,
        frozenset(" /"),
    ),
    Kind("PH_TIN", (9, 12), ((3, 3, 3), (3, 3, 3, 3)), check.anything, _CONTEXT),
    Kind("PH_UMID", (12,), ((4, 7, 1),), check.anything, _GROUPS, frozenset("-")),
)


_Key = TypeVar("_Key")


def _indexed(pairs: Iterable[tuple[_Key, Kind]]) -> Mapping[_Key, tuple[Kind, ...]]:
    index: dict[_Key, tuple[Kind, ...]] = {}
    for key, kind in pairs:
        index[key] = (*index.get(key, ()), kind)
    return index


BY_LENGTH = _indexed((count, kind) for kind in KINDS for count in kind.digits)
STRONG_BY_LENGTH = _indexed((count, kind) for kind in KINDS if kind.needs is Needs.NOTHING for count in kind.digits)
BY_FORM = _indexed((form, kind) for kind in KINDS for form in kind.forms)
