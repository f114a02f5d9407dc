"""The inbound table of the litellm library: its exceptions -> UpstreamError."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from backends import upstream_errors
from backends.upstream_errors import ErrorObject
from gateway.errors import (
    UpstreamBroken,
    UpstreamError,
    UpstreamInterrupted,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)

#: litellm's exceptions by name (the library is not here when this module is): an HTTP status for those that stand for
#: an upstream's refusal, else our error. A test fails when litellm grows an exception that is not listed.
EXCEPTIONS: Mapping[str, int | type[UpstreamError]] = {
    "AuthenticationError": 401,
    "PermissionDeniedError": 403,
    "NotFoundError": 404,
    "BadRequestError": 400,
    "InvalidRequestError": 400,
    "ImageFetchError": 400,
    "VectorStoreSearchError": 400,
    "UnprocessableEntityError": 422,
    "UnsupportedParamsError": 400,
    "ContextWindowExceededError": 400,
    "ContentPolicyViolationError": 400,
    "RejectedRequestError": 400,
    "PaymentRequiredError": 402,
    "RateLimitError": 429,
    "BudgetExceededError": 429,
    "InternalServerError": 500,
    "APIError": 502,
    "MockException": 502,
    "BadGatewayError": 502,
    "ServiceUnavailableError": 503,
    "Timeout": UpstreamTimeout,
    # What it calls a connection error is any exception it did not foresee: see ``_is_unreachable`` for real ones.
    "APIConnectionError": UpstreamBroken,
    "MidStreamFallbackError": UpstreamInterrupted,
    "APIResponseValidationError": UpstreamBroken,
    "JSONSchemaValidationError": UpstreamBroken,
    "OpenAIError": UpstreamBroken,
    # An operator's mistake (no such provider), and features of litellm's own proxy that are never switched on here.
    "LiteLLMUnknownProvider": UpstreamBroken,
    "ModelNotMappedError": UpstreamBroken,
    "GuardrailRaisedException": UpstreamBroken,
    "BlockedPiiEntityError": UpstreamBroken,
    "ModifyResponseException": UpstreamBroken,
    "SensitiveDataRouteException": UpstreamBroken,
}
#: "litellm.RateLimitError: RateLimitError: OpenAIException - the words. To drop it ..., set `litellm.drop_params ...`"
_ADDED = re.compile(r"^((litellm\.)?\w+(Error|Exception)(: | - ))+| To drop it from the call, set `litellm.*$")
_CODES = {
    "ContextWindowExceededError": "context_length_exceeded",
    "ContentPolicyViolationError": "content_policy_violation",
    "UnsupportedParamsError": "unsupported_parameter",
}
_MESSAGES: Mapping[type[UpstreamError], str] = {
    UpstreamTimeout: "The upstream took too long.",
    UpstreamUnreachable: "The upstream cannot be reached.",
    UpstreamInterrupted: "The upstream broke off in the middle of its answer.",
    UpstreamBroken: "The upstream's answer cannot be used.",
}


def translated(library: Any, exc: Exception) -> UpstreamError:
    """An exception of litellm before the first block, as our error."""
    if isinstance(exc, UpstreamError):
        return exc
    if isinstance(exc, TimeoutError):
        return upstream_errors.failure(exc)
    if _is_unreachable(exc):
        return UpstreamUnreachable(_MESSAGES[UpstreamUnreachable])
    found: int | type[UpstreamError] = UpstreamBroken
    name = type(exc).__name__
    for kind in type(exc).__mro__:
        if kind.__name__ in EXCEPTIONS and kind is getattr(library.exceptions, kind.__name__, None):
            found, name = EXCEPTIONS[kind.__name__], kind.__name__
            break
    if isinstance(found, int):
        return _refusal(exc, name, found)
    error = found(_MESSAGES[found])
    error.can_fall_back = True
    return error


def _is_unreachable(exc: BaseException | None) -> bool:
    """Whether no connection came about, which litellm reports as an internal server error among others."""
    names = {"ConnectError", "ConnectTimeout", "ClientConnectorError", "ConnectionRefusedError", "gaierror"}
    for _ in range(16):
        if exc is None:
            return False
        if any(kind.__name__ in names for kind in type(exc).__mro__):
            return True
        exc = exc.__cause__ or exc.__context__
    return False


def _upstreams_status(exc: BaseException | None) -> int | None:
    """The status that the upstream itself sent: that of the innermost exception that knows one."""
    status = None
    for _ in range(16):
        if exc is None:
            break
        known = getattr(exc, "status_code", None)
        status = known if isinstance(known, int) and known >= 400 else status  # noqa: PLR2004
        exc = exc.__cause__ or exc.__context__
    return status


def _refusal(exc: Exception, name: str, http_status: int) -> UpstreamRefused:
    """An upstream's refusal in the upstream's own words, which litellm wraps in its own."""
    if http_status >= 500:  # noqa: PLR2004 (litellm makes 500 of what it does not know, such as Anthropic's 529)
        http_status = _upstreams_status(exc) or http_status
    text = str(getattr(exc, "message", "") or exc).encode(errors="replace").decode()  # it may quote any bytes
    brace = text.find("{")
    said = upstream_errors.error_object(text[brace : text.rfind("}") + 1].encode()) if brace >= 0 else None
    if said is None or said.message is None:
        said = ErrorObject(message=_ADDED.sub("", text))
    code = _CODES.get(name, said.code)
    response = getattr(exc, "response", None)
    return upstream_errors.refusal_of(
        http_status,
        getattr(response, "headers", None) or getattr(exc, "headers", None) or {},
        ErrorObject(said.message, said.type, code, said.param),
    )
