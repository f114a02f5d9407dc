"""Turn the configuration of a LiteLLM proxy into a catalog (`obol catalog import-litellm`).

Entries of ``model_list`` become deployments; a ``model_name`` with several entries, or with fallbacks, becomes a
route over them. Keys that stand in the file are not copied: variables take their place. What cannot be carried over
is listed as comments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from gateway.catalog import pricelist
from gateway.catalog.build import PROVIDER_OF_HOST
from gateway.catalog.discovery import KNOWN_PROVIDERS
from gateway.catalog.file import read_text
from gateway.catalog.listed_rates import stated_tiers
from gateway.catalog.pricelist import PriceList, PriceListError
from gateway.catalog.show import dumped
from gateway.catalog.snapshot import per_unit_of, usd
from gateway.catalog.text import CatalogError, Problem, parse
from gateway.domain import Meter

_OWN_SERVERS = frozenset({"hosted_vllm", "vllm"})
_KEYLESS = frozenset({"bedrock", "vertex_ai", "sagemaker", "ollama", "ollama_chat"})
_KNOWN_URLS = {known.listed_as: known.base_url for known in KNOWN_PROVIDERS if known.base_url}
_LIMITS = {
    "rpm": "requests_per_minute",
    "tpm": "tokens_per_minute",
    "max_parallel_requests": "parallel_requests",
}
_LITELLM_SETTINGS = frozenset(
    {"aws_region_name", "aws_profile_name", "vertex_project", "vertex_location", "api_version", "region_name"}
)
_CARRIED = frozenset(
    {"model", "api_key", "api_base", "base_url", "api_version", "timeout", "stream_timeout", "extra_headers", "order"}
    | {"organization", "custom_llm_provider", *_LIMITS}
)
_VARIABLE = re.compile(r"\$\{\w+\}")
_SECRET_HEADER = re.compile(r"auth|key|token|secret|cookie|password", re.IGNORECASE)
_DECORATION = frozenset({"id", "description", "team_id", "db_model", "created_at", "updated_at", "created_by"})


@dataclass
class _Import:
    """What has been carried over so far."""

    file: str
    prices: PriceList | None
    providers: dict[str, dict[str, Any]] = field(default_factory=dict)
    deployments: list[dict[str, Any]] = field(default_factory=list)
    routes: dict[str, dict[str, Any]] = field(default_factory=dict)
    members: dict[str, list[str]] = field(default_factory=dict)  # model_name -> deployments
    left_out: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)  # literal secret -> the variable in its place


class _AsWritten(dict[str, str]):
    """An environment in which every variable stands for itself."""

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str)

    def get(self, key: str, default: Any = None) -> Any:
        del default
        return f"${{{key}}}"


def import_litellm(path: Path) -> str:
    """Our YAML text for a LiteLLM ``config.yaml``. Raises CatalogError for a file that is none."""
    document = parse(read_text(path), str(path), _AsWritten())
    data = document.data
    if not isinstance(data, dict) or not isinstance(data.get("model_list"), list) or not data["model_list"]:
        raise CatalogError([Problem(str(path), 1, "has no model_list, so it is no LiteLLM configuration")])
    try:
        prices = pricelist.read(pricelist.packaged_path())
    except PriceListError:
        prices = None  # it only helps to tell whose model a bare name is
    carried = _Import(str(path), prices)
    entries: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
    for index, entry in enumerate(data["model_list"]):
        parameters = entry.get("litellm_params") if isinstance(entry, dict) else None
        if not isinstance(parameters, dict) or not isinstance(parameters.get("model"), str):
            line = document.line_of(("model_list", index))
            raise CatalogError([Problem(str(path), line, f"model_list.{index}: litellm_params.model is missing")])
        name = str(entry.get("model_name") or parameters["model"]).replace(" ", "-")
        entries.setdefault(name, []).append((_order(parameters), entry))
    fallbacks = dict(_fallbacks(data))
    for name, group in entries.items():
        group.sort(key=lambda item: item[0])
        _carry_group(carried, name, [entry for _, entry in group], is_route=len(group) > 1 or name in fallbacks)
    _carry_fallbacks(carried, fallbacks)
    _carry_aliases(carried, _part(data, "router_settings").get("model_group_alias"))
    _list_the_rest(carried, data)
    return _written(carried)


def _part(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = data.get(name)
    return part if isinstance(part, dict) else {}


def _order(parameters: Mapping[str, Any]) -> int:
    order = parameters.get("order")
    return order if isinstance(order, int) else 0


def _carry_group(carried: _Import, name: str, entries: list[Mapping[str, Any]], *, is_route: bool) -> None:
    members = []
    for number, entry in enumerate(entries, start=1):
        deployment_name = f"{name}-{number}" if is_route else name
        if _carry_entry(carried, deployment_name, entry):
            members.append(deployment_name)
    carried.members[name] = members
    if is_route and members:
        carried.routes[name] = {"deployments": members}


def _carry_entry(carried: _Import, name: str, entry: Mapping[str, Any]) -> bool:
    """Add one deployment and its provider; false when it cannot be carried."""
    parameters, info = entry["litellm_params"], _part(entry, "model_info")
    owner, model = _owner_and_model(carried, parameters)
    if "*" in owner or ("*" in name) != ("*" in model) or "*" in f"{name[:-1]}{model[:-1]}":
        carried.left_out.append(f"{name}: {parameters['model']!r} is not a wildcard over one provider's models")
        return False
    provider = _provider(carried, name, owner, parameters)
    deployment: dict[str, Any] = {"name": name, "provider": provider, "model": model}
    for theirs, ours in _LIMITS.items():
        limit = parameters.get(theirs)
        if isinstance(limit, int) and not isinstance(limit, bool) and limit > 0:
            deployment[ours] = limit
    _carry_info(carried, deployment, info)
    price = _price(carried, name, {**info, **parameters})
    if price is not None:
        deployment["price"] = price
        deployment.pop("price_of", None)
    carried.deployments.append(deployment)
    ignored = [key for key in parameters if key not in _CARRIED and "cost" not in key and key not in _LITELLM_SETTINGS]
    ignored += [f"model_info.{key}" for key in info if not _is_known_info(key)]
    if ignored:
        carried.left_out.append(f"{name}: {', '.join(ignored)}")
    return True


def _is_known_info(key: str) -> bool:
    known = {"mode", "base_model", "max_input_tokens", "max_output_tokens", "max_tokens", *_DECORATION}
    return "cost" in key or key in known or key.startswith("supports_")


def _owner_and_model(carried: _Import, parameters: Mapping[str, Any]) -> tuple[str, str]:
    """Whose model it is, in LiteLLM's words, and the provider's own name for it."""
    model = parameters["model"]
    stated = parameters.get("custom_llm_provider")
    if isinstance(stated, str):
        return stated, model.removeprefix(f"{stated}/")
    owner, slash, rest = model.partition("/")
    if slash:
        return owner, rest
    listed = carried.prices.get(model) if carried.prices is not None else None
    if listed is not None and listed.provider:
        return listed.provider.partition("-")[0], model
    return ("*" if model == "*" else "openai"), model


def _provider(carried: _Import, deployment: str, owner: str, parameters: Mapping[str, Any]) -> str:
    """The name of the provider that the parameters describe; each different one is added once."""
    url = parameters.get("api_base") or parameters.get("base_url")
    stated_url = _ours(url) if isinstance(url, str) else None
    url = stated_url
    provider: dict[str, Any] = {"kind": _kind(owner, url)}
    if provider["kind"] in {"litellm", "openai_compatible"} and owner != "openai":
        provider["litellm_provider"] = owner
    if url is None and provider["kind"] == "openai_compatible":
        url = _KNOWN_URLS[owner]
    elif url is None and provider["kind"] in {"azure", "vllm"}:
        url = f"${{{owner.upper()}_API_BASE}}"  # the variable that LiteLLM itself reads then
    if url is not None:
        provider["base_url"] = _with_version(url) if owner == "anthropic" else url
    key = parameters.get("api_key")
    if isinstance(key, str):
        provider["api_key"] = _secret(carried, key, f"{deployment}_API_KEY")
    elif provider["kind"] == "azure" or (stated_url is None and owner not in _KEYLESS | _OWN_SERVERS):
        # Where nothing is stated LiteLLM takes the provider's usual variable; another address must not get that key.
        provider["api_key"] = f"${{{owner.upper()}_API_KEY}}"
    timeouts = {
        ours: parameters[theirs]
        for theirs, ours in (("timeout", "total_s"), ("stream_timeout", "first_token_s"))
        if isinstance(parameters.get(theirs), int | Decimal)
    }
    more = {
        "query": _query(provider["kind"], parameters),
        "headers": _headers(carried, deployment, parameters),
        "timeouts": timeouts,
    }
    provider.update({part: value for part, value in more.items() if value})
    for name, known in carried.providers.items():
        if known == provider:
            return name
    number = sum(known.split("-")[0] == owner for known in carried.providers)
    name = owner if number == 0 else f"{owner}-{number + 1}"
    carried.providers[name] = provider
    return name


def _kind(owner: str, url: str | None) -> str:
    if owner in _OWN_SERVERS:
        return "vllm"
    if owner in {"azure", "anthropic"}:
        return owner
    if owner == "openai":
        host = (url or "").partition("://")[2].partition("/")[0]
        return "openai" if url is None or PROVIDER_OF_HOST.get(host) == "openai" else "openai_compatible"
    return "openai_compatible" if owner in _KNOWN_URLS else "litellm"


def _with_version(url: str) -> str:
    """Anthropic's address up to and with ``/v1``, which LiteLLM adds by itself; what a variable holds is not known."""
    bare = url.rstrip("/").removesuffix("/messages").removesuffix("/v1")
    return url if url.startswith("${") else f"{bare}/v1"


def _ours(text: str) -> str:
    """LiteLLM's ``os.environ/NAME`` as ``${NAME}``, every other text as it is."""
    return f"${{{text.removeprefix('os.environ/')}}}" if text.startswith("os.environ/") else text


def _secret(carried: _Import, text: str, wanted: str) -> str:
    """The variable that holds a secret; a literal secret gives way to a variable of a name like the wanted one."""
    ours = _ours(text)
    if _VARIABLE.fullmatch(ours):
        return ours
    if text not in carried.variables:
        name = re.sub(r"[^A-Z0-9]+", "_", wanted.upper()).strip("_")
        name = name if name[:1].isalpha() else f"KEY_{name}"
        carried.variables[text] = name
        carried.left_out.append(f"a secret that stands in the file: set {name} in the environment")
    return f"${{{carried.variables[text]}}}"


def _query(kind: str, parameters: Mapping[str, Any]) -> Mapping[str, str]:
    """Azure's API version, or what litellm wants to know of a cloud."""
    wanted = {"azure": {"api_version": "api-version"}, "litellm": {name: name for name in sorted(_LITELLM_SETTINGS)}}
    return {
        ours: _ours(str(parameters[theirs]))
        for theirs, ours in wanted.get(kind, {}).items()
        if parameters.get(theirs) is not None
    }


def _headers(carried: _Import, deployment: str, parameters: Mapping[str, Any]) -> Mapping[str, str]:
    headers = {}
    for name, value in _part(parameters, "extra_headers").items():
        is_secret = _SECRET_HEADER.search(name) is not None
        headers[name] = _secret(carried, str(value), f"{deployment}_{name}") if is_secret else _ours(str(value))
    organization = parameters.get("organization")
    if isinstance(organization, str):
        headers["openai-organization"] = _ours(organization)
    return headers


def _carry_info(carried: _Import, deployment: dict[str, Any], info: Mapping[str, Any]) -> None:
    if info.get("mode") in pricelist.SERVED_MODES:
        deployment["mode"] = info["mode"]
    for theirs, ours in (("max_input_tokens", "context_tokens_max"), ("max_output_tokens", "output_tokens_max")):
        if isinstance(info.get(theirs), int):
            deployment[ours] = info[theirs]
    base_model = info.get("base_model")
    listed = carried.prices.get(base_model) if carried.prices is not None and isinstance(base_model, str) else None
    if listed is not None and listed.is_priced:
        deployment["price_of"] = base_model


def _price(carried: _Import, name: str, stated: Mapping[str, Any]) -> Any:
    """The price in our form, None when none is stated."""
    numbers: dict[str, object] = {}
    for key, value in stated.items():
        if "cost" in key:
            try:
                numbers[key] = Decimal(str(value)) if isinstance(value, str | int | Decimal) else value
            except InvalidOperation:
                carried.left_out.append(f"{name}: {key} is not a number")
    try:
        tiers = stated_tiers(numbers)
    except ValueError as exc:
        carried.left_out.append(f"{name}: {exc}")
        return None
    if not tiers:
        return None
    if all(not any(rates.base.values()) for rates in tiers.values()):
        return "free"
    price: dict[str, Any] = {}
    for tier, rates in tiers.items():
        place = price if tier == "standard" else price.setdefault(tier, {})
        place.update(_rates(rates.base))
        for limit, above in rates.context_tiers.items():
            place[f"above_{limit // 1000}k"] = _rates(above)
    if "output" in price and "input" not in price:
        price["input"] = 0
    if "input" in price and "output" not in price and stated.get("mode") not in {"embedding", "moderation"}:
        price["output"] = Decimal(0)
    return price


def _rates(rates: Mapping[Meter, int]) -> Mapping[str, Decimal]:
    return {
        f"usd_per_{meter.value}" if per_unit_of(meter) else meter.value: Decimal(usd(rates[meter], meter))
        for meter in Meter
        if meter in rates
    }


def _fallbacks(data: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for part in ("router_settings", "litellm_settings"):
        stated = _part(data, part).get("fallbacks")
        for item in stated if isinstance(stated, list) else []:
            for name, others in item.items() if isinstance(item, dict) else ():
                if isinstance(others, list):
                    yield name, [str(other) for other in others]


def _carry_fallbacks(carried: _Import, fallbacks: Mapping[str, list[str]]) -> None:
    for name, others in fallbacks.items():
        route = carried.routes.get(name)
        added = [member for other in others for member in carried.members.get(other, [])]
        if route is None or not added:
            carried.left_out.append(f"fallbacks of {name}")
            continue
        own = carried.members[name]
        carried.routes[name] = {"deployments": [*own, *(member for member in added if member not in own)]}


def _carry_aliases(carried: _Import, aliases: object) -> None:
    for alias, target in aliases.items() if isinstance(aliases, dict) else ():
        name = target.get("model") if isinstance(target, dict) else target
        members = carried.members.get(str(name))
        if members:
            carried.routes[str(alias)] = dict(carried.routes.get(str(name), {"deployments": members}))
        else:
            carried.left_out.append(f"alias {alias} of {name}")


def _list_the_rest(carried: _Import, data: Mapping[str, Any]) -> None:
    for part, value in data.items():
        if part == "model_list":
            continue
        keys = list(value) if isinstance(value, dict) else []
        keys = [str(key) for key in keys if key not in {"fallbacks", "model_group_alias"}]
        if keys or not isinstance(value, dict):
            carried.left_out.append(f"{part}: {', '.join(keys) or 'all of it'}")


def _written(carried: _Import) -> str:
    catalog: dict[str, Any] = {"providers": carried.providers, "deployments": carried.deployments}
    lines = [f"# Imported from {Path(carried.file).name}, a LiteLLM configuration."]
    if carried.routes:
        catalog["routes"] = carried.routes
        lines.append("# A route tries its deployments in this order; LiteLLM shuffles them.")
    if carried.left_out:
        lines += ["#", "# Not carried over:", *(f"#   {note}" for note in carried.left_out)]
    return "\n".join([*lines, "", dumped(catalog)])
