"""Credentials are found wherever they are written; what only looks like one, or stands in for one, is not."""

from __future__ import annotations

import base64
import json
import string
import uuid

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from policies.screening.secrets.finding import FOUND_MAX, find
from policies.screening.secrets.formats import FORMATS, OPEN_FORMATS, read_formats
from policies.screening.secrets.values import is_random

# Secret-looking strings are put together here, for no tool that looks after this repository to stumble over them.
BASE62 = string.digits + string.ascii_letters
RANDOM = "q7Lk2ZpX9vRt4MwB8sNc3HyD6fGj1KdTqY5xPzA0eWuC"
HEXADECIMAL = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c"
OF_OPENAI = "T3Blbk" + "FJ"
A_UUID = "6f1d2c0e-9b4a-4f7e-8c35-1d2e3f4a5b6c"


def found(text):
    return [text[span.start : span.end] for span in find(text)]


def kinds(text):
    return [span.kind for span in find(text)]


TOKENS = [
    ("aws_access_key", "AKIA" + "Q3EGRZ7LKX2NVB5T"),
    ("anthropic_key", "sk-ant-" + "api03-" + (RANDOM * 3)[:93] + "AA"),
    ("openai_key", "sk-" + "proj-" + RANDOM + OF_OPENAI + RANDOM),
    ("api_key", "sk-" + RANDOM[:32]),
    ("github_token", "ghp_" + RANDOM[:36]),
    ("gitlab_token", "glpat-" + RANDOM[:20]),
    ("slack_token", "xoxb-" + "283316862324-298911817009-" + RANDOM[:24]),
    ("stripe_key", "sk_live_" + RANDOM[:24]),
    ("google_key", "AIza" + RANDOM[:35]),
    ("model_host_key", "hf_" + RANDOM[:34]),
    ("sendgrid_key", "SG." + RANDOM[:22] + "." + RANDOM[:43]),
    ("package_token", "npm_" + RANDOM[:36]),
    ("telegram_token", "110201543:" + "AAH" + RANDOM[:32]),
    ("discord_token", "M" + RANDOM[:23] + "." + RANDOM[:6] + "." + RANDOM[:27]),
    ("mail_key", HEXADECIMAL[:32] + "-us12"),
    ("hashicorp_token", RANDOM[:14] + ".atlasv1." + RANDOM + RANDOM[:23]),
    ("azure_secret", RANDOM[:3] + "8Q~" + RANDOM[:34]),
]


@pytest.mark.parametrize(("kind", "token"), TOKENS)
def test_a_token_of_a_known_issuer_is_found_without_any_word_about_it(kind, token):
    text = f"Why does {token} not work?"
    assert found(text) == [token]
    assert kinds(text) == [kind]


@pytest.mark.parametrize(("_kind", "token"), TOKENS)
def test_letters_that_are_not_latin_may_stand_on_both_sides_of_a_token(_kind, token):
    assert found(f"密码是{token}。") == [token]


@pytest.mark.parametrize(("_kind", "token"), TOKENS)
def test_a_token_is_found_through_invisible_characters_and_wide_letters_at_its_place_in_the_text(_kind, token):
    hidden = token[:7] + "\u200b" + token[7:9] + "\u2060" + token[9:]
    wide = "".join(chr(ord(one) + 0xFEE0) if one.isalnum() else one for one in token)
    for written in (hidden, wide):
        assert found(f"é {written} é") == [written]


@pytest.mark.parametrize(
    "rest", ["x" * 36, "X" * 36, "0" * 36, "abcdefghijklmnopqrstuvwxyz0123456789", "EXAMPLE" + RANDOM[:29]]
)
def test_a_stand_in_after_a_known_beginning_is_no_token(rest):
    assert found("ghp_" + rest) == []


def test_a_longer_word_is_not_a_token_of_a_fixed_length():
    assert found("AKIA" + "Q3EGRZ7LKX2NVB5T" + "Q3E") == []
    assert found("xAKIA" + "Q3EGRZ7LKX2NVB5T") == []


def test_what_lacks_the_mark_or_the_length_of_an_issuers_keys_is_none_of_them():
    assert found("sk-ant-" + "api03-" + RANDOM + "AA") == []
    assert found("sk-ant-" + "api03-" + (RANDOM * 3)[:95]) == []
    assert found("sk-" + "proj-" + RANDOM + "T4Blbk" + "FJ" + RANDOM) == []


def test_a_token_made_of_one_letter_is_a_token_unless_it_is_a_masks():
    assert found("AKIA" + "Z" * 16) == ["AKIA" + "Z" * 16]
    assert found("AKIA" + "X" * 16) == []


def test_a_key_that_everybody_has_is_no_secret():
    emulator = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4" + "I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    for key in (emulator, emulator[:20] + "q" + emulator[21:]):
        is_published = key == emulator
        assert (found(f"AccountName=dev;AccountKey={key};") == []) is is_published
        assert (found(f"account_key: '{key}'") == []) is is_published


def test_common_beginnings_ask_for_something_random_behind_them():
    assert found("sk-learn-pipelines-with-many-parameters-2024") == []
    assert found("https://example.org/sk-8-ways-to-cook-a-potato-in-the-oven") == []


VALUES = {
    "hexadecimal": HEXADECIMAL[:32],
    "letters and digits": RANDOM[:24],
    "base64": base64.b64encode(bytes(range(7, 250, 8))).decode().rstrip("="),
    "a UUID": A_UUID,
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize(
    "form",
    [
        'ACME_TOKEN="{}"',
        "acmeToken = '{}'",
        "acme_token: {}",
        '{{"acme_key": "{}"}}',
        '{{\\"acme_key\\": \\"{}\\"}}',
        "<acmeToken>\n  {}\n</acmeToken>",
        "export ACME_SECRET={}",
        "X-Api-Key: {}",
        "-H 'Authorization: Bearer {}'",
        "https://api.acme.dev/v1?api_key={}&page=2",
        "acme login --token {}",
        'System.setProperty("ACME_TOKEN", "{}")',
        "'acme_token' => '{}',",
        'acme_token := "{}"',
        'const ACME_KEY: &str = "{}";',
        '<add key="AcmeApiKey" value="{}" />',
        "- name: ACME_TOKEN\n  value: {}",
        "my api key is {} and it fails",
        "token\uff1a{}\u3002",
        'variable "acme_token" {{\n  default = "{}"\n}}',
        "ACME_PAT={}",
    ],
)
def test_a_random_value_with_the_name_of_a_secret_is_found_in_code_configuration_headers_and_sentences(form, value):
    assert found(form.format(value)) == [value]


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize(
    "form",
    [
        "mixpanel = '{}'",
        "ALGOLIA_ADMIN={}",
        "cloudflare: {}",
        '{{"postmarkLive": "{}"}}',
        'const openWeather = "{}";',
        "sendgrid token = '{}'",
        "Mailgun => '{}',",
    ],
)
def test_a_random_value_with_the_name_of_an_issuer_is_found_without_a_word_for_keys(form, value):
    assert found(form.format(value)) == [value]


@pytest.mark.parametrize(
    "text",
    [
        "mixpanel " + HEXADECIMAL[:32],
        "mixpanel_project_id: " + A_UUID,
        "algolia: " + HEXADECIMAL[:12],
        "sentry: 'sha512-" + RANDOM + "'",
        "etherscan: 0x" + HEXADECIMAL,
        "cloudflare = client7.accounts2.members3",
        "twilio==9.0.1",
        "I moved from Mailgun: it took 3 days and 250,000 messages",
    ],
)
def test_the_name_of_an_issuer_alone_makes_no_secret(text):
    assert found(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "public_key = '" + RANDOM + "'",
        "the commit is 9fceb02d0ae598e95dc970b74767f19372d61af8",
        "key_id: " + A_UUID,
        "request " + A_UUID + " failed",
        "primary_key = 'SalesResults-2024.11'",
        "monkey: " + RANDOM,
        "token_count: 4096",
        "api_key: ${ACME_API_KEY}",
        "api_key: {{ acme_api_key }}",
        "api_key = 'your-api-key-1234567890'",
        "api_key = os.environ['ACME_KEY_2']",
        "password = form.password2.value1",
        "password: <your password 1>",
        "password: string",
        "password: user1@example.org",
        "secret: /run/secrets/acme1",
        "Pass `verbosity=0` to keep it quiet",
        "token: 0x" + "6b175474e89094c44da98b954eedeac495271d0f",
        "integrity sha512-" + RANDOM,
        "PublicKeyToken=b77a5c561934e089",
    ],
)
def test_what_only_looks_like_a_secret_is_left_alone(text):
    assert found(text) == []


def test_a_key_may_hold_equals_signs_and_begin_with_a_slash():
    for value in ("b_=" + RANDOM, "/" + RANDOM, RANDOM[:20] + "=" + RANDOM[20:]):
        assert found(f'"acme_token": "{value}"') == [value]
        assert found(f"ACME_TOKEN={value}") == [value]


@pytest.mark.parametrize(
    "form",
    [
        "SharedAccessKeyName=registryReadWrite;SharedAccessKey={}",
        "https://acme.dev/?key_id=abc123&secret_key={}",
        "--set key.name=abc123,token={}",
        "key_id=abc123 token={}",
    ],
)
def test_a_secret_is_found_after_another_assignment_in_its_line(form):
    assert found(form.format(RANDOM)) == [RANDOM]


@pytest.mark.parametrize(
    ("text", "password"),
    [
        ("postgres://app:" + "t0pSecret@db.acme.dev:5432/app", "t0pSecret"),
        ("https://deploy:" + "hgQ2vv@git.acme.dev/x.git", "hgQ2vv"),
        ("curl -u admin:" + "hgQ2vv https://acme.dev", "hgQ2vv"),
        ("machine acme.dev login me password " + "hgQ2vv", "hgQ2vv"),
        ("Server=db;User ID=sa;Password=" + "letmein;", "letmein"),
        ("export BUNDLE_GEMS__ACME__COM=me:" + "hgQ2vv", "hgQ2vv"),
        ("DB_PASSWORD=" + "hunter2", "hunter2"),
        ("Password: " + "P@ssword", "P@ssword"),
        ('login(user="me", password="' + 'hunter2")', "hunter2"),
    ],
)
def test_a_password_is_found_in_addresses_commands_and_settings(text, password):
    assert found(text) == [password]


@pytest.mark.parametrize(
    "text",
    [
        "postgres://user:password@localhost:5432/db",
        "https://${USER}:${TOKEN}@acme.dev",
        "http://localhost:5000/@me",
        "https://acme.dev:8443 @someone",
        "curl -u user:$PASSWORD https://acme.dev",
    ],
)
def test_the_place_of_a_password_is_not_a_password(text):
    assert found(text) == []


@pytest.mark.parametrize("name", ["EMAIL_ADDRESS_1", "US_SSN_12", "ASSIGNED_SECRET_FMANJBKC", "assigned_secret_1"])
@pytest.mark.parametrize(
    "form",
    ["password=[{}]", 'PASSWORD: "[{}]"', "pwd = '[{}]'", r"password=\[{}\]", "curl -u ann:[{}] x", "s://a:[{}]@b"],
)
def test_what_stands_in_the_place_of_something_that_was_found_is_no_secret(form, name):
    assert found(form.format(name)) == []


def test_a_password_in_brackets_is_one_all_the_same():
    assert found("password=[Tr0ub4dor_x]") == ["Tr0ub4dor_x"]


def test_the_user_and_password_of_a_header_are_found():
    pair = base64.b64encode(b"Aladdin:open sesame").decode()
    assert found(f"Authorization: Basic {pair}") == [pair]
    assert found("Authorization: Basic principles") == []


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
@pytest.mark.parametrize("newline", ["\n", "\\n"])
def test_a_private_key_is_found_as_a_whole_also_within_json_and_when_it_is_cut(kind, newline):
    mark = "-" * 5
    begin = f"{mark}BEGIN {kind}PRIVATE KEY{mark}{newline}{RANDOM}{newline}{RANDOM[:30]}{newline}"
    whole = f"{begin}{mark}END {kind}PRIVATE KEY{mark}"
    assert found(f'{{"key": "{whole}"}}') == [whole]
    assert found(begin) == [begin]


def test_the_lines_around_a_private_key_and_a_public_key_are_no_secret():
    mark = "-" * 5
    assert found(f"A file that begins with {mark}BEGIN RSA PRIVATE KEY{mark} is a key.") == []
    assert found(f"{mark}BEGIN PUBLIC KEY{mark}\n{RANDOM}\n{mark}END PUBLIC KEY{mark}") == []


def part(content):
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def test_a_signed_token_is_known_by_its_header():
    token = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({'sub': 'me'})}.{RANDOM}"
    assert kinds(f"Look at {token}!") == ["json_web_token"]
    assert found(f"Look at {token}!") == [token]
    assert found(f"{part({'hello': 'world and everyone'})}.{part({'sub': 'me'})}.{RANDOM}") == []


SURROUNDINGS = st.text(alphabet=st.sampled_from(" \n.,;:()\"'<>中é-"), max_size=8)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=BASE62, min_size=36, max_size=36).filter(is_random), SURROUNDINGS, SURROUNDINGS)
def test_any_token_is_found_in_any_surroundings(rest, before, after):
    token = "ghp_" + rest
    assert token in found(before + token + after)


@settings(max_examples=200, deadline=None)
@given(st.uuids())
def test_any_uuid_is_a_secret_only_with_the_name_of_one(one):
    assert found(f"request_id: {one}") == []
    if len(set(str(one))) > 4:
        assert found(f"api_token: {one}") == [str(one)]


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
@example("key=\ud800a1b2c3d4e5f6g7h8i9")
@example("\u200bpassword=\u200b" + "hunter2")
def test_spans_are_in_order_and_within_any_text(text):
    end = 0
    for span in find(text):
        assert end <= span.start < span.end <= len(text)
        end = span.end


def test_a_dump_of_secrets_is_one_secret_from_where_it_gets_too_long():
    line = "ghp_" + RANDOM[:36] + "\n"
    text = line * (FOUND_MAX + 50)
    spans = find(text)
    assert len(spans) == FOUND_MAX + 1
    assert spans[-1].end == len(text)


HOSTILE = [
    "1",
    "@",
    "a-",
    "sk-",
    "key=",
    "key=1",
    "password1=",
    "mixpanel = 1",
    "sk-proj-",
    "eyJ",
    "://a:",
    "curl -u ",
    "ghp_",
    "-----BEGIN PRIVATE KEY-----",
    "(",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_texts_of_nothing_but_beginnings_hold_no_secret(piece):
    assert find(piece * 2_000) == []


def test_every_format_begins_with_what_it_is_found_by():
    for known in read_formats(FORMATS):
        assert len(known.prefix) >= 2, known
    assert {known.kind for known in read_formats(OPEN_FORMATS)} >= {"telegram_token", "discord_token"}
    assert uuid.UUID(A_UUID)
