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
from backends.litellm_errors import translated
from backends.replies import WholeReply
from backends.upstream_errors import ErrorObject
from gateway.domain import Call, Endpoint
from gateway.errors import UpstreamError
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

#: A chat request with tools would otherwise import litellm's own proxy, which needs packages that are not here.
_CHAT_SETTINGS = {"_skip_mcp_handler": True}

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
            raise translated(library, exc) from exc

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
        **(_CHAT_SETTINGS if call.endpoint is Endpoint.CHAT else {}),
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

    finish = close


def _close_soon(stream: Any) -> None:
    """Close litellm's stream and with it the connection. Only a coroutine can, so it runs beside us."""
    if stream is None or not hasattr(stream, "aclose"):
        return
    task = asyncio.get_running_loop().create_task(_closed(stream))
    _closing.add(task)
    task.add_done_callback(_closing.discard)


async def _closed(stream: Any) -> None:
    response = _response_behind(stream)
    try:
        await stream.aclose()
        if response is not None:
            await response.aclose()
    except Exception as exc:  # noqa: BLE001 (nobody waits for this; the connection is being given up anyway)
        logging.getLogger("obol.backends").debug("closing a litellm stream failed: %s", type(exc).__name__)


def _response_behind(stream: Any) -> Any:
    """The HTTP response that a stream of litellm reads from, as far as it can be found.

    For several providers (Anthropic) litellm keeps only the generator of its lines, and closing that closes no
    connection: the upstream would go on generating, at our cost. The generator's frame knows its response. A test
    fails if this ceases to work.
    """
    inner = getattr(stream, "completion_stream", None)
    lines = getattr(inner, "streaming_response", inner)
    frame = getattr(lines, "ag_frame", None)
    response = frame.f_locals.get("self") if frame is not None else None
    return response if hasattr(response, "aclose") else None


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
    if event.get("usage") and all(_is_empty(choice) for choice in event.get("choices", ())):
        event["choices"] = []  # OpenAI's usage chunk has none
    return _with_usage(event)


def _is_empty(choice: Mapping[str, Any]) -> bool:
    return not choice.get("delta") and not choice.get("text") and choice["finish_reason"] is None


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
    found = (str(headers[name]) for name in names if headers.get(name))
    return next((value for value in found if upstream_errors.is_clean(value)), None)


def _as_timeout(exc: Exception) -> Exception:
    return TimeoutError() if isinstance(exc, TimeoutError) or type(exc).__name__ == "Timeout" else exc
