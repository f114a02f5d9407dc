"""What `obol prices` does: show listed prices, and replace the price list after showing what changes."""

from __future__ import annotations

import difflib
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from gateway.catalog import pricelist
from gateway.catalog.listed_rates import StatedRates
from gateway.catalog.pricelist import ListedModel, PriceList, PriceListError
from gateway.catalog.snapshot import per_unit_of, usd
from gateway.domain import Meter
from gateway.settings import Settings

_PROVIDERS_SHOWN = 15
_ORDER = {meter: index for index, meter in enumerate(Meter)}


def show(settings: Settings, model: str | None = None) -> str:
    """The prices of a model, or what the list contains. Raises PriceListError, also for a model it does not have."""
    prices = pricelist.read(pricelist.path_in_use(settings.data_dir))
    if model is not None:
        return "\n".join(_shown(_wanted(prices, model)))
    counts = Counter(entry.provider for entry in _entries(prices) if entry.is_priced)
    lines = [f"{prices.source}: {len(prices)} models, {counts.total()} with prices"]
    lines += [f"  {provider}: {count}" for provider, count in counts.most_common(_PROVIDERS_SHOWN)]
    lines.append("obol prices show MODEL shows one of them; a price in the catalog wins over the list.")
    return "\n".join(lines)


def update(settings: Settings, file: Path) -> tuple[str, Callable[[], None]]:
    """What would change if ``file`` became the price list, and the act that makes it so (atomic, running gateways
    follow within seconds). Raises PriceListError for a file that is no price list; nothing has changed then.
    """
    old = pricelist.read(pricelist.path_in_use(settings.data_dir))
    new = pricelist.read(file)
    priced = {entry.key: entry for entry in _entries(new) if entry.is_priced}
    if not priced:
        raise PriceListError(f"{file}: states no price of any model")
    before = {entry.key: entry for entry in _entries(old) if entry.is_priced}
    content = new.content()

    def apply() -> None:
        write_atomically(settings.data_dir / pricelist.OVERRIDE_FILE, content)

    return "\n".join(_differences(before, priced)), apply


def write_atomically(path: Path, content: bytes) -> None:
    """Put the content there, whole and on disk, or leave what was there. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fchmod(stream.fileno(), 0o644)  # prices are public
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:  # whatever ends the writing: no half a file stays
        Path(temporary).unlink(missing_ok=True)
        raise


def _entries(prices: PriceList) -> Iterator[ListedModel]:
    """Raises PriceListError at the first malformed entry."""
    for key in prices.keys():  # noqa: SIM118 - a PriceList is not a mapping
        entry = prices.get(key)
        if entry is not None:
            yield entry


def _wanted(prices: PriceList, model: str) -> ListedModel:
    entry = prices.get(model)
    if entry is not None:
        return entry
    keys = list(prices.keys())
    same_model = [key for key in keys if key.rpartition("/")[2] == model]
    near = same_model or difflib.get_close_matches(model, keys, n=5)
    hint = f"; it has {', '.join(near[:8])}" if near else ""
    raise PriceListError(f"{prices.source}: no model {model!r}{hint}")


def _shown(entry: ListedModel) -> Iterator[str]:
    yield f"{entry.key} ({entry.provider}, {entry.mode}), USD per 1M tokens unless it says otherwise"
    if entry.context_tokens_max:
        yield f"  takes {entry.context_tokens_max:,} tokens, writes at most {entry.output_tokens_max or 0:,}"
    if entry.deprecation_date:
        yield f"  deprecated from {entry.deprecation_date}"
    if not entry.is_priced:
        yield "  no price"
    for tier, rates in entry.tiers.items():
        yield f"  {tier}: {_rates(rates.base)}"
        for limit, above in sorted(rates.context_tiers.items()):
            yield f"    above {limit:,} input tokens: {_rates(above)}"


def _rates(rates: Mapping[Meter, int]) -> str:
    stated = [f"{meter.value} {usd(rates[meter], meter)}{per_unit_of(meter)}" for meter in Meter if meter in rates]
    return ", ".join(stated)


def _differences(before: Mapping[str, ListedModel], after: Mapping[str, ListedModel]) -> Iterator[str]:
    """One line for each model that comes, goes or changes, then the sums. USD per 1M tokens."""
    changed = 0
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if old is None and new is not None:
            yield f"+ {key}: {'; '.join(_flat(new.tiers).values())}"
        elif new is None:
            yield f"- {key}"
        elif old is not None and new is not None and old.tiers != new.tiers:
            changed += 1
            yield f"~ {key}: {'; '.join(_changes(_flat(old.tiers), _flat(new.tiers)))}"
    added, removed = len(after.keys() - before.keys()), len(before.keys() - after.keys())
    yield f"{added} models added, {removed} removed, {changed} changed (USD per 1M tokens)"


def _flat(tiers: Mapping[str, StatedRates]) -> Mapping[str, str]:
    """Every stated rate under a name of its own: "input", "flex output above 200k"."""
    flat: dict[str, str] = {}
    for tier, rates in tiers.items():
        prefix = "" if tier == "standard" else f"{tier} "
        for limit, some in [(0, rates.base), *sorted(rates.context_tiers.items())]:
            suffix = f" above {limit // 1000}k" if limit else ""
            for meter, rate in sorted(some.items(), key=lambda item: _ORDER[item[0]]):
                name = f"{prefix}{meter.value}{suffix}"
                flat[name] = f"{name} {usd(rate, meter)}{per_unit_of(meter)}"
    return flat


def _changes(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for name in [*old, *(name for name in new if name not in old)]:
        if old.get(name) != new.get(name):
            was = old[name].removeprefix(f"{name} ") if name in old else "none"
            becomes = new[name].removeprefix(f"{name} ") if name in new else "none"
            yield f"{name} {was} -> {becomes}"
