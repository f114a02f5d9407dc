"""What the dialects' parsers start from, and what they all read the same way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from gateway.api import wire
from gateway.domain import Endpoint
from gateway.errors import BadRequest

_TAGS_MAX = 16
_TAG_CHARS_MAX = 128
_MODEL_CHARS_MAX = 512
# Fields by which some upstreams (OpenRouter, other gateways) let a request name further models, which would then be
# called at the price, and with the permission, of the one in ``model``. So would "Model" where case is ignored.
_OTHER_MODELS = frozenset({"models", "fallbacks"})
_END_USER_CHARS_MAX = 256


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as it came in: nothing of its body is read yet."""

    request_id: str
    endpoint: Endpoint
    data: bytes
    content_type: str = "application/json"
    default_model: str | None = None  # stands in where the API lets clients omit ``model``
    headers: Mapping[str, str] = field(default_factory=dict)  # those that travel upstream
    query: Mapping[str, str] = field(default_factory=dict)  # those that travel upstream
    tags: tuple[str, ...] = ()

    @property
    def kept_tags(self) -> tuple[str, ...]:
        return tuple(tag[:_TAG_CHARS_MAX] for tag in self.tags[:_TAGS_MAX])


def asked_model(fields: Mapping[str, msgspec.Raw], default: str | None = None) -> str:
    """The model that the request names. Raises BadRequest: a missing one is never guessed."""
    for name in fields:
        if name != "model" and (name in _OTHER_MODELS or (len(name) == len("model") and name.lower() == "model")):
            raise BadRequest(
                f"'{name}' is not taken: which model answers is said by 'model' alone, or by a route.",
                param=name,
                code="unsupported_parameter",
            )
    model = wire.field(fields, "model", str, "a string") or default
    if not model:
        raise BadRequest("You must provide a 'model' parameter.", param="model", code="missing_required_parameter")
    if len(model) > _MODEL_CHARS_MAX:
        raise BadRequest(f"'model' is longer than {_MODEL_CHARS_MAX} characters.", param="model", code="invalid_value")
    return model


def check_required(fields: Mapping[str, msgspec.Raw], name: str, first_bytes: bytes, expected: str) -> None:
    """Raises BadRequest unless the field is there and its JSON begins with one of ``first_bytes``."""
    raw = fields.get(name)
    if raw is None:
        raise BadRequest(f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")
    if bytes(raw)[:1] not in (first_bytes[i : i + 1] for i in range(len(first_bytes))):
        raise BadRequest(f"Invalid type for '{name}': expected {expected}.", param=name, code="invalid_type")


def end_user(fields: Mapping[str, msgspec.Raw], *names: str) -> str | None:
    """The first of the named fields that says who the client's own user is."""
    for name in names:
        if name in fields and (value := wire.field(fields, name, str, "a string")):
            return value[:_END_USER_CHARS_MAX]
    return None


def first_integer(fields: Mapping[str, msgspec.Raw], *names: str) -> int | None:
    """The first of the named fields that holds an integer."""
    for name in names:
        if name in fields and (value := wire.field(fields, name, int, "an integer")) is not None:
            return value
    return None
