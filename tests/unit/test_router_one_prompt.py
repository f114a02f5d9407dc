"""What is quickly said of one prompt is what the plain way says: features, forecasts, prices, the order."""

from __future__ import annotations

import re
from dataclasses import replace
from math import log1p

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipeline_parts import deployment, request
from router_parts import EASY, HARD, two_track_router, word_table

from gateway.domain import NANO, Forecast, Meter, Prediction, Route, Tariff
from policies.cheapest_adequate import order
from policies.expected_cost import list_cost_nusd, usual_tokens
from policies.pricing import make_rate_card
from policies.routing.descriptors import prior
from policies.routing.features import features
from policies.routing.offer import offer_of
from policies.routing.places import Places
from policies.routing.pool import Pool
from policies.routing.predictor import OUTLIER
from policies.routing.tokens import hashes_of
from policies.routing.words import TELLING, UNKNOWN_LOG_FREQUENCY
from policies.view import View

WORDS = word_table()
TOKEN = re.compile(rb"[a-z\x80-\xff]+|[0-9]+|[^\sa-z0-9\x80-\xff]")
PIECES = [
    *EASY, *HARD, "What", "the", "IS", "which", "nobody", "knows", "ünïcode", "한국어", "日本", "12", "3456789", "0.5",
    "?", "!", "...", "$x^2$", "\\frac", "____", "```", "    ", "\n", "\n\n", "\nA) ", "\nB. ", "\n(C) ", "Statement 1",
]  # fmt: skip
prompts = st.lists(st.sampled_from(PIECES), max_size=60).map(" ".join) | st.lists(st.sampled_from(PIECES)).map("".join)


def plain_features(text: str) -> list[float]:
    """A short prompt without tools, read in plain Python."""
    raw = text.encode() or b" "
    matches = list(TOKEN.finditer(raw.lower()))
    options = [one.start() for one in re.finditer(rb"\n\(?[A-J][.):] ?", raw)]
    stem = options[0] if len(options) > 1 else len(raw)
    words = [one for one in matches if re.match(rb"[a-z\x80-\xff]", one[0])]
    numbers = [len(one[0]) for one in matches if one[0].isdigit()]
    letters, digits = sum(len(one[0]) for one in words), sum(numbers)
    signs = len(matches) - len(words) - len(numbers)
    foreign = sum(byte > 127 for byte in raw) / len(raw)
    size = log1p(len(text))
    form = [size, size * size / 10, log1p(len(matches))]
    form += [one / len(raw) for one in (len(raw) - letters - digits - signs, letters, digits, signs)]
    form += [sum(65 <= byte <= 90 for byte in raw) / len(raw), foreign, foreign > 0.05]
    form += [sum(0xEA <= byte <= 0xED for byte in raw) / len(raw) * 3]
    count = max(len(words), 1)
    form += [log1p(len(words)), letters / count, sum(len(one[0]) > 8 for one in words) / count]
    count = max(len(numbers), 1)
    form += [log1p(len(numbers)), digits / count, max(numbers, default=0), len(numbers) / max(len(matches), 1)]
    form += [len(options), len(options) > 1, len(options) > 4]
    rest = raw[stem:]
    form += (
        [
            log1p(stem),
            log1p(len(rest) / len(options)),
            sum(48 <= b <= 57 for b in rest) / len(rest),
            rest.count(b"\\") / len(rest),
        ]
        if rest
        else [0] * 4
    )
    form += [b"```" in raw, raw.count(b"    ") > 2, raw.startswith(b"Write a"), raw.count(b"\n\n"), b"____" in raw]
    form += [raw.rstrip().endswith(b"?"), b"Statement 1" in raw]
    found = [one[0] for one in matches]
    telling = [log1p(raw.count(b"\n") if one == b"\n" else found.count(one)) for one in TELLING]
    return form + telling + plain_matching(matches, stem)


def plain_matching(matches: list[re.Match[bytes]], stem: int) -> list[float]:
    known = {code: row for row, code in enumerate(WORDS.hashes.tolist())}
    rows = [known.get(code) for code in hashes_of([one[0] for one in matches]).tolist()]
    rarity = [UNKNOWN_LOG_FREQUENCY if row is None else float(WORDS.log_frequency[row]) for row in rows]
    weights = [0.0 if row is None else 0.01 / (0.01 + np.exp(float(WORDS.log_frequency[row]))) for row in rows]
    vectors = [np.zeros(8) if row is None else WORDS.stored[row] * WORDS.scale.astype(float) for row in rows]
    is_word = [bool(re.match(rb"[a-z\x80-\xff]", one[0])) for one in matches]
    is_asked = [one.start() < stem for one in matches]
    content = [at for at, one in enumerate(matches) if is_word[at] and len(one[0]) > 2]
    offered = {matches[at][0] for at in content if not is_asked[at]}
    said = [at for at in content if is_asked[at]]
    again = [-rarity[at] for at in said if matches[at][0] in offered]
    matching = [0.0, 0.0, 0.0]
    if offered and said:
        share = sum(not is_asked[at] for at in content) / len(matches)
        matching = [sum(again) / max(-sum(rarity[at] for at in said), 1e-6), max(again, default=0) / 5, share]
    rare = sorted(one for one, is_in in zip(rarity, is_word, strict=True) if is_in)
    if rare:
        unknown = sum(row is None for row in rows) / len(rows)
        matching += [
            unknown,
            sum(rare) / len(rare),
            sum(rare[:5]) / len(rare[:5]),
            log1p(sum(one < -7 for one in rare)),
        ]
    else:
        matching += [1, 0, 0, 0]
    parts = np.zeros((2, 8))
    for at, vector in enumerate(vectors):
        parts[0 if is_asked[at] else 1] += weights[at] * vector
    lengths = float(np.linalg.norm(parts[0]) * np.linalg.norm(parts[1]))
    matching.append(float(parts[0] @ parts[1]) / (lengths + 1e-6) if matching[2] else 0.0)
    return [*matching, *[0.0] * 14, *(parts.sum(axis=0) / max(sum(weights), 1e-6)).tolist()]


@given(prompts)
def test_a_prompt_has_the_features_that_are_counted_in_it_one_by_one(text):
    np.testing.assert_allclose(features(text, WORDS), plain_features(text), rtol=1e-4, atol=1e-5)


@given(st.sets(st.integers(0, 2**64 - 1) | st.integers(0, 3), min_size=1), st.lists(st.integers(0, 2**64 - 1)))
def test_each_hash_is_found_where_it_stands_and_others_are_nowhere(there, others):
    hashes = np.array(sorted(there), np.uint64)
    places = Places.of(hashes, np.arange(len(hashes), dtype=np.float32))
    assert places.find(hashes).tolist() == list(range(len(hashes)))
    asked = np.array(others, np.uint64)
    expected = [sorted(there).index(one) if one in there else places.none for one in others]
    assert places.find(asked).tolist() == expected


@given(
    features=st.lists(st.floats(-30, 30, width=32), min_size=170, max_size=170),
    models=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=8),
    is_stated=st.lists(st.booleans(), min_size=8, max_size=8),
)
def test_one_prompt_is_foreseen_as_all_are_together(features, models, is_stated):
    router = two_track_router()
    general, bands = router.general, router.general_bands
    length = len(general.feature_mean)
    one = general.feature_mean + np.resize(np.array(features, np.float32), length) / OUTLIER * general.feature_spread
    quality, usd = (np.array(column) for column in zip(*models, strict=True))
    unknown = np.full(len(models), np.nan)
    expected = general.predict(one[None], Pool("", tuple(map(str, quality)), quality, usd, unknown, unknown))
    found = general.foresee(one, quality.tolist(), usd.tolist())
    np.testing.assert_allclose(found.familiarity, expected.familiarity[0], atol=1e-4)
    np.testing.assert_allclose(found.quality, expected.quality[0], atol=1e-4)
    np.testing.assert_allclose(found.cost, expected.cost[0], rtol=1e-4)
    stated = is_stated[: len(models)]
    band = bands.of(expected, np.array(stated))
    np.testing.assert_allclose(bands.of_one(found.quality, stated), [band.low[0], band.high[0]], atol=1e-4)


RATES = st.integers(0, 10**12)


@st.composite
def tariffs(draw):
    rates = {Meter.INPUT: draw(RATES), Meter.OUTPUT: draw(RATES)}
    limits = draw(st.sets(st.sampled_from([1000, 128_000, 200_000]), max_size=2))
    tiers = {limit: {Meter.INPUT: draw(RATES), Meter.OUTPUT: draw(RATES)} for limit in limits}
    return Tariff({"standard": make_rate_card(rates, tiers)})


@given(
    st.lists(st.none() | tariffs(), min_size=1, max_size=5),
    st.sampled_from([0, 1, 999, 1000, 1001, 128_000, 128_001, 200_001, 10**8]),
    st.none() | st.integers(-1, 1000),
)
def test_candidates_cost_what_each_would_be_charged(every, input_tokens, output_tokens_max):
    candidates = [replace(deployment(f"d{at}", 1, 1), tariff=one) for at, one in enumerate(every)]
    found = offer_of(candidates).list_costs_nusd(input_tokens, usual_tokens(output_tokens_max))
    assert found == [list_cost_nusd(one, input_tokens, output_tokens_max) for one in candidates]


def test_other_deployments_of_the_same_names_are_another_offer():
    cheap, dear = ([deployment("one", rate, rate)] for rate in (1, 2))
    costs = [offer_of(each).list_costs_nusd(1_000_000, 0)[0] for each in (cheap, dear, cheap)]
    assert costs == [NANO, 2 * NANO, NANO]


KNOWN_MODELS = st.sampled_from(["gpt-4o", "gpt-4o-mini", "llama-3.1-8b", "new-13b"])


@given(st.lists(st.tuples(KNOWN_MODELS, st.none() | st.floats(0, 1)), min_size=1, max_size=5), st.floats(0, 100))
def test_what_is_known_of_models_by_their_names_is_the_same_at_all_prices(every, usd):
    candidates = [replace(deployment(f"d{at}", 1, 1), model=one, quality=q) for at, (one, q) in enumerate(every)]
    offer = offer_of(candidates)
    assert offer.described == prior(offer.models, [usd] * len(every), offer.stated)


def test_what_is_told_by_its_price_alone_is_not_known_beforehand():
    candidates = [replace(deployment(one, 1, 1), model=one) for one in ("gpt-4o", "nobody-knows")]
    assert offer_of(candidates).described is None


def plain_order(candidates, forecast):
    told = {name: (one.quality or 0.0, one.expected_cost_nusd or 0) for name, one in forecast.predictions.items()}
    of = {one.name: told.get(one.name, (0.0, 0)) for one in candidates}
    if (weight := forecast.cost_weight) is not None:
        return sorted(of, key=lambda name: (-(of[name][0] - weight * of[name][1]), of[name][1]))
    enough = (1 - forecast.quality_loss_max) * max(quality for quality, _ in of.values())
    adequate = sorted((one for one in of if of[one][0] >= enough), key=lambda one: (of[one][1], -of[one][0]))
    others = sorted((one for one in of if of[one][0] < enough), key=lambda one: (-of[one][0], of[one][1]))
    return sorted([*adequate, *others], key=lambda name: name != forecast.strongest)


@given(
    st.lists(
        st.none() | st.tuples(st.none() | st.sampled_from([0.0, 0.5, 0.505, 0.9]), st.none() | st.integers(0, 3)),
        min_size=1,
        max_size=7,
    ),
    st.sampled_from([0.0, 0.02, 0.5]),
    st.sampled_from([None, 0.0, 0.1]),
    st.sampled_from([None, "d0", "d3", "gone"]),
)
def test_candidates_stand_in_the_order_that_is_stated(predicted, loss_max, weight, strongest):
    candidates = [deployment(f"d{at}", 1, 1) for at in range(len(predicted))]
    predictions = {
        one.name: Prediction(quality=told[0], expected_cost_nusd=told[1])
        for one, told in zip(candidates, predicted, strict=True)
        if told is not None
    }
    forecast = Forecast("v", predictions, loss_max, cost_weight=weight, strongest=strongest)
    found = order(candidates, request()[0], View(Route("r", ()), forecast=forecast))
    assert [one.name for one in found] == plain_order(candidates, forecast)


@pytest.mark.parametrize("text", ["", "x" * 50_000, "{}[]" * 800])
def test_odd_prompts_are_foreseen_too(text):
    found = two_track_router().general.foresee(features(text, WORDS), [0.5, 0.9], [1.0, 0.0])
    assert np.isfinite([*found.quality, *found.cost, found.familiarity]).all()


@given(st.integers(0, 2**32 - 1))
def test_a_prompt_right_at_what_is_known_is_as_near_as_can_be_however_sums_are_rounded(seed):
    """Squares of a thousand differ by a tenth in single precision, and no distance is less than nothing."""
    chance = np.random.default_rng(seed)
    general = two_track_router().general
    length = len(general.feature_mean)
    weights = chance.normal(0, 1000, (length, 4)).astype(np.float32)
    sized = chance.uniform(-3, 3, length).astype(np.float32)
    prompt = general.feature_mean + sized * general.feature_spread
    known = sized * general.feature_scale
    means = ((known - general.feature_centre) @ weights)[None].astype(np.float32)
    found = replace(general, near_weights=weights, near_means=means).foresee(prompt, [0.5, 0.9], [1.0, 2.0])
    assert np.isfinite([*found.quality, *found.cost, found.familiarity]).all()
