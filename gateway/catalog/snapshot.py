"""The catalog that stands: an immutable snapshot of all routes and deployments, which can describe itself."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from urllib.parse import urlsplit, urlunsplit

import msgspec

from gateway.domain import (
    MILLION,
    NANO,
    Deployment,
    Endpoint,
    GuardRule,
    Meter,
    Provider,
    Route,
    Tariff,
    WebhookSettings,
    Where,
)

_LISTED_AT_MOST = 12
_NAME_LENGTH_MAX = 200
_PER_TOKEN = frozenset(Meter) - {
    Meter.IMAGE_GENERATED,
    Meter.CHARACTER,
    Meter.SECOND,
    Meter.QUERY,
    Meter.WEB_SEARCH,
    Meter.CODE_SESSION,
}


@dataclass(frozen=True, slots=True)
class OpenWildcard:
    """Makes a deployment of any name that starts right; all have the template's price."""

    name_prefix: str
    model_prefix: str
    template: Deployment

    def make(self, name: str) -> Deployment | None:
        rest = name[len(self.name_prefix) :]
        if not rest or not name.startswith(self.name_prefix) or len(name) > _NAME_LENGTH_MAX:
            return None
        if not rest.isprintable() or " " in rest:
            return None
        return replace(self.template, name=name, model=self.model_prefix + rest)


@dataclass(frozen=True, slots=True)
class CatalogSnapshot:
    """What can be called (``gateway.ports.Catalog``). ``disabled`` deployments cannot, but keep their price.

    ``families`` groups the names that one wildcard made. ``hash`` is the same on replicas that call and charge the
    same; it tells nothing of secrets, which are not in it. ``notes`` tell the operator how it came to be. ``always``:
    the guards that stand before everything.
    """

    source: str
    hash: str
    routes: Mapping[str, Route]
    deployments: Mapping[str, Deployment]
    disabled: Mapping[str, Deployment]
    wildcards: tuple[OpenWildcard, ...]
    families: Mapping[str, tuple[str, ...]]
    defaults: Mapping[Endpoint, str]
    notes: tuple[str, ...] = ()
    guards: Mapping[str, GuardRule] = field(default_factory=dict)
    always: tuple[str, ...] = ()

    def route(self, name: str) -> Route | None:
        return self.routes.get(name)

    @property
    def policies(self) -> frozenset[str]:
        """Those that routes have."""
        return frozenset(route.policy for route in self.routes.values())

    @property
    def compares_meaning(self) -> bool:
        """Whether any route answers by what a question means."""
        return any(route.semantic_cache is not None for route in self.routes.values())

    def deployment(self, name: str) -> Deployment | None:
        """The deployment of that name, or the one that a wildcard makes of it."""
        found = self.deployments.get(name)
        if found is None and self.wildcards and name not in self.disabled:
            made = (wildcard.make(name) for wildcard in self.wildcards)
            found = next((deployment for deployment in made if deployment is not None), None)
        return found

    def reference(self, name: str) -> Deployment | None:
        """The deployment of that name for comparing prices, enabled or not: a baseline outlives an incident."""
        return self.deployment(name) or self.disabled.get(name)

    def default_model(self, endpoint: Endpoint) -> str | None:
        return self.defaults.get(endpoint)

    def names(self) -> Iterator[tuple[str, str]]:
        """Every callable name with its owner. A deployment that the path would refuse for want of a price is none."""
        for name in self.routes:
            yield name, "obol"
        for name, deployment in self.deployments.items():
            if deployment.tariff is not None or deployment.is_unpriced_allowed:
                yield name, deployment.provider.name

    @property
    def uses_simulator(self) -> bool:
        """Whether a callable answer may be made up by the built-in simulator."""
        templates = (wildcard.template for wildcard in self.wildcards)
        return any(one.provider.kind == "simulator" for one in (*self.deployments.values(), *templates))

    def describe(self) -> list[str]:
        """The catalog for a human, as lines: routes with their deployments and prices, then what else is callable."""
        lines = [f"catalog {self.hash} from {self.source}", *(f"  {note}" for note in self.notes)]
        shown: set[str] = set()
        for route in self.routes.values():
            lines.append(f"  {route.name}: {', '.join(_conditions(route))}, baseline {route.baseline or 'none'}")
            for name in route.deployments:
                shown.add(name)
                deployment = self.deployment(name)
                lines.append(f"    {_described(deployment) if deployment else f'{name}  (disabled)'}")
        for wildcard, names in self.families.items():
            shown.update(names)
            some = ", ".join(names[:3])
            lines.append(f"  {wildcard}: {len(names)} priced models ({some}{', ...' if len(names) > 3 else ''})")  # noqa: PLR2004 - as many as are shown
        lines += [f"  {one.name_prefix}*: any model of {one.template.provider.name}" for one in self.wildcards]
        lines += [f"  guard {_guarding(rule, is_always=name in self.always)}" for name, rule in self.guards.items()]
        others = [deployment for name, deployment in self.deployments.items() if name not in shown]
        if len(others) > _LISTED_AT_MOST:
            counts = Counter(deployment.provider.name for deployment in others)
            counted = ", ".join(f"{count} of {provider}" for provider, count in counts.items())
            return [*lines, f"  more models by their own names: {counted} (obol catalog show)"]
        return lines + [f"  {_described(deployment)}" for deployment in others]


def _conditions(route: Route) -> Iterator[str]:
    """How a route picks, and what it asks of its deployments."""
    shares = " : ".join(f"{route.weights.get(name, 1):g}" for name in route.deployments)
    gates = f"cascade by {', '.join(route.cascade.gates)}" if route.cascade is not None else route.policy
    yield f"{route.policy} {shares}" if route.weights else gates
    if route.placement.regions:
        yield f"in {' or '.join(sorted(route.placement.regions))}"
    yield from (f"tagged {tag}" for tag in sorted(route.placement.tags))
    if route.first_token_p95_s_max is not None:
        yield f"first token p95 to be at most {route.first_token_p95_s_max:g} s"
    if route.cost_max_nusd is not None:
        yield f"a call to cost at most ${usd(route.cost_max_nusd)}"
    if (cache := route.exact_cache) is not None:
        yield f"answers given again for {cache.ttl_s} s within the same {cache.shared_by}"
    if route.semantic_cache is not None:
        yield f"to similar questions too, at most {route.semantic_cache.wrong_answers_max:.2%} of requests wrongly"
    if route.deflection is not None:
        yield f"{' and '.join(route.deflection.answerers)} answered without a model"
    if route.keep_prompts_days is not None:
        yield f"prompts kept for {route.keep_prompts_days} days"
    if route.guards:
        yield f"guarded by {' and '.join(route.guards)}"


def _guarding(rule: GuardRule, *, is_always: bool) -> str:
    """A guard, and what becomes of what it finds."""
    looks_at = "input and output" if rule.where is Where.BOTH else str(rule.where)
    before = ", before everything" if is_always else ""
    return f"{rule.name}: {rule.kind} of {looks_at}, {rule.mode}, {rule.on_error} on error{before}"


def _described(deployment: Deployment) -> str:
    where = [f"{deployment.model} at {deployment.provider.name}"]
    if deployment.region is not None:
        where.append(f"in {deployment.region}")
    where += [f"tagged {tag}" for tag in sorted(deployment.tags)]
    without = f", without {', '.join(sorted(deployment.lacks))}" if deployment.lacks else ""
    return f"{deployment.name}  ({', '.join(where)})  {priced(deployment)}{without}"


def priced(deployment: Deployment) -> str:
    """The deployment's price for a human, in USD per 1M tokens."""
    if deployment.tariff is None:
        return "charged nothing, its price is unknown" if deployment.is_unpriced_allowed else "REFUSED: no price"
    rates = deployment.tariff.cards["standard"].rates
    if not any(rates.values()):
        return "free"
    if rates[Meter.INPUT] == rates[Meter.OUTPUT] == 0:
        return ", ".join(f"${usd(rate, meter)} per {meter.value}" for meter, rate in rates.items() if rate)
    output = f", ${usd(rates[Meter.OUTPUT])} out" if rates[Meter.OUTPUT] else ""
    return f"${usd(rates[Meter.INPUT])} in{output} per 1M tokens"


def usd(rate_nusd: int, meter: Meter = Meter.INPUT) -> str:
    """A rate in dollars without loss: per 1M tokens, or per unit of a meter that is not a token's."""
    dollars = Decimal(rate_nusd) / NANO / (1 if meter in _PER_TOKEN else MILLION)
    return format(dollars.normalize(), "f")


def per_unit_of(meter: Meter) -> str:
    """What to write behind a rate that is not per 1M tokens."""
    return "" if meter in _PER_TOKEN else " per unit"


def content_hash(snapshot: CatalogSnapshot) -> str:
    """A short SHA-256 of all that decides what is called and what it costs; credentials are left out."""
    used = {deployment.provider.name: deployment.provider for deployment in _all(snapshot)}
    content = {
        "providers": {name: _provider_content(provider) for name, provider in used.items()},
        "deployments": [_deployment_content(deployment) for deployment in _all(snapshot)],
        "enabled": list(snapshot.deployments),
        "wildcards": [(one.name_prefix, one.model_prefix) for one in snapshot.wildcards],
        "routes": list(snapshot.routes.values()),
        "guards": [_without_secret(rule) for rule in snapshot.guards.values()],
        "always": snapshot.always,
        "defaults": {endpoint.value: name for endpoint, name in snapshot.defaults.items()},
    }
    # Time zones and fractions are known by their text.
    return hashlib.sha256(msgspec.json.encode(content, enc_hook=str, order="sorted")).hexdigest()[:12]


def _without_secret(rule: GuardRule) -> GuardRule:
    settings = rule.settings
    if not isinstance(settings, WebhookSettings):
        return rule
    return replace(rule, settings=replace(settings, url=without_userinfo(settings.url), secret=""))


def _all(snapshot: CatalogSnapshot) -> list[Deployment]:
    templates = [wildcard.template for wildcard in snapshot.wildcards]
    return [*snapshot.deployments.values(), *snapshot.disabled.values(), *templates]


def _provider_content(provider: Provider) -> list[object]:
    limits = provider.timeouts
    return [
        provider.kind,
        without_userinfo(provider.base_url),
        provider.litellm_provider,
        sorted(provider.headers),
        sorted(provider.query),
        [limits.connect_s, limits.first_token_s, limits.between_tokens_s, limits.total_s],
    ]


def _deployment_content(deployment: Deployment) -> list[object]:
    limits = deployment.limits
    return [
        deployment.name,
        deployment.provider.name,
        deployment.model,
        None if deployment.tariff is None else _tariff_content(deployment.tariff),
        deployment.is_unpriced_allowed,
        [limits.requests_per_minute, limits.tokens_per_minute, limits.parallel_requests],
        [deployment.mode, deployment.context_tokens_max, deployment.output_tokens_max, deployment.asks_stream_usage],
        [sorted(deployment.lacks), deployment.region, sorted(deployment.tags), deployment.quality],
    ]


def _tariff_content(tariff: Tariff) -> dict[str, object]:
    return {
        tier: [card.rates, [[limit, rates] for limit, rates in card.context_tiers]]
        for tier, card in tariff.cards.items()
    }


def without_userinfo(url: str) -> str:
    """A URL without the user and password that may stand before its host."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
