"""Rates as an entry of the price list states them: by meter, service tier, context and size of images.

The list states USD per unit; we hold nano-dollars per million units.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache

from gateway.domain import MILLION, NANO, Meter

IMAGE_MODES = frozenset({"image_generation", "image_edit"})

_METERS: Mapping[str, Meter] = {
    "input_cost_per_token": Meter.INPUT,
    "cache_read_input_token_cost": Meter.CACHED_INPUT,
    "cache_creation_input_token_cost": Meter.CACHE_WRITE,
    "cache_creation_input_token_cost_above_1hr": Meter.CACHE_WRITE_LONG,
    "output_cost_per_token": Meter.OUTPUT,
    "output_cost_per_reasoning_token": Meter.REASONING,
    "input_cost_per_audio_token": Meter.AUDIO_INPUT,
    "output_cost_per_audio_token": Meter.AUDIO_OUTPUT,
    "input_cost_per_image_token": Meter.IMAGE,
    "output_cost_per_image_token": Meter.IMAGE_OUTPUT,
    "output_cost_per_image": Meter.IMAGE_GENERATED,
    "input_cost_per_character": Meter.CHARACTER,
    # A second of sound is priced once: whisper-1 states the same price on both sides, others zero on one of them.
    "output_cost_per_second": Meter.SECOND,
    "input_cost_per_second": Meter.SECOND,
    "input_cost_per_query": Meter.QUERY,
    "code_interpreter_cost_per_session": Meter.CODE_SESSION,
}
# What a faster answer costs more of; the rest of the input follows from it.
_GENERATION = frozenset({Meter.INPUT, Meter.OUTPUT})
# "hd/1024-x-1792/dall-e-3": the price of one size of a model's images.
_SIZED = re.compile(r"(?:(?P<quality>[a-z]+)/)?(?P<width>\d+)-x-(?P<height>\d+)/(?P<model>.+)")
_TIERS = {"": "standard", "batches": "batch", "flex": "flex", "priority": "priority"}
_FIELD = re.compile(
    r"(?P<base>.+?)(?:_above_(?P<kilo>\d+)k_tokens)?(?:_(?P<tier>batches|flex|priority))?$",
)


@dataclass(frozen=True, slots=True)
class StatedRates:
    """The rates of one service tier as stated, nothing filled in: base, and by input tokens above which they hold."""

    base: Mapping[Meter, int] = field(default_factory=dict)
    context_tiers: Mapping[int, Mapping[Meter, int]] = field(default_factory=dict)


def nusd_per_million(usd_per_unit: Decimal) -> int:
    """USD per unit as whole nano-dollars per million units, to the nearest."""
    return int((usd_per_unit * NANO * MILLION).to_integral_value(ROUND_HALF_EVEN))


def _rate(name: str, value: object) -> int | None:
    """A price as a rate, None where the list leaves it open. Raises ValueError for text or a negative price."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError(f"{name} is not a number")  # noqa: TRY004 - all faults of a file are one kind for its reader
    if value < 0:
        raise ValueError(f"{name} is negative")
    return nusd_per_million(Decimal(value))


def stated_tiers(entry: Mapping[str, object]) -> Mapping[str, StatedRates]:
    """The stated rates of an entry of the list by service tier; none without a standard rate. Raises ValueError."""
    bases: dict[str, dict[Meter, int]] = {}
    contexts: dict[str, dict[int, dict[Meter, int]]] = {}
    for name, value in entry.items():
        parsed = _parsed_field(name)
        if parsed is None:
            continue
        meter, limit, tier = parsed
        rate = _rate(name, value)
        if rate is None:
            continue
        if limit is None:
            base = bases.setdefault(tier, {})
            base[meter] = max(rate, base.get(meter, 0))
        else:
            contexts.setdefault(tier, {}).setdefault(limit, {})[meter] = rate
    searches = entry.get("search_context_cost_per_query")
    if isinstance(searches, dict) and bases.get("standard"):
        rate = _rate("search_context_size_medium", searches.get("search_context_size_medium"))
        if rate is not None:
            bases["standard"][Meter.WEB_SEARCH] = rate
    _add_ranges(entry.get("tiered_pricing"), bases, contexts)
    for rates in bases.values():
        # Nobody sells cache writes below the input price: a zero there means that there is no surcharge.
        if rates.get(Meter.CACHE_WRITE) == 0 and rates.get(Meter.INPUT):
            del rates[Meter.CACHE_WRITE]
    if "standard" not in bases:
        return {}
    if (fast := _times_as_fast(entry)) is not None:
        bases["fast"] = {meter: int(rate * fast) for meter, rate in bases["standard"].items() if meter in _GENERATION}
    return {tier: StatedRates(bases.get(tier, {}), contexts.get(tier, {})) for tier in {**bases, **contexts}}


def _times_as_fast(entry: Mapping[str, object]) -> Decimal | None:
    """How many times the standard price Anthropic asks for its fast mode. Raises ValueError."""
    factors = entry.get("provider_specific_entry")
    factor = factors.get("fast") if isinstance(factors, dict) else None
    if factor is None:
        return None
    if isinstance(factor, bool) or not isinstance(factor, int | Decimal) or factor <= 0:
        raise ValueError("provider_specific_entry.fast is not a positive number")
    return Decimal(factor)


@lru_cache(maxsize=512)
def _parsed_field(name: str) -> tuple[Meter, int | None, str] | None:
    """Which meter, context limit and service tier a field of the list prices; None for all other fields."""
    matched = _FIELD.match(name)
    if matched is None or matched["base"] not in _METERS:
        return None
    limit = int(matched["kilo"]) * 1000 if matched["kilo"] else None
    return _METERS[matched["base"]], limit, _TIERS[matched["tier"] or ""]


def _add_ranges(
    ranges: object,
    bases: dict[str, dict[Meter, int]],
    contexts: dict[str, dict[int, dict[Meter, int]]],
) -> None:
    """``tiered_pricing`` lists rates by range of input tokens; the first range is the base. Raises ValueError."""
    if not isinstance(ranges, list):
        return
    for item in ranges:
        bounds = item.get("range") if isinstance(item, dict) else None
        if not isinstance(bounds, list) or not bounds or not isinstance(bounds[0], int | Decimal):
            continue
        rates = {}
        for name, value in item.items():
            parsed = _parsed_field(name)
            rate = _rate(name, value) if parsed is not None else None
            if parsed is not None and rate is not None:
                rates[parsed[0]] = rate
        if bounds[0] == 0:
            bases.setdefault("standard", {}).update(rates)
        else:
            contexts.setdefault("standard", {})[int(bounds[0])] = rates


def with_image_price(
    key: str, entry: Mapping[str, object], tiers: Mapping[str, StatedRates]
) -> Mapping[str, StatedRates]:
    """The price of a generated image where the list files it under ``input``: by image, or by pixel of a known size.

    An entry that prices tokens or output images means by ``input_cost_per_image`` an image that is sent.
    Raises ValueError.
    """
    stated = tiers["standard"].base if "standard" in tiers else {}
    if entry.get("mode") not in IMAGE_MODES or any(stated.values()):
        return tiers
    rate = _rate("input_cost_per_image", entry.get("input_cost_per_image"))
    pixel = entry.get("input_cost_per_pixel")
    size = sized(key)
    if rate is None and size is not None and isinstance(pixel, int | Decimal) and pixel > 0:
        rate = _rate("input_cost_per_pixel", pixel * int(size["width"]) * int(size["height"]))
    return tiers if rate is None else {"standard": StatedRates({Meter.IMAGE_GENERATED: rate})}


def with_sizes(
    tiers: Mapping[str, StatedRates], sizes: Mapping[str, int], *, has_dearest: bool = True
) -> Mapping[str, StatedRates]:
    """The tiers with one for each size of images that has a price of its own, in nano-dollars per million images.

    ``has_dearest``: where the tiers state no price of an image, an image of another size costs what the dearest does.
    """
    standard = tiers["standard"]
    if has_dearest and Meter.IMAGE_GENERATED not in standard.base:
        standard = StatedRates({**standard.base, Meter.IMAGE_GENERATED: max(sizes.values())}, standard.context_tiers)
    of_sizes = {size: StatedRates({Meter.IMAGE_GENERATED: rate}) for size, rate in sizes.items()}
    return {**tiers, "standard": standard, **of_sizes}


def sized(key: str) -> re.Match[str] | None:
    """A key that prices one size of a model's images, taken apart; a provider may stand before it."""
    return _SIZED.fullmatch(key) or _SIZED.fullmatch(key.partition("/")[2])


def size_of(size: re.Match[str]) -> str:
    """As a tariff names it: ``hd/1024x1536``."""
    quality = f"{size['quality']}/" if size["quality"] else ""
    return f"{quality}{size['width']}x{size['height']}"
