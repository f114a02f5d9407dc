"""Questions as in the calibration raise no alarm, others do, and a shift is over when they are like them again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from router_parts import a_track, word_table

from gateway.router.training import known_pool
from policies.routing.features import features
from policies.routing.shift import compared, disappointment, distance
from policies.shifts import FALSE_ALARM, OVER, WINDOW_MIN, Finding, Seen

WORDS = word_table()
START = datetime(2026, 11, 29, tzinfo=UTC)
NOTHING = Finding(START)


@pytest.fixture(scope="module", params=[200, 1000])
def pool(request):
    return known_pool(a_track(request.param, words=WORDS))


def recorded(vectors):
    """Features as records keep them."""
    return [one.astype(np.float16).tobytes() for one in vectors]


def test_windows_of_like_questions_raise_no_alarm_in_95_of_100(pool):
    size = WINDOW_MIN
    new = recorded(a_track(100 * size, seed=7, words=WORDS).features)
    found = [compared(pool, new[at : at + size]).probability for at in range(0, len(new), size)]
    assert np.mean(np.array(found) > OVER) >= 0.95, "nor would a shift that is over be taken to last"
    assert np.mean(np.array(found) > FALSE_ALARM) >= 0.95


def test_another_domain_raises_one_and_it_is_said_what_moved(pool):
    world = a_track(400, seed=8, words=WORDS)
    is_hard = world.prompts.label("domain") == "hard"
    hard = compared(pool, recorded(world.features[is_hard][:100]))
    assert hard.probability <= FALSE_ALARM
    assert "predicted quality is 0." in hard.reason
    strange = [features(f"Übersetze Absatz {number} des Vertrags: §§ {number}!", WORDS) for number in range(100)]
    found = compared(pool, recorded(strange))
    assert (found.n, found.share_unfamiliar) == (100, 1.0)
    assert found.probability <= FALSE_ALARM
    assert found.reason.startswith("100% of them look unfamiliar, where ")


def test_the_distance_of_distributions_is_that_of_kolmogorov_and_smirnov():
    quantiles = np.linspace(0, 1, 101).astype(np.float32)
    assert distance(np.linspace(0, 1, 1000), quantiles) < 0.02
    assert distance(np.full(10, 2.0), quantiles) == 1.0
    assert distance(np.linspace(0.5, 1, 1000), quantiles) == pytest.approx(0.5, abs=0.02)
    assert distance(np.ones(10), np.ones(101, np.float32)) == 0.0, "ties are no distance"


def test_clients_who_find_answers_as_good_as_predicted_raise_no_alarm_and_others_do():
    chance = np.random.default_rng(0)
    predicted = chance.uniform(0.5, 0.9, (200, 150))
    scores = (chance.random(predicted.shape) < predicted).astype(float)
    found = [disappointment(*pair)[0] for pair in zip(scores, predicted, strict=True)]
    assert np.mean(np.array(found) > FALSE_ALARM) >= 0.99
    probability, reason = disappointment([0.0, 0.0, 1.0] * 50, [0.8] * 150)
    assert probability <= FALSE_ALARM
    assert reason == "clients score its answers 0.33, where 0.80 was predicted"


def test_a_shift_lasts_from_its_first_window_until_one_that_is_as_it_was():
    hour = timedelta(hours=1)
    found = NOTHING.next(0.5, "fine", START, START + hour)
    assert found == Finding(START + hour)
    found = found.next(FALSE_ALARM, "strange", START + hour, START + 2 * hour)
    assert (found.since, found.reason) == (START + hour, "strange")
    found = found.next(0.0, "stranger", START + 2 * hour, START + 3 * hour)
    assert (found.since, found.reason) == (START + hour, "stranger")
    found = found.next(OVER, "perhaps", START + 3 * hour, START + 4 * hour)
    assert (found.since, found.reason, found.after) == (START + hour, "stranger", START + 4 * hour)
    assert found.next(0.06, "fine", START + 4 * hour, START + 5 * hour) == Finding(START + 5 * hour)


def test_either_finding_is_a_shift_since_the_earlier_of_both():
    questions = Finding(START, START + timedelta(hours=2), "they are strange")
    answers = Finding(START, START + timedelta(hours=1), "clients are unhappy")
    assert not Seen(NOTHING, NOTHING, 100).shift().is_shifted
    assert Seen(NOTHING, answers, 100).shift().reason == "clients are unhappy"
    both = Seen(questions, answers, 100, 0.51234).shift()
    assert (both.is_shifted, both.since, both.n) == (True, "2026-11-29T01:00:00Z", 100)
    assert (both.share_unfamiliar, both.reason) == (0.5123, "they are strange; clients are unhappy")


def test_what_has_moved_by_no_more_than_the_slack_has_not_moved():
    before, after = np.full(101, 0.5, np.float32), np.full(200, 0.515)
    assert distance(after, before) == 1.0
    assert distance(after, before, 0.02) == 0.0
    assert distance(after, before, 0.01) == 1.0
    assert distance(before.astype(np.float64), after.astype(np.float32), 0.01) == 1.0
