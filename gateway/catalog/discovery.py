"""Find upstreams when no catalog file names them: by the usual variables, on localhost, else the simulator.

The result is catalog data of the same form as the file, so that there is one way in; nothing is called but
localhost. What ``auto`` contains follows from the price list by this rule, for each provider found:

1. chat models that call tools and reason, take 100,000 tokens or more and are not deprecated;
2. no variants: dated snapshots, previews, "latest" aliases, models for code, sound, images, search and the like;
3. none that costs more than $30 per 1M output tokens: the dearest are for those who name them;
4. none for which the provider has a newer version (by the number in the name) that costs no more;
5. of the rest the cheapest, the dearest and the one between them (nearest to their geometric mean).

All providers' choices together are ordered from cheap to dear; a price is three parts input and one part output.
The dearest is the baseline: among models of one generation, price is what the list knows of strength. The cheapest
that is adequate answers, uncertified: of strength a router knows what names of models tell
(policies/routing/descriptors.py).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import msgspec

from gateway.catalog import pricelist
from gateway.catalog.file import CatalogFile
from gateway.catalog.pricelist import ListedModel, PriceList, PriceListError
from gateway.catalog.text import CatalogError, Problem
from gateway.domain import NANO, Meter
from gateway.settings import Settings

POLICY = "cheapest_adequate"  # of ``auto``
FOUND_NAME = "what was found here (no OBOL_CATALOG)"
VLLM_URL = "http://127.0.0.1:8000"
PROBE_TIMEOUT_S = 0.5
_PROBE_BYTES_MAX = 1_000_000
_CONTEXT_TOKENS_MIN = 100_000
_OUTPUT_RATE_MAX = 30 * NANO
_VARIANT = re.compile(
    r"(^|[-_./:])(preview|exp|experimental|beta|latest|audio|realtime|search|transcribe|tts|image|codex|code|coder|vision"
    r"|vl|guard|safeguard|cyber|research|robotics|computer|customtools|chat|build|live|cli|fast|us|eu)([-_.:]|$)"
    r"|-\d{4}-\d{2}-\d{2}|-\d{2}-\d{4}$|-\d{6,8}$|-\d{4}$",
    re.IGNORECASE,
)
_VERSION = re.compile(r"(?<![\d.])(\d{1,2})(?:[.p-](\d{1,2}))?(?![\dbB])")


@dataclass(frozen=True, slots=True)
class KnownProvider:
    """A provider that a variable reveals. ``listed_as`` is its name in the price list."""

    variable: str
    name: str
    listed_as: str
    base_url: str
    base_url_variable: str = ""
    kind: str = "openai_compatible"


KNOWN_PROVIDERS = (
    KnownProvider("OPENAI_API_KEY", "openai", "openai", "https://api.openai.com/v1", "OPENAI_BASE_URL", "openai"),
    KnownProvider(
        "ANTHROPIC_API_KEY",
        "anthropic",
        "anthropic",
        "https://api.anthropic.com/v1",
        "ANTHROPIC_BASE_URL",
        "anthropic",
    ),
    KnownProvider("GEMINI_API_KEY", "gemini", "gemini", "https://generativelanguage.googleapis.com/v1beta/openai"),
    KnownProvider("MISTRAL_API_KEY", "mistral", "mistral", "https://api.mistral.ai/v1"),
    KnownProvider("GROQ_API_KEY", "groq", "groq", "https://api.groq.com/openai/v1"),
    KnownProvider("DEEPSEEK_API_KEY", "deepseek", "deepseek", "https://api.deepseek.com/v1"),
    KnownProvider("XAI_API_KEY", "xai", "xai", "https://api.x.ai/v1"),
    KnownProvider("TOGETHER_API_KEY", "together", "together_ai", "https://api.together.xyz/v1"),
    KnownProvider("FIREWORKS_API_KEY", "fireworks", "fireworks_ai", "https://api.fireworks.ai/inference/v1"),
    KnownProvider("CEREBRAS_API_KEY", "cerebras", "cerebras", "https://api.cerebras.ai/v1"),
    KnownProvider("OPENROUTER_API_KEY", "openrouter", "openrouter", "https://openrouter.ai/api/v1"),
)

SIMULATOR: Mapping[str, object] = {
    "providers": {"simulator": {"kind": "simulator"}},
    # Qualities by which easy questions go to the small one and hard ones to the large one, as they would in earnest.
    "deployments": [
        {
            "name": "sim-small",
            "provider": "simulator",
            "model": "sim-small",
            "price": {"input": "0.10", "cached_input": "0.01", "output": "0.40"},
            "quality": 0.932,
        },
        {
            "name": "sim-large",
            "provider": "simulator",
            "model": "sim-large",
            "price": {"input": "2", "cached_input": "0.20", "output": "8"},
            "quality": 0.95,
        },
        {
            "name": "sim-embedding",
            "provider": "simulator",
            "model": "sim-embedding",
            "mode": "embedding",
            "price": {"input": "0.02"},
        },
        {
            "name": "sim-moderation",
            "provider": "simulator",
            "model": "sim-moderation",
            "mode": "moderation",
            "price": "free",
        },
    ],
    "routes": {"auto": {"deployments": ["sim-small", "sim-large"], "policy": POLICY, "baseline": "sim-large"}},
    "defaults": {"moderations": "sim-moderation"},
}


@dataclass(frozen=True, slots=True)
class Found:
    """Catalog data in the form of the file, and what to tell the operator about how it came to be."""

    data: Mapping[str, object]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    """A model for ``auto``. ``price`` orders: three parts input, one part output."""

    name: str
    entry: ListedModel

    @property
    def price(self) -> int:
        rates = self.entry.tiers["standard"].base
        return 3 * rates[Meter.INPUT] + rates[Meter.OUTPUT]

    @property
    def version(self) -> Decimal:
        """The number in the name, read as a decimal: 4.20 is 4.2, older than 4.7; sizes (120b) are none."""
        found = _VERSION.search(self.entry.key.rpartition("/")[2])
        return Decimal(f"{found[1]}.{found[2] or 0}") if found else Decimal(0)


def discover(env: Mapping[str, str], prices: PriceList, vllm_models: Sequence[str], today: date) -> Found:
    """The catalog of what the environment and localhost offer; the simulator's when that is nothing."""
    providers: dict[str, object] = {}
    deployments: list[Mapping[str, object]] = []
    notes: list[str] = []
    choices: list[_Choice] = []
    taken: set[str] = {"auto"}

    def add(provider: str, model: str, **more: object) -> str:
        name = model if model not in taken else f"{provider}/{model}"
        taken.add(name)
        deployments.append({"name": name, "provider": provider, "model": model, **more})
        return name

    if vllm_models:
        providers["vllm"] = {"kind": "vllm", "base_url": f"{VLLM_URL}/v1"}
        notes.append(f"vLLM on localhost:8000: {', '.join(vllm_models)}, priced as free (a catalog file can say more)")
    local = [add("vllm", model, price="free") for model in vllm_models]
    for known in KNOWN_PROVIDERS:
        if not env.get(known.variable):
            continue
        models = list(prices.of_provider(known.listed_as))
        if not models:
            notes.append(f"{known.variable} is set, but the price list has no models of {known.name}: left out")
            continue
        providers[known.name] = _provider_data(known, env, notes)
        named = [_Choice(add(known.name, model), entry) for model, entry in models]
        notes.append(f"{known.variable} is set: {len(named)} models of {known.name} that have prices")
        choices += _choose(named, today)
    if not deployments:
        return Found(SIMULATOR, (*notes, "no upstream was found: the built-in SIMULATOR answers, not a model"))
    choices.sort(key=lambda choice: (choice.price, choice.name))
    data: dict[str, object] = {"providers": providers, "deployments": deployments}
    members = [*local, *(choice.name for choice in choices)]
    if members:
        data["routes"] = {"auto": {"deployments": members, "policy": POLICY, "baseline": members[-1]}}
    if "omni-moderation-latest" in taken:
        data["defaults"] = {"moderations": "omni-moderation-latest"}
    return Found(data, tuple(notes))


def _provider_data(known: KnownProvider, env: Mapping[str, str], notes: list[str]) -> Mapping[str, object]:
    base_url = known.base_url
    if known.base_url_variable and env.get(known.base_url_variable):
        base_url = f"${{{known.base_url_variable}}}"
        notes.append(f"{known.base_url_variable} is set: what answers there is priced as {known.name} is")
    data = {"kind": known.kind, "base_url": base_url, "api_key": f"${{{known.variable}}}"}
    return data if known.kind in {"openai", "anthropic"} else {**data, "litellm_provider": known.listed_as}


def _choose(named: Sequence[_Choice], today: date) -> Sequence[_Choice]:
    """One provider's models for ``auto``, by the rule that the module states."""
    fit = [choice for choice in named if _is_fit(choice.entry, today)]
    fit = [choice for choice in fit if not any(_supersedes(other, choice) for other in fit)]
    if not fit:
        return []
    # Of models at the same price the newest stands for all, and of its names the shortest.
    newest: dict[int, _Choice] = {}
    for choice in sorted(fit, key=lambda one: (one.version, -len(one.name), one.name)):
        newest[choice.price] = choice
    ranked = sorted(newest.values(), key=lambda one: one.price)
    cheapest, dearest = ranked[0], ranked[-1]
    between = sorted(ranked[1:-1], key=lambda one: abs(math.log(one.price**2 / (cheapest.price * dearest.price))))
    return list({one.price: one for one in (cheapest, *between[:1], dearest)}.values())


def _is_fit(entry: ListedModel, today: date) -> bool:
    rates = entry.tiers["standard"].base
    return (
        entry.mode == "chat"
        and entry.has_tools
        and entry.has_reasoning
        and (not entry.endpoints or "/v1/chat/completions" in entry.endpoints)
        and (entry.context_tokens_max or 0) >= _CONTEXT_TOKENS_MIN
        and 0 < rates[Meter.INPUT] <= rates[Meter.OUTPUT] <= _OUTPUT_RATE_MAX
        and not (entry.deprecation_date and entry.deprecation_date <= today.isoformat())
        and not _VARIANT.search(entry.key)
    )


def _supersedes(newer: _Choice, older: _Choice) -> bool:
    new, old = newer.entry.tiers["standard"].base, older.entry.tiers["standard"].base
    is_no_dearer = new[Meter.INPUT] <= old[Meter.INPUT] and new[Meter.OUTPUT] <= old[Meter.OUTPUT]
    return newer.version > older.version and is_no_dearer


class _Model(msgspec.Struct):
    id: str
    owned_by: str = ""


class _Models(msgspec.Struct):
    data: list[_Model]


def probe_vllm(url: str = VLLM_URL) -> Sequence[str]:
    """The models of a vLLM that listens there, none when nothing does or when it is something else."""
    from http.client import HTTPConnection, HTTPException  # noqa: PLC0415 - only a start without a catalog needs it

    host = url.removeprefix("http://")
    connection = HTTPConnection(host, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", "/v1/models")
        reply = connection.getresponse()
        body = reply.read(_PROBE_BYTES_MAX)
        models = msgspec.json.decode(body, type=_Models) if reply.status == 200 else _Models([])  # noqa: PLR2004 - HTTP
    except (OSError, HTTPException, msgspec.DecodeError):
        return ()  # nobody there, or not a vLLM: the usual case
    finally:
        connection.close()
    return tuple(model.id for model in models.data if model.owned_by == "vllm")


def load(
    settings: Settings,
    env: Mapping[str, str],
    *,
    probe: Callable[[], Sequence[str]] = probe_vllm,
    today: Callable[[], date] = date.today,
) -> CatalogFile:
    """The catalog to serve: the file's if one is set, else what is found. Raises CatalogError."""
    if settings.catalog is not None:
        return CatalogFile.of_path(settings.catalog, env, settings.data_dir)
    return load_found(find(settings, env, probe=probe, today=today), settings, env)


def load_found(found: Found, settings: Settings, env: Mapping[str, str]) -> CatalogFile:
    """The catalog of what was found. Raises CatalogError."""
    text = msgspec.json.encode(found.data).decode()  # JSON is YAML: one way in for both
    return CatalogFile(lambda: text, FOUND_NAME, env, settings.data_dir, notes=found.notes)


def find(
    settings: Settings,
    env: Mapping[str, str],
    *,
    probe: Callable[[], Sequence[str]] = probe_vllm,
    today: Callable[[], date] = date.today,
) -> Found:
    """Look around, price list in hand. Raises CatalogError."""
    try:
        prices = pricelist.read(pricelist.path_in_use(settings.data_dir))
        return discover(env, prices, probe(), today())
    except PriceListError as exc:
        raise CatalogError([Problem(FOUND_NAME, 1, str(exc))]) from exc
