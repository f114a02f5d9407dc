"""Hard constraints: which deployments may be called for a request at all, each refusal with a named reason.

The one place where "may it be called" is decided; policies only order what is left. Money is no such constraint:
whether a call is affordable is decided at its admission, in the step that holds what it may cost (docs/holds.md).

What a route asks (``_why_not_on``) holds for routes alone: a deployment that is asked for by name stays that
deployment, and its upstream judges for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

from gateway.domain import Bar, Caller, Capability, Deployment, Endpoint, Placement, Reason, Request, Route

_MODES: Mapping[Endpoint, frozenset[str]] = {
    Endpoint.CHAT: frozenset({"chat", "responses"}),
    Endpoint.RESPONSES: frozenset({"chat", "responses"}),
    Endpoint.INPUT_TOKENS: frozenset({"chat", "responses"}),
    Endpoint.COMPACT: frozenset({"chat", "responses"}),
    Endpoint.MESSAGES: frozenset({"chat", "responses"}),
    Endpoint.COUNT_TOKENS: frozenset({"chat", "responses"}),
    Endpoint.COMPLETIONS: frozenset({"chat", "completion"}),
    Endpoint.EMBEDDINGS: frozenset({"embedding", "chat"}),
    Endpoint.MODERATIONS: frozenset({"moderation", "chat"}),
    # A model of another kind has no rate for what these consume, so they take no chances.
    Endpoint.SPEECH: frozenset({"audio_speech"}),
    Endpoint.TRANSCRIPTIONS: frozenset({"audio_transcription"}),
    Endpoint.TRANSLATIONS: frozenset({"audio_transcription"}),
    Endpoint.IMAGES: frozenset({"image_generation"}),
    Endpoint.IMAGE_EDITS: frozenset({"image_generation", "image_edit"}),
    Endpoint.IMAGE_VARIATIONS: frozenset({"image_generation", "image_edit"}),
    Endpoint.RERANK: frozenset({"rerank"}),
    Endpoint.CLASSIFY: frozenset({"moderation", "chat"}),
}
# Whose body is one prompt, which the model reads as a whole; others take many, or are not counted in tokens.
_OF_ONE_PROMPT = frozenset({Endpoint.CHAT, Endpoint.RESPONSES, Endpoint.COMPACT, Endpoint.MESSAGES})
_LACKING: Mapping[Capability, str] = {
    Capability.TOOLS: "calls no tools",
    Capability.JSON_SCHEMA: "keeps to no JSON schema",
    Capability.VISION: "sees no images",
    Capability.AUDIO: "takes no sound",
    Capability.FILES: "reads no files",
}
#: What waiting does not change: the same request would be barred again.
LASTING = frozenset({Bar.MODE, Bar.UNPRICED, Bar.CONTEXT, Bar.CAPABILITY, Bar.REGION, Bar.TAG, Bar.PRICE_CAP})
_GUESS_OFF_BY = 2
LIMITED = Reason(Bar.LIMITS, "limits: the provider's limit for it is used up", retry_after_s=2.0)
UNPRICED = Reason(Bar.UNPRICED, "unpriced: no price is known for its model")


def may_call(caller: Caller, model: str) -> bool:
    """Whether the key allows the asked name; ``openai/*`` in a key's list allows all names that match."""
    if caller.models is None or model in caller.models:
        return True
    return any("*" in pattern and fnmatchcase(model, pattern) for pattern in caller.models)


def why_not(
    deployment: Deployment, request: Request, route: Route | None, why_unavailable: Callable[[str], Reason | None]
) -> Reason | None:
    """The first hard constraint that keeps the deployment from serving the request, ``None`` if there is none.

    ``route``: the one that offers it, ``None`` where it is asked for by its own name.
    """
    if deployment.tariff is None and not deployment.is_unpriced_allowed:
        return UNPRICED
    if deployment.mode not in _MODES[request.endpoint]:
        return Reason(Bar.MODE, f"mode: serves {deployment.mode}, not /v1/{request.endpoint}")
    if deployment.asked_as(request.endpoint) is None:
        spoken = ", ".join(sorted(f"/v1/{dialect}" for dialect in deployment.speaks))
        return Reason(Bar.MODE, f"dialect: speaks {spoken}, not /v1/{request.endpoint}")
    if route is not None and (reason := _why_not_on(route, deployment, request)):
        return reason
    return why_unavailable(deployment.name)


def _why_not_on(route: Route, deployment: Deployment, request: Request) -> Reason | None:
    """What of the request, or of where the route or its client want it answered, the deployment does not meet."""
    for who, placement in (("the route", route.placement), ("the request", request.placement)):
        if (placement.regions or placement.tags) and (reason := misplaced(deployment, placement, who)):
            return reason
    if lacking := request.needs & deployment.lacks:
        return Reason(Bar.CAPABILITY, "capability: " + ", ".join(_LACKING[one] for one in sorted(lacking)))
    limit = deployment.context_tokens_max
    if (
        limit is not None
        and request.text_tokens > limit
        and request.endpoint in _OF_ONE_PROMPT
        and request.foreseen is None  # one to be counted may be longer
    ):
        return Reason(Bar.CONTEXT, f"context: takes {limit:,} tokens, and these are about {request.text_tokens:,}")
    return None


def roomiest(offered: Sequence[Deployment], request: Request, reasons: Mapping[str, Reason]) -> Deployment | None:
    """Where nothing is left, and waiting would not help: who may try a prompt that looks too long, but may not be.

    How many tokens a text has is a guess by its bytes, right within a factor of two for most languages and code. So the
    deployment with the most room tries where the guess is at most twice that; its upstream counts, and judges.
    """
    if any(reason.bar not in LASTING for reason in reasons.values()):
        return None
    tight = [one for one in offered if one.name in reasons and reasons[one.name].bar is Bar.CONTEXT]
    widest = max(tight, key=lambda one: one.context_tokens_max or 0, default=None)
    if widest is None or request.text_tokens > _GUESS_OFF_BY * (widest.context_tokens_max or 0):
        return None
    return widest


def misplaced(deployment: Deployment, placement: Placement, who: str) -> Reason | None:
    """Why the deployment is not where it must be, or not what; one whose region nobody stated is in none."""
    if placement.regions and deployment.region not in placement.regions:
        wanted = " or ".join(sorted(placement.regions))
        return Reason(Bar.REGION, f"region: {deployment.region or 'not stated'}, where {who} wants {wanted}")
    if missing := placement.tags - deployment.tags:
        return Reason(Bar.TAG, f"tag: without {', '.join(sorted(missing))}, which {who} wants")
    return None


def too_slow(
    candidates: Sequence[Deployment], route: Route, first_token_p95_s: Mapping[str, float]
) -> Mapping[str, Reason]:
    """Which candidates are measured above the route's target. It is no wall: they serve where nobody else does."""
    target_s = route.first_token_p95_s_max
    if target_s is None:
        return {}
    return {
        one.name: Reason(Bar.LATENCY, f"latency: p95 to the first token is {p95_s:.3g} s, above {target_s:g} s")
        for one in candidates
        if (p95_s := first_token_p95_s.get(one.name, 0.0)) > target_s
    }
