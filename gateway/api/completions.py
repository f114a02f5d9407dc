"""The hot surface as bare ASGI: POST /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/moderations.

FastAPI serves everything else; its routing, validation and middleware would cost as much as the whole path here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from gateway.api.auth import authenticate
from gateway.api.body import Receive, read_body
from gateway.api.chat import OpenAIDialect, parse_request
from gateway.api.wire import Headers, dollars, error_bytes, error_event, error_headers
from gateway.domain import Caller, Endpoint, Outcome, Request, Source
from gateway.errors import ClientGone, GatewayError, Internal, ShuttingDown
from gateway.ids import new_request_id
from gateway.pipeline import Answer, Pipeline
from gateway.ports import Services

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PATHS: Mapping[str, Endpoint] = {f"/v1/{endpoint}": endpoint for endpoint in Endpoint}

_log = logging.getLogger("obol.api")
_JSON = (b"content-type", b"application/json")
_EVENTS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # proxies such as nginx hold streams back otherwise
]
_SOURCE = (b"x-obol-source", Source.UPSTREAM.encode())
# Client headers that mean something to an upstream and carry no credentials.
_TRAVELLING = {name.encode(): name for name in ("traceparent", "tracestate", "baggage", "x-client-request-id")}
_TAGS_HEADER = b"x-obol-tags"


class CompletionsApp:
    """Serves the model endpoints of one process."""

    def __init__(self, services: Services, pipeline: Pipeline, body_bytes_max: int) -> None:
        self._services = services
        self._pipeline = pipeline
        self._body_bytes_max = body_bytes_max

    async def __call__(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; every error leaves as an OpenAI error object."""
        exchange = _Exchange(new_request_id(), send, self._services.clock.monotonic_s)
        try:
            caller = await authenticate(scope["headers"], self._services.keys)
            data = await read_body(scope["headers"], receive, self._body_bytes_max)
            exchange.is_body_read = True
            request = self._parse(endpoint, exchange.request_id, scope["headers"], data)
            await self._answer_while_listening(request, caller, exchange, receive)
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

    def _parse(self, endpoint: Endpoint, request_id: str, headers: Headers, data: bytes) -> Request:
        travelling = {_TRAVELLING[name]: value.decode("latin-1") for name, value in headers if name in _TRAVELLING}
        tags = [value.decode("latin-1") for name, value in headers if name == _TAGS_HEADER]
        return parse_request(
            request_id,
            endpoint,
            data,
            default_model=self._services.catalog().default_model(endpoint),
            headers=travelling,
            tags=tuple(tag.strip() for line in tags for tag in line.split(",") if tag.strip()),
        )

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

    async def _answer(
        self, request: Request, caller: Caller, exchange: _Exchange, is_client_gone: Callable[[], bool]
    ) -> None:
        dialect = OpenAIDialect(request, keeps_text=self._services.is_content_logged)
        answer = await self._pipeline.answer(request, dialect, caller)
        try:
            await exchange.begin(request, answer)
            send = exchange.send
            while (block := await answer.next()) is not None:
                await send({"type": "http.response.body", "body": block, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except GatewayError as exc:
            self._services.telemetry.refused(exchange.request_id, exc)
            await exchange.break_off(exc)
        except BaseException:  # mostly a cancellation: the client is gone, and what it used is charged
            answer.abandon(Outcome.CANCELLED if is_client_gone() else Outcome.INTERRUPTED)
            raise


class _Exchange:
    """The answering side of one HTTP request."""

    __slots__ = ("_is_begun", "_monotonic_s", "_started_s", "is_body_read", "request_id", "send")

    def __init__(self, request_id: str, send: Send, monotonic_s: Callable[[], float]) -> None:
        self.request_id = request_id
        self.send = send
        self._monotonic_s = monotonic_s
        self._started_s = monotonic_s()
        self._is_begun = False
        self.is_body_read = False

    def _common(self) -> Headers:
        elapsed_ms = int((self._monotonic_s() - self._started_s) * 1000)
        return [(b"x-request-id", self.request_id.encode()), (b"openai-processing-ms", b"%d" % elapsed_ms)]

    async def begin(self, request: Request, answer: Answer) -> None:
        headers = [*self._common(), _SOURCE, (b"x-obol-deployment", answer.deployment.encode("latin-1", "replace"))]
        if request.is_stream:
            headers += _EVENTS  # the cost is not known yet: the usage chunk tells it
        else:
            cost = dollars(answer.cost_nusd or 0).encode()
            headers += [_JSON, (b"content-length", b"%d" % answer.ready_bytes), (b"x-obol-cost-usd", cost)]
        headers += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
        self._is_begun = True
        await self.send({"type": "http.response.start", "status": 200, "headers": headers})

    async def break_off(self, error: GatewayError) -> None:
        """End a stream that has begun so that no SDK takes it for a good end: an error event, no ``[DONE]``."""
        await self.send({"type": "http.response.body", "body": error_event(error), "more_body": False})

    async def refuse(self, error: GatewayError) -> None:
        """Answer with an error, as a status while nothing was sent."""
        if self._is_begun:
            await self.break_off(error)
            return
        body = error_bytes(error)
        headers = [*self._common(), _JSON, (b"content-length", b"%d" % len(body)), *error_headers(error)]
        if not self.is_body_read:
            headers.append((b"connection", b"close"))  # what is refused unread is not taken in either
        await self.send({"type": "http.response.start", "status": error.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})


def _current_task() -> asyncio.Task[object]:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - uvicorn runs each request in a task
    return task


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
