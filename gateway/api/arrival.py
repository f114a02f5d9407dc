"""What the dialects' parsers start from, and what they all read the same way."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec

from gateway.api import wire
from gateway.domain import (
    ANYWHERE,
    BUDGET_NUSD_MAX,
    END_USER_CHARACTERS_MAX,
    LABEL,
    NANO,
    CacheControl,
    Chain,
    Endpoint,
    Placement,
)
from gateway.errors import BadRequest

_TAGS_MAX = 16
_TAG_CHARS_MAX = 128
_MODEL_CHARS_MAX = 512
# Fields by which some upstreams (OpenRouter, other gateways) let a request name further models, which would then be
# called at the price, and with the permission, of the one in ``model``.
_OTHER_MODELS = frozenset({"models", "fallbacks"})
# What is called and what it can cost is read off these. Servers written in Go also take "Model" and "MAX_TOKENS" for
# them, by which a request would cost more than was held for it.
_SPELLED = frozenset(
    {"model", "n", "best_of", "max_tokens", "max_completion_tokens", "max_output_tokens", "service_tier", "tools"}
)
REGIONS_HEADER = "x-obol-regions"
REQUIRED_TAGS_HEADER = "x-obol-require-tags"
QUALITY_HEADER = "x-obol-quality"
CONVERSATION_HEADER = "x-obol-conversation"
COST_HEADER = "x-obol-cost-max-usd"
DEFLECT_HEADER = "x-obol-deflect"
WRONG_ANSWERS_HEADER = "x-obol-wrong-answers-max"
LOSSES: Mapping[str, float] = {"economy": 0.05, "balanced": 0.02, "best": 0.0}  # shares of quality
_LABELS_MAX = 16
_CONVERSATION_CHARS_MAX = 256
_AGE_DIGITS_MAX = 9
_SHARE = re.compile(r"(0|1)(\.[0-9]{1,9})?|\.[0-9]{1,9}")
_USD = re.compile(r"[0-9]{1,7}(\.[0-9]{1,9})?")


def _any_name(model: str) -> bool:
    del model
    return True


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as it came in: nothing of its body is read yet.

    ``is_route``: whether a name is a route's, which wants to know what the request needs.
    """

    request_id: str
    endpoint: Endpoint
    data: bytes
    content_type: str = "application/json"
    default_model: str | None = None  # stands in where the API lets clients omit ``model``
    headers: Mapping[str, str] = field(default_factory=dict)  # those that travel upstream
    query: Mapping[str, str] = field(default_factory=dict)  # those that travel upstream
    tags: tuple[str, ...] = ()
    placement: Placement = ANYWHERE
    is_route: Callable[[str], bool] = _any_name
    chain: Chain | None = None

    @property
    def kept_tags(self) -> tuple[str, ...]:
        return tuple(tag[:_TAG_CHARS_MAX] for tag in self.tags[:_TAGS_MAX])


def asked_placement(regions: Sequence[str] | None, tags: Sequence[str] | None) -> Placement:
    """Where the client wants its answer to come from, by its headers; ``None`` for one that it did not send.

    Raises BadRequest: a wish that cannot be read is not left out, for then it would be answered from anywhere.
    """
    if regions is None and tags is None:
        return ANYWHERE
    return Placement(_labels(REGIONS_HEADER, regions), _labels(REQUIRED_TAGS_HEADER, tags))


def _labels(header: str, stated: Sequence[str] | None) -> frozenset[str]:
    if stated is None:
        return frozenset()
    if not stated or len(stated) > _LABELS_MAX or not all(LABEL.fullmatch(one) for one in stated):
        raise BadRequest(
            f"Invalid '{header}': expected one to {_LABELS_MAX} words such as eu-west-1, with commas between them.",
            param=header,
            code="invalid_value",
        )
    return frozenset(stated)


def asked_loss(stated: Sequence[str] | None) -> float | None:
    """How much quality the client lets go, by its header; ``None`` for one that it did not send. Raises BadRequest."""
    if stated is None:
        return None
    if len(stated) != 1 or (loss := LOSSES.get(stated[0].lower())) is None:
        raise BadRequest(
            f"Invalid '{QUALITY_HEADER}': expected {', '.join(LOSSES)}.", param=QUALITY_HEADER, code="invalid_value"
        )
    return loss


def asked_conversation(stated: Sequence[str] | None) -> str | None:
    """What the client calls its conversation, by its header; ``None`` if it did not send one. Raises BadRequest."""
    if stated is None:
        return None
    name = ",".join(stated)
    if not 0 < len(name) <= _CONVERSATION_CHARS_MAX:
        raise BadRequest(
            f"Invalid '{CONVERSATION_HEADER}': expected 1 to {_CONVERSATION_CHARS_MAX} characters.",
            param=CONVERSATION_HEADER,
            code="invalid_value",
        )
    return name


def asked_cost_max(stated: Sequence[str] | None) -> int | None:
    """The most that the call may be expected to cost, in nano-dollars; ``None`` without header. Raises BadRequest."""
    if stated is None:
        return None
    if len(stated) == 1 and _USD.fullmatch(stated[0]):
        amount = Decimal(stated[0])
        if 0 < amount <= BUDGET_NUSD_MAX // NANO:
            return int(amount * NANO)
    raise BadRequest(
        f"Invalid '{COST_HEADER}': expected dollars such as 0.002, more than 0, to nine decimals.",
        param=COST_HEADER,
        code="invalid_value",
    )


def asked_deflection(stated: Sequence[str]) -> bool:
    """Whether the client takes answers without a model, by its header. Raises BadRequest."""
    wish = stated[0].lower() if len(stated) == 1 else ""
    if wish not in {"on", "off"}:
        raise BadRequest(f"Invalid '{DEFLECT_HEADER}': expected off.", param=DEFLECT_HEADER, code="invalid_value")
    return wish == "on"


def asked_wrong_answers_max(stated: Sequence[str] | None) -> float | None:
    """The share of requests that may be given another question's answer; ``None`` without header. Raises BadRequest."""
    if stated is None:
        return None
    if len(stated) == 1 and _SHARE.fullmatch(stated[0]) and (share := float(stated[0])) <= 1:
        return share
    raise BadRequest(
        f"Invalid '{WRONG_ANSWERS_HEADER}': expected a share of 1 such as 0.002; 0 takes no such answers.",
        param=WRONG_ANSWERS_HEADER,
        code="invalid_value",
    )


def asked_cache_control(stated: Sequence[str] | None) -> CacheControl:
    """What the client allows of kept answers, by its Cache-Control. Words that mean nothing here are passed over."""
    said = [word.lower().partition("=") for word in stated or ()]
    words = {name.strip() for name, _, _ in said}
    return CacheControl(
        may_read=words.isdisjoint({"no-cache", "no-store"}),
        may_keep="no-store" not in words,
        age_s_max=min((_age_s(age.strip(' "')) for name, _, age in said if name.strip() == "max-age"), default=None),
        is_cached_only="only-if-cached" in words,
    )


def _age_s(text: str) -> int:
    """An age that cannot be read is none at all; one that is longer than anything is kept is as good as any."""
    return int(text[:_AGE_DIGITS_MAX]) if text.isascii() and text.isdigit() else 0


def asked_model(fields: Mapping[str, msgspec.Raw], default: str | None = None) -> str:
    """The model that the request names. Raises BadRequest: a missing one is never guessed."""
    for name in fields:
        if name in _OTHER_MODELS:
            raise _not_taken(name, "which model answers is said by 'model' alone, or by a route")
        # Nearly every name is in small letters; those of other alphabets may fold into ours.
        if not (name.islower() and name.isascii()) and (meant := name.casefold()) in _SPELLED:
            raise _not_taken(name, f"write '{meant}'")
    model = wire.field(fields, "model", str, "a string") or default
    if not model:
        raise BadRequest("You must provide a 'model' parameter.", param="model", code="missing_required_parameter")
    if len(model) > _MODEL_CHARS_MAX:
        raise BadRequest(f"'model' is longer than {_MODEL_CHARS_MAX} characters.", param="model", code="invalid_value")
    return model


def _not_taken(name: str, instead: str) -> BadRequest:
    return BadRequest(f"'{name}' is not taken: {instead}.", param=name, code="unsupported_parameter")


def check_required(fields: Mapping[str, msgspec.Raw], name: str, first_bytes: bytes, expected: str) -> None:
    """Raises BadRequest unless the field is there and its JSON begins with one of ``first_bytes``."""
    raw = fields.get(name)
    if raw is None:
        raise BadRequest(f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")
    if bytes(raw)[:1] not in (first_bytes[i : i + 1] for i in range(len(first_bytes))):
        raise BadRequest(f"Invalid type for '{name}': expected {expected}.", param=name, code="invalid_type")


def end_user(fields: Mapping[str, msgspec.Raw], *names: str) -> str | None:
    """The first of the named fields that says who the client's own user is, as the ledger can keep it.

    Postgres holds no NUL: under another name than on the ledger it would have a balance that no ledger bears out.
    """
    for name in names:
        if name in fields and (value := wire.field(fields, name, str, "a string")):
            return value[:END_USER_CHARACTERS_MAX].replace("\0", "\ufffd")
    return None


def first_integer(fields: Mapping[str, msgspec.Raw], *names: str) -> int | None:
    """The first of the named fields that holds an integer."""
    for name in names:
        if name in fields and (value := wire.field(fields, name, int, "an integer")) is not None:
            return value
    return None
