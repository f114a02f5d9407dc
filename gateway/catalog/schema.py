"""What a catalog file may say: its keys, their types and bounds, checked whole. Unknown keys are errors."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from gateway.catalog.text import CatalogError, Document, Problem
from gateway.domain import BUDGET_NUSD_MAX, LABEL, NANO, Capability, Meter

NAME_LENGTH_MAX = 200
_ABOVE = re.compile(r"above_([1-9]\d{0,6})k\Z")


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """A question in brackets that names the nearest known word, empty when none is near."""
    near = difflib.get_close_matches(wrong, list(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]}?)" if near else ""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _knows_every_key(cls, data: Any) -> Any:
        """Name the unknown key and the nearest known one, which ``extra="forbid"`` alone would not."""
        if not isinstance(data, dict):
            raise PydanticCustomError("no_mapping", "expected keys and values")
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for key in data:
            if key not in known and not cls._allows(key):
                near = did_you_mean(key, known)
                raise PydanticCustomError("unknown_key", "unknown key {key}{near}", {"key": key, "near": near})
        return data

    @classmethod
    def _allows(cls, key: str) -> bool:
        del key
        return False


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise PydanticCustomError("no_number", "expected a number")
    return value


def _is_name(value: str) -> str:
    if not value or len(value) > NAME_LENGTH_MAX or not value.isprintable() or " " in value:
        raise PydanticCustomError("bad_name", "expected a name without spaces, of at most 200 characters")
    return value


def _is_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        is_good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets or a port that are none
        is_good = False
    if not is_good or not value.isprintable() or " " in value:
        raise PydanticCustomError("bad_url", "expected an address such as https://host/v1")
    return value


def _is_credential(value: str) -> str:
    """A key goes into a header: a line break at its end (from a file) or a space would break or smuggle one."""
    if not re.fullmatch(r"[\x21-\x7e]*", value):
        raise PydanticCustomError("bad_key", "a key is printable ASCII without spaces or line breaks")
    return value


def _is_header_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", value):
        raise PydanticCustomError("bad_header", "expected the name of an HTTP header")
    return value


def _is_header_value(value: str) -> str:
    if not re.fullmatch(r"[\x20-\x7e\t]*", value):
        raise PydanticCustomError("bad_header", "a header's value is printable ASCII without line breaks")
    return value


def _is_label(value: str) -> str:
    if not LABEL.fullmatch(value):
        raise PydanticCustomError("bad_label", "expected a word such as eu-west-1, of letters, digits and . _ : -")
    return value


def _is_image_size(value: str) -> str:
    if not re.fullmatch(r"([a-z]+/)?[1-9]\d{0,4}x[1-9]\d{0,4}", value):
        raise PydanticCustomError("bad_size", "expected a size such as 1024x1536, or with a quality: hd/1024x1536")
    return value


Name = Annotated[str, AfterValidator(_is_name)]
Label = Annotated[str, AfterValidator(_is_label)]
Labels = Annotated[tuple[Label, ...], Field(min_length=1)]
HeaderName = Annotated[str, AfterValidator(_is_header_name)]
HeaderValue = Annotated[str, AfterValidator(_is_header_value)]
# USD per one million tokens. The bound keeps a slip of the pen (USD per token) from becoming a bill.
Rate = Annotated[Decimal, BeforeValidator(_no_bool), Field(ge=0, le=1_000_000)]
UnitPrice = Annotated[Decimal, BeforeValidator(_no_bool), Field(ge=0, le=1000)]  # USD per one unit
Limit = Annotated[int, BeforeValidator(_no_bool), Field(ge=1)]
Days = Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=3650)]
Weight = Annotated[float, BeforeValidator(_no_bool), Field(ge=0, le=1_000_000)]
Mode = Literal[
    "chat",
    "completion",
    "responses",
    "embedding",
    "moderation",
    "audio_speech",
    "audio_transcription",
    "image_generation",
    "image_edit",
    "rerank",
]
ImageSize = Annotated[str, AfterValidator(_is_image_size)]
Share = Annotated[float, BeforeValidator(_no_bool), Field(ge=0, lt=1)]
Quality = Annotated[float, BeforeValidator(_no_bool), Field(ge=0, le=1)]
Cap = Annotated[Decimal, BeforeValidator(_no_bool), Field(gt=0, le=BUDGET_NUSD_MAX // NANO, decimal_places=9)]  # USD
Seconds = Annotated[float, BeforeValidator(_no_bool), Field(gt=0, le=86400)]
Least = Annotated[float, BeforeValidator(_no_bool), Field(gt=0, le=1)]


class Rates(_Part):
    """Prices of one service tier. Token rates are USD per one million tokens, the others USD per unit."""

    input: Rate | None = None
    cached_input: Rate | None = None
    cache_write: Rate | None = None
    cache_write_long: Rate | None = None
    output: Rate | None = None
    reasoning: Rate | None = None
    audio_input: Rate | None = None
    audio_output: Rate | None = None
    image: Rate | None = None
    image_output: Rate | None = None
    usd_per_image_generated: UnitPrice | None = None
    usd_per_character: UnitPrice | None = None
    usd_per_second: UnitPrice | None = None
    usd_per_query: UnitPrice | None = None
    usd_per_web_search: UnitPrice | None = None
    usd_per_code_session: UnitPrice | None = None

    def usd_per_million(self) -> Mapping[Meter, Decimal]:
        """The stated prices, all as USD per one million units."""
        stated: dict[Meter, Decimal] = {}
        for meter in Meter:
            per_million = getattr(self, meter.value, None)
            per_unit = getattr(self, f"usd_per_{meter.value}", None)
            if per_million is not None:
                stated[meter] = per_million
            elif per_unit is not None:
                stated[meter] = per_unit * 1_000_000
        return stated


class TierPrice(Rates):
    """Prices of one service tier with its context tiers: ``above_200k`` holds for inputs of more than 200,000 tokens.

    The keys ``above_<N>k`` are gathered in ``context_tiers``, which a file cannot name.
    """

    context_tiers: Annotated[Mapping[str, Rates], Field(default_factory=dict)]

    @classmethod
    def _allows(cls, key: str) -> bool:
        return _ABOVE.match(key) is not None

    @model_validator(mode="before")
    @classmethod
    def _gathers_context_tiers(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        if "context_tiers" in data:
            raise PydanticCustomError("unknown_key", "unknown key {key}{near}", {"key": "context_tiers", "near": ""})
        tiers = {key: value for key, value in data.items() if _ABOVE.match(key)}
        return {**{key: value for key, value in data.items() if key not in tiers}, "context_tiers": tiers}

    def by_limit(self) -> Mapping[int, Mapping[Meter, Decimal]]:
        """Stated prices by the input tokens above which they hold."""
        return {
            int(found[1]) * 1000: rates.usd_per_million()
            for key, rates in self.context_tiers.items()
            if (found := _ABOVE.match(key))
        }


class Price(TierPrice):
    """A whole price. ``usd_per_image_of`` is USD per image by size, where sizes cost differently."""

    usd_per_image_of: Mapping[ImageSize, UnitPrice] = Field(default_factory=dict)
    batch: TierPrice | None = None
    flex: TierPrice | None = None
    priority: TierPrice | None = None
    fast: TierPrice | None = None

    @model_validator(mode="after")
    def _states_a_rate(self) -> Price:
        stated = self.usd_per_million()
        if not stated and not self.usd_per_image_of:
            raise PydanticCustomError("no_rate", "a price states at least one rate; what costs nothing is price: free")
        if Meter.OUTPUT in stated and Meter.INPUT not in stated:
            raise PydanticCustomError("no_input_rate", "the price states output but not input (0 is a rate too)")
        return self


def _which_price(value: object) -> str:
    return "rates" if isinstance(value, dict | Price) else "word"


def _is_free(value: object) -> object:
    if value != "free":
        raise PydanticCustomError("bad_price", "expected rates, such as {input: 0.5, output: 2}, or the word free")
    return value


PriceOrFree = Annotated[
    Annotated[Price, Tag("rates")] | Annotated[Literal["free"], BeforeValidator(_is_free), Tag("word")],
    Discriminator(_which_price),
]


class TimeoutsPart(_Part):
    connect_s: Seconds = 5.0
    first_token_s: Seconds = 120.0
    between_tokens_s: Seconds = 60.0
    total_s: Seconds = 1800.0


class PrefixCachePart(_Part):
    ttl_s: Seconds | None = None
    tokens_min: Limit | None = None
    automatic: bool | None = None


class ProviderPart(_Part):
    kind: Literal["openai", "openai_compatible", "azure", "vllm", "anthropic", "litellm", "simulator"]
    dialects: Annotated[tuple[Literal["chat", "responses", "messages"], ...], Field(min_length=1)] | None = None
    base_url: Annotated[str, AfterValidator(_is_url)] | None = None
    api_key: Annotated[str, AfterValidator(_is_credential)] = ""
    headers: Mapping[HeaderName, HeaderValue] = Field(default_factory=dict)
    query: Mapping[str, str] = Field(default_factory=dict)
    litellm_provider: Name | None = None
    discount_pct: Annotated[Decimal, BeforeValidator(_no_bool), Field(ge=0, le=100)] = Decimal(0)
    timeouts: TimeoutsPart = TimeoutsPart()
    prefix_cache: PrefixCachePart = PrefixCachePart()

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> ProviderPart:
        if self.kind in {"openai_compatible", "azure", "vllm"} and self.base_url is None:
            raise PydanticCustomError("no_base_url", "kind {kind} needs a base_url", {"kind": self.kind})
        if self.kind == "litellm" and self.litellm_provider is None:
            raise PydanticCustomError("no_litellm_provider", "kind litellm needs litellm_provider, such as anthropic")
        return self


class LimitsPart(_Part):
    requests_per_minute: Limit | None = None
    tokens_per_minute: Limit | None = None
    parallel_requests: Limit | None = None


class DeploymentPart(LimitsPart):
    """One deployment. Limits may stand in it or in its ``limits``."""

    name: Name
    provider: Name
    model: Name
    price: PriceOrFree | None = None
    price_of: Name | None = None
    unpriced: Literal["allow"] | None = None
    limits: LimitsPart | None = None
    enabled: bool = True
    mode: Mode | None = None
    context_tokens_max: Limit | None = None
    output_tokens_max: Limit | None = None
    asks_stream_usage: bool = True
    quality: Quality | None = None
    capabilities: tuple[Capability, ...] | None = None
    region: Label | None = None
    tags: tuple[Label, ...] = ()

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> DeploymentPart:
        if self.model.count("*") > 1 or ("*" in self.model and not self.model.endswith("*")):
            raise PydanticCustomError("bad_wildcard", "a wildcard is one * at the end of model")
        if self.name.count("*") > 1 or self.name.endswith("*") != self.model.endswith("*") or "*" in self.name[:-1]:
            raise PydanticCustomError("bad_wildcard", "a wildcard needs one * at the end of both name and model")
        if sum(part is not None for part in (self.price, self.price_of, self.unpriced)) > 1:
            raise PydanticCustomError("two_prices", "give one of price, price_of, unpriced")
        if self.limits is not None and any(getattr(self, field) is not None for field in LimitsPart.model_fields):
            raise PydanticCustomError("two_limits", "give the limits either in limits or beside it")
        return self

    @property
    def is_wildcard(self) -> bool:
        return self.model.endswith("*")


class ConversationsPart(_Part):
    sticky: bool = True
    switching_share_max: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    remembered_s: Annotated[int, Field(ge=1, le=604_800)] = 3600


class AgreementPart(_Part):
    samples: Annotated[int, BeforeValidator(_no_bool), Field(ge=2, le=10)]
    share_min: Least


class VerifierPart(_Part):
    deployment: Name
    score_min: Least


class GatePart(_Part):
    """What an answer must pass, all of it."""

    logprob_min: Least | None = None
    schema_: Annotated[bool, Field(alias="schema")] = False  # pydantic has a use of its own for the name
    agreement: AgreementPart | None = None
    verifier: VerifierPart | None = None

    @model_validator(mode="after")
    def _has_one(self) -> GatePart:
        if not self.schema_ and self.logprob_min is None and self.agreement is None and self.verifier is None:
            raise PydanticCustomError("no_gate", "state at least one of logprob_min, schema, agreement, verifier")
        return self


class CascadePart(_Part):
    gate: GatePart
    steps_max: Annotated[int, BeforeValidator(_no_bool), Field(ge=2, le=5)] = 2


class ExactPart(_Part):
    ttl_s: Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=604_800)] = 3600
    scope: Literal["key", "team", "organization", "all"] = "team"
    tool_calls: bool = False
    any_temperature: bool = False
    bytes_max: Annotated[int, BeforeValidator(_no_bool), Field(ge=1024, le=16_777_216)] = 262_144


class CachePart(_Part):
    """Which answers a route gives again."""

    exact: ExactPart


class RoutePart(_Part):
    deployments: Annotated[tuple[Name, ...], Field(min_length=1)]
    policy: Literal["ordered", "weighted", "lowest_latency", "cheapest_adequate", "cascade"] = "ordered"
    quality_loss_max: Share | None = None
    cost_max_usd: Cap | None = None
    cascade: CascadePart | None = None
    cache: CachePart | None = None
    keep_prompts_days: Days | None = None
    weights: Annotated[Mapping[Name, Weight], Field(min_length=1)] | None = None
    regions: Labels | None = None
    tags: Labels | None = None
    first_token_p95_s_max: Seconds | None = None
    baseline: Name | None = None
    output_tokens_max_default: Limit | None = None
    conversations: ConversationsPart | None = None

    @model_validator(mode="after")
    def _states_a_loss_that_its_policy_can_keep(self) -> RoutePart:
        if self.quality_loss_max is not None and self.policy != "cheapest_adequate":
            raise PydanticCustomError("idle_loss", "only policy: cheapest_adequate has a quality_loss_max")
        return self

    @model_validator(mode="after")
    def _has_gates_where_it_cascades(self) -> RoutePart:
        if self.cascade is not None and self.policy != "cascade":
            raise PydanticCustomError("idle_cascade", "only policy: cascade has a cascade")
        if self.cascade is None and self.policy == "cascade":
            raise PydanticCustomError("no_cascade", "policy: cascade needs a cascade with its gate")
        return self

    @model_validator(mode="after")
    def _has_weights_that_can_be_drawn_from(self) -> RoutePart:
        if self.weights is None:
            return self
        if self.policy != "weighted":
            raise PydanticCustomError("idle_weights", "only policy: weighted has weights")
        if not any(self.weights.get(name, 1) for name in self.deployments):
            raise PydanticCustomError("no_weight", "all weights are 0, so that none can be drawn")
        return self


class DefaultsPart(_Part):
    """Names that stand in where the API lets clients leave ``model`` out."""

    moderations: Name | None = None


class CatalogPart(_Part):
    providers: Mapping[Name, ProviderPart]
    deployments: tuple[DeploymentPart, ...]
    routes: Mapping[Name, RoutePart] = Field(default_factory=dict)
    defaults: DefaultsPart = DefaultsPart()


def validate(document: Document) -> CatalogPart:
    """The document as a catalog. Raises CatalogError with every fault that was found."""
    try:
        return CatalogPart.model_validate(document.data)
    except ValidationError as exc:
        problems = [_problem(document, dict(error)) for error in exc.errors(include_url=False, include_input=False)]
        raise CatalogError(problems) from None  # the cause would carry the file's values, secrets among them


def _problem(document: Document, error: dict[str, Any]) -> Problem:
    path: tuple[str | int, ...] = error["loc"]
    context = error.get("ctx") or {}
    if error["type"] == "unknown_key":
        path = (*path, context["key"])
    found = document.known_part_of(path)
    shown = (*found, path[-1]) if error["type"] == "missing" else found
    place = ".".join(str(step) for step in shown)
    reason = "is missing" if error["type"] == "missing" else str(error["msg"])
    return Problem(document.file, document.line_of(path), f"{place}: {reason}" if place else reason)
