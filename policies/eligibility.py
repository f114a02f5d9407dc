"""Hard constraints: which deployments may be called for a request at all, each refusal with a named reason.

The one place where "may it be called" is decided; policies only order what is left. Money is no such constraint:
whether a call is affordable is decided at its admission, in the step that holds what it may cost (docs/holds.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

from gateway.domain import Bar, Caller, Deployment, Endpoint, Reason, Request

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
}
LIMITED = Reason(Bar.LIMITS, "limits: the provider's limit for it is used up", retry_after_s=2.0)
UNPRICED = Reason(Bar.UNPRICED, "unpriced: no price is known for its model")


def may_call(caller: Caller, model: str) -> bool:
    """Whether the key allows the asked name; ``openai/*`` in a key's list allows all names that match."""
    if caller.models is None or model in caller.models:
        return True
    return any("*" in pattern and fnmatchcase(model, pattern) for pattern in caller.models)


def why_not(deployment: Deployment, request: Request, why_unavailable: Callable[[str], Reason | None]) -> Reason | None:
    """The first hard constraint that keeps the deployment from serving the request, ``None`` if there is none."""
    if deployment.tariff is None and not deployment.is_unpriced_allowed:
        return UNPRICED
    if deployment.mode not in _MODES[request.endpoint]:
        return Reason(Bar.MODE, f"mode: serves {deployment.mode}, not /v1/{request.endpoint}")
    if deployment.asked_as(request.endpoint) is None:
        spoken = ", ".join(sorted(f"/v1/{dialect}" for dialect in deployment.speaks))
        return Reason(Bar.MODE, f"dialect: speaks {spoken}, not /v1/{request.endpoint}")
    return why_unavailable(deployment.name)
