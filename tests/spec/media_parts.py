"""What the specification of sound, images and reranking shares: its deployments, and a sound and a picture."""

from __future__ import annotations

import io
import struct
import wave
import zlib

# As with any/*, each name under a wildcard is a deployment of its own.
MEDIA_DEPLOYMENTS = """
  - {name: "speak/*", provider: up, model: "*", price: {usd_per_character: 0.000015}}
  - {name: "speak-slow/*", provider: slow, model: "*", price: {usd_per_character: 0.000015}}
  - name: "speak-tokens/*"
    provider: up
    model: "*"
    mode: audio_speech
    price: {input: 1, output: 10, audio_output: 12}
  - {name: "hear/*", provider: up, model: "*", price: {usd_per_second: 0.0001}}
  - name: "hear-tokens/*"
    provider: up
    model: "*"
    mode: audio_transcription
    price: {input: 1, audio_input: 3, output: 5}
  - name: "paint/*"
    provider: up
    model: "*"
    price: {usd_per_image_generated: 0.04, usd_per_image_of: {hd/1024x1792: 0.12, 256x256: 0.016}}
  - {name: "paint-tokens/*", provider: up, model: "*", price: {input: 5, image: 10, image_output: 40}}
  - {name: "rank/*", provider: up, model: "*", price: {usd_per_query: 0.002}}
  - {name: "rank-tokens/*", provider: up, model: "*", mode: rerank, price: {input: 0.05}}
"""
MEDIA_ROUTES = {
    "speech-falls-back": ("speak/error-503", "speak/good"),
    "hearing-falls-back": ("hear/error-500", "hear/good"),
}


def sound(seconds: float = 2.4) -> bytes:
    """A WAV file of silence."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((1, 2, 8000, 0, "NONE", ""))
        written.writeframes(bytes(int(seconds * 8000) * 2))
    return file.getvalue()


def picture() -> bytes:
    """A PNG file of one white pixel."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0\xff")) + chunk(b"IEND", b"")
