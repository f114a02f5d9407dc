"""The most that one attempt can cost: what admission sets aside before the upstream is called.

Each token is held at the dearest meter that it could be billed at, each deployment at the dearest service tier that
may serve, and context tiers by the bound of the input. What upstreams bill beyond that is the published overshoot:
tools of their own that fill the context several times over, and models that pass the maxima which the catalog states.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.domain import BUDGET_NUSD_MAX, MILLION, Charge, ChargeLine, Deployment, Meter, RateCard, Tariff
from policies.demand import Demand
from policies.pricing import SERVICE_TIERS, STANDARD

# For models of which neither the client nor the catalog states a maximum.
UNKNOWN_TOKENS_MAX = 32_768

_NO_HOLD = Charge(0)
_INPUT: tuple[Meter, ...] = (Meter.INPUT, Meter.CACHED_INPUT)
_INPUT_WITH_SOUND = (Meter.AUDIO_INPUT, Meter.IMAGE)
_OUTPUT = (Meter.OUTPUT, Meter.REASONING, Meter.IMAGE_OUTPUT)
_OUTPUT_WITH_SOUND = (*_OUTPUT, Meter.AUDIO_OUTPUT)
# Who asks for none, or for "auto", gets what the account's settings say, which nobody tells us; batches are apart.
_TIERS_OF_AUTO = (STANDARD, "flex", "priority")
_IS_SIZE = frozenset(SERVICE_TIERS) | {STANDARD}


def hold(deployment: Deployment, asked: Demand, output_tokens_max_default: int | None = None) -> Charge:
    """The charge that no answer can exceed, as lines of what it holds for; nothing for what is free or unpriced.

    ``output_tokens_max_default``: the route's, which is sent along where the client states none.
    """
    tariff = deployment.tariff
    if tariff is None:
        return _NO_HOLD
    input_tokens = input_tokens_max(deployment, asked)
    cards = _cards(tariff, asked)
    into, out = _INPUT, _OUTPUT_WITH_SOUND if asked.makes_media else _OUTPUT
    if asked.has_cache_marks or deployment.provider.kind != "anthropic":  # others may write their caches unasked
        into += (Meter.CACHE_WRITE,)
    if asked.has_long_cache_marks:
        into += (Meter.CACHE_WRITE_LONG,)
    into += _INPUT_WITH_SOUND if asked.has_sound else (Meter.IMAGE,)
    lines = [_line(Meter.INPUT, input_tokens, cards, into, input_tokens)]
    if output_tokens := output_tokens_max(deployment, asked, output_tokens_max_default):
        lines.append(_line(Meter.OUTPUT, output_tokens, cards, out, input_tokens))
    if (others := asked.others) is not None:
        for meter, quantity in (
            (Meter.IMAGE_GENERATED, others.images),
            (Meter.CHARACTER, others.characters),
            (Meter.SECOND, others.seconds),
            (Meter.QUERY, others.queries),
            (Meter.WEB_SEARCH, others.web_searches),
            (Meter.CODE_SESSION, others.code_sessions),
        ):
            if quantity:
                lines.append(_line(meter, quantity, cards, (meter,), input_tokens))
    total = 0
    for line in lines:
        total += line.quantity * line.rate_nusd_per_mtok
    return Charge(min(-(-total // MILLION), BUDGET_NUSD_MAX), tuple(line for line in lines if line.quantity))


def input_tokens_max(deployment: Deployment, asked: Demand) -> int:
    """The most tokens that can be read: by the bytes, or what the model takes at most."""
    context = deployment.context_tokens_max
    if asked.contexts is None:
        return asked.input_tokens
    if asked.is_input_open:
        return (context or max(asked.input_tokens, UNKNOWN_TOKENS_MAX)) * asked.contexts
    return asked.input_tokens if context is None else min(asked.input_tokens, context * asked.contexts)


def output_tokens_max(deployment: Deployment, asked: Demand, default: int | None) -> int:
    """The most tokens that can be written over all answers: the client's maximum, the route's, or the model's own."""
    if not asked.outputs:
        return 0
    wanted = asked.output_tokens_max or default
    able = deployment.output_tokens_max or deployment.context_tokens_max
    if wanted is None:
        wanted = able or UNKNOWN_TOKENS_MAX
    elif able is not None:
        wanted = min(wanted, able)
    return wanted * asked.outputs + asked.output_tokens_besides


def _line(
    meter: Meter, quantity: int, cards: Iterable[RateCard], meters: tuple[Meter, ...], input_tokens: int
) -> ChargeLine:
    dearest = 0
    for card in cards:
        rates = card.rates
        for one in meters:
            if rates[one] > dearest:  # noqa: PLR1730 - max() would cost a third more time
                dearest = rates[one]
        for limit, tier_rates in card.context_tiers:
            if input_tokens > limit:
                dearest = max(dearest, *(tier_rates[one] for one in meters))
    return ChargeLine(meter, quantity, dearest)


def _cards(tariff: Tariff, asked: Demand) -> list[RateCard]:
    """Those that may come to hold: by the tier that serves, or by the size of a picture."""
    cards = tariff.cards
    if len(cards) == 1:
        return list(cards.values())
    tier = asked.service_tier
    names = set(_TIERS_OF_AUTO) if tier is None or tier == "auto" else {STANDARD, tier}
    if asked.is_fast:
        names.add("fast")
    if asked.has_sizes:
        names |= cards.keys() - _IS_SIZE
    return [card for name, card in cards.items() if name in names]
