"""The nouns of the gateway: frozen values, no clock, no I/O.

Money is an integer of nano-dollars (suffix ``_nusd``); rates are nano-dollars per one million units of their meter
(suffix ``_nusd_per_mtok`` where the unit is a token).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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


class AnswerForm(StrEnum):
    """What a good answer is made of."""

    OBJECT = "object"  # JSON: one object, or a stream of events with one each
    TEXT = "text"  # a plain text, whole (a transcript, subtitles)
    BYTES = "bytes"  # whatever comes, as it comes (sound)


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


class Basis(StrEnum):
    """How we know the usage of an entry."""

    REPORTED = "reported"
    ESTIMATED = "estimated"
    ORPHANED = "orphaned"
    UNBILLED = "unbilled"
    NONE = "none"


class Source(StrEnum):
    """Who answered."""

    UPSTREAM = "upstream"
    CACHE_EXACT = "cache_exact"
    CACHE_SEMANTIC = "cache_semantic"
    DEFLECTED = "deflected"


class Purpose(StrEnum):
    """Why the call was made."""

    ANSWER = "answer"
    EMBEDDING = "embedding"
    GUARD = "guard"
    JUDGE = "judge"
    SHADOW = "shadow"
    AUDIT = "audit"


class Outcome(StrEnum):
    """How an upstream attempt ended: the ``status`` of its ledger entry."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"  # refused or broken before the first byte: unbilled, unless it had generated text
    INTERRUPTED = "interrupted"  # the upstream broke off after the first byte
    CANCELLED = "cancelled"  # the client went away
    ORPHANED = "orphaned"  # the process that made the call died


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
    """Model + endpoint + price: what we call. ``tariff`` is ``None`` when nobody told us the price."""

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

    def asked_as(self, endpoint: Endpoint) -> Endpoint | None:
        """What a request to our endpoint becomes on its way there: itself, a translation, ``None`` if neither can be.

        All endpoints that belong to no other dialect are OpenAI's, and go with chat.
        """
        if endpoint in _KINDS_THAT_HAVE and self.provider.kind not in _KINDS_THAT_HAVE[endpoint]:
            return None
        if _DIALECT_OF.get(endpoint, Endpoint.CHAT) in self.speaks:
            return endpoint
        return next((other for other in _TRANSLATED.get(endpoint, ()) if other in self.speaks), None)

    @property
    def has_running_usage(self) -> bool:
        """Whether it can be asked for usage on every chunk of a stream, for each choice alone: vLLM's invention."""
        return self.provider.kind == "vllm"


@dataclass(frozen=True, slots=True)
class Route:
    """A public alias: deployments in order, the policy that picks, and the reference model for savings."""

    name: str
    deployments: tuple[str, ...]
    policy: str = "ordered"
    baseline: str | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated result: whose request this is, and what its key may do."""

    key_id: str
    key_name: str
    team_id: str
    team_name: str
    organization_id: str
    models: frozenset[str] | None = None  # None: every model of the catalog
    expires_at_s: float | None = None  # Unix time


class Body:
    """A JSON object whose values nobody re-encodes: each top-level value keeps the client's own bytes.

    Whatever the path does not know (new parameters, vendor fields, the key order of schemas, 1.0 against 1) reaches
    the upstream as it came.
    """

    __slots__ = ("fields",)

    def __init__(self, fields: Mapping[str, msgspec.Raw]) -> None:
        self.fields = fields

    def encoded_with(self, changes: Mapping[str, object]) -> bytes:
        """The object as JSON bytes, with the named top-level fields set anew and all others verbatim."""
        encode = msgspec.json.encode
        parts: list[bytes | msgspec.Raw] = []
        for name, raw in self.fields.items():
            parts += (b",", encode(name), b":", encode(changes[name]) if name in changes else raw)
        for name, value in changes.items():
            if name not in self.fields:
                parts += (b",", encode(name), b":", encode(value))
        if not parts:
            return b"{}"
        parts[0] = b"{"
        parts.append(b"}")
        return b"".join(parts)  # one copy of what may be 32 MB


@dataclass(frozen=True, slots=True)
class Request:
    """One question of one client: what the path needs to know of it, and its body untouched."""

    id: str
    endpoint: Endpoint
    model: str
    body: Body
    body_bytes: int
    is_stream: bool = False
    wants_usage: bool = False
    stream_options: Mapping[str, object] = field(default_factory=dict)
    end_user: str | None = None
    output_tokens_max: int | None = None
    choices: int = 1
    service_tier: str | None = None
    tags: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)  # those that travel upstream (traceparent, ...)
    query: Mapping[str, str] = field(default_factory=dict)  # parameters of the address that travel upstream
    continues: str | None = None  # the id of a stored response that it goes on from
    form: AnswerForm = AnswerForm.OBJECT
    foreseen: Usage | None = None  # what it will consume as far as it tells itself; None: its text, by its size


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt at a deployment, ready to be sent: ``body`` is what leaves the building."""

    deployment: Deployment
    endpoint: Endpoint
    body: bytes
    is_stream: bool
    headers: Mapping[str, str]
    query: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    method: str = "POST"
    item: tuple[str, ...] = ()  # what is asked for below the endpoint: ("resp_1", "cancel")
    content_type: str = "application/json"  # of the body
    form: AnswerForm = AnswerForm.OBJECT


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response that an upstream keeps: whose it is, and which deployment made it."""

    id: str
    organization_id: str
    team_id: str
    key_id: str
    deployment: str


class Bar(StrEnum):
    """What kind of thing keeps a deployment from serving a request."""

    UNPRICED = "unpriced"
    MODE = "mode"
    LIMITS = "limits"
    COOLDOWN = "cooldown"
    CIRCUIT = "circuit"


class Reason(msgspec.Struct, frozen=True):
    """Why a deployment is out; ``retry_after_s``: when that may have changed."""

    bar: Bar
    text: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Which deployments to try, in order, and why the others are out (by deployment name)."""

    route: str | None
    candidates: tuple[Deployment, ...]
    baseline: Deployment | None
    rejected: Mapping[str, Reason] = field(default_factory=dict)


class MeterReading(msgspec.Struct, frozen=True):
    """A charge line as the ledger stores it."""

    meter: str
    quantity: int
    rate_nusd_per_mtok: int


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable row per upstream attempt; its JSON is the same in Redis, in the local journal and for Postgres.

    ``created_at`` is RFC 3339 in UTC, fixed when the attempt starts, so that ``(id, created_at)`` is the same whoever
    writes the entry and however often. ``instance`` names the process that owns the attempt. A correction is a new
    entry whose ``corrects`` names the old one and whose amounts are differences.
    """

    id: str
    request_id: str
    created_at: str
    instance: str
    attempt: int
    organization_id: str
    team_id: str
    key_id: str
    end_user: str | None = None
    endpoint: str
    is_stream: bool
    route: str | None = None
    deployment: str
    provider: str
    model_asked: str
    model: str
    model_answered: str | None = None
    purpose: str = Purpose.ANSWER
    source: str = Source.UPSTREAM
    basis: str
    status: str
    http_status: int | None = None
    error_code: str | None = None
    finish_reason: str | None = None
    service_tier: str | None = None
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_long_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    meters: tuple[MeterReading, ...] = ()
    cost_nusd: int = 0
    baseline_nusd: int = 0
    is_baseline_estimated: bool = False
    first_token_ms: float | None = None
    total_ms: float | None = None
    upstream_request_id: str | None = None
    tags: tuple[str, ...] = ()
    corrects: str | None = None
    content: object = None  # only with content logging on: {"request", "answer"}
