"""What a decision cost, and what it would have cost with another first: whole nano-dollars, from the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gateway.domain import MILLION, Considered, DecisionRecord, Purpose, Rates
from gateway.replay.choosing import Choice, first_of
from gateway.stores.recorded import Recorded, Spent
from policies.expected_cost import OUTPUT_TOKENS

#: Why a cost stays as it was: what was used is charged by other units than text tokens, whose rates records lack.
OTHER_METERS = "other_meters"
#: The processor's time of one forecast where it was not measured: docs/routing.md has the figure.
ROUTER_US = 700
_FREE = Rates(0, 0, 0, 0)


class Costs(NamedTuple):
    """All that one decision cost. ``cost_nusd`` is what is, or would be, on the ledger, and holds the parts after it.

    ``escalation_nusd``: attempts besides the one that answered. ``lost_cache_nusd``: input that would have been read
    from the provider's cache. ``router_us``: the processor's time, which is on no ledger.
    """

    cost_nusd: int = 0
    baseline_nusd: int = 0
    embedding_nusd: int = 0
    guard_nusd: int = 0
    judge_nusd: int = 0
    shadow_nusd: int = 0
    audit_nusd: int = 0
    escalation_nusd: int = 0
    lost_cache_nusd: int = 0
    router_us: int = 0


@dataclass(frozen=True, slots=True)
class Priced:
    """A decision as it was and as it would have been.

    ``expected_nusd``, ``logged_nusd``: what both firsts are expected to cost beforehand. ``kept``: as in Choice.
    """

    recorded: Costs
    replayed: Costs
    expected_nusd: int
    logged_nusd: int
    kept: str | None = None


class Coster:
    """Prices decisions in the order of time: it remembers who answered each conversation last."""

    def __init__(self, *, asks_router: bool) -> None:
        """``asks_router``: the policy that is tried wants a forecast of each decision."""
        self._asks_router = asks_router
        self._last: dict[tuple[str, str], tuple[str | None, str | None]] = {}

    def price(self, one: Recorded, choice: Choice) -> Priced:
        record = one.record
        logged = first_of(record)
        found = {each.deployment: each for each in record.candidates}
        answer = _answer(one)
        recorded = _recorded(one, answer)
        is_changed, kept = choice.is_changed, choice.kept
        own = _own(one, choice.first)
        if is_changed and own is None and answer is not None and not answer.is_by_token:
            is_changed, kept = False, OTHER_METERS
        first = choice.first if is_changed else logged
        was_last, would_be_last = self._turn(record, answer, first, is_changed=is_changed)
        router_us = (record.router_us or ROUTER_US) if self._asks_router and kept is None else 0
        if kept is not None:
            router_us = recorded.router_us
        if is_changed:
            is_warm = was_last is not None and would_be_last == first
            replayed = _changed(one, own, answer, found, choice, is_warm=is_warm)
        else:
            # The prefix was cached where the turn before went; in the replay that one went elsewhere.
            is_lost = would_be_last != was_last and answer is not None and would_be_last != answer.deployment
            lost_nusd = _lost(answer, found) if is_lost and answer is not None else 0
            replayed = recorded._replace(cost_nusd=recorded.cost_nusd + lost_nusd, lost_cache_nusd=lost_nusd)
        logged_nusd = _foreseen(record, found.get(logged or ""), None)
        expected_nusd = _foreseen(record, found.get(first or ""), choice) if is_changed else logged_nusd
        return Priced(recorded, replayed._replace(router_us=router_us), expected_nusd, logged_nusd, kept)

    def _turn(
        self, record: DecisionRecord, answer: Spent | None, first: str | None, *, is_changed: bool
    ) -> tuple[str | None, str | None]:
        """Who answered the turn before, as it was and as it would have been; this turn is remembered."""
        if record.conversation is None:
            return None, None
        name = (record.team_id, record.conversation)
        before = self._last.get(name, (record.answered_before, record.answered_before))
        if answer is not None:
            self._last[name] = (answer.deployment, first if is_changed else answer.deployment)
        return before


def _answer(one: Recorded) -> Spent | None:
    """The attempt that answered; where none did, the last that was made."""
    attempts = [each for each in one.attempts if each.purpose == Purpose.ANSWER]
    answered = [each for each in attempts if each.deployment == one.record.chosen]
    tried = answered or attempts
    return tried[-1] if tried else None


def _recorded(one: Recorded, answer: Spent | None) -> Costs:
    by_purpose = dict.fromkeys(Purpose, 0)
    for each in one.attempts:
        by_purpose[Purpose(each.purpose)] += each.cost_nusd
    return Costs(
        cost_nusd=sum(each.cost_nusd for each in one.attempts),
        baseline_nusd=sum(each.baseline_nusd for each in one.attempts),
        embedding_nusd=by_purpose[Purpose.EMBEDDING],
        guard_nusd=by_purpose[Purpose.GUARD],
        judge_nusd=by_purpose[Purpose.JUDGE],
        shadow_nusd=by_purpose[Purpose.SHADOW],
        audit_nusd=by_purpose[Purpose.AUDIT],
        escalation_nusd=by_purpose[Purpose.ANSWER] - (answer.cost_nusd if answer is not None else 0),
        router_us=one.record.router_us or 0,
    )


def _own(one: Recorded, first: str | None) -> Spent | None:
    """The attempt of the new first itself, where a fallback or a cascade had come to it."""
    found = [each for each in one.attempts if each.purpose == Purpose.ANSWER and each.deployment == first]
    return next((each for each in reversed(found) if each.input_tokens + each.output_tokens > 0), None)


def _changed(
    one: Recorded,
    own: Spent | None,
    answer: Spent | None,
    found: Mapping[str, Considered],
    choice: Choice,
    *,
    is_warm: bool,
) -> Costs:
    """Another first: it reads and writes as many tokens as were read and written, at its own rates.

    Where it was asked after all, it costs what that did. What belongs to the policy that was in force (escalations,
    judges) is gone; what any request has stays.
    """
    recorded = _recorded(one, answer)
    if answer is None:  # nobody was called: a budget had no room, or the client left first
        return recorded
    rest = recorded.embedding_nusd + recorded.guard_nusd + recorded.shadow_nusd + recorded.audit_nusd
    considered = found.get(choice.first or "")
    cost, lost, baseline = 0, 0, recorded.baseline_nusd
    if choice.first is None:  # refusing a request saves nothing
        baseline = 0
    elif own is not None:
        cost = own.cost_nusd
    elif considered is not None and answer.input_tokens + answer.output_tokens > 0:
        cost, lost = _repriced(answer, considered.rates or _FREE, is_warm=is_warm)
    elif considered is not None:  # it failed, and what it would have used is not known
        cost = _foreseen(one.record, considered, choice)
        reference = found.get(one.record.baseline or "")
        baseline += cost if reference is None else _foreseen(one.record, reference, choice)
    return recorded._replace(
        cost_nusd=cost + rest,
        baseline_nusd=baseline,
        judge_nusd=0,
        escalation_nusd=0,
        lost_cache_nusd=lost,
    )


def _repriced(answer: Spent, rates: Rates, *, is_warm: bool) -> tuple[int, int]:
    """The cost of as many tokens at these rates, and what of it a cache would have saved."""
    cached = min(answer.cached_input_tokens, answer.input_tokens)
    reasoning = min(answer.reasoning_tokens, answer.output_tokens)
    total = (
        (answer.input_tokens - cached) * rates.input
        + cached * rates.cached_input
        + (answer.output_tokens - reasoning) * rates.output
        + reasoning * rates.reasoning
    )
    if is_warm:
        return _nusd(total), 0
    lost = cached * (rates.input - rates.cached_input)
    return _nusd(total + lost), _nusd(lost)


def _lost(answer: Spent, found: Mapping[str, Considered]) -> int:
    considered = found.get(answer.deployment)
    rates = considered.rates if considered is not None else None
    return 0 if rates is None else _nusd(answer.cached_input_tokens * (rates.input - rates.cached_input))


def _foreseen(record: DecisionRecord, considered: Considered | None, choice: Choice | None) -> int:
    """What the deployment is expected to cost before it is called: by a router, else by its prices."""
    if considered is None:
        return 0
    told = None if choice is None or choice.predictions is None else choice.predictions.get(considered.deployment)
    expected = considered.expected_cost_nusd if told is None else told.expected_cost_nusd
    if expected is not None:
        return expected
    rates = considered.rates or _FREE
    output_tokens = min(OUTPUT_TOKENS, record.output_tokens_max or OUTPUT_TOKENS)
    return _nusd(record.input_tokens * rates.input + output_tokens * rates.output)


def _nusd(at_rates: int) -> int:
    """Rounded up, as charges are."""
    return -(-at_rates // MILLION)
