"""What guards make of a prompt: what goes on, what does not, and what is written down of it."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from screening_parts import BrokenGuard, HangingGuard, NoAsking, WordGuard, rule

from gateway.domain import (
    Finding,
    GuardMode,
    InjectionSettings,
    ModerationSettings,
    OnError,
    Place,
    Where,
)
from gateway.errors import BudgetExceeded, RateLimited
from gateway.screening.looking import look
from gateway.screening.screening import told
from policies.screening.modes import in_groups, masked, placeholder_name
from policies.screening.redaction import Redactor, restore
from policies.screening.spans import Span


async def looked(*guards, texts=("a word",)):
    return await look(guards, texts, Where.INPUT, NoAsking, lambda: 0.0)


def asked(name: str, **changes):
    """A rule whose guard asks others."""
    return rule(name, **{"settings": ModerationSettings("m"), **changes})


async def test_guards_that_ask_others_look_at_the_same_time() -> None:
    together = asyncio.Barrier(2)

    class Waiting(WordGuard):
        async def look(self, texts, asking):
            async with asyncio.timeout(30):
                await together.wait()
            return await super().look(texts, asking)

    said = await looked((asked("one"), Waiting("x")), (asked("two"), Waiting("word")))
    assert [(one.rule.name, one.verdict.verdict) for one in said] == [("one", "passed"), ("two", "blocked")]


async def test_what_our_own_guards_block_nobody_else_is_asked_about() -> None:
    other = WordGuard("x")
    said = await looked((asked("judge"), other), (rule("words"), WordGuard("word")))
    assert [one.rule.name for one in said] == ["words"]
    assert other.seen == []


async def test_an_injection_guard_is_our_own_unless_it_has_a_classifier() -> None:
    other = WordGuard("x")
    classifying = rule("injection", settings=InjectionSettings(classifier="guard"))
    await looked((classifying, other), (rule("words"), WordGuard("word")))
    assert other.seen == []
    await looked((rule("injection", settings=InjectionSettings()), other), (rule("words"), WordGuard("word")))
    assert len(other.seen) == 1


@pytest.mark.parametrize("guard", [BrokenGuard("x"), HangingGuard("x")], ids=["broken", "hanging"])
@pytest.mark.parametrize(
    ("mode", "on_error", "bars"),
    [
        (GuardMode.BLOCK, OnError.CLOSED, True),
        (GuardMode.REDACT, OnError.CLOSED, True),
        (GuardMode.FLAG, OnError.CLOSED, True),
        (GuardMode.BLOCK, OnError.OPEN, False),
        (GuardMode.SHADOW, OnError.CLOSED, False),
    ],
)
async def test_a_guard_without_an_answer_never_passes_and_bars_the_way_where_its_rule_says_so(
    guard: WordGuard, mode: GuardMode, on_error: OnError, bars: bool
) -> None:
    (said,) = await looked((rule(mode=mode, on_error=on_error, timeout_s=0.01), guard))
    assert said.verdict.verdict == "failed"
    assert said.verdict.error
    assert said.bars is bars


@pytest.mark.parametrize(
    "place", [Place(1, 0, 1, "x"), Place(0, 5, 99, "x"), Place(0, 3, 3, "x"), Place(0, -1, 2, "x")]
)
async def test_a_guard_that_finds_something_where_no_text_is_has_failed(place: Place) -> None:
    class Nonsense(WordGuard):
        async def look(self, texts, asking):
            del texts, asking
            return Finding(True, ("x",), places=(place,))

    (said,) = await looked((rule(mode=GuardMode.REDACT), Nonsense("x")))
    assert said.verdict.verdict == "failed"
    assert said.places == ()


@pytest.mark.parametrize(
    "refusal",
    [
        BudgetExceeded("no money", details={}),
        RateLimited("too many"),
    ],
)
async def test_a_guard_that_may_not_be_paid_for_refuses_its_request_unless_it_is_a_shadow(refusal: Exception) -> None:
    class Dear(WordGuard):
        async def look(self, texts, asking):
            del texts, asking
            raise refusal

    with pytest.raises(type(refusal)):
        await looked((asked("judge", on_error=OnError.OPEN), Dear("x")), (asked("other"), WordGuard("x")))
    (said,) = await looked((asked("judge", mode=GuardMode.SHADOW), Dear("x")))
    assert said.verdict.verdict == "failed"


async def test_what_cannot_be_replaced_is_blocked() -> None:
    (said,) = await looked((rule(mode=GuardMode.REDACT), WordGuard("word", tells_where=False)))
    assert said.blocks


async def test_clients_hear_of_guards_but_not_of_shadows_nor_of_what_was_found() -> None:
    said = await looked(
        (rule("words"), WordGuard("x")),
        (rule("quiet", mode=GuardMode.SHADOW), WordGuard("word")),
        (rule("loud", mode=GuardMode.FLAG), WordGuard("word")),
    )
    assert told([one.verdict for one in said]) == "words=passed, loud=flagged"


def test_what_follows_a_redacting_guard_sees_what_it_left() -> None:
    modes = [GuardMode.BLOCK, GuardMode.SHADOW, GuardMode.REDACT, GuardMode.REDACT, GuardMode.FLAG]
    rules = [rule(str(number), mode=mode) for number, mode in enumerate(modes)]
    assert [[one.name for one in group] for group in in_groups(rules)] == [["0", "1"], ["2", "3"], ["4"]]


@settings(deadline=None)
@given(st.text(max_size=60))
def test_every_category_has_a_name_that_a_placeholder_can_have_and_be_restored_by(category: str) -> None:
    redactor = Redactor()
    redacted = redactor.redact("of Ada", [Span(3, 6, placeholder_name(category))])
    assert "Ada" not in redacted
    assert restore(redacted.lower(), redactor.originals) == "of Ada"


def test_masks_stand_in_place_of_what_was_found() -> None:
    assert masked("Ada and Eve", [Span(0, 3, "NAME"), Span(8, 11, "NAME")]) == "[NAME] and [NAME]"


def test_values_named_by_what_they_are_have_the_same_placeholder_in_every_request() -> None:
    def named(original: str) -> str:
        return original.upper() + "1"

    one, other = Redactor(named), Redactor(named)
    assert one.redact("ada eve", [Span(0, 3, "N"), Span(4, 7, "N")]) == "[N_ADA1] [N_EVE1]"
    assert other.redact("eve", [Span(0, 3, "N")]) == "[N_EVE1]"
    assert restore("[n_eve1]", other.originals) == "eve"
