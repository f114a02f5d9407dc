"""What is consumed and what it costs: meters, usage, tariffs, charges.

Money is an integer of nano-dollars (suffix ``_nusd``); rates are nano-dollars per one million units of their meter
(suffix ``_nusd_per_mtok`` where the unit is a token).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

NANO = 1_000_000_000
MILLION = 1_000_000


class Meter(StrEnum):
    """One priced dimension of an upstream call. Token meters are disjoint: each token is counted in exactly one."""

    INPUT = "input"
    CACHED_INPUT = "cached_input"
    CACHE_WRITE = "cache_write"
    CACHE_WRITE_LONG = "cache_write_long"
    OUTPUT = "output"
    REASONING = "reasoning"
    AUDIO_INPUT = "audio_input"
    AUDIO_OUTPUT = "audio_output"
    IMAGE = "image"
    IMAGE_OUTPUT = "image_output"
    IMAGE_GENERATED = "image_generated"
    CHARACTER = "character"
    SECOND = "second"
    QUERY = "query"
    WEB_SEARCH = "web_search"
    CODE_SESSION = "code_session"


class Usage(msgspec.Struct, frozen=True):
    """What one upstream call consumed, in the terms of the OpenAI API.

    ``input_tokens`` includes cached, cache-written, audio and image tokens; ``output_tokens`` includes
    reasoning, audio and image tokens. A dialect that counts otherwise (Anthropic) converts where it parses.
    """

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_long_tokens: int = 0
    audio_input_tokens: int = 0
    image_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    audio_output_tokens: int = 0
    image_output_tokens: int = 0
    images: int = 0
    characters: int = 0
    seconds: int = 0
    queries: int = 0
    web_searches: int = 0
    code_sessions: int = 0
    is_estimated: bool = False  # a figure in it is a guess, since the upstream reported none


@dataclass(frozen=True, slots=True)
class RateCard:
    """Rates of one service tier: nano-dollars per million units of each meter, at the base context and above limits.

    ``context_tiers`` is ascending by its first element: ``(input tokens above which it holds, its rates)``. Every
    mapping is complete: fallbacks (cached_input -> input, ...) are resolved when the card is made.
    """

    rates: Mapping[Meter, int]
    context_tiers: tuple[tuple[int, Mapping[Meter, int]], ...] = ()


@dataclass(frozen=True, slots=True)
class Tariff:
    """The price of a deployment: one rate card per service tier; ``standard`` is always there.

    A size of images with a price of its own is a tier too, named as ``1024x1536`` or ``hd/1024x1536``.
    """

    cards: Mapping[str, RateCard]


class ChargeLine(msgspec.Struct, frozen=True):
    """One meter of a charge: ``quantity`` units at ``rate_nusd_per_mtok`` nano-dollars per million units."""

    meter: Meter
    quantity: int
    rate_nusd_per_mtok: int


class Charge(msgspec.Struct, frozen=True):
    """Priced usage. ``cost_nusd`` is the sum over all lines, divided once and rounded up."""

    cost_nusd: int
    lines: tuple[ChargeLine, ...] = ()
