"""What guards let out of an answer: nothing before they saw it, the same whatever its chunks, and not late."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from screening_parts import BrokenGuard, HangingGuard, PlainTexts, WordGuard, outlet, rule

from backends.guards.secrets import SecretsGuard
from gateway.domain import Chain, GuardMode, OnError, Release, SecretsSettings
from gateway.errors import GuardUnavailable, UpstreamBroken
from gateway.screening.channel import OVERLAP, Channel
from gateway.screening.outlet import HELD_TOKENS, STRIDE_TOKENS, Outlet, Stopped
from policies.screening.spans import Span

WORD = "Rumpelstiltskin"
REDACTING = {"mode": GuardMode.REDACT}
chunks = st.lists(
    st.one_of(
        st.text(alphabet="ab R\n".replace("\n", ""), min_size=1, max_size=5),
        st.sampled_from([WORD, WORD[:7], WORD[7:], "x" * 40]),
    ),
    min_size=1,
    max_size=120,
)


async def passed(way: Outlet, parts: list[str]) -> list[str]:
    """What the client gets with each part, and at the end."""
    shown = [(await way.pass_on(part.encode())).decode() for part in parts[:-1]]
    shown.append((await way.pass_on(f"{parts[-1]}\n".encode())).decode())
    return [*shown, (await way.finish()).decode()]


@settings(deadline=None)
@given(chunks)
async def test_what_is_masked_does_not_depend_on_how_the_answer_is_cut(parts: list[str]) -> None:
    whole = "".join(parts)
    shown = await passed(outlet((rule(**REDACTING), WordGuard(WORD))), parts)
    assert "".join(shown) == whole.replace(WORD, "[WORD]")


@settings(deadline=None)
@given(chunks)
async def test_an_answer_in_which_nothing_is_found_goes_out_as_it_came_and_never_far_behind(parts: list[str]) -> None:
    way = outlet((rule(), WordGuard("never")))
    came = out = 0
    for part, shown in zip(parts, await passed(way, parts), strict=False):
        came += len(part)
        out += len(shown)
        characters_late = 4 * (STRIDE_TOKENS + HELD_TOKENS) + 40
        assert came - out <= characters_late
    assert HELD_TOKENS + STRIDE_TOKENS <= 64


async def out_before_a_block(way: Outlet, parts: list[str]) -> tuple[str, Stopped | None]:
    out = ""
    try:
        for part in parts:
            out += (await way.pass_on(part.encode())).decode()
        out += (await way.finish()).decode()
    except Stopped as stopped:
        return out, stopped
    return out, None


@settings(deadline=None)
@given(chunks)
async def test_an_answer_is_blocked_wherever_chunks_cut_what_is_found(parts: list[str]) -> None:
    out, stopped = await out_before_a_block(outlet((rule(), WordGuard(WORD))), parts)
    whole = "".join(parts)
    assert (stopped is not None) == (WORD in whole)
    assert WORD not in out
    assert whole.startswith(out)
    assert stopped is not None or out == whole


async def test_what_only_the_end_of_an_answer_tells_is_looked_at_too() -> None:
    way = outlet((rule(), WordGuard(WORD)))
    assert await passed(way, ["calm"]) == ["", "calm"]
    with pytest.raises(Stopped):
        await way.close(f"{WORD}\n".encode())


async def test_what_came_out_before_a_block_has_nothing_of_what_was_found() -> None:
    parts = [*["word "] * 100, *WORD, *["word "] * 100]
    way = outlet((rule(), WordGuard(WORD)))
    out, stopped = await out_before_a_block(way, parts)
    assert stopped is not None
    assert way.stopped(None, 0) == b"<stopped>"
    assert out == "word " * (len(out) // 5)
    assert 0 < len(out) <= 500


@settings(deadline=None)
@given(st.integers(0, 3000), st.integers(1, 40))
async def test_what_is_longer_than_a_window_is_masked_to_its_end(length: int, size: int) -> None:
    whole = f"{'word ' * 30}<{'x' * length}> and {'word ' * 30}"
    parts = [whole[at : at + size] for at in range(0, len(whole), size)]
    shown = await passed(outlet((rule(**REDACTING), WordGuard("<x*>?"))), parts)
    assert "".join(shown) == f"{'word ' * 30}[WORD] and {'word ' * 30}"


async def test_a_guard_that_wants_all_of_an_answer_sees_it_once_and_its_client_nothing_before() -> None:
    guard = WordGuard(WORD)
    way = outlet((rule(release=Release.WHOLE), guard))
    parts = ["word "] * 200
    shown = await passed(way, parts)
    assert shown[:-1] == [""] * 200
    assert shown[-1] == "".join(parts)
    assert guard.seen == [["".join(parts)]]


@settings(deadline=None)
@given(chunks)
async def test_originals_are_put_back_whatever_the_chunks(parts: list[str]) -> None:
    parts = [part.replace(WORD, "[NAME_1]").replace(WORD[:7], "[NA").replace(WORD[7:], "ME_1]") for part in parts]
    shown = await passed(outlet(originals={"[NAME_1]": "Ada"}), parts)
    assert "".join(shown) == "".join(parts).replace("[NAME_1]", "Ada")


async def test_originals_that_are_put_back_are_not_masked_and_no_guard_sees_them() -> None:
    guard = WordGuard("Ada|Eve")
    way = outlet((rule(**REDACTING), guard), originals={"[NAME_1]": "Ada"})
    shown = await passed(way, ["Hello [NAME", "_1] and Eve"])
    assert "".join(shown) == "Hello Ada and [WORD]"
    assert all("Ada" not in text for texts in guard.seen for text in texts)


@pytest.mark.parametrize("mode", [GuardMode.REDACT, GuardMode.BLOCK])
async def test_what_stands_for_a_secret_is_none_to_the_guard_that_put_it_there(mode) -> None:
    way = outlet((rule(mode=mode), SecretsGuard(SecretsSettings())), originals={"[ASSIGNED_SECRET_1]": "Tr0ub4dor"})
    assert "".join(await passed(way, ["It is password=[ASSIGNED", "_SECRET_1]."])) == "It is password=Tr0ub4dor."


@pytest.mark.parametrize("mode", [GuardMode.FLAG, GuardMode.SHADOW])
async def test_who_only_watches_holds_nothing_back_and_sees_all_of_it(mode: GuardMode) -> None:
    chain, guard = Chain(0.0), WordGuard(WORD)
    way = outlet((rule(mode=mode), guard), chain=chain)
    parts = ["a", WORD, "b"]
    assert await passed(way, parts) == [*parts, ""]
    assert guard.seen == [["".join(parts)]]
    assert [one.verdict for one in chain.verdicts] == ["flagged"]


@pytest.mark.parametrize("guard", [BrokenGuard("x"), HangingGuard("x")], ids=["broken", "hanging"])
async def test_without_an_answer_of_its_guard_nothing_goes_out_and_no_verdict_says_passed(guard: WordGuard) -> None:
    chain = Chain(0.0)
    way = outlet((rule(timeout_s=0.01), guard), chain=chain)
    assert await way.pass_on(b"text") == b""
    with pytest.raises(GuardUnavailable):
        await way.finish()
    assert [one.verdict for one in chain.verdicts] == ["failed"]


async def test_an_open_guard_that_fails_lets_out_and_says_that_it_failed() -> None:
    chain = Chain(0.0)
    way = outlet((rule(on_error=OnError.OPEN), BrokenGuard("x")), chain=chain)
    assert "".join(await passed(way, ["te", "xt"])) == "text"
    assert [one.verdict for one in chain.verdicts] == ["failed"]


async def test_all_looks_at_one_answer_are_one_verdict_the_worst_of_them() -> None:
    chain = Chain(0.0)
    way = outlet((rule(**REDACTING), WordGuard(WORD)), chain=chain)
    await passed(way, [WORD, *["word "] * 200])
    assert [(one.guard, one.where, one.verdict, one.categories) for one in chain.verdicts] == [
        ("words", "output", "redacted", ("word",))
    ]


@pytest.mark.parametrize("size", [1, 4, 7])
@pytest.mark.parametrize("mode", [GuardMode.REDACT, GuardMode.BLOCK])
async def test_what_only_the_words_behind_it_tell_is_found_wherever_the_look_before_ended(mode, size) -> None:
    for before in range(100):
        whole = f"{'x' * before} 5551234567 call me {'word ' * 60}"
        parts = [whole[at : at + size] for at in range(0, len(whole), size)]
        way = outlet((rule(mode=mode), WordGuard(r"\d{10}(?= call)")))
        out, stopped = await out_before_a_block(way, parts)
        assert "5551234567" not in out
        assert (stopped is not None) == (mode is GuardMode.BLOCK)


@pytest.mark.parametrize("mode", [GuardMode.REDACT, GuardMode.BLOCK])
async def test_what_was_out_when_it_was_found_is_flagged_and_nobody_says_that_it_was_kept_back(mode) -> None:
    chain, parts = Chain(0.0), ["12345", *[" word"] * 90, " call"]
    way = outlet((rule(mode=mode), WordGuard(r"\d{5}(?=( word)* call)")), chain=chain)
    assert "".join(await passed(way, parts)) == "".join(parts)
    assert [one.verdict for one in chain.verdicts] == ["flagged"]


async def test_a_half_of_something_that_only_the_edge_of_a_window_made_is_let_out() -> None:
    whole = f"{'a' * 4000} and {'word ' * 60}"
    parts = [whole[:3000], *(whole[at : at + 5] for at in range(3000, len(whole), 5))]
    shown = await passed(outlet((rule(**REDACTING), WordGuard(r"\Aa{3}"))), parts)
    assert "".join(shown) == f"[WORD]{whole[3:]}"


async def test_who_looked_beside_a_guard_that_blocks_has_a_verdict_too() -> None:
    chain = Chain(0.0)
    way = outlet((rule("one"), WordGuard(WORD)), (rule("other"), WordGuard("never")), chain=chain)
    _, stopped = await out_before_a_block(way, [WORD, *["word "] * 60])
    assert stopped is not None
    assert [(one.guard, one.verdict) for one in chain.verdicts] == [("one", "blocked"), ("other", "passed")]


async def test_a_guard_that_never_looked_has_no_verdict() -> None:
    chain = Chain(0.0)
    way = outlet((rule(), WordGuard(WORD)), chain=chain)
    await way.pass_on(b"too little yet")
    way.abandon()
    assert chain.verdicts == []


async def test_an_answer_that_cannot_be_read_is_not_let_out_unseen() -> None:
    class Unreadable(PlainTexts):
        def read(self, shown):
            raise ValueError(shown)

    way = outlet((rule(), WordGuard(WORD)))
    way._texts = Unreadable()
    with pytest.raises(UpstreamBroken):
        await way.pass_on(b"?")


def test_what_a_window_shows_and_what_is_masked_is_kept_apart_from_all_that_came() -> None:
    channel = Channel({})
    for _ in range(5000):
        begin = channel.take("x@y " + "z" * 20)
        window = channel.window()
        assert window is not None
        assert len(window[0]) <= OVERLAP + 24
        channel.mask([Span(begin, begin + 3, "MAIL")])
        assert channel.let_out(begin, "x@y " + "z" * 20) == "[MAIL] " + "z" * 20
    assert channel.repeated() == ("[MAIL] " + "z" * 20) * 5000
