"""What is asked, by whom, and what becomes of it on its way: requests, decisions, calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

import msgspec

from gateway.domain.answers import ANY_ANSWER, CacheControl, ExactCache, SemanticCache
from gateway.domain.catalog import ANYWHERE, Capability, Cascade, Deployment, Endpoint, Placement, Repair
from gateway.domain.chain import Chain
from gateway.domain.conversations import NO_CONVERSATION, Stay, Turn
from gateway.domain.decisions import Forecast
from gateway.domain.money import Usage

#: A rough and cheap guess: English text has about 4 bytes a token.
BYTES_PER_TOKEN = 4


class AnswerForm(StrEnum):
    """What a good answer is made of."""

    OBJECT = "object"  # JSON: one object, or a stream of events with one each
    TEXT = "text"  # a plain text, whole (a transcript, subtitles)
    BYTES = "bytes"  # whatever comes, as it comes (sound)


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
    member_id: str | None = None  # the person the key is bound to, whatever ``user`` a client sends
    allowed_ips: tuple[IPv4Network | IPv6Network, ...] | None = None  # None: from anywhere
    quality_loss_max: float | None = None  # its team's target on routes; None: as the route says
    cost_max_nusd: int | None = None  # ... and the most that a call of the team may be expected to cost there
    guards: str = ""  # of its team, then of its key: a JSON list; empty: none


class Body:
    """A JSON object whose values nobody re-encodes: each top-level value keeps the client's own bytes.

    Whatever the path does not know (new parameters, vendor fields, the key order of schemas, 1.0 against 1) reaches
    the upstream as it came.
    """

    __slots__ = ("fields",)

    def __init__(self, fields: Mapping[str, msgspec.Raw]) -> None:
        self.fields = fields

    def with_fields(self, changes: Mapping[str, msgspec.Raw]) -> Body:
        """Another one with these fields set anew."""
        return Body({**self.fields, **changes})

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
    """One question of one client: what the path needs to know of it, and its body untouched.

    ``needs`` and ``media_bytes`` (how much of the body is images, sound and files) are only looked for where a route
    is asked: a deployment that is asked for by name gets what it is asked.
    """

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
    needs: frozenset[Capability] = frozenset()
    media_bytes: int = 0
    placement: Placement = ANYWHERE  # what the client itself wants of where it is answered
    quality_loss_max: float | None = None  # ... and of how much quality it may lose; None: as its team or route says
    cost_max_nusd: int | None = None  # ... and the most that it may be expected to cost on a route
    conversation: str | None = None  # what the client itself calls its conversation
    cache_control: CacheControl = ANY_ANSWER  # what it allows of answers that were given before
    may_deflect: bool = True  # it takes answers without a model
    deflector: str | None = None  # which one answers it; where a model does: which answered the same before
    wrong_answers_max: float | None = None  # ... and of those to other questions; None: as its route says
    chain: Chain | None = None  # what it went through so far, shared by all that is made of it

    @property
    def text_tokens(self) -> int:
        """The tokens of its text, estimated: images and the like are in other numbers of tokens than of bytes."""
        return -(-max(0, self.body_bytes - self.media_bytes) // BYTES_PER_TOKEN)


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
    CONTEXT = "context"
    CAPABILITY = "capability"
    REGION = "region"
    TAG = "tag"
    PRICE_CAP = "price_cap"
    LATENCY = "latency"
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
    """Which deployments to try, in order, and why others are out, or last for being slow (by deployment name).

    ``cascade`` and ``steps``: so many of the first candidates are asked one after the other, and all but the last of
    them answer only if its gates accept what they say; ``verifier`` is who one of them asks. Without: the first that
    answers is it.
    ``rungs``: all of the route that could serve the request if they were well, for budgets that downgrade.
    ``offered``: all of the route that there are. What follows it is for the record: how the policy came to its order.
    """

    route: str | None
    candidates: tuple[Deployment, ...]
    baseline: Deployment | None
    rejected: Mapping[str, Reason] = field(default_factory=dict)
    cascade: Cascade | None = None
    steps: int = 0
    verifier: Deployment | None = None
    rungs: tuple[Deployment, ...] = ()
    output_tokens_max_default: int | None = None
    offered: tuple[Deployment, ...] = ()
    policy: str = ""
    propensity: float = 1.0  # with which probability the policy puts first whom it put first
    forecast: Forecast | None = None  # what the policy went by
    quality_loss_max: float | None = None  # that is promised, certified or not
    is_certified: bool = False
    is_loss_asked: bool = False  # by the client or its team
    cost_max_nusd: int | None = None  # what it might be expected to cost at most
    keep_prompts_days: int | None = None  # for how long its route keeps what was asked; None: not at all
    draw: float = 0.0
    first_token_p95_s: Mapping[str, float] = field(default_factory=dict)  # by deployment name, of those measured
    turn: Turn | None = None
    stay: Stay = NO_CONVERSATION
    exact_cache: ExactCache | None = None
    semantic_cache: SemanticCache | None = None
    repair: Repair | None = None
