"""Make the catalog snapshot from a validated document: find prices, expand wildcards, check every name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from urllib.parse import urlsplit

from gateway.catalog.guards import check_guards, rules_of
from gateway.catalog.listed_rates import StatedRates, nusd_per_million, with_sizes
from gateway.catalog.pricelist import SERVED_MODES, TEXT_MODES, ListedModel, PriceList, PriceListError
from gateway.catalog.routes import route_of
from gateway.catalog.schema import (
    CatalogPart,
    DeploymentPart,
    Price,
    ProviderPart,
    TierPrice,
)
from gateway.catalog.schema_fields import did_you_mean
from gateway.catalog.snapshot import CatalogSnapshot, OpenWildcard, content_hash
from gateway.catalog.text import CatalogError, Document, Path, Problem
from gateway.domain import (
    NANO,
    Capability,
    Deployment,
    Endpoint,
    Meter,
    PrefixCache,
    Provider,
    Route,
    Tariff,
    Timeouts,
    UpstreamLimits,
)
from policies.eligibility import misplaced
from policies.pricing import SERVICE_TIERS, STANDARD, discounted, free_tariff, make_rate_card

_KNOWN_URLS: Mapping[str, str] = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com/v1",
}
# Whose prices hold at a well-known address, as the price list names the provider.
PROVIDER_OF_HOST: Mapping[str, str] = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gemini",
    "api.mistral.ai": "mistral",
    "api.groq.com": "groq",
    "api.deepseek.com": "deepseek",
    "api.x.ai": "xai",
    "api.together.xyz": "together_ai",
    "api.together.ai": "together_ai",
    "api.fireworks.ai": "fireworks_ai",
    "openrouter.ai": "openrouter",
    "api.perplexity.ai": "perplexity",
    "api.cerebras.ai": "cerebras",
    "api.deepinfra.com": "deepinfra",
    "api.moonshot.ai": "moonshot",
}
_OWN_MACHINES = frozenset({"vllm", "simulator"})  # nobody's list has their price


def build(document: Document, part: CatalogPart, prices: Callable[[], PriceList]) -> CatalogSnapshot:
    """The snapshot; ``prices`` reads the price list when it is first needed. Raises CatalogError with every fault."""
    builder = _Builder(document, part, prices)
    snapshot = builder.build()
    if builder.problems:
        raise CatalogError(builder.problems)
    return replace(snapshot, hash=content_hash(snapshot))


class _Builder:
    def __init__(self, document: Document, part: CatalogPart, prices: Callable[[], PriceList]) -> None:
        self.document = document
        self.part = part
        self.prices = prices
        self.problems: list[Problem] = []
        self.deployments: dict[str, Deployment] = {}
        self.disabled: dict[str, Deployment] = {}
        self.wildcards: list[OpenWildcard] = []
        self.families: dict[str, tuple[str, ...]] = {}

    def refuse(self, path: Path, reason: str) -> None:
        self.problems.append(Problem(self.document.file, self.document.line_of(path), reason))

    def build(self) -> CatalogSnapshot:
        providers = {name: _provider(name, part) for name, part in self.part.providers.items()}
        self._check_names()
        # Wildcards come last: what is written out wins over what a wildcard makes.
        numbered = sorted(enumerate(self.part.deployments), key=lambda item: item[1].is_wildcard)
        for index, deployment in numbered:
            path: Path = ("deployments", index)
            if deployment.provider not in providers:
                near = did_you_mean(deployment.provider, providers)
                self.refuse((*path, "provider"), f"there is no provider {deployment.provider!r}{near}")
                continue
            try:
                self._add(path, deployment, providers[deployment.provider])
            except PriceListError as exc:
                self.refuse(path, f"{deployment.name}: {exc}")
        snapshot = CatalogSnapshot(
            source=self.document.file,
            hash="",
            routes=self._routes(),
            deployments=self.deployments,
            disabled=self.disabled,
            wildcards=tuple(sorted(self.wildcards, key=lambda one: len(one.name_prefix), reverse=True)),
            families=self.families,
            defaults={},
            guards=rules_of(self.part.guards, self.refuse),
            always=tuple(name for name, part in self.part.guards.items() if part.always),
        )
        check_guards(snapshot, self.part.guards, self.refuse)
        return self._with_checked_references(snapshot)

    def _check_names(self) -> None:
        lines: dict[str, int] = {}
        names: list[tuple[str, Path]] = [
            (deployment.name, ("deployments", index, "name")) for index, deployment in enumerate(self.part.deployments)
        ]
        names += [(name, ("routes", name)) for name in self.part.routes]
        for name, path in names:
            if name in lines:
                self.refuse(
                    path, f"the name {name!r} is taken on line {lines[name]}; routes and deployments share names"
                )
            lines.setdefault(name, self.document.line_of(path))

    def _add(self, path: Path, part: DeploymentPart, provider: Provider) -> None:
        """Add the deployment, or those that a wildcard makes. Raises PriceListError."""
        listed_as = _price_provider(self.part.providers[part.provider])
        if not part.is_wildcard:
            self._place(part, self._deployment(path, part, provider, self._listed(path, part, listed_as)))
            return
        if part.price is not None or part.price_of is not None or part.unpriced is not None:
            template = self._deployment(path, part, provider, self._listed(path, part, listed_as))
            if part.enabled:
                self.wildcards.append(OpenWildcard(part.name[:-1], part.model[:-1], template))
            return
        if not listed_as:
            self.refuse(
                path,
                f"{part.name}: whose prices hold for provider {part.provider!r} is unknown; give it litellm_provider "
                "(the price list's name), or the deployment a price",
            )
            return
        self._expand(path, part, provider, listed_as)

    def _expand(self, path: Path, part: DeploymentPart, provider: Provider, listed_as: str) -> None:
        """Make a deployment of every priced model of the provider that the wildcard covers. Raises PriceListError."""
        prefix = part.model[:-1]
        made = []
        modes = TEXT_MODES if provider.kind == "litellm" else SERVED_MODES  # litellm is asked for nothing else
        for model, listed in self.prices().of_provider(listed_as, modes):
            name = part.name[:-1] + model.removeprefix(prefix)
            if model.startswith(prefix) and not self._is_taken(name):
                deployment = self._deployment(path, part, provider, listed)
                self._place(part, replace(deployment, name=name, model=model))
                made.append(name)
        if not made:
            self.refuse(path, f"{part.name}: the price list has no priced model {part.model!r} of {listed_as}")
        elif part.enabled:
            self.families[part.name] = tuple(made)

    def _is_taken(self, name: str) -> bool:
        return name in self.deployments or name in self.disabled or name in self.part.routes

    def _place(self, part: DeploymentPart, deployment: Deployment) -> None:
        (self.deployments if part.enabled else self.disabled)[deployment.name] = deployment

    def _listed(self, path: Path, part: DeploymentPart, listed_as: str | None) -> ListedModel | None:
        """The list's entry for a deployment's model. Raises PriceListError."""
        if part.price_of is not None:
            found = self.prices().get(part.price_of)
            if found is None or not found.is_priced:
                near = did_you_mean(part.price_of, self.prices().keys())
                self.refuse((*path, "price_of"), f"the price list has no price of {part.price_of!r}{near}")
                return None
            return found
        if part.is_wildcard or listed_as == "":
            return None
        return self.prices().find(part.model, listed_as)

    def _deployment(
        self, path: Path, part: DeploymentPart, provider: Provider, listed: ListedModel | None
    ) -> Deployment:
        stated: Mapping[str, StatedRates] | None = None
        if isinstance(part.price, Price):
            stated = _stated(part.price)
        elif part.price is None and part.unpriced is None and listed is not None:
            stated = listed.tiers
        mode = part.mode or (listed.mode if listed is not None else _mode_of(stated))
        if isinstance(part.price, Price) and mode in {"chat", "completion"} and Meter.OUTPUT not in stated_base(stated):
            self.refuse(
                (*path, "price"), f"{part.name}: the price of a {mode} model needs an output rate (0 is one too)"
            )
        tariff = free_tariff() if part.price == "free" else None
        if stated is not None:
            tariff = _tariff(stated, self.part.providers[part.provider].discount_pct)
        limits = part.limits or part
        return Deployment(
            name=part.name,
            provider=provider,
            model=part.model,
            tariff=tariff,
            is_unpriced_allowed=part.unpriced == "allow",
            limits=UpstreamLimits(limits.requests_per_minute, limits.tokens_per_minute, limits.parallel_requests),
            mode=mode,
            context_tokens_max=part.context_tokens_max or (listed.context_tokens_max if listed else None),
            output_tokens_max=part.output_tokens_max or (listed.output_tokens_max if listed else None),
            asks_stream_usage=part.asks_stream_usage,
            speaks=_dialects(self.part.providers[part.provider]),
            lacks=_lacks(part, listed),
            region=part.region,
            quality=part.quality,
            tags=frozenset(part.tags),
        )

    def _routes(self) -> Mapping[str, Route]:
        return {name: route_of(name, part) for name, part in self.part.routes.items()}

    def _with_checked_references(self, snapshot: CatalogSnapshot) -> CatalogSnapshot:
        """The snapshot with its defaults, every name in routes and defaults having been looked up."""
        deployments = [*snapshot.deployments, *snapshot.disabled]
        for name, route in snapshot.routes.items():
            for index, member in enumerate(route.deployments):
                if member in route.deployments[:index]:
                    self.refuse(("routes", name, "deployments", index), f"{member!r} stands twice")
                if snapshot.reference(member) is None:
                    near = did_you_mean(member, deployments)
                    self.refuse(("routes", name, "deployments", index), f"there is no deployment {member!r}{near}")
            for member in route.weights:
                if member not in route.deployments:
                    near = did_you_mean(member, route.deployments)
                    self.refuse(("routes", name, "weights", member), f"the route has no deployment {member!r}{near}")
            self._check_placement(snapshot, route)
            self._check_asked_besides(snapshot, route, deployments)
            if route.baseline is not None:
                self._check_baseline(snapshot, route, route.baseline, deployments)
        moderations = self.part.defaults.moderations
        if moderations is None:
            return snapshot
        if moderations not in snapshot.routes and snapshot.reference(moderations) is None:
            near = did_you_mean(moderations, [*snapshot.routes, *deployments])
            self.refuse(("defaults", "moderations"), f"there is no route or deployment {moderations!r}{near}")
        return replace(snapshot, defaults={Endpoint.MODERATIONS: moderations})

    def _check_placement(self, snapshot: CatalogSnapshot, route: Route) -> None:
        """Refuse a route none of whose deployments is where it wants them: it would answer nobody."""
        known = [one for name in route.deployments if (one := snapshot.reference(name)) is not None]
        reasons = [reason for one in known if (reason := misplaced(one, route.placement, "the route"))]
        if known and len(reasons) == len(known):
            listed = "; ".join(f"{one.name}: {reason.text}" for one, reason in zip(known, reasons, strict=True))
            self.refuse(("routes", route.name), f"no deployment is where the route wants it: {listed}")

    def _check_asked_besides(self, snapshot: CatalogSnapshot, route: Route, known: Iterable[str]) -> None:
        """Refuse a verifier or an embedder that is none, or to which the route's questions may not go."""
        verifier = route.cascade.verifier if route.cascade is not None else None
        embedding = route.semantic_cache.embedding if route.semantic_cache is not None else None
        besides: tuple[tuple[str | None, Path], ...] = (
            (verifier, ("routes", route.name, "cascade", "gate", "verifier", "deployment")),
            (embedding, ("routes", route.name, "cache", "semantic", "embedding")),
        )
        for name, path in besides:
            asked = snapshot.reference(name) if name is not None else None
            if name is not None and asked is None:
                self.refuse(path, f"there is no deployment {name!r}{did_you_mean(name, known)}")
            elif asked is not None and (reason := misplaced(asked, route.placement, "the route")):
                self.refuse(path, f"{name!r} is not where the route wants its questions: {reason.text}")

    def _check_baseline(self, snapshot: CatalogSnapshot, route: Route, baseline: str, known: Iterable[str]) -> None:
        path: Path = ("routes", route.name, "baseline")
        reference = snapshot.reference(baseline)
        if reference is None:
            self.refuse(path, f"there is no deployment {baseline!r}{did_you_mean(baseline, known)}")
        elif reference.tariff is None:
            self.refuse(path, f"the baseline {baseline!r} has no price, so nothing can be compared with it")


def _provider(name: str, part: ProviderPart) -> Provider:
    base_url = (part.base_url or _KNOWN_URLS.get(part.kind, "")).rstrip("/")
    if part.kind == "anthropic" and not urlsplit(base_url).path:
        base_url += "/v1"  # Anthropic's SDKs add it themselves, so that its addresses are known without
    return Provider(
        name=name,
        kind=part.kind,
        base_url=base_url,
        api_key=part.api_key,
        headers=dict(part.headers),
        query=dict(part.query),
        litellm_provider=part.litellm_provider or "",
        discount_pct=float(part.discount_pct),
        timeouts=Timeouts(**part.timeouts.model_dump()),
        prefix_cache=_prefix_cache(part),
    )


# What is not stated otherwise keeps nothing unless its usage says so: see PrefixCache.
_PREFIX_CACHES: Mapping[str, PrefixCache] = {
    "openai": PrefixCache(ttl_s=300, tokens_min=1024, is_automatic=True),
    "azure": PrefixCache(ttl_s=300, tokens_min=1024, is_automatic=True),
    "vllm": PrefixCache(ttl_s=600, tokens_min=16, is_automatic=True),
}


def _prefix_cache(part: ProviderPart) -> PrefixCache:
    usual, stated = _PREFIX_CACHES.get(part.kind, PrefixCache()), part.prefix_cache
    return PrefixCache(
        ttl_s=usual.ttl_s if stated.ttl_s is None else stated.ttl_s,
        tokens_min=usual.tokens_min if stated.tokens_min is None else stated.tokens_min,
        is_automatic=usual.is_automatic if stated.automatic is None else stated.automatic,
    )


def _lacks(part: DeploymentPart, listed: ListedModel | None) -> frozenset[Capability]:
    """What the deployment cannot do: all that the file leaves out, else what the price list knows of."""
    if part.capabilities is not None:
        return frozenset(Capability) - frozenset(part.capabilities)
    return listed.lacks if listed is not None else frozenset()


_DIALECTS: Mapping[str, Endpoint] = {
    "chat": Endpoint.CHAT,
    "responses": Endpoint.RESPONSES,
    "messages": Endpoint.MESSAGES,
}
_DIALECTS_OF_KIND: Mapping[str, tuple[str, ...]] = {
    "openai": ("chat", "responses"),
    "azure": ("chat", "responses"),
    "vllm": ("chat", "responses", "messages"),
    "anthropic": ("messages",),
}


def _dialects(part: ProviderPart) -> frozenset[Endpoint]:
    """What the provider speaks: what the file says, or what its kind does; every other server speaks chat."""
    return frozenset(_DIALECTS[name] for name in part.dialects or _DIALECTS_OF_KIND.get(part.kind, ("chat",)))


def _price_provider(part: ProviderPart) -> str | None:
    """Whose prices hold, as the price list names it; "" where no list applies, None where nobody knows."""
    if part.litellm_provider is not None:
        return part.litellm_provider
    if part.kind in _OWN_MACHINES:
        return ""
    if part.kind in {"openai", "azure", "anthropic"}:
        return part.kind
    return PROVIDER_OF_HOST.get(urlsplit(part.base_url or "").hostname or "")


def stated_base(stated: Mapping[str, StatedRates] | None) -> Mapping[Meter, int]:
    return stated[STANDARD].base if stated else {}


def _mode_of(stated: Mapping[str, StatedRates] | None) -> str:
    """What a model is when neither the file nor the price list says: one that has no output rate writes nothing."""
    base = stated_base(stated)
    if not base or Meter.OUTPUT in base:
        return "chat"
    return next((mode for meter, mode in _MODE_OF_METER.items() if meter in base), "embedding")


_MODE_OF_METER: Mapping[Meter, str] = {
    Meter.CHARACTER: "audio_speech",
    Meter.SECOND: "audio_transcription",
    Meter.IMAGE_GENERATED: "image_generation",
    Meter.IMAGE_OUTPUT: "image_generation",
    Meter.QUERY: "rerank",
}


def _stated(price: Price) -> Mapping[str, StatedRates]:
    tiers: dict[str, TierPrice | None] = {STANDARD: price, **{tier: getattr(price, tier) for tier in SERVICE_TIERS}}
    stated = {
        tier: StatedRates(
            _nusd(one.usd_per_million()), {limit: _nusd(rates) for limit, rates in one.by_limit().items()}
        )
        for tier, one in tiers.items()
        if one is not None
    }
    sizes = {size: nusd_per_million(usd) for size, usd in price.usd_per_image_of.items()}
    return with_sizes(stated, sizes) if sizes else stated


def _nusd(usd_per_million: Mapping[Meter, Decimal]) -> Mapping[Meter, int]:
    return {meter: int((usd * NANO).to_integral_value()) for meter, usd in usd_per_million.items()}


def _tariff(stated: Mapping[str, StatedRates], discount_pct: Decimal) -> Tariff:
    """Complete cards from stated rates, each stated rate less the provider's discount."""
    kept, whole = ((100 - discount_pct) / 100).as_integer_ratio()

    def less(rates: Mapping[Meter, int]) -> Mapping[Meter, int]:
        return rates if kept == whole else discounted(rates, kept, whole)

    def tiers_of(one: StatedRates) -> Mapping[int, Mapping[Meter, int]]:
        return {limit: less(rates) for limit, rates in one.context_tiers.items()}

    standard = make_rate_card(less(stated[STANDARD].base), tiers_of(stated[STANDARD]))
    cards = {STANDARD: standard}
    for tier, one in stated.items():
        if tier != STANDARD:
            cards[tier] = make_rate_card(less(one.base), tiers_of(one), standard)
    return Tariff(cards=cards)
