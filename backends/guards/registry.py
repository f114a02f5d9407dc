"""Which file builds guards of which kind. A new kind is one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from gateway.domain import GuardRule
from gateway.guard_ports import Guard

# The function `build` of each. What they need (regular expressions, tables, weights) comes with the first of a kind.
KINDS: Mapping[str, str] = {
    "patterns": "backends.guards.patterns",
    "pii": "backends.guards.pii",
    "secrets": "backends.guards.secrets",
    "injection": "backends.guards.injection",
}


def build(rule: GuardRule) -> Guard:
    """Make the guard that a rule asks for, ready for its first text. Raises ValueError for settings it cannot use.

    Takes up to some 0.2 s for the first of a kind, for it loads and compiles what it goes by.
    """
    make: Callable[[GuardRule], Guard] = import_module(KINDS[rule.kind]).build
    return make(rule)
