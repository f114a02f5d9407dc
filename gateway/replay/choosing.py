"""Whom another policy would have asked first, from the record of what was decided.

The record is made into what the policies look at, and the very same functions decide. What barred a deployment then
bars it now: whether it was well, had the capability, fitted the context.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import msgspec
import numpy as np

from gateway.decide import FORESEEING, STEPS, in_order, propensity_of
from gateway.domain import (
    BYTES_PER_TOKEN,
    NO_CONVERSATION,
    Body,
    Considered,
    Conversation,
    DecisionRecord,
    Deployment,
    Endpoint,
    Forecast,
    Meter,
    Prediction,
    Provider,
    Rates,
    Request,
    Tariff,
)
from gateway.replay.plan import Plan
from policies.conversations import kept_tokens, stay
from policies.eligibility import misplaced, too_slow
from policies.expected_cost import too_dear
from policies.pricing import STANDARD, make_rate_card, rates_of
from policies.routing.forecast import Asked, forecasts
from policies.view import View

#: Why a decision stays as it was: it was recorded before lots and forecasts were; or without what a router reads; or
#: the policy goes on by what answers are like, of which nothing is recorded.
OLD, NO_FEATURES, IN_STEPS = "recorded_too_early", "no_features", "cascade"
# In the order of the fields of Rates.
_METERS = (Meter.INPUT, Meter.CACHED_INPUT, Meter.OUTPUT, Meter.REASONING)
_PROVIDER = Provider("recorded", "recorded")
_BODY = Body({})


@dataclass(frozen=True, slots=True)
class Choice:
    """Who would have been first: ``None`` where nobody could serve. ``kept``: why it is left as it was, if it is.

    ``is_changed``: it would have been another, or it alone where a cascade went on. ``weight``: how much likelier the
    other policy makes the recorded first than the recorded one did.
    """

    first: str | None
    is_changed: bool
    weight: float
    kept: str | None = None
    predictions: Mapping[str, Prediction] | None = None


@dataclass(frozen=True, slots=True)
class _Question:
    """A record as policies see it. ``asked``: what a router is still to be asked, if it is.

    ``is_best_wanted``: the best that fits a cap on the cost, and not the cheapest that is adequate.
    """

    record: DecisionRecord
    candidates: tuple[Deployment, ...]
    measured: Mapping[str, float]
    kept: str | None = None
    forecast: Forecast | None = None
    asked: Asked | None = None
    is_best_wanted: bool = False


class Chooser:
    """Decides recorded decisions anew, in the order of time. ``unknown``: deployments that records do not have."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._conversations = Turns()
        self.unknown: Counter[str] = Counter()

    def choices(self, records: Sequence[DecisionRecord]) -> list[Choice]:
        """One for each record, in their order."""
        questions = [self._question(one) for one in records]
        forecasts_of = self._forecasts(questions)
        return [
            self._choice(question, forecasts_of.get(place, question.forecast))
            for place, question in enumerate(questions)
        ]

    def _question(self, record: DecisionRecord) -> _Question:
        found = {one.deployment: one for one in record.candidates}
        considered = []
        for name in self._plan.route.deployments:
            if (one := found.get(name)) is None:
                self.unknown[name] += 1
            elif one.bar is None and not self._is_misplaced(name):
                considered.append(one)
        candidates = tuple(self._deployment(one, record.input_tokens) for one in considered)
        measured = {one.deployment: one.first_token_p95_s for one in considered if one.first_token_p95_s is not None}
        question = _Question(record, candidates, measured)
        if record.draw is None:
            return replace(question, kept=OLD)
        if self._plan.route.policy in STEPS:
            return replace(question, kept=IN_STEPS)
        if self._plan.route.policy not in FORESEEING or not candidates:
            return question
        return self._foreseeing(question, considered)

    def _foreseeing(self, question: _Question, considered: Sequence[Considered]) -> _Question:
        """With the forecast that was recorded where it holds, else with what a router is to be asked."""
        record, route = question.record, self._plan.route
        was_best_wanted = (
            record.router_version is not None and record.quality_loss_max is None and record.policy not in STEPS
        )
        target, is_best_wanted = route.quality_loss_max, route.is_best_wanted
        if record.is_loss_asked and record.quality_loss_target is not None:
            target, is_best_wanted = record.quality_loss_target, was_best_wanted
        if record.policy in FORESEEING and not self._plan.is_router_named:
            if record.router_version is None:  # no router was there, and there is none now
                return question
            told = _recorded(record, considered, target)
            is_calibrated = record.cost_weight is not None or record.strongest is not None
            if is_best_wanted:
                return replace(question, forecast=told, is_best_wanted=True)
            if not was_best_wanted and target == record.quality_loss_target:
                return replace(question, forecast=told)
            if not was_best_wanted and not is_calibrated:
                return replace(question, forecast=replace(told, quality_loss_max=target))
        router = self._plan.router
        if router is None or len(record.features) != 2 * len(router.general.feature_mean):
            return replace(question, kept=NO_FEATURES)
        tokens = _text_tokens(record)
        asked = Asked(
            tokens if record.question_tokens is None else record.question_tokens,
            tokens,
            record.output_tokens_max,
            target,
            {} if record.before is None else kept_tokens(record.before),
        )
        return replace(question, asked=asked, is_best_wanted=is_best_wanted)

    def _forecasts(self, questions: Sequence[_Question]) -> dict[int, Forecast]:
        """What the router says, by the place of the question: all with the same candidates at once."""
        router = self._plan.router
        if router is None:
            return {}
        # Of what was recorded alike the deployments are the same objects.
        alike: dict[tuple[int, ...], list[tuple[int, Asked]]] = defaultdict(list)
        for place, question in enumerate(questions):
            if question.asked is not None:
                alike[tuple(map(id, question.candidates))].append((place, question.asked))
        found: dict[int, Forecast] = {}
        for group in alike.values():
            places = [place for place, _ in group]
            rows = [np.frombuffer(questions[place].record.features, np.float16) for place in places]
            features = np.stack(rows).astype(np.float32)
            candidates = questions[places[0]].candidates
            answers = forecasts(router, self._plan.route.name, candidates, features, [asked for _, asked in group])
            found |= dict(zip(places, answers, strict=True))
        return found

    def _choice(self, question: _Question, forecast: Forecast | None) -> Choice:
        record, route = question.record, self._plan.route
        logged = first_of(record)
        if question.kept is not None:
            self._conversations.remember(record, logged, 0)
            return Choice(logged, False, 1.0, question.kept)
        if question.is_best_wanted and forecast is not None:
            forecast = replace(forecast, cost_weight=0.0, strongest=None)
        request = _request(record)
        candidates = self._affordable(question, request, forecast)
        if not candidates:
            return Choice(None, logged is not None, 1.0 if logged is None else 0.0)
        view = View(route, record.draw or 0.0, question.measured, forecast)
        slow = too_slow(candidates, route, question.measured)
        tried = in_order(candidates, request, view, slow)
        before = self._conversations.before(record) if route.conversations.is_sticky else None
        stayed = NO_CONVERSATION
        if before is not None:
            stayed = stay(tried, forecast, route.conversations, before, request.text_tokens)
        again = next((one for one in candidates if one.name == logged), None)
        if stayed.kept is not None:
            first, likely = stayed.kept, float(stayed.kept == logged)
        else:
            first = tried[0].name
            likely = 0.0 if again is None else propensity_of(candidates, request, view, slow, again)
        self._conversations.remember(record, first, stayed.switching_nusd)
        predictions = None if forecast is None else forecast.predictions
        was_in_steps = record.policy in STEPS  # what clients said of is what all of its steps came to
        weight = likely / record.propensity if record.propensity > 0 and not was_in_steps else 0.0
        return Choice(first, first != logged or was_in_steps, weight, None, predictions)

    def _affordable(self, question: _Question, request: Request, forecast: Forecast | None) -> Sequence[Deployment]:
        """Those within the new route's cap on the cost, where the one that held then was not as low."""
        cap_nusd, held_nusd = self._plan.route.cost_max_nusd, question.record.cost_max_nusd
        if cap_nusd is None or (held_nusd is not None and held_nusd <= cap_nusd):
            return question.candidates
        dear = too_dear(question.candidates, request, cap_nusd, {} if forecast is None else forecast.predictions)
        return [one for one in question.candidates if one.name not in dear]

    def _is_misplaced(self, name: str) -> bool:
        placement = self._plan.route.placement
        known = self._plan.known.get(name)  # there is one for each where the route says where they must be
        return known is not None and misplaced(known, placement, "the route") is not None

    def _deployment(self, one: Considered, input_tokens: int) -> Deployment:
        """As the catalog has it, if that has the price that was recorded; else as far as the record says."""
        known = self._plan.known.get(one.deployment)
        if known is not None and known.tariff is not None and one.rates is not None:
            rates = rates_of(known.tariff, input_tokens, None)
            if tuple(rates[meter] for meter in _METERS) == msgspec.structs.astuple(one.rates):
                return known
        return _deployment(one.deployment, one.model, one.rates, None if known is None else known.quality)


class Turns:
    """Who would have answered each conversation last, which is what the next turn goes on with."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[str, int]] = {}

    def before(self, record: DecisionRecord) -> Conversation | None:
        """What would be remembered of the conversation: as it was, if it went on as it did."""
        was = record.before
        if was is None or record.conversation is None:
            return None
        last, switching_nusd = self._last.get(record.conversation, (was.deployment, was.switching_nusd))
        if last == was.deployment:
            return was
        cached = was.cached.get(was.deployment)
        kept = {} if cached is None else {last: cached}
        return Conversation(last, kept, was.cost_nusd, switching_nusd)

    def remember(self, record: DecisionRecord, first: str | None, switching_nusd: int) -> None:
        """``first``: who would have been asked first; fallbacks are as they were where that is the same."""
        answered = record.chosen if first == first_of(record) else first
        if record.conversation is None or answered is None:
            return
        spent = 0 if record.before is None else record.before.switching_nusd
        _, spent_nusd = self._last.get(record.conversation, ("", spent))
        self._last[record.conversation] = (answered, spent_nusd + switching_nusd)


def first_of(record: DecisionRecord) -> str | None:
    """The deployment that was put first."""
    return next((one.deployment for one in record.candidates if one.place == 1), None)


def _recorded(record: DecisionRecord, considered: Sequence[Considered], target: float) -> Forecast:
    """The forecast that was recorded; ``target``: the loss to go by where the record has none."""
    return Forecast(
        router_version=record.router_version or "",
        predictions={
            one.deployment: Prediction(one.quality, one.quality_low, one.quality_high, one.expected_cost_nusd)
            for one in considered
        },
        quality_loss_max=target if record.quality_loss_max is None else record.quality_loss_max,
        cost_weight=record.cost_weight,
        strongest=record.strongest,
        is_certified=record.is_certified,
    )


def _text_tokens(record: DecisionRecord) -> int:
    return record.input_tokens if record.text_tokens is None else record.text_tokens


def _request(record: DecisionRecord) -> Request:
    """What policies look at of a request."""
    return Request(
        id=record.request_id,
        endpoint=Endpoint(record.endpoint),
        model=record.route,
        body=_BODY,
        body_bytes=BYTES_PER_TOKEN * _text_tokens(record),
        is_stream=record.is_stream,
        output_tokens_max=record.output_tokens_max,
    )


@lru_cache(maxsize=4096)
def _deployment(name: str, model: str, rates: Rates | None, quality: float | None) -> Deployment:
    tariff = None
    if rates is not None:
        stated = {Meter.INPUT: rates.input, Meter.CACHED_INPUT: rates.cached_input}
        stated |= {Meter.OUTPUT: rates.output, Meter.REASONING: rates.reasoning}
        tariff = Tariff({STANDARD: make_rate_card(stated)})
    return Deployment(name, _PROVIDER, model, tariff, quality=quality)
