"""Everything that can go wrong on the path, as one tree; each error knows its HTTP status and its OpenAI code.

GatewayError
├── Internal                  500  a fault of ours
├── BadRequest                400  the client's body or parameters (``param`` names the field)
│   ├── UnpricedModel         400  a model whose price nobody stated
│   ├── ContentFiltered       400  a guard blocks it, and is named
│   └── PromptUnreadable      400  it is given as token ids, and a guard has to read it
├── Unauthorized              401  key missing, malformed, unknown, revoked or expired
├── Forbidden                 403  the key may not call this model
├── NotFound                  404
│   └── ModelNotFound         404  neither a route nor a deployment
├── MethodNotAllowed          405
├── RequestTimeout            408  a body that never ends
├── Conflict                  409  admin: the name is taken
├── BodyTooLarge              413
├── ClientGone                499  nobody is there to be told
├── RateLimited               429  retryable, with retry-after
├── BudgetExceeded            429  a hold does not fit; not retryable
├── ShuttingDown              503  the gateway is stopping
├── NotCached                 504  the client wants a kept answer or none, and there is none
├── NoDeployment              503  no candidate left; says why each is out
├── GuardUnavailable          503  a guard gave no answer, and without one nothing passes
├── GuardFailed               503  inside the gateway: why a guard gave none
├── StoreUnavailable          503  Postgres or Redis is needed and away
│   ├── JournalUnavailable    503  an intent could be made durable nowhere
│   └── BudgetsUnavailable    503  a budget applies and nobody can say what is left of it
└── UpstreamError             what an attempt can end with
    ├── UpstreamRefused       the upstream answered with an error status (its status, code and retry-after are kept)
    ├── UpstreamUnreachable   502  no connection
    ├── UpstreamTimeout       504  connected, but too slow
    ├── UpstreamBroken        502  an answer that is none: HTML, truncated JSON, an empty 200
    └── UpstreamInterrupted   502  cut after the first byte: no fallback any more
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.domain import NO_ROOM_TOLD, OnExhausted, Room


class GatewayError(Exception):
    """Base of all errors that a client may see. ``message`` never holds a secret."""

    status = 500
    type = "api_error"
    code: str | None = None
    should_retry: bool | None = None  # None: leave it to the client's own rule for the status
    details: Mapping[str, object] = {}  # further fields of the error object

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.headers: Mapping[str, str] = headers or {}
        if code is not None:
            self.code = code


class Internal(GatewayError):
    code = "internal_error"

    def __init__(self) -> None:
        super().__init__("The gateway failed to serve this request.")


class BadRequest(GatewayError):
    status = 400
    type = "invalid_request_error"


class UnpricedModel(BadRequest):
    code = "model_unpriced"


class ContentFiltered(BadRequest):
    """``guard``: which one, all that a client is told of it."""

    code = "content_filter"
    should_retry = False

    def __init__(self, guard: str, *, is_answer: bool = False) -> None:
        what = "The answer" if is_answer else "The request"
        super().__init__(f"{what} was blocked by the guard '{guard}'.")
        self.guard = guard
        self.details = {"guard": guard}


class PromptUnreadable(BadRequest):
    """``guard``: the first one that may not be passed by."""

    code = "prompt_unreadable"
    should_retry = False

    def __init__(self, guard: str) -> None:
        super().__init__(f"The guard '{guard}' cannot read a prompt of token ids: send it as text.")
        self.guard = guard
        self.details = {"guard": guard}


class Unauthorized(GatewayError):
    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"
    should_retry = False  # Claude Code otherwise asks ten times more, over minutes, before it tells its user


class Forbidden(GatewayError):
    status = 403
    type = "invalid_request_error"
    code = "model_not_allowed"


class NotFound(GatewayError):
    status = 404
    type = "invalid_request_error"
    code = "not_found"


class ModelNotFound(NotFound):
    code = "model_not_found"


class MethodNotAllowed(GatewayError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class RequestTimeout(GatewayError):
    status = 408
    type = "invalid_request_error"
    code = "request_timeout"

    def __init__(self) -> None:
        super().__init__("The request body did not arrive in time.")


class Conflict(GatewayError):
    status = 409
    type = "invalid_request_error"
    code = "already_exists"
    should_retry = False


class BodyTooLarge(GatewayError):
    status = 413
    type = "invalid_request_error"
    code = "request_too_large"


class ClientGone(GatewayError):
    status = 499
    code = "client_closed_request"

    def __init__(self) -> None:
        super().__init__("The client closed the connection.")


class RateLimited(GatewayError):
    """``room``: what our own limits leave, for headers; ``details``: the limit's figures as fields, under ``limit``."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"

    def __init__(
        self,
        message: str,
        *,
        details: Mapping[str, object] | None = None,
        room: Room = NO_ROOM_TOLD,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, headers=headers)
        self.details = details or {}
        self.room = room


class BudgetExceeded(GatewayError):
    """``details``: the budget's figures as fields, under ``budget``."""

    status = 429
    type = "insufficient_quota"
    code = "insufficient_quota"
    should_retry = False  # else the SDKs ask three times

    def __init__(
        self,
        message: str,
        *,
        details: Mapping[str, object],
        on_exhausted: OnExhausted = OnExhausted.REFUSE,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, headers=headers)
        self.details = details
        self.on_exhausted = on_exhausted  # what the operator wants then: cheaper deployments may still fit


class ShuttingDown(GatewayError):
    status = 503
    code = "shutting_down"

    def __init__(self) -> None:
        super().__init__("The gateway is stopping. Please retry.", headers={"retry-after": "1"})


class NotCached(GatewayError):
    status = 504
    code = "not_cached"
    should_retry = False

    def __init__(self) -> None:
        super().__init__("No kept answer may be given to this request, and 'only-if-cached' asks for no other.")


class NoDeployment(GatewayError):
    status = 503
    code = "no_deployment_available"


class GuardFailed(GatewayError):
    """Why a guard gave no answer; what becomes of its request is for its rule to say."""

    status = 503
    code = "guard_failed"


class GuardUnavailable(GatewayError):
    status = 503
    code = "guard_unavailable"

    def __init__(self, guard: str) -> None:
        super().__init__(f"The guard '{guard}' could not be asked, and nothing passes without it.")
        self.guard = guard
        self.details = {"guard": guard}


class StoreUnavailable(GatewayError):
    status = 503
    code = "store_unavailable"


class JournalUnavailable(StoreUnavailable):
    code = "journal_unavailable"


class BudgetsUnavailable(StoreUnavailable):
    code = "budgets_unavailable"


class UpstreamError(GatewayError):
    """An attempt failed. ``can_retry``: the same deployment may be asked once more; ``can_fall_back``: another may.

    ``retry_after_s`` is the upstream's own wish. ``blames_deployment``: counts against its circuit breaker.
    """

    status = 502
    type = "upstream_error"
    can_retry = False
    can_fall_back = True
    blames_deployment = True
    retry_after_s: float | None = None
    http_status: int | None = None


class UpstreamRefused(UpstreamError):
    """The upstream answered with an error status; its message, type, code and param are the client's to see.

    ``body`` is the upstream's error as JSON bytes when it was JSON, for answers that keep unknown fields.
    """

    def __init__(
        self,
        message: str,
        *,
        http_status: int,
        status: int,
        type_: str,
        code: str | None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
        can_retry: bool = False,
        can_fall_back: bool = True,
        blames_deployment: bool = True,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(message, param=param, headers=headers)
        self.http_status = http_status
        self.status = status
        self.type = type_
        self.code = code
        self.retry_after_s = retry_after_s
        self.can_retry = can_retry
        self.can_fall_back = can_fall_back
        self.blames_deployment = blames_deployment
        self.should_retry = should_retry


class UpstreamUnreachable(UpstreamError):
    code = "upstream_unreachable"
    can_retry = True


class UpstreamTimeout(UpstreamError):
    status = 504
    code = "upstream_timeout"


class UpstreamBroken(UpstreamError):
    code = "upstream_bad_response"


class UpstreamInterrupted(UpstreamError):
    code = "upstream_interrupted"
    can_fall_back = False
