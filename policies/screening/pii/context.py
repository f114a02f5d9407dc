"""Words near a number that say what it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

PHONE = "PHONE_NUMBER"
OTHER = "OTHER"  # the number names a thing, not a person
PERSON = "PERSON"  # some number of a person, it isn't said which

_BEFORE = 72  # characters looked at
_WORD = re.compile(r"[^\W\d_]+")
_WORD_AFTER = re.compile(r"[ (,/-]{1,3}([^\W\d_]{2,40})")
_OTHER_WORDS_MAX = 4  # an order's number is called so right before it

_WORDS = {
    PHONE: (
        "phone phones telephone telephones tel mobile mobiles cell cellphone cellular call calls called calling "
        "callback dial dialed dialing ring fax faxed whatsapp sms texted texting reach reached contact contacts "
        "answering voicemail hotline helpline landline signal viber telegram messages message office pager "
        "extension ext handset phoned telefon telefonnummer handy handynummer mobil mobilnummer rufnummer "
        "festnetz fernsprecher anrufen telefonu telefonem téléphone telephoner appeler appelez portable numéro "
        "joindre fixe teléfono telefono celular móvil movil llamar llámame llame cellulare chiamare chiama "
        "chiamami recapito fisso telefone telemóvel telemovel ligar ligue telefoon telefoonnummer mobiel gsm "
        "bellen numer komórka komórkowy zadzwoń puhelin puhelinnumero soita telefonnr tlf mob mobilen telefonszám "
        "hívás телефон телефону телефона тел звоните позвоните мобильный номер τηλέφωνο κινητό هاتف جوال تليفون "
        "טלפון फोन फ़ोन मोबाइल telepon hp hubungi simu điện thoại gọi cep arayın ara الهاتف هاتفي رقم جوالي "
        "телефонуйте дзвоніть volejte telefonní mobilní telefonul sunați bel mobilnumre mobiltelefon handynr "
        "telnr gsmnr whats"
    ),
    OTHER: (
        "order orders invoice isbn issn doi tracking sku ticket serial version model part barcode ean upc gtin "
        "timestamp commit build uuid guid hash revision issue bug pmid arxiv item product batch lot confirmation "
        "flight epoch population views iteration iterations seed checksum bytes pid"
    ),
    PERSON: (
        "national identity identification citizen citizenship resident taxpayer tax fiscal social insurance "
        "passport patient identité nationale fiscale identità nazionale documento identidad nacional identidade "
        "ausweis steuer sozialversicherung identiteit personal personnummer osobisty"
    ),
    "CREDIT_CARD": (
        "card cards credit debit visa mastercard amex discover cc karte kreditkarte carte tarjeta carta cartão cvv"
    ),
    "US_SSN": "ssn ssns social sosial",
    "US_ITIN": "itin itins individual taxpayer tax",
    "US_PASSPORT": "passport passports travel",
    "UK_PASSPORT": "passport passports british",
    "US_DRIVER_LICENSE": "driver drivers license licence permit dl dmv driving lic",
    "US_BANK_NUMBER": "bank account acct checking savings debit accounts",
    "US_NPI": "npi provider prescriber",
    "US_MBI": "mbi medicare beneficiary",
    "ABA_ROUTING_NUMBER": "aba routing rtn transit bankrouting",
    "MEDICAL_LICENSE": "medical certificate dea license licence prescriber",
    "UK_NHS": "nhs health patient hospital",
    "UK_NINO": "nino insurance national ni",
    "UK_DRIVING_LICENCE": "driving licence license driver dvla",
    "CA_SIN": "sin sins canadian canada nas insurance",
    "AU_TFN": "tfn tax file australian australia",
    "AU_ABN": "abn business australian australia",
    "AU_ACN": "acn company australian australia",
    "AU_MEDICARE": "medicare australian health",
    "IN_AADHAAR": "aadhaar aadhar uidai adhaar uid",
    "IN_PASSPORT": "passport indian",
    "IN_VOTER": "voter epic election",
    "SG_UEN": "uen singapore",
    "NG_NIN": "nin nimc nigeria nigerian",
    "DE_TAX_ID": ("steuer steuerid steueridentifikationsnummer idnr tin tax identifikationsnummer steuernummer german"),
    "DE_TAX_NUMBER": "steuernummer steuernr stnr finanzamt steuer",
    "DE_HEALTH_INSURANCE": (
        "kvnr krankenversicherung krankenversichertennummer versichertennummer krankenkasse gesundheitskarte"
    ),
    "DE_ID_CARD": "personalausweis ausweis ausweisnummer personalausweisnummer perso",
    "DE_PASSPORT": "reisepass reisepassnummer passnummer passport pass",
    "IT_VAT_CODE": "iva partita piva vat",
    "IT_PASSPORT": "passaporto passport",
    "IT_IDENTITY_CARD": "identità identita identity cie carta documento",
    "IT_DRIVER_LICENSE": "patente guida license licence driver driving",
    "ES_PASSPORT": "pasaporte passport",
    "ES_CIF": "cif nif empresa sociedad",
    "FR_NIR": "nir sécu sécurité sociale insee",
    "NL_BSN": "bsn burgerservicenummer sofinummer sofi burger dutch",
    "PT_NIF": "nif contribuinte fiscal portugal",
    "PL_PESEL": "pesel",
    "PL_NIP": "nip",
    "BE_NATIONAL_NUMBER": "rijksregisternummer rijksregister belgian registre niss insz nrn",
    "DK_CPR_NUMBER": "cpr personnummer danish",
    "SE_PERSONNUMMER": "personnummer swedish samordningsnummer pnr",
    "SE_ORGANISATIONSNUMMER": "organisationsnummer orgnr org organisation",
    "NO_NATIONAL_ID": "fødselsnummer fodselsnummer norwegian",
    "FI_PERSONAL_IDENTITY_CODE": "hetu henkilötunnus henkilötunnukseni personbeteckning finnish",
    "IS_KENNITALA": "kennitala kt",
    "AT_SVNR": "svnr sozialversicherungsnummer versicherungsnummer sozialversicherung sv",
    "CZ_BIRTH_NUMBER": "rodné rodne číslo cislo rč",
    "BG_EGN": "egn егн",
    "RO_CNP": "cnp",
    "HR_OIB": "oib",
    "GR_AFM": "afm αφμ vat",
    "GR_AMKA": "amka αμκα",
    "EE_ISIKUKOOD": "isikukood asmens kodas",
    "CH_AHV": "ahv avs oasi",
    "TR_NATIONAL_ID": "tckn tc kimlik turkish",
    "BR_CPF": "cpf",
    "BR_CNPJ": "cnpj",
    "AR_CUIT": "cuit cuil",
    "CL_RUT": "rut run",
    "MX_NSS": "nss imss",
    "MX_RFC": "rfc",
    "EC_CEDULA": "cédula cedula",
    "PK_CNIC": "cnic nadra",
    "ID_NIK": "nik ktp",
    "PH_TIN": "tin bir philippine",
    "PH_UMID": "umid crn sss gsis",
    "MY_NRIC": "nric mykad ic malaysian",
    "TH_TNIN": "thai thailand tnin",
    "KR_RRN": "rrn resident korean",
    "KR_FRN": "frn foreigner alien korean",
    "KR_BRN": "brn business",
    "KR_DRIVER_LICENSE": "driver license licence",
    "KR_PASSPORT": "passport korean",
    "CN_RESIDENT_ID": "resident identity",
    "JP_MY_NUMBER": "mynumber",
    "ZA_ID_NUMBER": "rsa sa south african identity",
    "ZA_PASSPORT": "passport african",
    "PH_PASSPORT": "passport philippine",
    "IL_ID": "teudat zehut israeli",
    "RU_INN": "инн inn",
    "RU_SNILS": "снилс snils",
    "TW_ID": "taiwan",
    "HK_ID": "hkid hong",
    "IE_PPS": "pps ppsn",
}
# Alphabets without spaces between words: looked for anywhere.
_WITHOUT_SPACES = {
    "电话": PHONE,
    "電話": PHONE,
    "手机": PHONE,
    "手機": PHONE,
    "携帯": PHONE,
    "联系": PHONE,
    "聯絡": PHONE,
    "전화": PHONE,
    "휴대폰": PHONE,
    "연락": PHONE,
    "โทร": PHONE,
    "传真": PHONE,
    "致电": PHONE,
    "拨打": PHONE,
    "订单": OTHER,
    "身份证": "CN_RESIDENT_ID",
    "身分證": "TW_ID",
    "マイナンバ": "JP_MY_NUMBER",  # the long mark reads as a dash
    "個人番号": "JP_MY_NUMBER",
    "주민": "KR_RRN",
    "외국인등록": "KR_FRN",
    "사업자등록": "KR_BRN",
    "운전면허": "KR_DRIVER_LICENSE",
    "여권": "KR_PASSPORT",
    "ประชาชน": "TH_TNIN",
    "זהות": "IL_ID",
    "信用卡": "CREDIT_CARD",
    "银行卡": "CREDIT_CARD",
    "カード": "CREDIT_CARD",
    "카드": "CREDIT_CARD",
}


def _meanings() -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for kind, words in _WORDS.items():
        for word in words.split():
            found.setdefault(word, set()).add(kind)
    return {word: frozenset(kinds) for word, kinds in found.items()}


_MEANINGS = _meanings()
_TELLING = frozenset(_MEANINGS)
_TEXT = ["text"]  # "text 555-0100" is one, a column of this name is none
_PHONES = frozenset((PHONE,))
_NOTHING: frozenset[str] = frozenset()


def meanings(text: str, start: int, end: int) -> list[frozenset[str]]:
    """What the words near it name, the nearest first, last the one right after it; OTHER only where it is close."""
    window = text[max(0, start - _BEFORE) : start].lower()
    words = _WORD.findall(window)
    words.reverse()
    is_texted = words[:1] == _TEXT and text[start - 1] == " "
    after = _WORD_AFTER.match(text, end)
    if after:
        words.append(after[1].lower())
    if _TELLING.isdisjoint(words) and not is_texted and window.isascii() and not (after and not after[1].isascii()):
        return []
    found = [_PHONES] if is_texted else []
    for distance, word in enumerate(words):
        kinds = _MEANINGS.get(word) or (_NOTHING if word.isascii() else _within(word))
        if kinds and (distance < _OTHER_WORDS_MAX or OTHER not in kinds):
            found.append(kinds)
    return found


@lru_cache(maxsize=1024)
def _within(word: str) -> frozenset[str]:
    return frozenset(kind for part, kind in _WITHOUT_SPACES.items() if part in word)
