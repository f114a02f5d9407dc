"""Which requests are the same, so that one may be given the other's answer: the key that an answer is kept under.

Every field of the body counts, known or not, but those that are proven not to change what is answered. Objects are
the same in any order of their keys, at any depth; arrays are not, and numbers are compared as they are written: 1 and
1.0 are two questions, for a miss is never wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import blake2b

import msgspec

from gateway.domain import AnswerKey, Caller, Deployment, Endpoint, ExactCache, Request, Sharing

_DIGEST_BYTES = 24
#: How an answer is sent, and words for the client's own records: its stream and its whole say the same.
NEUTRAL = frozenset({"model", "stream", "stream_options", "metadata"})  # the model that is asked counts in its place
_NEUTRAL_MESSAGES = NEUTRAL - {"metadata"}  # by which messages say who asks
#: Whose documentation says what they are for: telling users apart for abuse and routing to warm caches. Elsewhere a
#: server may keep a state for each user, so that there they count.
NEUTRAL_AT_OPENAI = NEUTRAL | {"user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"}
_OPENAIS_KINDS = frozenset({"openai", "azure"})
# Names of what stands somewhere else and may change there.
_REMOTE = frozenset({"file_id", "file_ids", "vector_store_ids"})
_REMOTE_ENDS = ("url", "uri")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# Fields of a body by which its upstream keeps something or goes on from it, looks something up, runs something, judges
# or speaks: OpenAI's, Anthropic's, and those of OpenRouter, xAI, Azure, Qwen, Cohere and Gemini.
_BYPASSED_BY = frozenset(
    {
        *("store", "background", "conversation", "previous_response_id", "thread", "mcp_servers", "container"),
        *("web_search_options", "audio", "modalities", "moderation"),
        *("plugins", "search_parameters", "data_sources", "enable_search", "connectors", "cached_content"),
    }
)
# Kinds of tools that the client runs, by the endpoints whose answers are given again.
_CLIENTS_TOOLS: Mapping[Endpoint, frozenset[str | None]] = {
    Endpoint.CHAT: frozenset({"function", "custom"}),
    Endpoint.RESPONSES: frozenset({"function", "custom"}),
    Endpoint.MESSAGES: frozenset({None, "custom"}),
    Endpoint.COMPLETIONS: frozenset(),
    Endpoint.EMBEDDINGS: frozenset(),
}
_REFERENCE = frozenset({"id", "type"})
_OF_ONE_API = ("anthropic-", "openai-")


class NotKeyed(Exception):
    """The request has no key: what it is about is not all in it, or it cannot be read without a doubt."""


def is_bypassed(request: Request, rules: ExactCache) -> bool:
    """Whether its answer is neither given again nor kept: it may be another one each time, or is elsewhere too."""
    fields = request.body.fields
    if request.endpoint not in _CLIENTS_TOOLS or not _calls_client(request):
        return True
    is_drawn = request.endpoint is not Endpoint.EMBEDDINGS and not _is_zero(_value(fields, "temperature"))
    if is_drawn and not rules.any_temperature:
        return True
    if request.endpoint is Endpoint.RESPONSES and _value(fields, "prompt") is not None:
        return True  # one that the upstream keeps
    return any(_value(fields, name) not in (None, False) for name in _BYPASSED_BY)


def answer_key(
    secret: bytes,
    rules: ExactCache,
    request: Request,
    caller: Caller,
    deployment: Deployment,
    output_tokens_max: int | None = None,
) -> AnswerKey:
    """The key of what that deployment would answer. Raises NotKeyed.

    ``secret``: of the installation, so that nobody can try prompts against digests. ``output_tokens_max``: sent along
    where the client states none. Deployments of one kind, model, region and tags answer for each other, on all routes
    that keep the same answers for as long.
    """
    identity = _identity(rules, request, caller, deployment, output_tokens_max)
    digest = _digest(secret, identity, request.body.fields, request, deployment)
    return AnswerKey(
        _tenant(rules, caller), digest, caller.organization_id, caller.team_id, caller.key_id, caller.member_id
    )


def space_of(
    secret: bytes,
    rules: ExactCache,
    request: Request,
    caller: Caller,
    deployment: Deployment,
    output_tokens_max: int | None,
    rest: Mapping[str, msgspec.Raw],
    embedding: str | None,
) -> str:
    """Names all requests whose answers have the same key but for their question. Raises NotKeyed.

    ``rest``: the fields of the body with a hole where the question stands; ``embedding``: what makes the vectors, for
    those of two models are not to be compared.
    """
    identity = ("similar", embedding, *_identity(rules, request, caller, deployment, output_tokens_max))
    return _digest(secret, identity, rest, request, deployment)


def _tenant(rules: ExactCache, caller: Caller) -> str:
    return "all" if rules.shared_by is Sharing.ALL else caller.organization_id


def _identity(
    rules: ExactCache, request: Request, caller: Caller, deployment: Deployment, output_tokens_max: int | None
) -> tuple[object, ...]:
    """All that a request is besides its body: for whom, whom it would ask, and how."""
    scope = {
        Sharing.KEY: caller.key_id,
        Sharing.TEAM: caller.team_id,
        Sharing.ORGANIZATION: caller.organization_id,
        Sharing.ALL: "",
    }[rules.shared_by]
    provider = deployment.provider
    is_response = request.endpoint is Endpoint.RESPONSES
    if is_response and deployment.asked_as(request.endpoint) is request.endpoint and _is_stored(request):
        raise NotKeyed
    return (
        (rules.shared_by, _tenant(rules, caller), scope),
        (rules.keeps_tool_calls, rules.ttl_s, *(("repaired",) if rules.are_repaired else ())),
        request.endpoint,
        (provider.kind, provider.litellm_provider, deployment.model),
        # The name of a model in Azure is its operator's invention.
        provider.base_url if provider.kind == "azure" else "",
        # What a response seals for its next turn is read by the account that it is of.
        provider.name if is_response else "",
        (deployment.region, sorted(deployment.tags)),
        output_tokens_max,
        sorted((name, value) for name, value in request.headers.items() if name.startswith(_OF_ONE_API)),
        sorted(request.query.items()),
    )


def _digest(
    secret: bytes,
    identity: tuple[object, ...],
    fields: Mapping[str, msgspec.Raw],
    request: Request,
    deployment: Deployment,
) -> str:
    neutral = _neutral(request.endpoint, deployment.provider.kind)
    is_response = request.endpoint is Endpoint.RESPONSES
    digest = blake2b(_packed(identity), key=secret, digest_size=_DIGEST_BYTES)
    for name, raw in sorted(fields.items()):
        if name not in neutral:
            value = _read(bytes(raw))
            if _is_elsewhere(name, value) or (is_response and _has_references(value)):
                raise NotKeyed
            digest.update(_packed((name, value)))
    return digest.hexdigest()


def _neutral(endpoint: Endpoint, kind: str) -> frozenset[str]:
    if kind in _OPENAIS_KINDS:
        return NEUTRAL_AT_OPENAI
    return _NEUTRAL_MESSAGES if endpoint is Endpoint.MESSAGES and kind != "anthropic" else NEUTRAL


def _packed(value: object) -> bytes:
    """The value as bytes that no other value has: MessagePack tells kinds and lengths. Raises NotKeyed."""
    try:
        return msgspec.msgpack.encode(value, order="sorted")
    except (UnicodeEncodeError, RecursionError) as exc:  # half a pair of surrogates is no text
        raise NotKeyed from exc


def _read(raw: bytes) -> object:
    """The JSON with its numbers as bytes, as they are written. Raises NotKeyed."""
    try:
        return _decoder.decode(raw.decode())
    except (ValueError, RecursionError) as exc:
        raise NotKeyed from exc


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotKeyed  # which of two equal names counts is its reader's to say
    if any(_is_elsewhere(name, value) for name, value in pairs):
        raise NotKeyed
    return found


def _is_elsewhere(name: str, value: object) -> bool:
    """Whether a field names what stands somewhere else, and not a parameter of a tool that is called like that."""
    if name in _REMOTE:
        return isinstance(value, str | list)
    match value:
        case str() if name.lower().endswith(_REMOTE_ENDS):
            return not value.startswith("data:")
        case str() if name.endswith("data"):
            return _ADDRESS.match(value) is not None
        case {"id": str()}:
            return name == "audio"  # which was spoken before
        case _:
            return False


def _constant(text: str) -> object:
    del text
    raise NotKeyed  # NaN and its kind are no JSON


_decoder = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=str.encode, parse_int=str.encode, parse_constant=_constant
)


def _is_stored(request: Request) -> bool:
    """Whether an upstream that speaks this API keeps the response, as it does unless it is told not to."""
    return _value(request.body.fields, "store") is not False


def _has_references(value: object) -> bool:
    """Whether an input names items that the upstream keeps."""
    items = value if isinstance(value, list) else ()
    return any(isinstance(one, dict) and "id" in one and one.keys() <= _REFERENCE for one in items)


def _value(fields: Mapping[str, msgspec.Raw], name: str) -> object:
    raw = fields.get(name)
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return raw


def _calls_client(request: Request) -> bool:
    """Whether all tools of the request are the client's own: what an upstream runs may find other things tomorrow."""
    tools = _value(request.body.fields, "tools")
    if not isinstance(tools, list):
        return tools is None
    return all(isinstance(one, dict) and one.get("type") in _CLIENTS_TOOLS[request.endpoint] for one in tools)


def _is_zero(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == 0
