"""How much a model is to think: chat's ``reasoning_effort`` as Anthropic's thinking, in each model's own form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.translation.fields import Refusal

#: Thinking tokens for each effort, on models that think by budget; cut to half of what the answer may have.
BUDGETS: Mapping[str, int] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16_384,
    "xhigh": 32_768,
    "max": 65_536,
}
_BUDGET_MIN = 1024  # Anthropic's
_EFFORTS: Mapping[str, str] = {
    **{effort: effort for effort in ("low", "medium", "high", "xhigh", "max")},
    "minimal": "low",
}
# The models before Claude 4.6 know no other thinking than by budget; those since 4.7 refuse budgets. The list of the
# older ones is closed, so it is they that are told by their names. Models of other makers have copied the older form.
_BY_BUDGET = re.compile(
    r"claude-(?:instant|v?[123](?!\d)|4-|(?:opus|sonnet|haiku)-4(?:[-.][015])?(?:[-@]20\d{6})?(?![-.]?\d))"
)

_OFF = b'{"type":"disabled"}'


@dataclass(frozen=True, slots=True)
class Thinking:
    """What to say: ``thinking`` as JSON, and ``output_config.effort``."""

    thinking: bytes | None = None
    effort: str | None = None

    @property
    def is_on(self) -> bool:
        return self.thinking is not None and self.thinking != _OFF


def thinks_adaptively(model: str) -> bool:
    """Whether the model decides itself how much to think, guided by an effort."""
    name = model.lower()
    return "claude" in name and _BY_BUDGET.search(name) is None


def thinking_for(
    effort: str, model: str, *, output_tokens_max: int, is_tool_forced: bool, can_go_on_thinking: bool
) -> Thinking:
    """Raises Refusal for an effort that is none.

    Where a tool is forced Anthropic refuses thinking, and a budget also where the thoughts of the turn at hand are
    not there: the effort is a wish, so it gives way.
    """
    if effort == "none":
        return Thinking(_OFF)
    if effort not in BUDGETS:
        raise Refusal("reasoning_effort", f"Unsupported value for {{}}: '{effort[:60]}'.")
    if thinks_adaptively(model):
        return Thinking(None if is_tool_forced else b'{"type":"adaptive"}', _EFFORTS[effort])
    budget = min(BUDGETS[effort], output_tokens_max // 2)
    if is_tool_forced or not can_go_on_thinking or budget < _BUDGET_MIN:
        return Thinking()
    return Thinking(thinking=b'{"type":"enabled","budget_tokens":%d}' % budget)
