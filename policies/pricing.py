"""Turn usage into money: complete rate cards from the rates that somebody stated, and charges from usage.

Rates are integers of nano-dollars per million units of a meter; a charge is divided once, at its end, and rounded up.

What a missing rate becomes
    On a standard card it is its parent's (cached_input -> input, reasoning -> output, ... see ``PARENTS``); a meter
    without a parent (characters, seconds, searches) costs nothing.
    On a context tier or a service tier it keeps the *ratio* that the card below it has between the meter and its
    parent: a tier that only says "input costs twice as much" has cached input at twice the price too. Providers'
    pages do exactly that: in the public price list (4,241 models) all 350 stated cache rates of context tiers, and
    94 % of the 724 child rates of the batch, flex and priority tiers, are within 5 % of what this rule gives. Taking
    the tier's input rate instead would overcharge cached tokens tenfold, taking the base's cached rate would
    undercharge them by half. A tier that states neither the meter nor its parent has the rate of the card below.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.domain import MILLION, Charge, ChargeLine, Meter, RateCard, Tariff, Usage

STANDARD = "standard"
SERVICE_TIERS = ("batch", "flex", "priority", "fast")

PARENTS: Mapping[Meter, Meter] = {
    Meter.CACHED_INPUT: Meter.INPUT,
    Meter.CACHE_WRITE: Meter.INPUT,
    Meter.CACHE_WRITE_LONG: Meter.CACHE_WRITE,
    Meter.AUDIO_INPUT: Meter.INPUT,
    Meter.IMAGE: Meter.INPUT,
    Meter.REASONING: Meter.OUTPUT,
    Meter.AUDIO_OUTPUT: Meter.OUTPUT,
    Meter.IMAGE_OUTPUT: Meter.OUTPUT,
}
# Parents stand before their children, so that one pass resolves everything.
_RESOLUTION_ORDER = (*(meter for meter in Meter if meter not in PARENTS), *PARENTS)

# The hot path reads these as globals: an attribute of an enum class costs a lookup in its metaclass each time.
_INPUT = Meter.INPUT
_CACHED_INPUT = Meter.CACHED_INPUT
_CACHE_WRITE = Meter.CACHE_WRITE
_CACHE_WRITE_LONG = Meter.CACHE_WRITE_LONG
_AUDIO_INPUT = Meter.AUDIO_INPUT
_IMAGE = Meter.IMAGE
_OUTPUT = Meter.OUTPUT
_REASONING = Meter.REASONING
_AUDIO_OUTPUT = Meter.AUDIO_OUTPUT
_IMAGE_OUTPUT = Meter.IMAGE_OUTPUT


def _scaled_up(rate: int, numerator: int, denominator: int) -> int:
    """``rate * numerator / denominator``, rounded up: a derived rate never undercharges."""
    return -(-rate * numerator // denominator)


def _complete(stated: Mapping[Meter, int], below: Mapping[Meter, int] | None) -> Mapping[Meter, int]:
    """Every meter's rate, from those stated and the complete rates of the card below (none for the standard card)."""
    rates: dict[Meter, int] = {}
    for meter in _RESOLUTION_ORDER:
        parent = PARENTS.get(meter)
        if meter in stated:
            rates[meter] = stated[meter]
        elif below is None:
            rates[meter] = rates[parent] if parent is not None else 0
        elif parent is not None and below[parent] > 0:
            rates[meter] = _scaled_up(below[meter], rates[parent], below[parent])
        else:
            rates[meter] = below[meter]
    return rates


def make_rate_card(
    rates: Mapping[Meter, int],
    context_tiers: Mapping[int, Mapping[Meter, int]] | None = None,
    standard: RateCard | None = None,
) -> RateCard:
    """A complete card from stated rates; ``context_tiers`` is by the input tokens above which each holds.

    ``standard`` is the card that a service tier departs from: the tier has its context limits too, and where it
    states no rates for one, its own base rates rise there by the same factor as the standard ones.
    Raises ValueError for a negative rate or limit.
    """
    stated_tiers = dict(context_tiers or {})
    if any(rate < 0 for card in (rates, *stated_tiers.values()) for rate in card.values()):
        raise ValueError("a rate is negative")
    if any(limit <= 0 for limit in stated_tiers):
        raise ValueError("a context tier starts at zero tokens or less")
    base = _complete(rates, standard.rates if standard else None)
    inherited = dict(standard.context_tiers) if standard else {}
    tiers = []
    for limit in sorted({*stated_tiers, *inherited}):
        below = base
        if standard is not None and limit in inherited:
            below = {
                meter: _scaled_up(rate, inherited[limit][meter], standard.rates[meter])
                if standard.rates[meter] > 0
                else inherited[limit][meter]
                for meter, rate in base.items()
            }
        tiers.append((limit, _complete(stated_tiers.get(limit, {}), below)))
    return RateCard(rates=base, context_tiers=tuple(tiers))


def discounted(rates: Mapping[Meter, int], kept: int, whole: int) -> Mapping[Meter, int]:
    """Stated rates at ``kept / whole`` of themselves, each rounded up to whole nano-dollars per million."""
    return {meter: _scaled_up(rate, kept, whole) for meter, rate in rates.items()}


def free_tariff() -> Tariff:
    """The tariff of what costs nothing: usage is metered, every rate is zero."""
    return Tariff(cards={STANDARD: make_rate_card({})})


def rates_of(tariff: Tariff, input_tokens: int, service_tier: str | None) -> Mapping[Meter, int]:
    """The rates that a call of so many input tokens is charged at, served by that tier."""
    cards = tariff.cards
    card = cards.get(service_tier) if service_tier is not None else None
    if card is None:
        card = cards[STANDARD]
    rates = card.rates
    for limit, tier_rates in card.context_tiers:
        if input_tokens <= limit:
            break
        rates = tier_rates
    return rates


def charge(tariff: Tariff, usage: Usage, service_tier: str | None) -> Charge:
    """Price one call: only meters with a quantity make lines; the sum is divided once and rounded up.

    ``service_tier`` is the upstream's word for what it served ("flex", "batch", "priority", "fast"); every other word
    ("default", "auto", an unknown one, none) is the standard tier. The context tier follows from all input tokens.
    Token meters are disjoint: parts that exceed their whole are cut (cached first, then writes, audio, images), so
    no token is counted twice whatever an upstream reports.
    """
    input_tokens = usage.input_tokens
    rates = rates_of(tariff, input_tokens, service_tier)
    lines: list[ChargeLine] = []
    remaining = input_tokens
    for meter, tokens in (
        (_CACHED_INPUT, usage.cached_input_tokens),
        (_CACHE_WRITE_LONG, usage.cache_write_long_tokens),
        (_CACHE_WRITE, usage.cache_write_tokens),
        (_AUDIO_INPUT, usage.audio_input_tokens),
        (_IMAGE, usage.image_input_tokens),
        (_INPUT, input_tokens),
    ):
        quantity = tokens if tokens < remaining else remaining  # noqa: FURB136 - min() would cost a third more time
        if quantity > 0:
            remaining -= quantity
            lines.append(ChargeLine(meter, quantity, rates[meter]))
    remaining = usage.output_tokens
    for meter, tokens in (
        (_REASONING, usage.reasoning_tokens),
        (_AUDIO_OUTPUT, usage.audio_output_tokens),
        (_IMAGE_OUTPUT, usage.image_output_tokens),
        (_OUTPUT, remaining),
    ):
        quantity = tokens if tokens < remaining else remaining  # noqa: FURB136 - min() would cost a third more time
        if quantity > 0:
            remaining -= quantity
            lines.append(ChargeLine(meter, quantity, rates[meter]))
    if usage.images or usage.characters or usage.seconds or usage.queries or usage.web_searches or usage.code_sessions:
        lines += [ChargeLine(meter, quantity, rates[meter]) for meter, quantity in _others(usage) if quantity > 0]

    total = 0
    for line in lines:
        total += line.quantity * line.rate_nusd_per_mtok
    return Charge(-(-total // MILLION), tuple(lines))


def _others(usage: Usage) -> tuple[tuple[Meter, int], ...]:
    """What is not priced by the token."""
    return (
        (Meter.IMAGE_GENERATED, usage.images),
        (Meter.CHARACTER, usage.characters),
        (Meter.SECOND, usage.seconds),
        (Meter.QUERY, usage.queries),
        (Meter.WEB_SEARCH, usage.web_searches),
        (Meter.CODE_SESSION, usage.code_sessions),
    )
