"""Upstreams with an API of their own (Anthropic, Bedrock, Gemini, ...), spoken to by the litellm library.

The library is imported when the first call needs it, in a thread: that takes seconds and some 170 MB. It gets one job,
to translate: no retries, no fallbacks, no callbacks, no cost maps from the network, no prints. What a client may say
to it is limited too, since litellm takes its own settings (``api_base``, credentials, ``fallbacks``, ...) from the same
arguments as the request: see ``split_fields``.

Of a provider, ``litellm_provider``, ``base_url``, ``api_key`` and ``headers`` are used; ``query`` holds further
settings of litellm (``aws_region_name``, ``vertex_project``, ...).
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import re
import warnings
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from backends import upstream_errors
from backends.openai_compatible import WholeReply
from backends.upstream_errors import ErrorObject
from gateway.domain import Call, Endpoint
from gateway.errors import (
    UpstreamBroken,
    UpstreamError,
    UpstreamInterrupted,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.ports import Reply

#: Set before the import, so that it fetches nothing and reads no .env file of the working directory.
_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_LOCAL_AUTOROUTER_PRESETS": "True",
    "LITELLM_LOCAL_POLICY_TEMPLATES": "True",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_DONT_SHOW_FEEDBACK_BOX": "True",
    "LITELLM_DISABLE_BUG_REPORT_LINK": "True",
}

#: Request parameters of the OpenAI API that litellm knows and translates.
_PARAMETERS = frozenset(
    re.split(
        r"\s+",
        """messages functions function_call temperature top_p n stream stream_options stop max_tokens
        max_completion_tokens modalities prediction audio presence_penalty frequency_penalty logit_bias user
        response_format seed tools tool_choice parallel_tool_calls logprobs top_logprobs reasoning_effort verbosity
        safety_identifier service_tier prompt_cache_key prompt_cache_retention thinking web_search_options
        context_management prompt suffix echo best_of input encoding_format dimensions""",
    )
)
#: OpenAI's own bookkeeping: it means nothing elsewhere, and litellm would take ``metadata`` for its own.
_BOOKKEEPING = frozenset({"metadata", "store"})
#: Names that may be an address, a credential or a file of ours to somebody, beyond those litellm lists itself.
_SUSPECT = re.compile(
    r"(^|[_-])(api|base|url|uri|endpoint|host|proxy|key|keys|token|secret|password|credentials?|auth|headers?|files?"
    r"|path|ssl|cert|client|session|project|region|profile|role|role_arn|callbacks?|mock|extra|kwargs)([_-]|$)"
    r"|^(aws|azure|vertex|gcp|gcs|google|watsonx|wx|sagemaker|databricks|oci|snowflake|hf|litellm|_)",
    re.IGNORECASE,
)

_FUNCTIONS = {Endpoint.CHAT: "acompletion", Endpoint.COMPLETIONS: "atext_completion", Endpoint.EMBEDDINGS: "aembedding"}

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

_closing: set[asyncio.Task[None]] = set()  # the loop holds tasks weakly; these shall finish


class LiteLLM:
    """A Backend over the litellm library."""

    def __init__(self) -> None:
        self._library: Any = None
        self._lock = asyncio.Lock()

    async def open(self, call: Call) -> Reply:
        """Send and wait for the first block (not streaming: the whole answer). Raises UpstreamError."""
        if call.endpoint not in _FUNCTIONS:
            said = ErrorObject(message=f"{call.endpoint.value} cannot be asked of this provider.", code="not_found")
            raise upstream_errors.refusal_of(404, {}, said)
        limits = call.deployment.provider.timeouts
        library = await self._loaded()
        arguments = _arguments(library, call)
        stream: Any = None
        try:
            async with asyncio.timeout(min(limits.first_token_s, limits.total_s) if call.is_stream else limits.total_s):
                result = await getattr(library, _FUNCTIONS[call.endpoint])(**arguments)
                if not call.is_stream:
                    return WholeReply(msgspec.json.encode(_as_answer(result)), 200, _request_id(result), {})
                stream = result
                reply = StreamReply(stream, call)
                reply.first = await reply.pull() or b""
                return reply
        except asyncio.CancelledError:
            _close_soon(stream)
            raise
        except Exception as exc:  # litellm's provider code raises whatever it trips over: all of it is a failed attempt
            _close_soon(stream)
            raise translated(library, exc, (call.deployment.provider.api_key,)) from exc

    async def close(self) -> None:
        """Stop what litellm keeps running and close its connections."""
        await asyncio.gather(*_closing, return_exceptions=True)
        if self._library is None:
            return
        worker = importlib.import_module("litellm.litellm_core_utils.logging_worker")
        await worker.GLOBAL_LOGGING_WORKER.stop()
        await self._library.close_litellm_async_clients()

    async def _loaded(self) -> Any:
        if self._library is None:
            async with self._lock:
                if self._library is None:
                    self._library = await asyncio.to_thread(_load)
        return self._library


def _load() -> Any:
    """Import litellm with everything off that is not translation."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).disabled = True  # it logs requests and prints hints; our own log tells what happened
    # Its types make Pydantic complain at their first use.
    warnings.filterwarnings("ignore", message=r"Item '\w+' on TypedDict class", category=UserWarning)
    library: Any = importlib.import_module("litellm")
    library.suppress_debug_info = True
    library.telemetry = False
    library.drop_params = False
    library.num_retries = 0
    library.turn_off_message_logging = True
    library.disable_streaming_logging = True
    library.callbacks, library.success_callback, library.failure_callback = [], [], []
    return library


def split_fields(library: Any, provider: str, body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What of a request body goes to litellm as arguments, and what as ``extra_body`` (put into the upstream's JSON).

    Unknown fields travel: to OpenAI-like upstreams in the body, to others as arguments, where litellm adds them to the
    provider's own parameters. Names that litellm would take for its settings are refused: with ``api_base`` a client
    could have our key sent to a server of its own. Raises UpstreamRefused (400).
    """
    arguments = {name: value for name, value in body.items() if name in _PARAMETERS and value is not None}
    unknown = {name: value for name, value in body.items() if name not in _PARAMETERS and name != "model"}
    if provider in {"openai", "azure", "text-completion-openai", *library.openai_compatible_providers}:
        return arguments, unknown
    owned = importlib.import_module("litellm.types.utils").is_litellm_owned_kwarg
    for name, value in unknown.items():
        if name in _BOOKKEEPING:
            continue
        if owned(name) or _SUSPECT.search(name):
            said = ErrorObject(
                message=f"The field '{name}' cannot be sent to this provider.", code="unsupported_parameter", param=name
            )
            raise upstream_errors.refusal_of(400, {}, said)
        arguments[name] = value
    return arguments, {}


def _arguments(library: Any, call: Call) -> dict[str, Any]:
    deployment, provider = call.deployment, call.deployment.provider
    body = msgspec.json.decode(call.body)
    arguments, extra_body = split_fields(library, provider.litellm_provider, body)
    if extra_body:
        arguments["extra_body"] = extra_body
    if call.endpoint is not Endpoint.EMBEDDINGS:
        arguments["stream"] = call.is_stream
    headers = {**call.headers, **provider.headers}
    return {
        **provider.query,
        **arguments,
        "model": f"{provider.litellm_provider}/{deployment.model}",
        "api_key": provider.api_key or None,
        "api_base": provider.base_url or None,
        "extra_headers": headers or None,
        "timeout": provider.timeouts.total_s,
        "num_retries": 0,
        "max_retries": 0,
        "drop_params": False,
        "caching": False,
        "no-log": True,
        # Any request with tools would otherwise import litellm's own proxy, which needs packages that are not here.
        "_skip_mcp_handler": True,
    }


class StreamReply:
    """litellm's chunks as server-sent events of the OpenAI API, ended by ``[DONE]``."""

    def __init__(self, stream: Any, call: Call) -> None:
        self.first = b""
        self.http_status = 200
        self.upstream_request_id: str | None = _request_id(stream)
        self.headers: Mapping[str, str] = {}
        limits = call.deployment.provider.timeouts
        self._between_s = limits.between_tokens_s
        self._total_at_s = asyncio.get_running_loop().time() + limits.total_s
        self._secrets = (call.deployment.provider.api_key,)
        self._stream = stream
        self._chunks: AsyncIterator[Any] = aiter(stream)
        self._is_ended = False

    async def next(self) -> bytes | None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(min(loop.time() + self._between_s, self._total_at_s)):
                return await self.pull()
        except UpstreamError:
            raise
        except Exception as exc:  # as in open(): whatever litellm trips over ends this answer
            raise upstream_errors.interruption(_as_timeout(exc)) from exc

    async def pull(self) -> bytes | None:
        """The next event. Raises what litellm raises."""
        if self._is_ended:
            return None
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            self._is_ended = True
            # litellm makes up a finish reason for a stream that ended without one; we do not pass that off as an end.
            if getattr(self._stream, "received_finish_reason", "unknown") is None:
                raise upstream_errors.interruption(ConnectionError()) from None
            return b"data: [DONE]\n\n"
        return b"data: " + msgspec.json.encode(_as_chunk(chunk)) + b"\n\n"

    def close(self) -> None:
        if not self._is_ended:
            self._is_ended = True
            _close_soon(self._stream)


def _close_soon(stream: Any) -> None:
    """Close litellm's stream and with it the connection. Only a coroutine can, so it runs beside us."""
    if stream is None or not hasattr(stream, "aclose"):
        return
    task = asyncio.get_running_loop().create_task(_closed(stream))
    _closing.add(task)
    task.add_done_callback(_closing.discard)


async def _closed(stream: Any) -> None:
    try:
        await stream.aclose()
    except Exception as exc:  # noqa: BLE001 (nobody waits for this; the connection is being given up anyway)
        logging.getLogger("obol.backends").debug("closing a litellm stream failed: %s", type(exc).__name__)


def _as_answer(result: Any) -> dict[str, Any]:
    answer: dict[str, Any] = result.model_dump(mode="json", exclude_none=True)
    for choice in answer.get("choices", ()):
        choice.setdefault("finish_reason", None)
        if "message" in choice:
            choice["message"].setdefault("content", None)
            choice["message"].setdefault("refusal", None)
    return _with_usage(answer)


def _as_chunk(chunk: Any) -> dict[str, Any]:
    event: dict[str, Any] = chunk.model_dump(mode="json", exclude_none=True)
    for choice in event.get("choices", ()):
        choice.setdefault("finish_reason", None)
    return _with_usage(event)


def _with_usage(answer: dict[str, Any]) -> dict[str, Any]:
    """Put the usage into OpenAI's terms. litellm's ``prompt_tokens`` includes what was read from and written to caches.

    ``cache_write_tokens`` are writes for five minutes, ``cache_write_long_tokens`` those for an hour; no token is in
    both.
    """
    usage = answer.get("usage")
    if not usage:
        answer.pop("usage", None)
        return answer
    written = usage.pop("cache_creation_input_tokens", 0)
    usage.pop("cache_read_input_tokens", None)
    details = usage.get("prompt_tokens_details")
    if details is not None:
        written = details.pop("cache_creation_tokens", 0) or details.pop("cache_write_tokens", 0) or written
        kept_long = details.pop("cache_creation_token_details", {}).get("ephemeral_1h_input_tokens", 0)
        details.pop("cache_write_tokens", None)
        if written:
            details["cache_write_tokens"] = max(0, written - kept_long)
        if kept_long:
            details["cache_write_long_tokens"] = kept_long
    return answer


def _request_id(result: Any) -> str | None:
    hidden = getattr(result, "_hidden_params", None) or {}
    headers = hidden.get("additional_headers") or {}
    names = ("llm_provider-request-id", "llm_provider-x-request-id", "llm_provider-x-amzn-requestid")
    return next((str(headers[name]) for name in names if headers.get(name)), None)


def _as_timeout(exc: Exception) -> Exception:
    return TimeoutError() if isinstance(exc, TimeoutError) or type(exc).__name__ == "Timeout" else exc


def translated(library: Any, exc: Exception, secrets: tuple[str, ...]) -> UpstreamError:
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
        return _refusal(exc, name, found, secrets)
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


def _refusal(exc: Exception, name: str, http_status: int, secrets: tuple[str, ...]) -> UpstreamRefused:
    """An upstream's refusal in the upstream's own words, which litellm wraps in its own."""
    if http_status >= 500:  # noqa: PLR2004 (litellm makes 500 of what it does not know, such as Anthropic's 529)
        http_status = _upstreams_status(exc) or http_status
    text = str(getattr(exc, "message", "") or exc)
    brace = text.find("{")
    said = upstream_errors.error_object(text[brace : text.rfind("}") + 1].encode()) if brace >= 0 else None
    if said is None or said.message is None:
        # "litellm.BadRequestError: AnthropicException - the words"
        said = ErrorObject(message=re.sub(r"^(litellm\.\w+: )+(\w+Exception\s*-\s*)?", "", text))
    code = _CODES.get(name, said.code)
    response = getattr(exc, "response", None)
    return upstream_errors.refusal_of(
        http_status,
        getattr(response, "headers", None) or getattr(exc, "headers", None) or {},
        ErrorObject(said.message, said.type, code, said.param),
        secrets,
    )
