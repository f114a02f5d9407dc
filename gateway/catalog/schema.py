"""What a catalog file may say: its keys, their types and bounds, checked whole. Unknown keys are errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from gateway.catalog.guard_schema import CatalogGuard, GuardName
from gateway.catalog.route_schema import RoutePart
from gateway.catalog.schema_fields import (
    Address,
    Credential,
    HeaderName,
    HeaderValue,
    ImageSize,
    Label,
    Limit,
    Mode,
    Name,
    Part,
    Quality,
    Rate,
    Seconds,
    UnitPrice,
    no_bool,
)
from gateway.catalog.text import CatalogError, Document, Problem
from gateway.domain import Capability, Meter

_ABOVE = re.compile(r"above_([1-9]\d{0,6})k\Z")


class Rates(Part):
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


class TimeoutsPart(Part):
    connect_s: Seconds = 5.0
    first_token_s: Seconds = 120.0
    between_tokens_s: Seconds = 60.0
    total_s: Seconds = 1800.0


class PrefixCachePart(Part):
    ttl_s: Seconds | None = None
    tokens_min: Limit | None = None
    automatic: bool | None = None


class ProviderPart(Part):
    kind: Literal["openai", "openai_compatible", "azure", "vllm", "anthropic", "litellm", "simulator"]
    dialects: Annotated[tuple[Literal["chat", "responses", "messages"], ...], Field(min_length=1)] | None = None
    base_url: Address | None = None
    api_key: Credential = ""
    headers: Mapping[HeaderName, HeaderValue] = Field(default_factory=dict)
    query: Mapping[str, str] = Field(default_factory=dict)
    litellm_provider: Name | None = None
    discount_pct: Annotated[Decimal, BeforeValidator(no_bool), Field(ge=0, le=100)] = Decimal(0)
    timeouts: TimeoutsPart = TimeoutsPart()
    prefix_cache: PrefixCachePart = PrefixCachePart()

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> ProviderPart:
        if self.kind in {"openai_compatible", "azure", "vllm"} and self.base_url is None:
            raise PydanticCustomError("no_base_url", "kind {kind} needs a base_url", {"kind": self.kind})
        if self.kind == "litellm" and self.litellm_provider is None:
            raise PydanticCustomError("no_litellm_provider", "kind litellm needs litellm_provider, such as anthropic")
        return self


class LimitsPart(Part):
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


class DefaultsPart(Part):
    """Names that stand in where the API lets clients leave ``model`` out."""

    moderations: Name | None = None


class CatalogPart(Part):
    providers: Mapping[Name, ProviderPart]
    deployments: tuple[DeploymentPart, ...]
    routes: Mapping[Name, RoutePart] = Field(default_factory=dict)
    guards: Mapping[GuardName, CatalogGuard] = Field(default_factory=dict)
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
