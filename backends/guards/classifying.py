"""The model that the injection guard asks about texts of which its rules are not sure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway.domain import Finding, InjectionSettings
from gateway.errors import GuardFailed
from gateway.guard_ports import Asking

Classify = Callable[[str, Asking], Awaitable[Finding]]


def classifier(settings: InjectionSettings) -> Classify:
    """What asks ``settings.classifier`` whether a text is an attack. It raises GuardFailed where it gets no answer."""

    async def classify(text: str, asking: Asking) -> Finding:  # noqa: ARG001
        raise GuardFailed(f"'{settings.classifier}' cannot be asked yet")

    return classify
