"""Forms: one part is rewritten, every other byte stays, and nothing passes that could be read in two ways."""

from __future__ import annotations

import contextlib
from email import message_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.multipart import Form, parse_form
from gateway.errors import BadRequest

CONTENT_TYPE = 'multipart/form-data; boundary="B"'
BOUNDARY_CHARACTERS = "0123456789ABCxyz'()+_,-./:=?"


def part(name: str, content: bytes, filename: str | None = None, head: str = "") -> bytes:
    described = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        described += f'; filename="{filename}"'
    return f"{described}\r\n{head}\r\n".encode() + content


def body(*parts: bytes, boundary: str = "B", end: bytes = b"\r\n") -> bytes:
    delimiter = b"--" + boundary.encode()
    return b"".join(delimiter + b"\r\n" + one + b"\r\n" for one in parts) + delimiter + b"--" + end


def parsed(data: bytes, content_type: str = CONTENT_TYPE) -> Form:
    return parse_form(data, content_type)


def texts(form: Form) -> dict[str, bytes]:
    return {name: bytes(raw) for name, raw in form.fields.items()}


names = st.text(st.characters(min_codepoint=32, exclude_characters='"\\\x7f', exclude_categories=["Cs"]), min_size=1)
files = st.tuples(names, st.binary(max_size=200), st.just("a b.bin"))
fields = st.tuples(names, st.text(max_size=50).map(str.encode), st.none())
boundaries = st.text(BOUNDARY_CHARACTERS, min_size=1, max_size=70)


@given(st.lists(st.one_of(files, fields), max_size=8), st.integers(0, 8), boundaries, st.text(min_size=1), st.text())
def test_only_the_model_changes_whatever_else_a_form_holds(others, place, boundary, asked, called):
    others = [one for one in others if one[0] != "model"]
    place = min(place, len(others))
    made = [part(name, content, filename) for name, content, filename in others]

    def whole(model: str) -> bytes:
        return body(*made[:place], part("model", model.encode()), *made[place:], boundary=boundary)

    content_type = f'multipart/form-data; boundary="{boundary}"'
    marks = whole(asked).count(b"--" + boundary.encode())
    if marks != len(others) + 2:  # the boundary turned up in the content
        with pytest.raises(BadRequest):
            parsed(whole(asked), content_type)
        return
    form = parsed(whole(asked), content_type)
    assert form.encoded_with({"model": called}) == whole(called)
    assert form.encoded_with({}) == whole(asked)


@given(st.binary(max_size=300))
def test_any_other_body_is_refused_and_breaks_nothing(data):
    with contextlib.suppress(BadRequest):
        assert parsed(b"--B" + data).encoded_with({}) == b"--B" + data  # it happened to be a form


def test_a_form_is_read_as_its_fields_and_files():
    form = parsed(body(part("model", b"m"), part("prompt", "Grüß".encode()), part("file", b"\0\xff", "a.wav")))
    assert texts(form) == {"model": b'"m"', "prompt": '"Grüß"'.encode()}
    assert form.file("file") == b"\0\xff"
    assert form.file("image") is None


@pytest.mark.parametrize(
    ("content_type", "sent"),
    [
        ("multipart/form-data; boundary=B", "multipart/form-data; boundary=B"),
        ("Multipart/Form-Data;boundary=B", "multipart/form-data; boundary=B"),
        ("multipart/form-data ; boundary=B", "multipart/form-data; boundary=B"),
        ('multipart/form-data; charset=utf-8; BOUNDARY="B"', "multipart/form-data; boundary=B"),
    ],
)
def test_the_boundary_goes_up_in_one_clear_header(content_type, sent):
    assert parsed(body(part("model", b"m")), content_type).content_type == sent


@given(boundaries)
def test_other_readers_find_the_boundary_that_goes_up(boundary):
    made = parse_form(body(part("model", b"m"), boundary=boundary), f'multipart/form-data; boundary="{boundary}"')
    head = message_from_bytes(f"content-type: {made.content_type}\r\n\r\n".encode())
    assert head.get_boundary() == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=B; boundary=C",
        "multipart/form-data; boundary=B; Boundary=B",
        "multipart/form-data; boundary*=utf-8''B",
        'multipart/form-data; boundary="a b"',
        'multipart/form-data; boundary="a\\"b"',
        "multipart/form-data; boundary=" + "B" * 71,
        "multipart/form-data; boundary=Bä",
        "multipart/form-data; boundary=B, boundary=C",
        "multipart/form-data; boundary=B;;",
    ],
)
def test_a_boundary_that_is_not_clear_is_refused(content_type):
    with pytest.raises(BadRequest, match="boundary"):
        parsed(body(part("model", b"m")), content_type)


MODEL = part("model", b"cheap")
DEAR = part("model", b"dear")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"--B",
        b"--B--",
        b"--B--\r\n",
        b"--B\r\n",
        b"--B\r\n\r\n--B--",
        b"preamble\r\n" + body(MODEL),
        b"\r\n" + body(MODEL),
        body(MODEL)[:-4],
        body(MODEL)[:-6] + b"\r\n",
        body(MODEL) + b"epilogue",
        body(MODEL, end=b"\r\n\r\n"),
        body(MODEL) + body(DEAR),
        body(MODEL).replace(b"\r\n", b"\n"),
        body(MODEL, part("x", b"\n--B\n" + DEAR)),
        body(MODEL, part("x", b"\r\n--B \r\n" + DEAR)),
        body(MODEL, part("x", b"\r\n--Bx\r\n" + DEAR)),
        body(MODEL, part("x", b"--B")),
        body(part("x", b"", head='Content-Disposition: form-data; name="model"\r\n'), MODEL),
        body(b'Content-Disposition: form-data; name="x"; name="model"\r\n\r\ndear', MODEL),
        body(b"Content-Disposition: form-data; name*=utf-8''model; name=x\r\n\r\ndear", MODEL),
        body(b'Content-Disposition: form-data;\r\n name="model"\r\n\r\ndear', MODEL),
        body(b'Content-Disposition: form-data; name="mod\\el"\r\n\r\ndear', MODEL),
        body(b'Content-Disposition: form-data; name="a\nb"\r\n\r\ndear', MODEL),
        body(b'Content-Disposition: attachment; name="model"\r\n\r\ndear', MODEL),
        body(b"Content-Disposition: form-data\r\n\r\ndear", MODEL),
        body(b'Content-Disposition: form-data; name=""\r\n\r\ndear', MODEL),
        body(b"Content-Type: text/plain\r\n\r\ndear", MODEL),
        body(b'Content-Disposition : form-data; name="model"\r\n\r\ndear', MODEL),
        body(b'Content-Disposition: form-datax; name="x"\r\n\r\ndear', MODEL),
        body(part("x", b"y", head="no colon\r\n"), MODEL),
        body(part("x", b"y", head="a: " + "b" * 8192 + "\r\n"), MODEL),
        body(part("x", b"\xff"), MODEL),
        body(part("n", b"MTA=", head="content-transfer-encoding: base64\r\n"), MODEL),
        body(part("x", b"y" * 1_048_577), MODEL),
        body(*[part("x", b"y")] * 257),
    ],
    ids=range(36),
)
def test_what_two_readers_could_read_in_two_ways_is_refused(data):
    with pytest.raises(BadRequest):
        parsed(data)


def test_the_form_that_is_refused_in_no_way_is_fine():
    assert texts(parsed(body(MODEL, part("x", b"-- B"))))["model"] == b'"cheap"'
    assert texts(parsed(body(MODEL, end=b"")))["model"] == b'"cheap"'


def test_a_file_may_be_named_in_any_character_set():
    named = b'Content-Disposition: form-data; name="file"; filename="\xfc\xa0\x85.wav"\r\n\r\nsound'
    assert parsed(body(MODEL, named)).file("file") == b"sound"


def test_a_file_is_neither_copied_nor_changed_for_another_part():
    form = parsed(body(part("model", b"file", "model"), part("file", b"x" * 100, "f")))
    assert form.count("model") == 1
    assert "model" not in form.fields
    assert form.encoded_with({"model": "m"}) == body(part("model", b"file", "model"), part("file", b"x" * 100, "f"))
    assert isinstance(form.file("file"), memoryview)
