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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path

import msgspec

from gateway.catalog.listed_capabilities import lacking
from gateway.catalog.listed_rates import (
    IMAGE_MODES,
    StatedRates,
    size_of,
    sized,
    stated_tiers,
    with_image_price,
    with_sizes,
)
from gateway.domain import Capability, Meter

OVERRIDE_FILE = "prices.json"
PACKAGED_FILE = "model_prices_and_context_window_backup.json"
# What the gateway's endpoints can call. A model without a mode is a chat model.
TEXT_MODES = frozenset({"chat", "completion", "embedding", "moderation"})
SERVED_MODES = TEXT_MODES | IMAGE_MODES | {"audio_speech", "audio_transcription", "rerank"}

# What must be priced so that a call can be charged: all meters of one of the alternatives.
_TOKENS = frozenset({Meter.INPUT, Meter.OUTPUT})
_IMAGES = (frozenset({Meter.IMAGE_GENERATED}), frozenset({Meter.IMAGE_OUTPUT}), _TOKENS)
_NEEDED: Mapping[str, tuple[frozenset[Meter], ...]] = {
    "chat": (_TOKENS,),
    "completion": (_TOKENS,),
    "responses": (_TOKENS,),
    "audio_speech": (frozenset({Meter.CHARACTER}), _TOKENS),
    "audio_transcription": (frozenset({Meter.SECOND}), _TOKENS, frozenset({Meter.AUDIO_INPUT, Meter.OUTPUT})),
    "image_generation": _IMAGES,
    "image_edit": _IMAGES,
    "rerank": (frozenset({Meter.QUERY}), frozenset({Meter.INPUT})),
}
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
    lacks: frozenset[Capability] = frozenset()

    @property
    def is_priced(self) -> bool:
        """Whether a call can be charged: what each kind of model consumes has a stated rate, possibly zero."""
        standard = self.tiers.get("standard")
        if standard is None:
            return False
        if self.mode not in _NEEDED:
            return bool(standard.base)
        return any(needed <= standard.base.keys() for needed in _NEEDED[self.mode])


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
        under the provider, not under its models; sizes of images under names of their own.
        """
        names = [model]
        if model.startswith("ft:"):
            names.append(":".join(model.split(":")[:2]))
        for name in names:
            for key in (name,) if provider is None else (name, f"{provider}/{name}"):
                found = self.get(key)
                if found is not None and found.is_priced and (provider is None or _fits(found.provider, provider)):
                    return self._with_container(self._with_sizes(found, name, provider), provider)
        return self._of_sizes(model, provider)

    @cached_property
    def _sized_keys(self) -> Mapping[str, Sequence[tuple[str, str]]]:
        """By model, the keys of the sizes of its images, each with the size as a tariff names it."""
        keys: dict[str, list[tuple[str, str]]] = {}
        for key in self._raw:
            if "-x-" in key and (size := sized(key)) is not None:
                keys.setdefault(size["model"], []).append((key, size_of(size)))
        return keys

    def _sizes(self, model: str, provider: str | None) -> Mapping[str, ListedModel]:
        """The priced sizes of a model's images at that provider, by size."""
        entries = [(size, self.get(key)) for key, size in self._sized_keys.get(model, ())]
        return {
            size: entry
            for size, entry in entries
            if entry is not None and entry.is_priced and (provider is None or _fits(entry.provider, provider))
        }

    def _with_sizes(self, found: ListedModel, model: str, provider: str | None) -> ListedModel:
        sizes = self._sizes(model, provider) if found.mode in IMAGE_MODES else {}
        rates = {size: entry.tiers["standard"].base[Meter.IMAGE_GENERATED] for size, entry in sizes.items()}
        # Tokens that are reported are charged exactly; what no size names is then no image at the dearest size.
        is_by_token = Meter.IMAGE_GENERATED not in found.tiers["standard"].base
        tiers = with_sizes(found.tiers, rates, has_dearest=not is_by_token) if rates else found.tiers
        return replace(found, tiers=tiers)

    def _of_sizes(self, model: str, provider: str | None) -> ListedModel | None:
        """A model whose sizes alone have prices."""
        sizes = self._sizes(model, provider)
        if not sizes:
            return None
        rates = {size: entry.tiers["standard"].base[Meter.IMAGE_GENERATED] for size, entry in sizes.items()}
        one = next(iter(sizes.values()))
        return replace(one, key=model, tiers=with_sizes({"standard": StatedRates()}, rates))

    def of_provider(self, provider: str, modes: frozenset[str] = SERVED_MODES) -> Iterator[tuple[str, ListedModel]]:
        """All priced models of a provider in these modes, as ``(name to call it by, entry)``.

        A name is the key without the provider's prefix; keys with further qualifiers of region or size
        ("us/gpt-5", "1024-x-1024/...") are other prices of the same models, so they are left out.
        """
        seen = set()
        for key in self._raw:
            size = sized(key) if "-x-" in key else None
            name = key.removeprefix(f"{provider}/") if size is None else size["model"]
            if "/" in name and (name == key or size is not None):
                continue
            peek = _peek(self._raw[key])
            if peek is None or not _fits(peek, provider) or name in seen or name.startswith("ft:"):
                continue
            entry = self.find(name, provider)
            if entry is not None and entry.mode in modes:
                seen.add(name)
                yield name, entry

    def _with_container(self, found: ListedModel, provider: str | None) -> ListedModel:
        container = self.get(f"{provider}/container") if provider is not None else None
        if container is None or "standard" not in container.tiers:
            return found
        sessions = container.tiers["standard"].base
        standard = found.tiers["standard"]
        tiers = {**found.tiers, "standard": StatedRates({**sessions, **standard.base}, standard.context_tiers)}
        return replace(found, tiers=tiers)


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
        tiers = with_image_price(key, entry, stated_tiers(entry))
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
        lacks=lacking(entry),
    )


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or value <= 0:
        return None
    return int(value)


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
