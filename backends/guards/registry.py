"""Which file builds guards of which kind. A new kind is one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from backends.guards.hooks import Hooks
from gateway.domain import GuardRule
from gateway.guard_ports import Guard

# The function `build` of each. What they need (regular expressions, tables, weights) comes with the first of a kind.
KINDS: Mapping[str, str] = {
    "patterns": "backends.guards.patterns",
    "pii": "backends.guards.pii",
    "secrets": "backends.guards.secrets",
    "injection": "backends.guards.injection",
    "moderation_api": "backends.guards.moderation_api",
    "judge": "backends.guards.judge",
    "webhook": "backends.guards.webhook",
    "plugin": "backends.guards.plugin",
}


def build(rule: GuardRule, hooks: Hooks | None = None) -> Guard:
    """Make the guard that a rule asks for, ready for its first text. Raises ValueError for settings it cannot use.

    Takes up to some 0.2 s for the first of a kind, for it loads and compiles what it goes by; a plugin as long as its
    package takes to load. ``hooks``: what webhooks share; None: each has its own.
    """
    make: Callable[..., Guard] = import_module(KINDS[rule.kind]).build
    return make(rule, hooks or Hooks()) if rule.kind == "webhook" else make(rule)
