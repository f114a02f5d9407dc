"""What a call for sound, images or reranking consumed: as its upstream reports it, else as the request tells.

An upstream may report tokens, seconds, units or nothing, and a price may be by any of them. Reported figures that the
deployment's price knows are taken; where only others are reported, the priced ones are estimated and the usage says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol, TypeVar

import msgspec

from gateway.domain import Deployment, Meter, Usage

T = TypeVar("T")
_NULL = msgspec.Raw(b"null")
_FIGURE_MAX = 10**9  # a larger one is a fault, and its cost would not fit the ledger

# For estimates only. OpenAI's audio models hear 10 tokens a second, and speak 1,250 a minute at 15 characters a second.
_TOKENS_HEARD_PER_S = 10
_TOKENS_SPOKEN_PER_100_CHARACTERS = 140
_CHARACTERS_PER_TOKEN = 4


class _Details(msgspec.Struct):
    audio_tokens: int | None = None
    image_tokens: int | None = None
    text_tokens: int | None = None
    cached_tokens: int | None = None


class ReportedUsage(msgspec.Struct):
    """``usage`` of all these answers; vLLM, Jina and Mistral have the names of chat."""

    type: str | None = None
    seconds: float | None = None
    input_tokens: int | None = None
    prompt_tokens: int | None = None
    prompt_audio_seconds: float | None = None
    output_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    input_token_details: _Details | None = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None


class _BilledUnits(msgspec.Struct):
    search_units: float | None = None


class _Meta(msgspec.Struct):
    billed_units: _BilledUnits | None = None


class Said(msgspec.Struct):
    """A whole answer or one event, as far as it tells what was consumed. Typed loosely: it is not refused for it."""

    type: object = None
    model: object = None
    usage: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL
    meta: msgspec.Raw = _NULL
    data: msgspec.Raw = _NULL  # images, which may be megabytes each
    duration: object = None
    text: object = None
    delta: object = None
    size: object = None
    quality: object = None


class Gauge(Protocol):
    """Reads off one attempt's answer what it consumed."""

    @property
    def tier(self) -> str | None:
        """The card of the tariff that holds for what was made, where it is not the standard one."""

    def take(self, said: Said) -> None:
        """Look at a whole answer, or at the next event of a stream."""

    def usage(self) -> Usage:
        """What was consumed as far as is known; before anything was taken: what the request asked for."""


class _Prices:
    """Which meters of a deployment cost something."""

    def __init__(self, deployment: Deployment) -> None:
        tariff = deployment.tariff
        self.tiers: Mapping[str, object] = tariff.cards if tariff is not None else {}
        self._rates = tariff.cards["standard"].rates if tariff is not None else {}

    def any_of(self, *meters: Meter) -> bool:
        return any(self._rates.get(meter, 0) for meter in meters)

    @property
    def is_by_token(self) -> bool:
        return self.any_of(Meter.INPUT, Meter.OUTPUT, Meter.AUDIO_INPUT, Meter.AUDIO_OUTPUT, Meter.IMAGE_OUTPUT)


class SpeechGauge:
    """Characters follow from the request; tokens are reported in events alone, and estimated without them."""

    tier: str | None = None

    def __init__(self, foreseen: Usage, deployment: Deployment) -> None:
        self._foreseen = foreseen
        self._prices = _Prices(deployment)
        self._tokens: Usage | None = None

    def take(self, said: Said) -> None:
        self._tokens = _tokens(said.usage) or self._tokens

    def usage(self) -> Usage:
        characters = self._foreseen.characters
        if self._tokens is not None:
            spoken = self._tokens.output_tokens
            return msgspec.structs.replace(self._tokens, characters=characters, audio_output_tokens=spoken)
        if self._prices.any_of(Meter.CHARACTER) or not self._prices.is_by_token:
            return Usage(characters=characters)
        spoken = -(-characters * _TOKENS_SPOKEN_PER_100_CHARACTERS // 100)
        return msgspec.structs.replace(
            self._foreseen, output_tokens=spoken, audio_output_tokens=spoken, is_estimated=True
        )


class TranscriptGauge:
    """Tokens or seconds as reported; seconds of the file, or tokens from those, where the price needs them."""

    tier: str | None = None

    def __init__(self, foreseen: Usage, deployment: Deployment) -> None:
        self._foreseen = foreseen
        self._prices = _Prices(deployment)
        self._tokens: Usage | None = None
        self._seconds: float | None = None
        self._text_chars = 0

    def take(self, said: Said) -> None:
        self._tokens = _tokens(said.usage) or self._tokens
        self._seconds = _reported_seconds(said) or self._seconds
        if isinstance(said.text, str):
            self._text_chars = len(said.text)
        elif isinstance(said.delta, str):
            self._text_chars += len(said.delta)

    def take_text(self, text: str) -> None:
        """Look at a transcript that came as plain text."""
        self._text_chars = len(text)

    def usage(self) -> Usage:
        if self._tokens is not None and (self._prices.is_by_token or not self._prices.any_of(Meter.SECOND)):
            heard = self._tokens.audio_input_tokens or self._tokens.input_tokens
            return msgspec.structs.replace(self._tokens, audio_input_tokens=heard)
        seconds = math.ceil(self._seconds) if self._seconds is not None else self._foreseen.seconds
        if self._prices.any_of(Meter.SECOND) or not self._prices.is_by_token:
            return Usage(seconds=seconds, is_estimated=self._seconds is None)
        heard = seconds * _TOKENS_HEARD_PER_S
        written = -(-self._text_chars // _CHARACTERS_PER_TOKEN)
        return Usage(input_tokens=heard, audio_input_tokens=heard, output_tokens=written, is_estimated=True)


class ImageGauge:
    """Tokens as reported, else the images that came, at the price of their size."""

    def __init__(self, foreseen: Usage, deployment: Deployment, size: str | None, quality: str | None) -> None:
        """``size`` and ``quality``: as asked; the answer may say otherwise."""
        self._foreseen = foreseen
        self._prices = _Prices(deployment)
        self._size, self._quality = size, quality
        self._tokens: Usage | None = None
        self._images = 0

    def take(self, said: Said) -> None:
        tokens = _tokens(said.usage)
        if tokens is not None:
            self._tokens = _sum(self._tokens, tokens)
        images = _decoded(said.data, list[msgspec.Raw])
        if images is not None:
            self._images += len(images)
        elif isinstance(said.type, str) and said.type.endswith(".completed"):
            self._images += 1
        if isinstance(said.size, str):
            self._size = said.size
        if isinstance(said.quality, str):
            self._quality = said.quality

    @property
    def tier(self) -> str | None:
        if not self.usage().images:
            return None
        size = self._size if self._size and self._size != "auto" else "1024x1024"
        quality = self._quality if self._quality and self._quality != "auto" else "standard"
        return next((name for name in (f"{quality}/{size}", size) if name in self._prices.tiers), None)

    def usage(self) -> Usage:
        images = self._images or self._foreseen.images
        if self._tokens is not None:
            made = self._tokens.image_output_tokens or self._tokens.output_tokens
            tokens = msgspec.structs.replace(self._tokens, image_output_tokens=made)
            return tokens if self._prices.is_by_token else msgspec.structs.replace(tokens, images=images)
        asked = self._foreseen.input_tokens if self._prices.is_by_token else 0
        return Usage(input_tokens=asked, images=images, is_estimated=bool(asked) or not self._images)


class RerankGauge:
    """Search units and tokens as reported, else one unit for each hundred documents and the size of the texts."""

    tier: str | None = None

    def __init__(self, foreseen: Usage, deployment: Deployment) -> None:
        self._foreseen = foreseen
        self._prices = _Prices(deployment)
        self._tokens: Usage | None = None
        self._queries: int | None = None

    def take(self, said: Said) -> None:
        self._tokens = _tokens(said.usage)
        meta = _decoded(said.meta, _Meta)
        units = meta.billed_units.search_units if meta is not None and meta.billed_units is not None else None
        self._queries = math.ceil(units) if units is not None and 0 < units <= _FIGURE_MAX else None

    def usage(self) -> Usage:
        queries = self._queries or self._foreseen.queries
        has_guess = (self._queries is None and self._prices.any_of(Meter.QUERY)) or (
            self._tokens is None and self._prices.is_by_token
        )
        if self._tokens is None and not self._prices.is_by_token:
            return Usage(queries=queries, is_estimated=has_guess)
        return msgspec.structs.replace(self._tokens or self._foreseen, queries=queries, is_estimated=has_guess)


def _decoded(raw: msgspec.Raw, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(raw, type=kind | None)
    except (msgspec.DecodeError, RecursionError):
        return None


def _tokens(raw: msgspec.Raw) -> Usage | None:
    """Reported tokens; ``None`` where there are none, or figures that cannot be."""
    got = _decoded(raw, ReportedUsage)
    if got is None:
        return None
    input_tokens = got.input_tokens if got.input_tokens is not None else got.prompt_tokens
    output_tokens = got.output_tokens if got.output_tokens is not None else got.completion_tokens
    if input_tokens is None and output_tokens is None:
        input_tokens = got.total_tokens  # rerankers report no other figure
    if not input_tokens and not output_tokens:
        return None
    into = got.input_token_details or got.input_tokens_details or _Details()
    out = got.output_tokens_details or _Details()
    usage = Usage(
        input_tokens=input_tokens or 0,
        cached_input_tokens=into.cached_tokens or 0,
        audio_input_tokens=into.audio_tokens or 0,
        image_input_tokens=into.image_tokens or 0,
        output_tokens=output_tokens or 0,
        image_output_tokens=out.image_tokens or 0,
    )
    figures = msgspec.structs.astuple(usage)
    return usage if min(figures) >= 0 and max(figures) <= _FIGURE_MAX else None


def _reported_seconds(said: Said) -> float | None:
    """Seconds of sound that the upstream states: as usage, or as the duration of a verbose transcript."""
    got = _decoded(said.usage, ReportedUsage) or ReportedUsage()
    for value in (got.seconds, got.prompt_audio_seconds, said.duration):
        try:
            seconds = float(value) if isinstance(value, int | float | str) else 0.0  # older servers say "8.47"
        except ValueError:
            continue
        if 0 < seconds <= _FIGURE_MAX:
            return seconds
    return None


def _sum(one: Usage | None, other: Usage) -> Usage:
    """Of several images in one stream each reports its own."""
    if one is None:
        return other
    names = ("input_tokens", "cached_input_tokens", "image_input_tokens", "output_tokens", "image_output_tokens")
    return Usage(**{name: getattr(one, name) + getattr(other, name) for name in names})
