"""Conversations: a change of models loses the cached beginning of the prompt, and changes the voice.

Who answered goes on answering. A change for the better is made where the policy finds it worth its cost, which the
expected costs hold already: whoever keeps the prompt is asked at its cached price. A change that only saves money is
made where the route lets changes cost something, and then while it saves more than it costs and all changes together
stay within that share of what the conversation has cost. A deployment that may not serve is no candidate: then the
conversation changes whatever that costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.domain import (
    MILLION,
    CachedPrefix,
    Conversation,
    Conversations,
    Deployment,
    Forecast,
    LedgerEntry,
    Meter,
    Prediction,
    PrefixCache,
    Stay,
)
from policies.pricing import rates_of

_UNKNOWN = Prediction()


def stay(
    order: Sequence[Deployment],
    forecast: Forecast | None,
    rules: Conversations,
    conversation: Conversation,
    input_tokens: int,
) -> Stay:
    """What becomes of the policy's order, which is not empty."""
    first = order[0]
    before = next((one for one in order if one.name == conversation.deployment), None)
    cost_nusd = switching_nusd(conversation, first, input_tokens)
    if before is first:
        return Stay()
    if before is None or not rules.is_sticky or (forecast is not None and forecast.strongest == first.name):
        return Stay(switching_nusd=cost_nusd)
    if forecast is None:
        return Stay(kept=before.name)
    new, old = (forecast.predictions.get(one.name, _UNKNOWN) for one in (first, before))
    if (new.quality or 0.0) > (old.quality or 0.0):
        return Stay(switching_nusd=cost_nusd)
    saves = (new.expected_cost_nusd or 0) < (old.expected_cost_nusd or 0)
    may_cost_nusd = rules.switching_share_max * conversation.cost_nusd
    if rules.switching_share_max > 0 and saves and conversation.switching_nusd + cost_nusd <= may_cost_nusd:
        return Stay(switching_nusd=cost_nusd)
    return Stay(kept=before.name)


def switching_nusd(conversation: Conversation, to: Deployment, input_tokens: int) -> int:
    """What the prompt costs more at ``to`` than if that had kept what the last to answer keeps: rounded up."""
    if to.name == conversation.deployment or to.tariff is None:
        return 0
    lost = min(_tokens(conversation, conversation.deployment), input_tokens) - _tokens(conversation, to.name)
    if lost <= 0:
        return 0
    rates = rates_of(to.tariff, input_tokens, None)
    paid = rates[Meter.INPUT if to.provider.prefix_cache.is_automatic else Meter.CACHE_WRITE]
    return -(-lost * max(paid - rates[Meter.CACHED_INPUT], 0) // MILLION)


def kept_tokens(conversation: Conversation) -> Mapping[str, int]:
    """How much of the prompt each upstream keeps, by deployment name."""
    return {name: one.tokens for name, one in conversation.cached.items()}


def as_of(conversation: Conversation, now_s: float) -> Conversation:
    """Without what upstreams have forgotten by then."""
    kept = {name: one for name, one in conversation.cached.items() if one.until_s > now_s}
    return Conversation(conversation.deployment, kept, conversation.cost_nusd, conversation.switching_nusd)


def answered(
    conversation: Conversation | None,
    entry: LedgerEntry,
    cache: PrefixCache,
    switched_nusd: int,
    now_s: float,
) -> Conversation:
    """The conversation after an answer with that charge, of a provider with that cache. ``conversation``: before."""
    before = conversation or Conversation(entry.deployment)
    expected = _tokens(before, entry.deployment)
    seen = entry.cached_input_tokens + entry.cache_write_tokens
    tokens = entry.input_tokens if cache.is_automatic else seen
    was_lost = cache.is_automatic and expected > 0 and entry.cached_input_tokens == 0
    if tokens < cache.tokens_min or was_lost:  # whoever did not keep it the last time is not trusted with it again
        tokens = 0
    cached = {**before.cached, entry.deployment: CachedPrefix(tokens, now_s + cache.ttl_s)}
    return Conversation(
        entry.deployment,
        {name: one for name, one in cached.items() if one.tokens and one.until_s > now_s},
        before.cost_nusd + entry.cost_nusd,
        before.switching_nusd + switched_nusd,
    )


def _tokens(conversation: Conversation, deployment: str) -> int:
    kept = conversation.cached.get(deployment)
    return 0 if kept is None else kept.tokens
