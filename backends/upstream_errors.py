"""The inbound tables: what an upstream (or the way to it) did wrong -> UpstreamError.

Two tables, one for HTTP statuses and one for the exceptions of aiohttp. A test walks over aiohttp's exception classes
and fails when the library grows one that is not listed here.
"""

from __future__ import annotations

import email.utils
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import aiohttp
import msgspec
from aiohttp import client_exceptions

from gateway.errors import (
    UpstreamBroken,
    UpstreamError,
    UpstreamInterrupted,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)

#: A deployment is asked again only when it wants no longer pause than this: another one may stand ready.
SHORT_WAIT_S = 2.0
#: Statuses of an upstream that has no room just now. Asking again at once helps nobody unless it says when it will
#: have; the client's own patience is longer than ours, and telling it that we have tried would end that.
_FULL = frozenset({429, 529})
#: What we read of an error body at most; the rest is dropped.
ERROR_BODY_BYTES_MAX = 256 * 1024
#: What the client sees of an upstream's message at most.
MESSAGE_CHARS_MAX = 4096

_QUOTA_CODES = frozenset(
    {
        *("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_user_quota"),
        # Anthropic's
        *("enforced_spend_limit_reached", "contract_spend_limit_reached", "linked_organization_spend_limit_reached"),
    }
)


@dataclass(frozen=True, slots=True)
class Rule:
    """What one upstream status means for us. ``status``, ``type`` and ``code`` stand in where the upstream has none."""

    status: int
    type: str
    code: str | None
    can_retry: bool = False
    can_fall_back: bool = True
    blames_deployment: bool = True
    should_retry: bool | None = None


_THEIR_FAULT = "upstream_error"
_CLIENTS_FAULT = "invalid_request_error"

RULES: Mapping[int, Rule] = {
    # The client's own mistake: another deployment would say the same.
    400: Rule(400, _CLIENTS_FAULT, None, can_fall_back=False, blames_deployment=False),
    413: Rule(413, _CLIENTS_FAULT, "request_too_large", can_fall_back=False, blames_deployment=False),
    422: Rule(400, _CLIENTS_FAULT, None, can_fall_back=False, blames_deployment=False),
    # Our credentials there, not the client's: a 401 would send people looking for a fault in their own key.
    401: Rule(502, _THEIR_FAULT, "upstream_authentication", should_retry=False),
    403: Rule(502, _THEIR_FAULT, "upstream_authentication", should_retry=False),
    402: Rule(429, "insufficient_quota", "insufficient_quota", should_retry=False),
    404: Rule(404, _CLIENTS_FAULT, "model_not_found", blames_deployment=False),
    405: Rule(502, _THEIR_FAULT, "upstream_error"),
    408: Rule(408, _THEIR_FAULT, "upstream_timeout", can_retry=True),
    409: Rule(409, _CLIENTS_FAULT, None, can_retry=True, blames_deployment=False),
    429: Rule(429, "rate_limit_error", "rate_limit_exceeded", blames_deployment=False),
    500: Rule(500, _THEIR_FAULT, "upstream_error", can_retry=True),
    502: Rule(502, _THEIR_FAULT, "upstream_error", can_retry=True),
    503: Rule(503, _THEIR_FAULT, "upstream_error", can_retry=True),
    504: Rule(504, _THEIR_FAULT, "upstream_error", can_retry=True),
    529: Rule(503, "overloaded_error", "upstream_overloaded"),
}
_OTHER_4XX = RULES[400]
_OTHER_5XX = RULES[502]
_NEITHER = Rule(502, _THEIR_FAULT, "upstream_error")  # redirects and the like: an address configured wrong

#: The HTTP status that a code or type stands for, where the words came without one: in a good status, or in a stream.
STATUSES: Mapping[str, int] = {
    **dict.fromkeys(_QUOTA_CODES, 429),
    "context_length_exceeded": 400,
    "content_policy_violation": 400,
    "content_filter": 400,
    "invalid_request_error": 400,
    "BadRequestError": 400,
    "authentication_error": 401,
    "AuthenticationError": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "PermissionDeniedError": 403,
    "model_not_found": 404,
    "not_found_error": 404,
    "NotFoundError": 404,
    "billing_error": 402,
    "request_too_large": 413,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "RateLimitError": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}

# What some upstreams say in words only: that a prompt is too long, or (Anthropic, with a 400) that nobody has paid.
_TOO_LONG = ("maximum context length", "prompt is too long")
_NO_CREDIT = "credit balance is too low"
_AUTHENTICATION_MESSAGE = "The upstream did not accept the gateway's own credentials; tell its operator."


@dataclass(frozen=True, slots=True)
class ErrorObject:
    """The upstream's own words. Fields it did not say are ``None``."""

    message: str | None = None
    type: str | None = None
    code: str | None = None
    param: str | None = None
    status: int | None = None  # vLLM, Gemini and others put the HTTP status into ``code``


def rule_for(http_status: int) -> Rule:
    """The rule of an upstream status that is not 2xx."""
    rule = RULES.get(http_status)
    if rule is not None:
        return rule
    if 400 <= http_status < 500:  # noqa: PLR2004 (HTTP's own classes)
        return _OTHER_4XX
    return _OTHER_5XX if http_status >= 500 else _NEITHER  # noqa: PLR2004


def refusal(http_status: int, headers: Mapping[str, str], body: bytes) -> UpstreamRefused:
    """An error status of an upstream as our error; its message, type, code and param are kept when it sent JSON.

    ``headers`` is case-insensitive. The message may quote our credentials: the pipeline strikes them out. A body that
    is not JSON (a proxy's HTML page) is not shown to clients at all, and a 500 of that kind becomes a 502.
    """
    return refusal_of(http_status, headers, error_object(body))


def refusal_of(http_status: int, headers: Mapping[str, str], said: ErrorObject | None) -> UpstreamRefused:
    """The same, for an error object that somebody has read already (``None``: there was none)."""
    rule = rule_for(http_status)
    if said is not None and said.message and _NO_CREDIT in said.message:
        rule, said = RULES[402], replace(said, type=None)
    status, can_retry, should_retry = rule.status, rule.can_retry, rule.should_retry
    if said is None:
        status = 502 if status == 500 else status  # noqa: PLR2004
        said = ErrorObject()
    code, type_ = said.code or _code_from_message(said.message) or rule.code, said.type or rule.type
    message = _shortened(said.message or "") or f"The upstream answered with status {http_status} and no error message."
    retry_after_s = wanted_pause_s(headers)
    passed_on = {name: headers[name] for name in _pauses(headers)}
    if retry_after_s is not None and retry_after_s > SHORT_WAIT_S:
        can_retry = False  # the wish is left to the breaker, and to the client
    if rule.code == "upstream_authentication":
        # The upstream's words may quote a part of our key.
        message, code, type_ = _AUTHENTICATION_MESSAGE, rule.code, rule.type
    elif http_status in _FULL:
        if code in _QUOTA_CODES or type_ in _QUOTA_CODES:
            should_retry = False
        else:
            can_retry = retry_after_s is not None and retry_after_s <= SHORT_WAIT_S
    if should_retry is None:
        should_retry = {"true": True, "false": False}.get(headers.get("x-should-retry", ""))
    if should_retry is not None:
        passed_on["x-should-retry"] = "true" if should_retry else "false"
    return UpstreamRefused(
        message,
        http_status=http_status,
        status=status,
        type_=type_,
        code=code,
        param=said.param,
        headers=passed_on,
        retry_after_s=retry_after_s,
        can_retry=can_retry and should_retry is not False,
        can_fall_back=rule.can_fall_back,
        blames_deployment=rule.blames_deployment,
        should_retry=should_retry,
    )


def _shortened(message: str) -> str:
    """The message as far as a client may see it, cut between words; nothing is left of one without spaces.

    Half a credential would not be recognised any more, and so not struck out.
    """
    if len(message) <= MESSAGE_CHARS_MAX:
        return message
    words = message[: MESSAGE_CHARS_MAX + 1].rsplit(maxsplit=1)
    return words[0] if len(words) > 1 else ""


def refusal_in_answer(said: ErrorObject, http_status: int) -> UpstreamRefused:
    """An error object that came with a good status or in a stream, by the same rules as a status of its own.

    What names no status that we know is a 502, which is not asked again: nobody said that it would pass.
    """
    code = said.code or _code_from_message(said.message)
    meant = said.status or STATUSES.get(code or "") or STATUSES.get(said.type or "")
    if not said.message:
        said = replace(said, message="The upstream reported an error.")
    error = refusal_of(meant or 502, {}, said)
    error.http_status = http_status
    error.can_retry = error.can_retry and meant is not None
    return error


def error_object(body: bytes) -> ErrorObject | None:
    """Read the error object out of the shapes that upstreams use; ``None`` when the body is not a JSON object.

    OpenAI: ``{"error": {...}}``; vLLM before 0.10: the fields at the top; FastAPI: ``{"detail": ...}``; Gemini: a list
    of one such object; Anthropic: the code in the error's ``details``.
    """
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(found, list) and found:
        found = found[0]
    if not isinstance(found, dict):
        return None
    inner = found.get("error", found)
    if isinstance(inner, str):
        inner = {**found, "message": inner}
    if not isinstance(inner, dict):
        inner = found
    message = inner.get("message", inner.get("detail"))
    if message is not None and not isinstance(message, str):
        message = msgspec.json.encode(message).decode()
    details = inner.get("details")
    code = inner.get("code", details.get("error_code") if isinstance(details, dict) else None)
    return ErrorObject(message, _text(inner.get("type")), _text(code), _text(inner.get("param")), _status(code))


def _status(code: object) -> int | None:
    """The HTTP status in a ``code``, as a number or in digits."""
    try:
        status = int(code) if isinstance(code, (int, str)) else 0
    except ValueError:
        return None
    return status if 400 <= status <= 599 else None  # noqa: PLR2004 (HTTP's own classes)


def _text(value: object) -> str | None:
    """A non-empty string or nothing: a status number in ``code`` is not a code."""
    return value if isinstance(value, str) and value and not value.isdigit() else None


def _code_from_message(message: str | None) -> str | None:
    """The code that clients look for, where vLLM and its kin, and Anthropic, say it in words only."""
    return "context_length_exceeded" if message and any(words in message for words in _TOO_LONG) else None


def wanted_pause_s(headers: Mapping[str, str]) -> float | None:
    """How long the upstream asks us to wait, in seconds, from ``retry-after-ms`` or else ``retry-after``."""
    return next(iter(_pauses(headers).values()), None)


def is_clean(value: str) -> bool:
    """Whether a header of an upstream's may go on: anything but printable ASCII breaks the ledger's JSON and HTTP.

    aiohttp gives bytes that are no UTF-8 as lone surrogates, which nothing can encode.
    """
    return value.isascii() and value.isprintable()


def _pauses(headers: Mapping[str, str]) -> dict[str, float]:
    """The headers that ask for a pause, and its length in seconds. One that makes no sense is as good as absent."""
    found = {}
    for name in ("retry-after-ms", "retry-after"):
        pause_s = _pause_s(name, headers[name]) if name in headers else None
        if pause_s is not None:
            found[name] = pause_s
    return found


def _pause_s(name: str, value: str) -> float | None:
    """One wish in seconds. A date that is over asks for no pause; a negative or infinite number asks for nothing."""
    if not is_clean(value):
        return None
    try:
        pause_s = float(value) / (1000 if name == "retry-after-ms" else 1)
    except ValueError:
        try:
            return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
        except (ValueError, TypeError, OverflowError):
            return None
    return pause_s if math.isfinite(pause_s) and pause_s >= 0 else None


class StaleConnection(aiohttp.ClientConnectionError):
    """A pooled connection broke before any byte of the answer: the upstream had most likely closed it while idle."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What a transport exception means before the first byte. After it, all but timeouts are interruptions."""

    error: type[UpstreamError]
    message: str
    can_retry: bool = False
    blames_deployment: bool = True


_NO_ROUTE = Failure(UpstreamUnreachable, "The upstream cannot be reached.", can_retry=True)
_NO_TRUST = Failure(UpstreamUnreachable, "No trusted TLS connection to the upstream can be made.")
_BAD_ADDRESS = Failure(UpstreamUnreachable, "The upstream's address is not usable.")
_TOO_SLOW = Failure(UpstreamTimeout, "The upstream took too long.")
_NO_ANSWER = Failure(UpstreamBroken, "The upstream closed the connection without an answer.")
_CUT_SHORT = Failure(UpstreamBroken, "The upstream's answer was cut short.")
_NOT_HTTP = Failure(UpstreamBroken, "The upstream's answer is not valid HTTP.")

FAILURES: Mapping[type[BaseException], Failure] = {
    # The request may have been executed in the instant the upstream closed, yet hardly ever is. We do not send it
    # again in silence: each sending is an attempt with its own ledger entry, so the attempt loop retries it.
    StaleConnection: Failure(
        UpstreamUnreachable, "The upstream closed an idle connection.", can_retry=True, blames_deployment=False
    ),
    aiohttp.ClientConnectorError: _NO_ROUTE,
    aiohttp.ClientConnectorDNSError: _NO_ROUTE,
    client_exceptions.UnixClientConnectorError: _NO_ROUTE,
    aiohttp.ClientProxyConnectionError: _NO_ROUTE,
    aiohttp.ConnectionTimeoutError: _NO_ROUTE,
    aiohttp.ClientSSLError: _NO_TRUST,
    aiohttp.ClientConnectorSSLError: _NO_TRUST,
    aiohttp.ClientConnectorCertificateError: _NO_TRUST,
    aiohttp.ServerFingerprintMismatch: _NO_TRUST,
    aiohttp.InvalidURL: _BAD_ADDRESS,
    aiohttp.InvalidUrlClientError: _BAD_ADDRESS,
    aiohttp.RedirectClientError: _BAD_ADDRESS,
    aiohttp.NonHttpUrlClientError: _BAD_ADDRESS,
    aiohttp.InvalidUrlRedirectClientError: _BAD_ADDRESS,
    aiohttp.NonHttpUrlRedirectClientError: _BAD_ADDRESS,
    aiohttp.SocketTimeoutError: _TOO_SLOW,
    aiohttp.ServerTimeoutError: _TOO_SLOW,
    TimeoutError: _TOO_SLOW,
    # The request may have been executed, and may be what brought the upstream down: no second time at this one.
    aiohttp.ServerDisconnectedError: _NO_ANSWER,
    aiohttp.ServerConnectionError: _NO_ANSWER,
    aiohttp.ClientConnectionResetError: _NO_ANSWER,
    aiohttp.ClientOSError: _NO_ANSWER,
    aiohttp.ClientConnectionError: _NO_ANSWER,
    aiohttp.UploadAbortedError: _NO_ANSWER,
    OSError: _NO_ANSWER,
    aiohttp.ClientPayloadError: _CUT_SHORT,
    aiohttp.ClientResponseError: _NOT_HTTP,
    aiohttp.ContentTypeError: _NOT_HTTP,
    aiohttp.ClientHttpProxyError: _NOT_HTTP,
    aiohttp.WSServerHandshakeError: _NOT_HTTP,
    aiohttp.TooManyRedirects: _NOT_HTTP,
    aiohttp.WSMessageTypeError: _NOT_HTTP,
    aiohttp.ClientError: _NO_ANSWER,
}

#: What an upstream call may raise; anything else is our own fault and travels as it is.
TRANSPORT_ERRORS = (aiohttp.ClientError, OSError)


def failure(exc: BaseException) -> UpstreamError:
    """A transport exception before the first byte, as our error."""
    found = next((FAILURES[kind] for kind in type(exc).__mro__ if kind in FAILURES), _NO_ANSWER)
    error = found.error(found.message)
    error.can_retry = found.can_retry
    error.blames_deployment = found.blames_deployment
    return error


def cut_short() -> UpstreamError:
    """A whole answer of which only a part came. Nothing was shown, so another deployment may answer."""
    return _CUT_SHORT.error(_CUT_SHORT.message)


def interruption(exc: BaseException) -> UpstreamError:
    """A transport exception after the first byte, as our error: no retry and no fallback any more."""
    error: UpstreamError
    if isinstance(exc, TimeoutError):
        error = UpstreamTimeout("The upstream fell silent in the middle of its answer.")
    else:
        error = UpstreamInterrupted("The upstream broke off in the middle of its answer.")
    error.can_retry = False
    error.can_fall_back = False
    return error
