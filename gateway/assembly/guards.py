"""Which guards stand before a request: what the catalog, its team and its key say, resolved and built once."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import TypeVar

import msgspec

from gateway.catalog.guard_rules import BadGuard, added_rule, asked_by, read_added
from gateway.catalog.guards import misplaced_guard
from gateway.catalog.snapshot import CatalogSnapshot
from gateway.domain import Caller, Finding, GuardMode, GuardRule, OnError, Request, Route, SecretsSettings
from gateway.errors import GuardFailed
from gateway.guard_ports import Asking, Guard

_log = logging.getLogger("obol.guards")

RESOLVED_MAX = 1_000  # routes with what their callers add
BUILT_MAX = 1_000

Standing = Sequence[tuple[GuardRule, Guard]]
_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class Broken:
    """Stands where a guard should stand that there is not: what becomes of requests is for its rule to say."""

    version = "none"

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def look(self, texts: Sequence[str], asking: Asking) -> Finding:
        """Raises GuardFailed."""
        del texts, asking
        raise GuardFailed(self._reason)


class GuardsInForce:
    """The Guards of the path. Where nobody wants any it costs two looks, and loads nothing."""

    def __init__(self, catalog: Callable[[], CatalogSnapshot], build: Callable[[GuardRule], Guard]) -> None:
        """``build``: makes the guard that a rule asks for.

        Those of everybody and of routes are built here, for the first of a kind takes up to 0.2 s.
        """
        self._catalog = catalog
        self._build = build
        self._resolved_of: CatalogSnapshot | None = None
        self._resolved: OrderedDict[tuple[str | None, str], Standing] = OrderedDict()
        self._built: OrderedDict[GuardRule, Guard] = OrderedDict()
        if catalog().guards:
            for route in (None, *catalog().routes):
                self.standing(route, "")

    def of(self, request: Request, caller: Caller) -> Standing:
        """In their order: those of everybody, the route's, the team's, the key's. Empty for none."""
        catalog = self._catalog()
        if not caller.guards and not catalog.guards:
            return ()
        return self._standing(catalog, request.model, caller.guards)

    def of_kept(self, deployment: str, caller: Caller) -> Standing:
        """Those of every route with that deployment. Empty for none."""
        catalog = self._catalog()
        if not caller.guards and not catalog.guards:
            return ()
        routes = [name for name, route in catalog.routes.items() if deployment in route.deployments]
        found = dict(one for name in (None, *routes) for one in self._standing(catalog, name, caller.guards))
        return tuple(found.items())

    def standing(self, route: str | None, added: str) -> Standing:
        """Those before a route (None: before a deployment) for whom adds these, a JSON list as ``Caller.guards``."""
        return self._standing(self._catalog(), route, added)

    def alone(self, added: str) -> Standing:
        """Those of such a list, and no others."""
        return tuple(self._resolve(self._catalog(), None, (), added))

    def _standing(self, catalog: CatalogSnapshot, model: str | None, added: str) -> Standing:
        if catalog is not self._resolved_of:  # and not its hash, which does not tell of secrets
            self._resolved.clear()
            self._resolved_of = catalog
        key = (model if model in catalog.routes else None, added)
        found = self._resolved.get(key)
        if found is None:
            route = catalog.routes.get(model) if model is not None else None
            of_catalog = (*catalog.always, *(() if route is None else route.guards))
            found = tuple(self._resolve(catalog, route, of_catalog, added))
            _keep(self._resolved, key, found, RESOLVED_MAX)
        else:
            self._resolved.move_to_end(key)
        return found

    def _resolve(
        self, catalog: CatalogSnapshot, route: Route | None, of_catalog: Iterable[str], added: str
    ) -> Iterator[tuple[GuardRule, Guard]]:
        wanted: dict[GuardRule, str | None] = {catalog.guards[name]: None for name in of_catalog}
        for one in msgspec.json.decode(added) if added else ():
            rule, fault = _added(one, catalog.guards)
            asked = asked_by(rule)
            if asked is not None and route is not None and (reason := misplaced_guard(catalog, asked, route)):
                fault = f"it asks {reason}"
            wanted.setdefault(rule, fault)
        names: set[str] = set()
        for rule, fault in wanted.items():
            guard = self._guard(rule) if fault is None else Broken(fault)
            name = _free(rule.name, names)
            names.add(name)
            yield replace(rule, name=name), guard

    def _guard(self, rule: GuardRule) -> Guard:
        built = self._built.get(rule)
        if built is None:
            try:
                built = self._build(rule)
            except Exception as exc:  # noqa: BLE001 - a guard that cannot be made has failed, and its rule says what then
                _log.warning("the guard %s cannot be made: %r", rule.name, exc)
                return Broken(f"it cannot be made: {exc}")
        _keep(self._built, rule, built, BUILT_MAX)
        return built


def _added(one: object, known: Mapping[str, GuardRule]) -> tuple[GuardRule, str | None]:
    """The rule, and why there is no guard that goes by it, if so."""
    try:
        return added_rule(read_added(one), known), None
    except BadGuard as exc:
        return _broken_rule(one), str(exc)


def _broken_rule(one: object) -> GuardRule:
    """What is known of a rule whose guard is none: nothing passes it, unless it says itself that everything may."""
    stated = one if isinstance(one, dict) else {"name": one}
    name = next((text for key in ("name", "guard") if isinstance(text := stated.get(key), str)), "unknown")
    is_open = stated.get("on_error") == OnError.OPEN
    return GuardRule(
        name, "unknown", SecretsSettings(), mode=GuardMode.BLOCK, on_error=OnError.OPEN if is_open else OnError.CLOSED
    )


def _free(name: str, taken: Container[str]) -> str:
    """The name, with a number where another guard of the same request has it: verdicts are told apart by it."""
    numbered = (f"{name}-{number}" for number in count(2))
    return name if name not in taken else next(one for one in numbered if one not in taken)


def _keep(kept: OrderedDict[_Key, _Value], key: _Key, value: _Value, most: int) -> None:
    """Keep it as the latest, and no more than ``most``."""
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)
