"""The hot surface as bare ASGI: every POST that a model answers, in whatever dialect.

FastAPI serves everything else; its routing, validation and middleware would cost as much as the whole path here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from gateway.answering import Answer
from gateway.answers.given import Given
from gateway.api.arrival import (
    CONVERSATION_HEADER,
    COST_HEADER,
    DEFLECT_HEADER,
    QUALITY_HEADER,
    REGIONS_HEADER,
    REQUIRED_TAGS_HEADER,
    WRONG_ANSWERS_HEADER,
    Arrival,
    asked_cache_control,
    asked_conversation,
    asked_cost_max,
    asked_deflection,
    asked_loss,
    asked_placement,
    asked_wrong_answers_max,
)
from gateway.api.auth import authenticate
from gateway.api.body import Receive, read_body
from gateway.api.count_tokens import COUNTING, Counted, can_upstream_count, count_here, is_left_to_us
from gateway.api.dialects import APIS, ClientDialect
from gateway.api.limit_headers import room_headers
from gateway.api.wire import Headers, dollars, error_headers, request_id_headers, shape_for
from gateway.domain import NO_ROOM_TOLD, Caller, Chain, Endpoint, Outcome, Request, Room, Source, StageName
from gateway.error_objects import ErrorShape, error_bytes, error_status
from gateway.errors import ClientGone, GatewayError, Internal, RateLimited, ShuttingDown
from gateway.ids import new_request_id
from gateway.pipeline import Pipeline
from gateway.ports import Catalog, Clock, Services

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PATHS: Mapping[str, Endpoint] = {f"/v1/{endpoint}": endpoint for endpoint in APIS if endpoint is not Endpoint.CLASSIFY}

_log = logging.getLogger("obol.api")
_JSON = (b"content-type", b"application/json")
_EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")
_STREAMED: Headers = [
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # proxies such as nginx hold streams back otherwise
]
# Client headers that mean something to an upstream and carry no credentials.
_TRAVELLING = {
    name.encode(): name
    for name in (
        *("traceparent", "tracestate", "baggage", "x-client-request-id"),
        *("anthropic-version", "anthropic-beta", "openai-beta"),
        *("session-id", "thread-id", "session_id", "conversation_id"),  # Codex's: they keep a thread on warm caches
    )
}
_TRAVELLING_PARAMETERS = frozenset({"beta"})
_TAGS_HEADER, _REGIONS_HEADER = b"x-obol-tags", REGIONS_HEADER.encode()
_REQUIRED_TAGS_HEADER, _QUALITY_HEADER = REQUIRED_TAGS_HEADER.encode(), QUALITY_HEADER.encode()
_CONVERSATION_HEADER = CONVERSATION_HEADER.encode()
_COST_HEADER, _WRONG_ANSWERS_HEADER = COST_HEADER.encode(), WRONG_ANSWERS_HEADER.encode()
_DEFLECT_HEADER = DEFLECT_HEADER.encode()
_CACHE_CONTROL = b"cache-control"
# Of words, with commas between them.
_LISTS = frozenset(
    {_TAGS_HEADER, _REGIONS_HEADER, _REQUIRED_TAGS_HEADER, _QUALITY_HEADER, _CONVERSATION_HEADER, _COST_HEADER}
    | {_CACHE_CONTROL, _DEFLECT_HEADER, _WRONG_ANSWERS_HEADER}
)


class ModelCalls:
    """Serves the model endpoints of one process."""

    def __init__(self, services: Services, pipeline: Pipeline, body_bytes_max: int) -> None:
        self._services = services
        self._pipeline = pipeline
        self._body_bytes_max = body_bytes_max

    async def __call__(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; every error leaves as an error object of the client's dialect."""
        exchange = _Exchange(scope, send, self._services.clock)
        try:
            now_s, chain = self._services.clock.monotonic_s, exchange.chain
            caller = await authenticate(scope, self._services.keys, self._services.trusted_proxies)
            known_s = now_s()
            chain.add(StageName.AUTH, chain.arrived_s, known_s)
            data = await read_body(scope["headers"], receive, self._body_bytes_max)
            exchange.is_body_read = True
            request = read_request(self._services.catalog(), endpoint, exchange.request_id, scope, data, chain)
            chain.add(StageName.PARSING, known_s, now_s())
            serve = self._count if endpoint in COUNTING else self._answer_while_listening
            await serve(request, caller, exchange, receive)
        except ClientGone:
            return
        except asyncio.CancelledError:  # the server is going down: the drain time is over
            _current_task().uncancel()
            await exchange.refuse(ShuttingDown())
        except GatewayError as exc:
            self._services.telemetry.refused(exchange.request_id, exc)
            await exchange.refuse(exc)
        except Exception:  # noqa: BLE001 - whatever broke, the client gets our error object and the operator the trace
            _log.exception("request %s failed inside the gateway", exchange.request_id)
            await exchange.refuse(Internal())

    async def _answer_while_listening(
        self, request: Request, caller: Caller, exchange: _Exchange, receive: Receive
    ) -> None:
        """Answer, and stop at once when the client leaves: what it no longer wants must not be generated."""
        this_task = _current_task()
        listener = asyncio.ensure_future(_until_gone(receive))

        def stop(_: asyncio.Future[None]) -> None:
            this_task.cancel()

        listener.add_done_callback(stop)
        try:
            await self._answer(request, caller, exchange, is_client_gone=listener.done)
        except asyncio.CancelledError:
            if not listener.done():
                raise
            this_task.uncancel()
        finally:
            listener.remove_done_callback(stop)
            listener.cancel()

    async def _count(self, request: Request, caller: Caller, exchange: _Exchange, receive: Receive) -> None:
        """Have an upstream count, or count here where none does, or none can just now."""
        if can_upstream_count(request, caller, self._services):
            try:
                await self._answer_while_listening(request, caller, exchange, receive)
            except GatewayError as exc:
                if not is_left_to_us(exc):
                    raise
            else:
                return
        await exchange.tell(await count_here(request, caller, self._services))

    async def _answer(
        self, request: Request, caller: Caller, exchange: _Exchange, is_client_gone: Callable[[], bool]
    ) -> None:
        dialect = ClientDialect(request, keeps_text=self._services.is_content_logged)
        answer = await self._pipeline.answer(request, dialect, caller)
        try:
            await exchange.begin(request, answer)
            send = exchange.send
            while (block := await answer.next()) is not None:
                await send({"type": "http.response.body", "body": block, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except GatewayError as exc:
            self._services.telemetry.refused(exchange.request_id, exc)
            await exchange.break_off(answer.failing(exc))
        except BaseException:  # mostly a cancellation: the client is gone, and what it used is charged
            answer.abandon(Outcome.CANCELLED if is_client_gone() else Outcome.INTERRUPTED)
            raise


class _Exchange:
    """The answering side of one HTTP request."""

    __slots__ = ("_answer", "_clock", "_scope", "chain", "is_body_read", "request_id", "send")

    def __init__(self, scope: Scope, send: Send, clock: Clock) -> None:
        self.request_id = new_request_id()
        self._scope = scope
        self.send = send
        self._clock = clock
        self.chain = Chain(clock.monotonic_s())
        self._answer: Answer | Given | None = None  # once it has begun
        self.is_body_read = False

    def _common(self) -> Headers:
        elapsed_ms = int((self._clock.monotonic_s() - self.chain.arrived_s) * 1000)
        return [*request_id_headers(self.request_id.encode()), (b"openai-processing-ms", b"%d" % elapsed_ms)]

    def _shape(self) -> ErrorShape:
        return shape_for(self._scope["path"], self._scope["headers"])

    def _of_limits(self, room: Room) -> Headers:
        return [] if room is NO_ROOM_TOLD else room_headers(room, self._shape(), self._clock.unix_s())

    async def begin(self, request: Request, answer: Answer | Given) -> None:
        headers = [
            *self._common(),
            (b"x-obol-source", answer.source.encode()),
            (b"x-obol-deployment", answer.deployment.encode("latin-1", "replace")),
        ]
        headers += self._of_limits(answer.room)
        if answer.cache is not None:
            headers.append((b"x-obol-cache", answer.cache.encode()))
        if answer.age_s is not None:
            headers.append((b"age", b"%d" % answer.age_s))
        if answer.guards is not None and (told := answer.guards()):
            headers.append((b"x-obol-guards", told.encode("latin-1", "replace")))
        if answer.repair is not None:
            headers.append((b"x-obol-repair", answer.repair.encode()))
        if answer.steps:
            headers.append((b"x-obol-cascade", b"%d" % answer.steps))
        if request.is_stream:
            headers += _STREAMED
        else:
            headers.append((b"content-length", b"%d" % answer.ready_bytes))
        # Of a stream it is mostly not known yet: the usage chunk tells it. What its upstream works on has none yet.
        if answer.cost_nusd is not None and (not request.is_stream or answer.source is not Source.UPSTREAM):
            headers.append((b"x-obol-cost-usd", dollars(answer.cost_nusd).encode()))
        if "content-type" not in answer.headers:  # what is not JSON or events is what its upstream says
            headers.append(_EVENTS if request.is_stream else _JSON)
        headers += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
        self._answer = answer
        await self.send({"type": "http.response.start", "status": 200, "headers": headers})

    async def tell(self, counted: Counted) -> None:
        """Answer without an upstream, and so without a charge."""
        headers = [*self._common(), (b"x-obol-deployment", counted.deployment.encode("latin-1", "replace")), _JSON]
        headers.append((b"content-length", b"%d" % len(counted.body)))
        await self.send({"type": "http.response.start", "status": 200, "headers": headers})
        await self.send({"type": "http.response.body", "body": counted.body, "more_body": False})

    async def break_off(self, last: bytes) -> None:
        """End a stream that has begun with an event that no SDK takes for a good end.

        In sound nothing can be said. Then the answer is left open, so that the server cuts the connection.
        """
        if not last:
            return
        await self.send({"type": "http.response.body", "body": last, "more_body": False})

    async def refuse(self, error: GatewayError) -> None:
        """Answer with an error, as a status while nothing was sent."""
        if self._answer is not None:
            await self.break_off(self._answer.failing(error))
            return
        shape = self._shape()
        body = error_bytes(error, shape, self.request_id)
        headers = [*self._common(), _JSON, (b"content-length", b"%d" % len(body)), *error_headers(error)]
        if isinstance(error, RateLimited):
            headers += self._of_limits(error.room)
        if not self.is_body_read:
            headers.append((b"connection", b"close"))  # what is refused unread is not taken in either
        await self.send({"type": "http.response.start", "status": error_status(error, shape), "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})


def read_request(
    catalog: Catalog, endpoint: Endpoint, request_id: str, scope: Scope, data: bytes, chain: Chain | None = None
) -> Request:
    """The request of a body and of the headers that mean something to us. Raises BadRequest."""
    travelling: dict[str, str] = {}
    lists: dict[bytes, tuple[str, ...]] = {}
    content_type = ""
    for name, value in scope["headers"]:
        if name in _TRAVELLING:
            known, text = _TRAVELLING[name], value.decode("latin-1")
            travelling[known] = f"{travelling[known]},{text}" if known in travelling else text
        elif name in _LISTS:
            words = (word.strip() for word in value.decode("latin-1").split(","))
            lists[name] = (*lists.get(name, ()), *(word for word in words if word))
        elif name == b"content-type":
            content_type = value.decode("latin-1")
    arrival = Arrival(
        request_id=request_id,
        endpoint=endpoint,
        data=data,
        content_type=content_type,
        default_model=catalog.default_model(endpoint),
        headers=travelling,
        query=_travelling_query(scope["query_string"]) if scope["query_string"] else {},
        tags=lists.get(_TAGS_HEADER, ()),
        placement=asked_placement(lists.get(_REGIONS_HEADER), lists.get(_REQUIRED_TAGS_HEADER)),
        is_route=lambda model: catalog.route(model) is not None,
        chain=chain,
    )
    request = APIS[endpoint].parse(arrival)
    wished = {
        "quality_loss_max": asked_loss(lists.get(_QUALITY_HEADER)),
        "cost_max_nusd": asked_cost_max(lists.get(_COST_HEADER)),
        "conversation": asked_conversation(lists.get(_CONVERSATION_HEADER)),
        "wrong_answers_max": asked_wrong_answers_max(lists.get(_WRONG_ANSWERS_HEADER)),
    }
    if _CACHE_CONTROL in lists:
        request = replace(request, cache_control=asked_cache_control(lists[_CACHE_CONTROL]))
    if _DEFLECT_HEADER in lists:
        request = replace(request, may_deflect=asked_deflection(lists[_DEFLECT_HEADER]))
    return request if set(wished.values()) == {None} else replace(request, **wished)  # type: ignore[arg-type]


def _travelling_query(query: bytes) -> Mapping[str, str]:
    return {name: value for name, value in parse_qsl(query.decode("latin-1")) if name in _TRAVELLING_PARAMETERS}


def _current_task() -> asyncio.Task[object]:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - uvicorn runs each request in a task
    return task


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
