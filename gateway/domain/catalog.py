"""What can be called, and where: endpoints, providers, deployments, routes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.domain.answers import Deflection, ExactCache, SemanticCache
from gateway.domain.conversations import NOT_STICKY, ON_REQUEST, Conversations, PrefixCache
from gateway.domain.money import Tariff

QUALITY_LOSS_MAX = 0.02


class Endpoint(StrEnum):
    """The operation, as its path below /v1 with us and below the provider's base URL with upstreams."""

    CHAT = "chat/completions"
    RESPONSES = "responses"
    INPUT_TOKENS = "responses/input_tokens"
    COMPACT = "responses/compact"
    MESSAGES = "messages"
    COUNT_TOKENS = "messages/count_tokens"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    MODERATIONS = "moderations"
    SPEECH = "audio/speech"
    TRANSCRIPTIONS = "audio/transcriptions"
    TRANSLATIONS = "audio/translations"
    IMAGES = "images/generations"
    IMAGE_EDITS = "images/edits"
    IMAGE_VARIATIONS = "images/variations"
    RERANK = "rerank"
    CLASSIFY = "classify"  # asked by guards alone


_CHAT = Endpoint.CHAT  # an attribute of an enum class costs a lookup in its metaclass each time
_DIALECT_OF: Mapping[Endpoint, Endpoint] = {
    Endpoint.RESPONSES: Endpoint.RESPONSES,
    Endpoint.INPUT_TOKENS: Endpoint.RESPONSES,
    Endpoint.COMPACT: Endpoint.RESPONSES,
    Endpoint.MESSAGES: Endpoint.MESSAGES,
    Endpoint.COUNT_TOKENS: Endpoint.MESSAGES,
}
# What other servers of the same dialect mostly do not have, and the kinds of those that do.
_OPENAIS_KINDS = frozenset({"openai", "azure"})
_KINDS_THAT_HAVE: Mapping[Endpoint, frozenset[str]] = {
    Endpoint.INPUT_TOKENS: _OPENAIS_KINDS,
    Endpoint.COMPACT: _OPENAIS_KINDS,
    Endpoint.COUNT_TOKENS: frozenset({"anthropic", "vllm"}),
}
# Ours that are translated where an upstream does not speak them, and what they become, in order of preference.
_TRANSLATED: Mapping[Endpoint, tuple[Endpoint, ...]] = {
    Endpoint.CHAT: (Endpoint.MESSAGES,),
    Endpoint.RESPONSES: (Endpoint.CHAT, Endpoint.MESSAGES),
    Endpoint.MESSAGES: (Endpoint.CHAT,),
}


class Capability(StrEnum):
    """What a request can need that not every model of its kind has."""

    TOOLS = "tools"
    JSON_SCHEMA = "json_schema"  # an answer that keeps to a given schema
    VISION = "vision"
    AUDIO = "audio"
    FILES = "files"  # PDFs and their like


#: How regions and tags are written, so that a header can list them.
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an answer may come from: one of the regions (none stated: anywhere), from what has every tag."""

    regions: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()


ANYWHERE = Placement()


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits on one upstream call, in seconds."""

    connect_s: float = 5.0
    first_token_s: float = 120.0
    between_tokens_s: float = 60.0
    total_s: float = 1800.0


@dataclass(frozen=True, slots=True)
class Provider:
    """Who serves: where it is, how to speak to it, and our credentials there."""

    name: str
    kind: str
    base_url: str = ""
    api_key: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    litellm_provider: str = ""
    discount_pct: float = 0.0
    timeouts: Timeouts = Timeouts()
    prefix_cache: PrefixCache = ON_REQUEST


@dataclass(frozen=True, slots=True)
class UpstreamLimits:
    """What the provider lets us send to one deployment; ``None`` is unlimited."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    parallel_requests: int | None = None

    @property
    def is_limited(self) -> bool:
        return (self.requests_per_minute, self.tokens_per_minute, self.parallel_requests) != (None, None, None)


@dataclass(frozen=True, slots=True)
class Deployment:
    """Model + endpoint + price: what we call. ``tariff`` is ``None`` when nobody told us the price.

    ``lacks``: what it is known not to have; of anything else it is assumed to have it.
    """

    name: str
    provider: Provider
    model: str
    tariff: Tariff | None = None
    is_unpriced_allowed: bool = False
    limits: UpstreamLimits = UpstreamLimits()
    mode: str = "chat"
    context_tokens_max: int | None = None
    output_tokens_max: int | None = None
    asks_stream_usage: bool = True
    speaks: frozenset[Endpoint] = frozenset({Endpoint.CHAT})  # of CHAT, RESPONSES, MESSAGES: its dialects
    lacks: frozenset[Capability] = frozenset()
    region: str | None = None
    tags: frozenset[str] = frozenset()
    quality: float | None = None  # 0..1, as its operator knows it

    def asked_as(self, endpoint: Endpoint) -> Endpoint | None:
        """What a request to our endpoint becomes on its way there: itself, a translation, ``None`` if neither can be.

        All endpoints that belong to no other dialect are OpenAI's, and go with chat.
        """
        if endpoint in _KINDS_THAT_HAVE and self.provider.kind not in _KINDS_THAT_HAVE[endpoint]:
            return None
        if _DIALECT_OF.get(endpoint, _CHAT) in self.speaks:
            return endpoint
        return next((other for other in _TRANSLATED.get(endpoint, ()) if other in self.speaks), None)

    @property
    def has_running_usage(self) -> bool:
        """Whether it can be asked for usage on every chunk of a stream, for each choice alone: vLLM's invention."""
        return self.provider.kind == "vllm"


@dataclass(frozen=True, slots=True)
class Cascade:
    """When the answer of a cheap deployment is good enough: all gates that are stated must accept it.

    ``logprob_min``: the least geometric mean of its tokens' probabilities. ``checks_schema``: it keeps to the form that
    the request asks for. ``samples``: so many answers of the same deployment, of which ``share_min`` must agree with
    it. ``verifier``: the deployment that gives it a score from 0 to 1, of ``score_min`` at least. ``steps_max``:
    the most deployments that are asked one after the other, the last of them without a gate.
    """

    logprob_min: float | None = None
    checks_schema: bool = False
    samples: int = 1
    share_min: float = 0.0
    verifier: str | None = None
    score_min: float = 0.0
    steps_max: int = 2

    @property
    def gates(self) -> tuple[str, ...]:
        """What they are, for a human."""
        stated = {
            "logprob": self.logprob_min is not None,
            "schema": self.checks_schema,
            "agreement": self.samples > 1,
            f"verifier {self.verifier}": self.verifier is not None,
        }
        return tuple(name for name, is_stated in stated.items() if is_stated)


@dataclass(frozen=True, slots=True)
class Repair:
    """Answers that were asked for as JSON are made to keep to it. ``asks_again``: where that cannot be, once more."""

    asks_again: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """A public alias: deployments in order, the policy that picks, and the reference model for savings.

    ``output_tokens_max_default`` is sent along where a client states no maximum of its own. ``weights``: the shares of
    the policy ``weighted``, 1 where none is stated. ``first_token_p95_s_max`` is a target: who is slower serves only
    where nobody else does. ``quality_loss_max``: the share of quality that the policy ``cheapest_adequate`` may lose.
    ``cost_max_nusd``: the most that a call may be expected to cost; ``is_best_wanted``: the policy picks the best that
    fits in it, and not the cheapest that is adequate.
    ``cascade``: the gates of the policy of that name. ``exact_cache``: which answers it gives again, if any.
    ``deflection``: what it answers without a model, if anything.
    ``semantic_cache``: to what other questions. ``guards``: which look at its requests and answers, by name.
    ``repair``: what becomes of answers that are not the JSON that was asked for.
    """

    name: str
    deployments: tuple[str, ...]
    policy: str = "ordered"
    baseline: str | None = None
    output_tokens_max_default: int | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    placement: Placement = ANYWHERE
    first_token_p95_s_max: float | None = None
    quality_loss_max: float = QUALITY_LOSS_MAX
    conversations: Conversations = NOT_STICKY
    cost_max_nusd: int | None = None
    is_best_wanted: bool = False
    cascade: Cascade | None = None
    keep_prompts_days: int | None = None  # None: never
    exact_cache: ExactCache | None = None
    deflection: Deflection | None = None
    semantic_cache: SemanticCache | None = None
    guards: tuple[str, ...] = ()
    repair: Repair | None = None
