"""What a call costs, whatever an upstream reports: exact, never negative, no token counted twice."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain import Meter, RateCard, Tariff, Usage
from policies.pricing import PARENTS, charge, discounted, free_tariff, make_rate_card

I, C, W, WL, OUT, R, AI, AO = (  # noqa: E741 - one letter reads well in tables of rates
    Meter.INPUT,
    Meter.CACHED_INPUT,
    Meter.CACHE_WRITE,
    Meter.CACHE_WRITE_LONG,
    Meter.OUTPUT,
    Meter.REASONING,
    Meter.AUDIO_INPUT,
    Meter.AUDIO_OUTPUT,
)

# Speed is nobody's requirement here, and the machine may be busy.
calm = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

rates = st.dictionaries(st.sampled_from(list(Meter)), st.integers(0, 10**15))
context_tiers = st.dictionaries(st.integers(1, 10**6), rates, max_size=3)
counts = st.integers(0, 10**7)
usages = st.builds(Usage, **dict.fromkeys(Usage.__struct_fields__, counts))
wild_usages = st.builds(Usage, **dict.fromkeys(Usage.__struct_fields__, st.integers(-(10**7), 10**7)))


@st.composite
def tariffs(draw):
    standard = make_rate_card(draw(rates), draw(context_tiers))
    cards = {"standard": standard}
    for tier in draw(st.sets(st.sampled_from(["batch", "flex", "priority"]))):
        cards[tier] = make_rate_card(draw(rates), draw(context_tiers), standard)
    return Tariff(cards=cards)


service_tiers = st.sampled_from([None, "default", "auto", "standard", "batch", "flex", "priority", "scale"])


def one_card(stated, tiers=None) -> Tariff:
    return Tariff(cards={"standard": make_rate_card(stated, tiers)})


@calm
@given(tariffs(), wild_usages, service_tiers)
def test_cost_is_the_exact_sum_of_its_lines_rounded_up_once(tariff, usage, tier):
    result = charge(tariff, usage, tier)
    exact = sum(
        (Decimal(line.quantity) * line.rate_nusd_per_mtok / Decimal(10**6) for line in result.lines), Decimal(0)
    )
    assert result.cost_nusd == int(exact.to_integral_value(ROUND_CEILING))


@calm
@given(tariffs(), wild_usages, service_tiers)
def test_no_charge_is_negative_and_no_line_is_empty(tariff, usage, tier):
    result = charge(tariff, usage, tier)
    assert result.cost_nusd >= 0
    assert all(line.quantity > 0 and line.rate_nusd_per_mtok >= 0 for line in result.lines)


@calm
@given(tariffs(), wild_usages, service_tiers)
def test_every_token_is_counted_exactly_once(tariff, usage, tier):
    lines = {line.meter: line.quantity for line in charge(tariff, usage, tier).lines}
    inputs = sum(quantity for meter, quantity in lines.items() if meter is I or PARENTS.get(meter) in {I, W})
    outputs = sum(quantity for meter, quantity in lines.items() if meter is OUT or PARENTS.get(meter) is OUT)
    assert inputs == max(0, usage.input_tokens)
    assert outputs == max(0, usage.output_tokens)


@calm
@given(tariffs(), usages, service_tiers)
def test_each_meter_makes_at_most_one_line(tariff, usage, tier):
    meters = [line.meter for line in charge(tariff, usage, tier).lines]
    assert len(meters) == len(set(meters))


@calm
@given(rates, usages, st.integers(0, 10**6))
def test_more_output_never_costs_less(stated, usage, more):
    tariff = one_card(stated)
    bigger = Usage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens + more)
    smaller = Usage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
    assert charge(tariff, bigger, None).cost_nusd >= charge(tariff, smaller, None).cost_nusd


@calm
@given(rates, usages)
def test_higher_rates_never_cost_less(stated, usage):
    lower, higher = make_rate_card(stated), make_rate_card({meter: rate + 1 for meter, rate in stated.items()})
    assert (
        charge(Tariff(cards={"standard": lower}), usage, None).cost_nusd
        <= charge(Tariff(cards={"standard": higher}), usage, None).cost_nusd
    )


@calm
@given(rates, context_tiers, rates, context_tiers)
def test_every_card_is_complete(base, tiers, tier_base, tier_tiers):
    standard = make_rate_card(base, tiers)
    for card in (standard, make_rate_card(tier_base, tier_tiers, standard)):
        assert all(set(each) == set(Meter) for each in (card.rates, *(rates for _, rates in card.context_tiers)))
        limits = [limit for limit, _ in card.context_tiers]
        assert limits == sorted(set(limits))


@calm
@given(rates, context_tiers)
def test_stated_rates_stand_as_stated(base, tiers):
    card = make_rate_card(base, tiers)
    assert all(card.rates[meter] == rate for meter, rate in base.items())
    assert all(
        dict(card.context_tiers)[limit][meter] == r for limit, some in tiers.items() for meter, r in some.items()
    )


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage(input_tokens=100, output_tokens=10), {I: 100, OUT: 10}),
        (Usage(input_tokens=100, cached_input_tokens=60), {C: 60, I: 40}),
        (Usage(input_tokens=100, cached_input_tokens=60, cache_write_tokens=30, cache_write_long_tokens=10),
         {C: 60, W: 30, WL: 10}),
        (Usage(input_tokens=100, audio_input_tokens=25, image_input_tokens=5), {AI: 25, Meter.IMAGE: 5, I: 70}),
        (Usage(output_tokens=50, reasoning_tokens=20, audio_output_tokens=10), {R: 20, AO: 10, OUT: 20}),
        (Usage(input_tokens=10, cached_input_tokens=60), {C: 10}),
        (Usage(output_tokens=10, reasoning_tokens=60), {R: 10}),
        (Usage(input_tokens=10, cached_input_tokens=8, audio_input_tokens=8), {C: 8, AI: 2}),
        (Usage(seconds=3, characters=4, images=1, web_searches=2, code_sessions=5),
         {Meter.SECOND: 3, Meter.CHARACTER: 4, Meter.IMAGE_GENERATED: 1, Meter.WEB_SEARCH: 2, Meter.CODE_SESSION: 5}),
        (Usage(), {}),
    ],
)  # fmt: skip
def test_usage_is_split_into_disjoint_meters(usage, expected):
    lines = charge(free_tariff(), usage, None).lines
    assert {line.meter: line.quantity for line in lines} == expected


def test_one_token_of_the_cheapest_model_costs_at_least_one_nano_dollar():
    assert charge(one_card({I: 1}), Usage(input_tokens=1), None).cost_nusd == 1


def test_a_known_bill_comes_out_exactly():
    # gpt-5-mini: $0.25 in, $0.025 cached, $2 out per 1M tokens.
    tariff = one_card({I: 250_000_000, C: 25_000_000, OUT: 2_000_000_000})
    usage = Usage(input_tokens=1000, cached_input_tokens=300, output_tokens=200, reasoning_tokens=50)
    assert charge(tariff, usage, None).cost_nusd == 700 * 250 + 300 * 25 + 200 * 2000


@pytest.mark.parametrize(
    ("meter", "parent"),
    [(C, I), (W, I), (WL, W), (AI, I), (Meter.IMAGE, I), (R, OUT), (AO, OUT)],
)
def test_a_missing_rate_is_its_parents(meter, parent):
    card = make_rate_card({parent: 7})
    assert card.rates[meter] == 7


def test_a_long_cache_write_falls_back_to_the_input_rate_when_short_writes_have_none():
    assert make_rate_card({I: 9}).rates[WL] == 9


def test_what_is_not_priced_by_the_token_costs_nothing_unless_stated():
    card = make_rate_card({I: 9, OUT: 9})
    assert card.rates[Meter.WEB_SEARCH] == card.rates[Meter.SECOND] == card.rates[Meter.IMAGE_GENERATED] == 0


def test_a_context_tier_holds_only_above_its_limit():
    tariff = one_card({I: 1_000_000}, {200_000: {I: 2_000_000}})
    assert charge(tariff, Usage(input_tokens=200_000), None).cost_nusd == 200_000
    assert charge(tariff, Usage(input_tokens=200_001), None).cost_nusd == 400_002


def test_the_highest_context_tier_that_is_reached_holds():
    tariff = one_card({I: 1}, {256: {I: 3}, 128: {I: 2}})
    held = [charge(tariff, Usage(input_tokens=n), None).lines[0].rate_nusd_per_mtok for n in (128, 129, 256, 257)]
    assert held == [1, 2, 2, 3]


def test_all_of_the_output_is_charged_at_the_context_tier_too():
    tariff = one_card({I: 0, OUT: 1_000_000}, {200_000: {OUT: 1_500_000}})
    assert charge(tariff, Usage(input_tokens=300_000, output_tokens=10), None).cost_nusd == 15


def test_a_tiers_missing_rate_keeps_the_ratio_to_its_parent():
    card = make_rate_card({I: 3000, C: 300, W: 3750, WL: 6000, OUT: 15000}, {200_000: {I: 6000, OUT: 22500}})
    above = card.context_tiers[0][1]
    assert (above[C], above[W], above[WL], above[R]) == (600, 7500, 12000, 22500)


def test_a_tier_that_states_neither_a_meter_nor_its_parent_has_the_base_rate():
    card = make_rate_card({I: 3000, C: 300, OUT: 15000}, {200_000: {OUT: 22500}})
    assert (card.context_tiers[0][1][I], card.context_tiers[0][1][C]) == (3000, 300)


def test_a_service_tier_inherits_the_context_limits_of_the_standard_card():
    standard = make_rate_card({I: 1000, C: 100, OUT: 4000}, {272_000: {I: 2000, OUT: 6000}})
    batch = make_rate_card({I: 500, OUT: 2000}, None, standard)
    assert dict(batch.context_tiers)[272_000][I] == 1000
    assert dict(batch.context_tiers)[272_000][OUT] == 3000
    assert dict(batch.context_tiers)[272_000][C] == 100


def test_a_stated_rate_of_a_service_tier_and_context_limit_wins_over_the_derived_one():
    standard = make_rate_card({I: 1000, OUT: 4000}, {272_000: {I: 2000}})
    flex = make_rate_card({I: 500}, {272_000: {I: 1111}}, standard)
    assert flex.context_tiers[0][1][I] == 1111


@pytest.mark.parametrize(
    ("served", "rate"),
    [(None, 10), ("", 10), ("default", 10), ("auto", 10), ("standard", 10), ("flex", 5), ("priority", 10), ("new", 10)],
)
def test_the_service_tier_that_was_served_sets_the_price(served, rate):
    standard = make_rate_card({I: 10})
    tariff = Tariff(cards={"standard": standard, "flex": make_rate_card({I: 5}, None, standard)})
    assert charge(tariff, Usage(input_tokens=1), served).lines[0].rate_nusd_per_mtok == rate


@calm
@given(usages, service_tiers)
def test_a_free_tariff_meters_everything_and_costs_nothing(usage, tier):
    result = charge(free_tariff(), usage, tier)
    assert result.cost_nusd == 0
    assert bool(result.lines) == any(
        (usage.input_tokens, usage.output_tokens, usage.images, usage.characters, usage.seconds,
         usage.web_searches, usage.code_sessions)
    )  # fmt: skip


@pytest.mark.parametrize(("base", "tiers"), [({I: -1}, {}), ({}, {1000: {I: -1}}), ({}, {0: {I: 1}}), ({}, {-5: {}})])
def test_negative_rates_and_limits_are_refused(base, tiers):
    with pytest.raises(ValueError, match=r"negative|zero"):
        make_rate_card(base, tiers)


@calm
@given(rates, st.integers(0, 100))
def test_a_discount_never_takes_more_than_it_says(stated, percent):
    for meter, rate in discounted(stated, 100 - percent, 100).items():
        assert 0 <= rate * 100 - stated[meter] * (100 - percent) < 100


def test_cards_are_values():
    assert make_rate_card({I: 1}) == make_rate_card({I: 1})
    assert isinstance(make_rate_card({}), RateCard)
