"""How long a sound lasts, from the headers of files that ffmpeg wrote (1.2 s of a tone), and from broken ones."""

from __future__ import annotations

import io
import struct
import wave
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.sound import seconds_of

FOLDER = Path(__file__).parent / "data" / "sound"
FILES = {path.name: path.read_bytes() for path in FOLDER.iterdir()}


def seconds(data: bytes) -> int:
    return seconds_of(memoryview(data))


def wav(duration_s: float, rate: int = 8000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((2, 2, rate, 0, "NONE", ""))
        written.writeframes(bytes(int(duration_s * rate) * 4))
    return file.getvalue()


@pytest.mark.parametrize("name", sorted(FILES.keys() - {"browser.webm"}))
def test_the_duration_is_read_from_the_container(name):
    assert seconds(FILES[name]) == 2


@pytest.mark.parametrize(("duration_s", "told"), [(0.01, 1), (1, 1), (1.001, 2), (59.5, 60)])
def test_the_duration_is_rounded_up(duration_s, told):
    assert seconds(wav(duration_s)) == told


def test_a_wav_that_was_written_as_a_stream_lasts_as_long_as_it_is():
    data = wav(3)
    assert seconds(data.replace(struct.pack("<I", len(data) - 44), b"\xff\xff\xff\xff")) == 3


def test_tags_before_an_mp3_are_no_sound():
    tag = b"ID3\x04\0\0" + bytes([0, 2, 0, 0]) + bytes(2 << 14)
    assert seconds(tag + FILES["bare.mp3"]) == 2
    assert seconds(tag + FILES["constant.mp3"]) == 2


def test_the_header_of_an_mp4_may_stand_at_its_end():
    data = FILES["voice.m4a"]
    at = data.index(b"moov") - 4
    assert at > len(data) // 2
    assert seconds(data) == 2


@pytest.mark.parametrize(("data", "told"), [(b"", 1), (bytes(8000), 1), (bytes(80_001), 11)])
def test_what_tells_nothing_is_guessed_from_its_size(data, told):
    assert seconds(data) == told
    assert seconds(FILES["browser.webm"]) == 1  # a browser that records does not know how long it will


def test_a_header_that_lies_is_not_believed():
    data = bytearray(FILES["voice.m4a"])
    at = data.index(b"mvhd") + 4
    struct.pack_into(">II", data, at + 12, 1, 2_000_000_000)
    assert seconds(bytes(data)) == 1


@given(st.sampled_from(sorted(FILES)), st.data())
def test_broken_files_break_nothing(name, chance):
    data = bytearray(FILES[name])
    for _ in range(chance.draw(st.integers(0, 5))):
        data[chance.draw(st.integers(0, len(data) - 1))] = chance.draw(st.integers(0, 255))
    cut = bytes(data[: chance.draw(st.integers(0, len(data)))])
    assert 1 <= seconds(cut) <= max(1, len(cut) / 400 + 1)


@given(st.sampled_from([b"RIFF0000WAVE", b"fLaC", b"OggS", b"0000ftyp", b"ID3", b"\xff\xfb"]), st.binary(max_size=500))
def test_noise_that_begins_as_a_sound_does_breaks_nothing(start, noise):
    assert seconds(start + noise) >= 1
