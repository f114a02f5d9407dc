"""Everything outside the path, as Protocols of one to three methods, and the Services that hold them.

Those of answers without a model are in ``gateway/answer_ports.py``, of guards in ``gateway/guard_ports.py``.
Adapters live in ``backends/`` and ``gateway/stores/``; ``gateway/app.py`` alone knows which is which.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Protocol

from gateway.answer_ports import AnswerStore, FaqLists, SemanticIndex, SharedCounts
from gateway.domain import (
    Admission,
    CacheStatus,
    Call,
    Caller,
    Claims,
    Conversation,
    DecisionRecord,
    Deployment,
    Endpoint,
    Forecast,
    GuardVerdict,
    KeptPrompt,
    LedgerEntry,
    Message,
    Question,
    RepairStatus,
    Request,
    Room,
    Route,
    StoredResponse,
    Usage,
)
from gateway.errors import GatewayError, UpstreamError
from gateway.guard_ports import AnswerTexts, Guards


class Catalog(Protocol):
    """An immutable snapshot of what can be called; a new file is a new snapshot."""

    @property
    def hash(self) -> str:
        """Names the content: replicas that call and charge the same have the same."""

    def route(self, name: str) -> Route | None:
        """The route of that name."""

    def deployment(self, name: str) -> Deployment | None:
        """The deployment of that name, or the one that a wildcard makes of it."""

    def reference(self, name: str) -> Deployment | None:
        """The deployment of that name for comparing prices, callable now or not."""

    def default_model(self, endpoint: Endpoint) -> str | None:
        """The name that stands in where the API lets clients omit ``model`` (moderations)."""

    def names(self) -> Iterable[tuple[str, str]]:
        """Every callable name with its owner: routes ("obol"), deployments and priced models of wildcards."""


class Reply(Protocol):
    """An upstream answer that has begun: the status was good and the first block is here.

    A non-streaming answer is a stream of one block. Blocks are raw bytes of the upstream's dialect, cut anywhere.
    """

    first: bytes
    http_status: int
    upstream_request_id: str | None
    headers: Mapping[str, str]  # those a client may see, lower case

    async def next(self) -> bytes | None:
        """The next block, ``None`` at the end of the body. Raises UpstreamInterrupted or UpstreamTimeout."""

    def finish(self) -> None:
        """The answer is complete: the connection may serve again once the upstream has ended the body too."""

    def close(self) -> None:
        """Give the connection up; if the answer is not at its end, the upstream sees us leave. Idempotent."""


class Backend(Protocol):
    """One way of speaking to upstreams."""

    async def open(self, call: Call) -> Reply:
        """Send and wait for the first block. Raises UpstreamError. Cancelling it cancels the upstream call."""


class Probe(Protocol):
    """Asks a server of our own how it is, besides the calls to it."""

    async def probe(self, deployment: Deployment) -> bool:
        """Whether the server says that it is alive. Never raises for one that does not answer."""


@dataclass(frozen=True, slots=True)
class Pending:
    """An answer that its upstream is still at work on: how to ask after it, and what reads the reply."""

    call: Call
    reader: Callable[[], ReplyReader]


class ReplyReader(Protocol):
    """Reads one answer of a dialect as it passes: what to show the client, and what it consumed.

    A block cut inside an event is held back until the event is whole.
    """

    usage: Usage | None  # as the upstream reported it, so far

    @property
    def finish_reason(self) -> str | None: ...

    @property
    def model_answered(self) -> str | None: ...

    @property
    def service_tier(self) -> str | None:
        """The one that served, where the upstream says."""

    @property
    def error(self) -> UpstreamError | None:
        """An error event of the upstream; the stream is over."""

    @property
    def stored_id(self) -> str | None:
        """Under which the upstream keeps this answer for later requests, once it is known."""

    @property
    def pending(self) -> Pending | None:
        """How to ask after an answer that the upstream goes on with when this reply is over."""

    @property
    def has_data(self) -> bool:
        """Something of an answer has come, not only comments."""

    @property
    def is_ended(self) -> bool:
        """The end mark has come: nothing more is to be read."""

    @property
    def is_complete(self) -> bool:
        """The answer would be whole if the body ended here."""

    def feed(self, block: bytes) -> bytes:
        """Take one block of the upstream's, return the bytes that the client gets now (possibly none)."""

    def flush(self) -> bytes:
        """Take what was held back when the upstream's body ends."""

    def closing(self, cost_nusd: int) -> bytes:
        """What ends a complete answer: the usage chunk if the client asked, the end mark."""

    def failing(self, error: GatewayError) -> bytes:
        """What ends a stream that broke off, so that no client takes it for a good end."""

    def unreported_text(self) -> str:
        """Generated text that came after the last usage report of an answer that is not complete."""

    @property
    def unreported_calls(self) -> Usage:
        """Tools of the upstream's own that ran since its last usage report: web searches and code sessions alone."""

    def output_text(self) -> str:
        """All generated text seen so far, for counting when the upstream reports no usage."""


class Dialect(Protocol):
    """What the path needs to know of one request and of the API that its client speaks."""

    def call(self, deployment: Deployment, output_tokens_max: int | None = None) -> Call:
        """The request as this deployment gets it: verbatim where it speaks the dialect, else translated.

        ``output_tokens_max`` is sent along where the client states none but the route does. Raises BadRequest naming a
        field that cannot be carried there.
        """

    def reader(self, deployment: Deployment) -> ReplyReader:
        """A fresh reader for one attempt at that deployment."""

    def with_unreported(self, deployment: Deployment, usage: Usage) -> Usage:
        """The usage with what this request made the upstream charge for without reporting it."""

    def input_text(self) -> str:
        """All text of the prompt, for counting when the upstream reports no usage."""

    def question(self) -> Question:
        """What is asked, for whoever judges how hard it is, and the conversation that it belongs to."""

    def message(self) -> Message | None:
        """What the user says, where the request asks for nothing but an answer to it."""

    def texts(self) -> Sequence[str]:
        """Every text of the request that somebody may read there, in order."""

    def with_texts(self, texts: Sequence[str]) -> Request:
        """The request with these in their places: as many, in the same order."""

    def answer_texts(self) -> AnswerTexts | None:
        """What takes apart an answer as the client reads it; ``None`` for answers that are no text."""

    def of(self, request: Request) -> Dialect:
        """The same API with another request: what a gate of a cascade asks in the client's name."""


class Forecaster(Protocol):
    """Expects how good the answers of deployments will be, and what they cost."""

    def forecast(
        self,
        route: Route,
        candidates: Sequence[Deployment],
        request: Request,
        question: str,
        cached_tokens: Mapping[str, int],
    ) -> Forecast | None:
        """``cached_tokens``: how much of the prompt each upstream keeps already, by deployment name.

        ``None`` where nothing can be told. Never raises, and takes a millisecond or two.
        """


class Rules(Protocol):
    """Which budgets and limits a call draws on, by the rules in force in this process."""

    def claims(self, entry: LedgerEntry, now_ms: int) -> Claims:
        """Those whose scope the entry is in, with their windows at ``now_ms`` (ms since 1970, by the ledger's clock).

        Settlement asks with the time of the admission, so that a charge falls into the windows that it was held in.
        """


class Journal(Protocol):
    """Admits calls and makes charges durable outside this process before anyone relies on them."""

    async def open(self, entry: LedgerEntry, admission: Admission) -> Room:
        """Check and take all limits, hold the money, and record the intent of a call, in one step.

        The intent is the entry that stands if this process dies. Whoever is refused has consumed nothing. Raises
        RateLimited, BudgetExceeded, BudgetsUnavailable, JournalUnavailable.
        """

    async def void(self, entry: LedgerEntry) -> None:
        """Take an intent and its hold back: its call was never made. Never raises for a store that is away."""

    async def settle(self, entry: LedgerEntry, claims: Claims, *, is_last: bool = True) -> None:
        """Replace the intent of the same id by its charge, durably, and its hold by what it cost.

        ``is_last`` false: the request goes on with another attempt and keeps its parallel place. Never raises for a
        store that is away.
        """

    async def progress(self, entries: Sequence[LedgerEntry]) -> None:
        """Renew intents that are still open by what was seen of their answers since. Never raises."""

    async def leave(self, request_id: str, organization_id: str) -> None:
        """The request has ended without a last settlement: give its parallel place back. Never raises, idempotent."""


class StoredResponses(Protocol):
    """Which upstream keeps which response, and for which team."""

    async def remember(self, response: StoredResponse) -> None:
        """Write down where a response is, before its client sees the id. Never raises for a store that is away."""

    async def find(self, response_id: str) -> StoredResponse | None:
        """Where it is, ``None`` for an unknown id. Raises StoreUnavailable."""

    async def forget(self, response_id: str) -> None:
        """Its upstream keeps it no longer. Raises StoreUnavailable."""


class ConversationStore(Protocol):
    """What is remembered of conversations, the same for all replicas. It may be lost, and is while a store is away."""

    async def find(self, conversation: str) -> Conversation | None:
        """By its hash, ``None`` for an unknown one. Never raises for a store that is away."""

    async def remember(self, conversation: str, state: Conversation, ttl_s: int) -> None:
        """Keep it so long. Never raises for a store that is away."""


class LedgerSink(Protocol):
    """Where journaled entries come to rest."""

    async def write(self, entries: Sequence[bytes]) -> None:
        """Insert entries (JSON of LedgerEntry), idempotent by id. Raises StoreUnavailable, having written nothing.

        An entry whose id already stands as ``orphaned`` while this one knows better becomes a correction. One that is
        ``voided`` becomes that or nothing.
        """


class DecisionLog(Protocol):
    """Where the decisions of routes are kept, for trying other policies on them."""

    def record(self, record: DecisionRecord, prompt: KeptPrompt | None = None) -> None:
        """Keep it if that can be: it may be lost. Never blocks, never raises. ``prompt``: of a route that keeps it."""


class UpstreamAdmission(Protocol):
    """Keeps what we send to a deployment under its provider's limits, over all replicas."""

    async def acquire(self, deployment: Deployment, attempt_id: str, tokens: int) -> bool:
        """Take a place; false when the deployment is exhausted. Deployments without limits cost nothing."""

    async def release(self, deployment: Deployment, attempt_id: str) -> None:
        """Give the parallel place back."""


class TokenCounter(Protocol):
    """Counts tokens when an upstream reports none, off the event loop."""

    async def count(self, model: str, text: str) -> int: ...


class KeyDirectory(Protocol):
    """Who a virtual key belongs to."""

    async def find(self, secret: str) -> Caller | None:
        """The caller of a live key, ``None`` for an unknown, revoked or expired one. Raises StoreUnavailable."""


class Telemetry(Protocol):
    """Where decisions and charges become logs and metrics."""

    def settled(self, entry: LedgerEntry) -> None: ...

    def refused(self, request_id: str, error: GatewayError) -> None: ...

    def recalled(self, route: str, status: CacheStatus) -> None:
        """What became of a request to a route that gives answers again."""

    def deflected(self, route: str, deflector: str, *, is_repeated: bool) -> None:
        """A route answered without a model; ``is_repeated``: it would have, but the question was asked again."""

    def repaired(self, route: str, status: RepairStatus) -> None:
        """What became of an answer that a route was asked for as JSON."""

    def guarded(self, kind: str, verdict: GuardVerdict) -> None:
        """A guard of that kind looked at a prompt or at an answer."""

    def unpriced(self, organization_id: str, model: str) -> None:
        """A request asked for a model whose price nobody stated, whether it was refused or charged nothing."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as arguments: ``monotonic_s`` for durations, ``unix_s`` for what is written down, ``pause`` between retries.

    ``unix_s`` follows the clock of Redis, the same for all replicas whatever their own clocks say.

    ``pause(retry_after_s)`` waits that long, or a short random time for ``None``; ``sleep`` waits between jobs.
    """

    monotonic_s: Callable[[], float]
    unix_s: Callable[[], float]
    pause: Callable[[float | None], Awaitable[None]]
    sleep: Callable[[float], Awaitable[None]]


class Background(Protocol):
    """Work that outlives its request (charging a call whose client left); drained at shutdown."""

    def spawn(self, work: Coroutine[object, object, None]) -> None: ...

    def spawn_lasting(self, work: Coroutine[object, object, None]) -> None:
        """Work that may take hours: cancelled at shutdown, so that what it leaves must be in order at any moment."""


@dataclass(frozen=True, slots=True)
class Services:
    """All ports of the path, filled in by ``gateway.app``. ``backends`` is by provider kind."""

    catalog: Callable[[], Catalog]
    backends: Mapping[str, Backend]
    journal: Journal
    rules: Rules
    admission: UpstreamAdmission
    tokens: TokenCounter
    keys: KeyDirectory
    stored: StoredResponses
    telemetry: Telemetry
    background: Background
    clock: Clock
    instance: str
    is_content_logged: bool = False
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()  # whose X-Forwarded-For is believed
    are_orphans_charged_at_hold: bool = False  # else at their input and what was seen of the output
    decisions: DecisionLog | None = None  # None: none are kept
    forecaster: Forecaster | None = None  # None: nothing is foreseen
    conversations: ConversationStore | None = None  # None: each request stands alone
    answers: AnswerStore | None = None  # None: none are given again
    answer_secret: bytes = b""  # what their keys are made with
    faq: FaqLists | None = None  # None: no team has a list
    semantic: SemanticIndex | None = None  # None: none are looked for by what they mean
    counts: SharedCounts | None = None  # what is learned of them; None: nothing, so that none are given
    guards: Guards | None = None  # None: there are none
    cpu_nusd_per_hour: int = 0  # what an hour of our own processor costs
