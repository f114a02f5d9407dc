"""Upstreams that speak the OpenAI API over HTTP: OpenAI itself, Azure, vLLM and every compatible server.

The body goes up and the answer comes back as bytes; nothing is parsed here but errors.
"""

from __future__ import annotations

import asyncio
import functools
import io
from urllib.parse import quote

import aiohttp
from yarl import URL

from backends import upstream_errors
from backends.replies import StreamReply, WholeReply, told_in, unread
from gateway.domain import AnswerForm, Call, Endpoint, Provider
from gateway.errors import UpstreamBroken, UpstreamError
from gateway.ports import Reply

#: Above this size aiohttp wants a file-like body, so that one write does not hold the loop.
_LARGE_BODY_BYTES = 512 * 1024
#: Connections idle for longer are closed by us, before most servers and load balancers close them on us.
_KEEPALIVE_S = 75.0
_AZURE_API_VERSION = "2024-10-21"
_MAY_IGNORE_STREAM = frozenset(
    {Endpoint.TRANSCRIPTIONS, Endpoint.TRANSLATIONS, Endpoint.IMAGES, Endpoint.IMAGE_EDITS, Endpoint.IMAGE_VARIATIONS}
)
#: Never taken over from a client, whatever the caller put into ``Call.headers``.
_NOT_FROM_CLIENTS = frozenset(
    {"authorization", "api-key", "x-api-key", "cookie", "host", "content-length", "transfer-encoding", "connection"}
)


class _Response(aiohttp.ClientResponse):
    """A response that knows whether its connection has served before, and says so when it breaks."""

    async def start(self, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        protocol = connection.protocol
        is_reused = getattr(protocol, "has_served", False)
        if not is_reused and protocol is not None:
            protocol.has_served = True  # type: ignore[attr-defined]  # our mark, on an object that lives with the socket
        try:
            return await super().start(connection)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as exc:
            # ServerDisconnectedError carries what had arrived of a response; anything at all means it was executed.
            if is_reused and not isinstance(getattr(exc, "message", None), aiohttp.http.RawResponseMessage):
                _close_idle(connection)
                raise upstream_errors.StaleConnection from exc
            raise


def _close_idle(connection: aiohttp.connector.Connection) -> None:
    """Close those that wait for the same upstream: whatever ended one of them, a restart mostly, ended them all.

    Each would cost an attempt of its own, and a request has two.
    """
    waiting = connection._connector._conns.pop(connection._key, ())  # noqa: SLF001 - the pool has no such wish
    for protocol, _ in waiting:
        protocol.close()


class Transport:
    """The one pooled HTTP client that all backends of this kind share; made on first use in the running loop."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    def session(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                # Limits are the admission's business; a second queue here would only hide them.
                connector=aiohttp.TCPConnector(
                    limit=0, limit_per_host=0, keepalive_timeout=_KEEPALIVE_S, ttl_dns_cache=30, use_dns_cache=True
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                response_class=_Response,
                skip_auto_headers=("User-Agent", "Accept"),
                auto_decompress=True,
                trust_env=False,
            )
        return self._session

    async def close(self) -> None:
        """Close all connections. Idempotent; a later use opens anew."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


class OpenAICompatible:
    """Sends calls to servers with the OpenAI API. ``is_azure``: Azure's paths, ``api-version`` and key header."""

    def __init__(self, transport: Transport, *, is_azure: bool = False) -> None:
        self._transport = transport
        self._is_azure = is_azure

    async def open(self, call: Call) -> Reply:
        """Send and wait for the first block (not streaming: the whole body). Raises UpstreamError.

        An answer that was cut is given as far as it came, and its ``next`` raises.
        Until the first block of a stream ``first_token_s`` counts; a whole answer may take ``total_s``, since nothing
        of it is seen before it is complete.
        """
        limits = call.deployment.provider.timeouts
        total_at_s = asyncio.get_running_loop().time() + limits.total_s
        limit_s = min(limits.first_token_s, limits.total_s) if call.is_stream else limits.total_s
        response: aiohttp.ClientResponse | None = None
        try:
            async with asyncio.timeout(limit_s):
                response = await self._send(call)
                if not 200 <= response.status < 300:  # noqa: PLR2004 (HTTP's own class)
                    raise await _refusal(response)  # noqa: TRY301 (one place closes)
                first, error = await _begin(response, call)
            _check_shape(response, first, call)
        except upstream_errors.TRANSPORT_ERRORS as exc:
            if response is not None:
                response.close()
            raise upstream_errors.failure(exc) from exc
        except (
            BaseException
        ):  # a fault of ours, a refusal, the client's leaving: nobody reads on, and that shall be seen
            if response is not None:
                response.close()
            raise
        reply: StreamReply | WholeReply
        if call.is_stream:
            reply = StreamReply(response, first, error=error, between_s=limits.between_tokens_s, total_at_s=total_at_s)
        else:
            if error is not None:
                response.close()
            reply = WholeReply(first, response.status, *told_in(response.headers), error)
        if call.form is not AnswerForm.OBJECT or _is_whole_for_stream(call, response):
            reply.headers = {**reply.headers, "content-type": _content_type(response)}
        return reply

    async def _send(self, call: Call) -> aiohttp.ClientResponse:
        body: bytes | io.BytesIO = call.body if len(call.body) < _LARGE_BODY_BYTES else io.BytesIO(call.body)
        return await self._transport.session().request(
            call.method,
            self._address(call),
            data=body or None,
            headers=self._headers(call),
            allow_redirects=False,  # our credentials go to the configured address only
            timeout=_connect_limit(call.deployment.provider.timeouts.connect_s),
        )

    def _address(self, call: Call) -> URL:
        provider = call.deployment.provider
        url = _url(
            provider.base_url,
            call.endpoint.value,
            (*call.query.items(), *provider.query.items()),  # the operator's word stands where both name one
            call.deployment.model if self._is_azure else None,
        )
        return url.joinpath(*call.item).with_query(url.query) if call.item else url

    def _headers(self, call: Call) -> dict[str, str]:
        provider = call.deployment.provider
        headers = {name: value for name, value in call.headers.items() if name.lower() not in _NOT_FROM_CLIENTS}
        headers["content-type"] = call.content_type
        headers["accept"] = "text/event-stream" if call.is_stream else "application/json"
        if call.form is not AnswerForm.OBJECT:
            headers["accept"] = "*/*"
        # Compression would cost both sides more than the bytes; servers that ignore this are decompressed.
        headers["accept-encoding"] = "identity"
        headers["user-agent"] = "obol"
        headers.update(self._credentials(provider))
        headers.update(provider.headers)
        return headers

    def _credentials(self, provider: Provider) -> dict[str, str]:
        """The header that carries our key."""
        return credentials(provider, is_azure=self._is_azure)


def credentials(provider: Provider, *, is_azure: bool = False) -> dict[str, str]:
    """The header that carries our key; none when the provider has no key (a vLLM of one's own)."""
    if not provider.api_key:
        return {}
    return {"api-key": provider.api_key} if is_azure else {"authorization": f"Bearer {provider.api_key}"}


@functools.lru_cache(maxsize=256)
def _connect_limit(connect_s: float) -> aiohttp.ClientTimeout:
    """Let aiohttp watch the connecting only (DNS, TCP, TLS); all else is watched here, at less cost per block."""
    return aiohttp.ClientTimeout(total=None, connect=connect_s, sock_read=None)


@functools.lru_cache(maxsize=4096)
def _url(
    base_url: str, endpoint: str, query: tuple[tuple[str, str | tuple[str, ...]], ...], azure_model: str | None
) -> URL:
    """The address of one endpoint. Azure's older API has the deployment in the path and needs an ``api-version``.

    Responses are not below a deployment: they stand in the newer API, or in the older one if the operator names its
    version.
    """
    base = base_url.rstrip("/")
    parameters = dict(query)
    if azure_model is not None and endpoint.startswith(Endpoint.RESPONSES):
        resource = base.partition("/openai")[0]
        base = (
            f"{resource}/openai"
            if "api-version" in parameters and base != f"{resource}/openai/v1"
            else f"{resource}/openai/v1"
        )
    elif azure_model is not None and not base.endswith("/openai/v1"):
        if "/openai/deployments/" not in base:
            base = base.removesuffix("/openai") + "/openai/deployments/" + quote(azure_model, safe="")
        parameters.setdefault("api-version", _AZURE_API_VERSION)
    return URL(f"{base}/{endpoint}", encoded=True).update_query(parameters)


async def _refusal(response: aiohttp.ClientResponse) -> UpstreamError:
    try:
        body = await response.content.read(upstream_errors.ERROR_BODY_BYTES_MAX)
        while not response.content.at_eof() and len(body) < upstream_errors.ERROR_BODY_BYTES_MAX:
            body += await response.content.readany()
    except upstream_errors.TRANSPORT_ERRORS:
        body = b""  # the status alone says enough
    return upstream_errors.refusal(response.status, response.headers, body)


async def _begin(response: aiohttp.ClientResponse, call: Call) -> tuple[bytes, UpstreamError | None]:
    """The first block, or the whole body. What arrived before a break was generated and costs: both are given."""
    content = response.content
    blocks = []
    try:
        while block := await content.readany():
            blocks.append(block)
            if call.is_stream:
                break
    except upstream_errors.TRANSPORT_ERRORS as exc:
        blocks.append(unread(content))
        if not any(blocks) or call.form is AnswerForm.TEXT:  # nothing in a plain text shows that its end is missing
            raise
        # Nothing of a whole answer has been shown yet: another deployment may still give it.
        error = upstream_errors.interruption(exc) if call.is_stream else upstream_errors.cut_short()
        return b"".join(blocks), error
    return b"".join(blocks), None


def _check_shape(response: aiohttp.ClientResponse, first: bytes, call: Call) -> None:
    """Raises UpstreamBroken for a good status whose body cannot be an answer, going by its first characters."""
    start = first[:64].lstrip()[:1] or first.lstrip()[:1]
    if not first:
        raise UpstreamBroken(f"The upstream answered {response.status} with an empty body.")
    is_object = call.form is AnswerForm.OBJECT
    if response.content_type == "text/html" or (is_object and start == b"<"):
        raise UpstreamBroken(f"The upstream answered {response.status} with an HTML page.")
    if not is_object:
        if start == b"{" and (refusal := _error_in_good_status(response.status, first)) is not None:
            raise refusal
        if call.form is AnswerForm.BYTES and response.content_type == "application/json":
            raise UpstreamBroken("The upstream answered with JSON where sound was asked for.")
    elif call.is_stream:
        if start == b"{":
            refusal = _error_in_good_status(response.status, first)
            if refusal is not None or not _is_whole_for_stream(call, response):
                raise refusal or UpstreamBroken(
                    "The upstream answered with one JSON object where a stream was asked for."
                )
    elif start not in (b"{", b"["):
        raise UpstreamBroken(f"The upstream answered {response.status} with a body that is not JSON.")


def _error_in_good_status(http_status: int, first: bytes) -> UpstreamError | None:
    """Some servers refuse a stream with status 200 and a JSON error object."""
    said = upstream_errors.error_object(first)
    return upstream_errors.refusal_in_answer(said, http_status) if said is not None and said.message else None


def _is_whole_for_stream(call: Call, response: aiohttp.ClientResponse) -> bool:
    """Whether it ignores ``stream``, as OpenAI does for models that cannot (whisper-1): no fault of an upstream."""
    return call.is_stream and call.endpoint in _MAY_IGNORE_STREAM and response.content_type == "application/json"


def _content_type(response: aiohttp.ClientResponse) -> str:
    told = response.headers.get("content-type", "")
    return told if told and upstream_errors.is_clean(told) else "application/octet-stream"
