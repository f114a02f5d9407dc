"""The public price list: a JSON file inside the installed litellm package, read as a file.

litellm itself is never imported (that costs seconds and 200 MiB). The list is kept as one buffer and an index into
it; single models are decoded when asked for. ``<data_dir>/prices.json``, a file of the same format, replaces the
packaged list as a whole.

Prices are parsed from their JSON text, exactly: a list states USD per token, we hold nano-dollars per million units
(times 1e15). Rates that are not whole there (85 of 15,111 in the packaged list, mostly traces of binary fractions
such as 1.5000000000000002e-07) go to the nearest whole one.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path

import msgspec

from gateway.domain import MILLION, NANO, Meter

OVERRIDE_FILE = "prices.json"
PACKAGED_FILE = "model_prices_and_context_window_backup.json"
# What the gateway's endpoints can call. A model without a mode is a chat model.
SERVED_MODES = frozenset({"chat", "completion", "embedding", "moderation"})

_METERS: Mapping[str, Meter] = {
    "input_cost_per_token": Meter.INPUT,
    "cache_read_input_token_cost": Meter.CACHED_INPUT,
    "cache_creation_input_token_cost": Meter.CACHE_WRITE,
    "cache_creation_input_token_cost_above_1hr": Meter.CACHE_WRITE_LONG,
    "output_cost_per_token": Meter.OUTPUT,
    "output_cost_per_reasoning_token": Meter.REASONING,
    "input_cost_per_audio_token": Meter.AUDIO_INPUT,
    "output_cost_per_audio_token": Meter.AUDIO_OUTPUT,
    "input_cost_per_image_token": Meter.IMAGE,
    "output_cost_per_image": Meter.IMAGE_GENERATED,
    "input_cost_per_character": Meter.CHARACTER,
    # A second of sound is priced once, whichever side states it: whisper-1 states the same price on both.
    "output_cost_per_second": Meter.SECOND,
    "input_cost_per_second": Meter.SECOND,
    "code_interpreter_cost_per_session": Meter.CODE_SESSION,
}
_TIERS = {"": "standard", "batches": "batch", "flex": "flex", "priority": "priority"}
_FIELD = re.compile(
    r"(?P<base>.+?)(?:_above_(?P<kilo>\d+)k_tokens)?(?:_(?P<tier>batches|flex|priority))?$",
)
# Names under which the list files the models of one provider, where they are not the provider's own.
_FAMILIES: Mapping[str, tuple[str, ...]] = {
    "openai": ("openai", "text-completion-openai"),
    "azure": ("azure", "azure_text"),
    "bedrock": ("bedrock", "bedrock_converse"),
    "cohere": ("cohere", "cohere_chat"),
    "codestral": ("codestral", "text-completion-codestral"),
}


class PriceListError(Exception):
    """A price list cannot be used; the message says which and why."""


@dataclass(frozen=True, slots=True)
class StatedRates:
    """The rates of one service tier as stated, nothing filled in: base, and by input tokens above which they hold."""

    base: Mapping[Meter, int] = field(default_factory=dict)
    context_tiers: Mapping[int, Mapping[Meter, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ListedModel:
    """One model of the list. ``tiers`` is by service tier; without a usable price it is empty."""

    key: str
    provider: str
    mode: str
    tiers: Mapping[str, StatedRates]
    context_tokens_max: int | None
    output_tokens_max: int | None
    deprecation_date: str | None
    has_tools: bool
    has_reasoning: bool
    endpoints: tuple[str, ...] = ()

    @property
    def is_priced(self) -> bool:
        """Whether a call can be charged: what each kind of model consumes has a stated rate, possibly zero."""
        standard = self.tiers.get("standard")
        if standard is None:
            return False
        if self.mode in {"chat", "completion", "responses"}:
            return Meter.INPUT in standard.base and Meter.OUTPUT in standard.base
        return bool(standard.base)


def nusd_per_million(usd_per_unit: Decimal) -> int:
    """USD per unit as whole nano-dollars per million units, to the nearest."""
    return int((usd_per_unit * NANO * MILLION).to_integral_value(ROUND_HALF_EVEN))


def family(provider: str) -> tuple[str, ...]:
    """All provider names of the list that price this provider's models."""
    return _FAMILIES.get(provider, (provider,))


def _fits(listed: str, provider: str) -> bool:
    return listed in family(provider) or listed.startswith(f"{provider}-")  # vertex_ai-language-models, ...


class PriceList:
    """An index of a price list: model key -> its JSON, decoded when asked for."""

    def __init__(self, content: bytes, source: str) -> None:
        """Raises PriceListError when the content is not a JSON object of objects."""
        self.source = source
        self._content = content
        try:
            self._raw = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        except msgspec.DecodeError as exc:
            raise PriceListError(f"{source}: not a price list: {exc}") from exc
        self._raw.pop("sample_spec", None)

    def __len__(self) -> int:
        return len(self._raw)

    def keys(self) -> Iterator[str]:
        return iter(self._raw)

    def content(self) -> bytes:
        """The file as it was read."""
        return self._content

    def get(self, key: str) -> ListedModel | None:
        """The model of exactly that key. Raises PriceListError when its entry is malformed."""
        raw = self._raw.get(key)
        return None if raw is None else _decode(key, raw, self.source)

    def find(self, model: str, provider: str | None) -> ListedModel | None:
        """The priced entry of a provider's model; ``provider`` as the list names it, None when nobody knows it.

        Tries ``model`` and ``provider/model``; a fine-tuned model is priced as its base model's fine-tunes are. The
        entry must be the provider's own: the same weights cost something else elsewhere. Code sessions are filed
        under the provider, not under its models.
        """
        names = [model]
        if model.startswith("ft:"):
            names.append(":".join(model.split(":")[:2]))
        for name in names:
            for key in (name,) if provider is None else (name, f"{provider}/{name}"):
                found = self.get(key)
                if found is not None and found.is_priced and (provider is None or _fits(found.provider, provider)):
                    return self._with_container(found, provider)
        return None

    def of_provider(self, provider: str) -> Iterator[tuple[str, ListedModel]]:
        """All priced models of a provider that our endpoints can call, as ``(name to call it by, entry)``.

        A name is the key without the provider's prefix; keys with further qualifiers of region or size
        ("us/gpt-5", "1024-x-1024/...") are other prices of the same models, so they are left out.
        """
        seen = set()
        for key in self._raw:
            name = key.removeprefix(f"{provider}/")
            if name == key and "/" in key:
                continue
            peek = _peek(self._raw[key])
            if peek is None or not _fits(peek, provider) or name in seen or name.startswith("ft:"):
                continue
            entry = self.find(name, provider)
            if entry is not None and entry.mode in SERVED_MODES:
                seen.add(name)
                yield name, entry

    def _with_container(self, found: ListedModel, provider: str | None) -> ListedModel:
        container = self.get(f"{provider}/container") if provider is not None else None
        if container is None or "standard" not in container.tiers:
            return found
        sessions = container.tiers["standard"].base
        standard = found.tiers["standard"]
        tiers = {**found.tiers, "standard": StatedRates({**sessions, **standard.base}, standard.context_tiers)}
        return _replace_tiers(found, tiers)


def _replace_tiers(found: ListedModel, tiers: Mapping[str, StatedRates]) -> ListedModel:
    return ListedModel(
        key=found.key,
        provider=found.provider,
        mode=found.mode,
        tiers=tiers,
        context_tokens_max=found.context_tokens_max,
        output_tokens_max=found.output_tokens_max,
        deprecation_date=found.deprecation_date,
        has_tools=found.has_tools,
        has_reasoning=found.has_reasoning,
        endpoints=found.endpoints,
    )


class _Peek(msgspec.Struct):
    litellm_provider: str = ""


_peek_decoder = msgspec.json.Decoder(_Peek)


def _peek(raw: msgspec.Raw) -> str | None:
    try:
        return _peek_decoder.decode(raw).litellm_provider
    except msgspec.DecodeError:
        return None


def _decode_number(text: str) -> Decimal:
    return Decimal(text)


_entry_decoder = msgspec.json.Decoder(dict[str, object], float_hook=_decode_number)


def _decode(key: str, raw: msgspec.Raw, source: str) -> ListedModel:
    """Raises PriceListError."""
    try:
        entry = _entry_decoder.decode(raw)
        tiers = stated_tiers(entry)
    except (msgspec.DecodeError, InvalidOperation, ValueError) as exc:
        raise PriceListError(f"{source}: {key}: {exc}") from exc
    endpoints = entry.get("supported_endpoints")
    return ListedModel(
        key=key,
        provider=str(entry.get("litellm_provider") or ""),
        mode=str(entry.get("mode") or "chat"),
        tiers=tiers,
        context_tokens_max=_whole(entry.get("max_input_tokens")),
        output_tokens_max=_whole(entry.get("max_output_tokens")),
        deprecation_date=str(entry["deprecation_date"]) if entry.get("deprecation_date") else None,
        has_tools=entry.get("supports_function_calling") is True,
        has_reasoning=entry.get("supports_reasoning") is True,
        endpoints=tuple(str(path) for path in endpoints) if isinstance(endpoints, list) else (),
    )


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or value <= 0:
        return None
    return int(value)


def _rate(name: str, value: object) -> int | None:
    """A price as a rate, None where the list leaves it open. Raises ValueError for text or a negative price."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError(f"{name} is not a number")  # noqa: TRY004 - all faults of a file are one kind for its reader
    if value < 0:
        raise ValueError(f"{name} is negative")
    return nusd_per_million(Decimal(value))


def stated_tiers(entry: Mapping[str, object]) -> Mapping[str, StatedRates]:
    """The stated rates of an entry of the list by service tier; none without a standard rate. Raises ValueError."""
    bases: dict[str, dict[Meter, int]] = {}
    contexts: dict[str, dict[int, dict[Meter, int]]] = {}
    for name, value in entry.items():
        parsed = _parsed_field(name)
        if parsed is None:
            continue
        meter, limit, tier = parsed
        rate = _rate(name, value)
        if rate is None:
            continue
        if limit is None:
            bases.setdefault(tier, {})[meter] = rate
        else:
            contexts.setdefault(tier, {}).setdefault(limit, {})[meter] = rate
    searches = entry.get("search_context_cost_per_query")
    if isinstance(searches, dict) and bases.get("standard"):
        rate = _rate("search_context_size_medium", searches.get("search_context_size_medium"))
        if rate is not None:
            bases["standard"][Meter.WEB_SEARCH] = rate
    _add_ranges(entry.get("tiered_pricing"), bases, contexts)
    for rates in bases.values():
        # Nobody sells cache writes below the input price: a zero there means that there is no surcharge.
        if rates.get(Meter.CACHE_WRITE) == 0 and rates.get(Meter.INPUT):
            del rates[Meter.CACHE_WRITE]
    if "standard" not in bases:
        return {}
    return {tier: StatedRates(bases.get(tier, {}), contexts.get(tier, {})) for tier in {**bases, **contexts}}


@lru_cache(maxsize=512)
def _parsed_field(name: str) -> tuple[Meter, int | None, str] | None:
    """Which meter, context limit and service tier a field of the list prices; None for all other fields."""
    matched = _FIELD.match(name)
    if matched is None or matched["base"] not in _METERS:
        return None
    limit = int(matched["kilo"]) * 1000 if matched["kilo"] else None
    return _METERS[matched["base"]], limit, _TIERS[matched["tier"] or ""]


def _add_ranges(
    ranges: object,
    bases: dict[str, dict[Meter, int]],
    contexts: dict[str, dict[int, dict[Meter, int]]],
) -> None:
    """``tiered_pricing`` lists rates by range of input tokens; the first range is the base. Raises ValueError."""
    if not isinstance(ranges, list):
        return
    for item in ranges:
        bounds = item.get("range") if isinstance(item, dict) else None
        if not isinstance(bounds, list) or not bounds or not isinstance(bounds[0], int | Decimal):
            continue
        rates = {}
        for name, value in item.items():
            parsed = _parsed_field(name)
            rate = _rate(name, value) if parsed is not None else None
            if parsed is not None and rate is not None:
                rates[parsed[0]] = rate
        if bounds[0] == 0:
            bases.setdefault("standard", {}).update(rates)
        else:
            contexts.setdefault("standard", {})[int(bounds[0])] = rates


def packaged_path() -> Path:
    """Where the installed litellm package keeps its list; litellm is found, not imported. Raises PriceListError."""
    spec = importlib.util.find_spec("litellm")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(folder) / PACKAGED_FILE
        if path.is_file():
            return path
    raise PriceListError("the installed litellm package has no price list; install the project's lock file again")


def path_in_use(data_dir: Path) -> Path:
    """The list that holds: the operator's own, else the packaged one. Raises PriceListError."""
    own = data_dir / OVERRIDE_FILE
    return own if own.is_file() else packaged_path()


def read(path: Path) -> PriceList:
    """Raises PriceListError."""
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise PriceListError(f"{path}: {exc.strerror}") from exc
    return PriceList(content, str(path))
