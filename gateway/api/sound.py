"""How long a sound lasts, told from its container without decoding it: for calls whose upstream reports no duration.

Each format costs a look at its headers, whatever the size of the file. What the headers say is believed within what
the size of the file allows, and is only ever an estimate on the ledger.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

# Where nothing is told (WebM from a browser has no duration): speech compressed as browsers and phones do it.
_BYTES_PER_S_GUESSED = 8000
# No codec for speech goes below 3 kbit/s: a longer duration than that is a header that lies, or is broken.
_BYTES_PER_S_MIN = 400
_MP3_FRAMES_LOOKED_AT = 4
_MP3_SEARCHED_BYTES = 4096  # for the first frame, behind the tags
_BOXES_MAX = 64

_MP3_KBITS = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MP3_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def seconds_of(data: memoryview) -> int:
    """The duration in whole seconds, rounded up, at least one; a guess from the size where no header tells it."""
    for reads in _READERS:
        try:
            seconds = reads(data)
        except (struct.error, IndexError, ZeroDivisionError, OverflowError):
            continue  # cut short or not of this format
        if seconds is not None and 0 < seconds <= max(1.0, len(data) / _BYTES_PER_S_MIN):
            return max(1, -int(-seconds // 1))
    return max(1, -(-len(data) // _BYTES_PER_S_GUESSED))


def _wav(data: memoryview) -> float | None:
    if bytes(data[:4]) != b"RIFF" or bytes(data[8:12]) != b"WAVE":
        return None
    at, bytes_per_s = 12, 0
    for _ in range(_BOXES_MAX):
        name, size = bytes(data[at : at + 4]), struct.unpack_from("<I", data, at + 4)[0]
        if name == b"fmt ":
            bytes_per_s = struct.unpack_from("<I", data, at + 16)[0]
        if name == b"data":
            # A file that was written as a stream does not know its size.
            return float(min(size, len(data) - at - 8)) / bytes_per_s
        at += 8 + size + size % 2
    return None


def _flac(data: memoryview) -> float | None:
    if bytes(data[:4]) != b"fLaC":
        return None
    rate_and_more, samples_low = struct.unpack_from(">II", data, 18)
    samples: int = (rate_and_more & 0xF) << 32 | samples_low
    rate: int = rate_and_more >> 12
    return samples / rate


def _ogg(data: memoryview) -> float | None:
    if bytes(data[:4]) != b"OggS":
        return None
    first = bytes(data[:256])
    opus, vorbis = first.find(b"OpusHead"), first.find(b"\x01vorbis")
    if opus >= 0:
        skipped, rate = struct.unpack_from("<H", first, opus + 10)[0], 48000
    elif vorbis >= 0:
        skipped, rate = 0, struct.unpack_from("<I", first, vorbis + 12)[0]
    else:
        return None
    tail = bytes(data[-131_072:])  # two of the largest pages
    last = tail.rfind(b"OggS")
    position: int = struct.unpack_from("<q", tail, last + 6)[0] - skipped
    return position / float(rate)


def _mp4(data: memoryview) -> float | None:
    if bytes(data[4:8]) != b"ftyp":
        return None
    movie = _box(data, 0, len(data), b"moov")
    header = _box(data, *movie, b"mvhd") if movie else None
    if header is None:
        return None
    at = header[0]
    told = struct.unpack_from(">IQ", data, at + 20) if data[at] else struct.unpack_from(">II", data, at + 12)
    scale, duration = float(told[0]), float(told[1])
    return duration / scale


def _box(data: memoryview, at: int, end: int, wanted: bytes) -> tuple[int, int] | None:
    """Where the content of the first box of that name begins and ends, among those from ``at`` to ``end``."""
    for _ in range(_BOXES_MAX):
        if at + 8 > end:
            break
        size, name = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        if size < head:  # zero: to the end of the file, so that nothing follows
            size = end - at
        if name == wanted:
            return at + head, min(at + size, end)
        at += size
    return None


def _mp3(data: memoryview) -> float | None:
    at = 0
    if bytes(data[:3]) == b"ID3":
        size = bytes(data[6:10])
        at = 10 + (size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3])
    start = bytes(data[at : at + 4 * _MP3_SEARCHED_BYTES])
    found = start.find(b"\xff", 0, _MP3_SEARCHED_BYTES)
    while found >= 0:
        if _is_mp3(start, found):
            return _mp3_from(start, found, len(data) - at - found)
        found = start.find(b"\xff", found + 1, _MP3_SEARCHED_BYTES)
    return None


def _is_mp3(data: bytes, at: int) -> bool:
    """Whether several frames follow one another there: two bytes that look like a frame's are found in any file."""
    for _ in range(_MP3_FRAMES_LOOKED_AT):
        frame = _mp3_frame(data, at)
        if frame is None:
            return False
        at += frame[0]
        if at >= len(data):
            return True
    return True


def _mp3_frame(data: bytes, at: int) -> tuple[int, int, int] | None:
    """The bytes, samples and sample rate of the layer III frame there, ``None`` where none is."""
    if at + 4 > len(data):
        return None
    sync, kind, rates = data[at], data[at + 1], data[at + 2]
    version = kind >> 3 & 3
    if sync != 0xFF or kind & 0xE0 != 0xE0 or version == 1 or kind >> 1 & 3 != 1:  # noqa: PLR2004 - the sync bits
        return None
    if rates >> 4 in {0, 15} or rates >> 2 & 3 == 3:  # noqa: PLR2004 - "free", and what the format reserves
        return None
    is_first = version == 3  # noqa: PLR2004 - MPEG 1; the others are MPEG 2 and 2.5
    bits_per_s = _MP3_KBITS[1 if is_first else 2][rates >> 4] * 1000
    rate = _MP3_RATES[version][rates >> 2 & 3]
    samples = 1152 if is_first else 576
    return samples // 8 * bits_per_s // rate + (rates >> 1 & 1), samples, rate


def _mp3_from(data: bytes, at: int, following_bytes: int) -> float | None:
    """From the count of frames that encoders of varying bit rate write into the first, else by the first's bit rate."""
    frame = _mp3_frame(data, at)
    if frame is None:
        return None
    size, samples, rate = frame
    for mark in (b"Xing", b"Info"):
        told = data.find(mark, at, at + size)
        if told >= 0 and data[told + 7] & 1:
            frames: int = struct.unpack_from(">I", data, told + 8)[0]
            return float(frames * samples) / rate
    return following_bytes / size * samples / rate


_READERS: tuple[Callable[[memoryview], float | None], ...] = (_wav, _flac, _ogg, _mp4, _mp3)
