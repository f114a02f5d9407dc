"""Keys, tokens and passwords."""

from __future__ import annotations

from collections.abc import Sequence

from backends.guards.looking import places_in, version_of
from gateway.domain import Finding, GuardRule, SecretsSettings
from gateway.guard_ports import Asking, Guard
from policies.screening.secrets.finding import find

VERSION = 3


class SecretsGuard:
    """Its categories say whose the secrets are, or how they are written."""

    def __init__(self, settings: SecretsSettings) -> None:
        self.version = version_of(VERSION, settings)
        find("")  # compiles what it goes by

    async def look(self, texts: Sequence[str], asking: Asking) -> Finding:  # noqa: ARG002 - asks nobody
        return await places_in(texts, find)


def build(rule: GuardRule) -> Guard:
    if not isinstance(rule.settings, SecretsSettings):
        raise TypeError(rule.kind)
    return SecretsGuard(rule.settings)
