"""The way out of one answer: guards look at it, masks and originals are put in, and only then does the client get it.

A stream goes on behind its upstream. Text is looked at every ``STRIDE_TOKENS``, together with some that was looked at
before, and the newest ``HELD_TOKENS`` stay back, so that what only shows itself with its end is found before its
beginning is out. A guard that wants all of an answer gets all of it, and its client nothing until then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import msgspec

from gateway.domain import (
    Chain,
    GuardMode,
    GuardResult,
    GuardRule,
    GuardVerdict,
    Place,
    Release,
    StageName,
    Usage,
    Where,
)
from gateway.errors import GuardUnavailable, UpstreamBroken
from gateway.guard_ports import AnswerEvent, AnswerTexts, Slot
from gateway.screening.channel import Channel
from gateway.screening.looking import Looked, MakeAsking, Standing, look
from policies.screening.modes import spans_by_text, worse

STRIDE_TOKENS = 24
HELD_TOKENS = 32
_CHARACTERS_PER_TOKEN = 4
_ACTING = (GuardMode.BLOCK, GuardMode.REDACT)
_FOUND = (GuardResult.BLOCKED, GuardResult.REDACTED)


class Stopped(Exception):
    """A guard blocks the answer."""

    def __init__(self, rule: GuardRule) -> None:
        super().__init__(rule.name)
        self.rule = rule


@dataclass(slots=True)
class _Held:
    """An event that waits. ``begins``: where the texts of its slots stand. ``tokens``: how many had come with it."""

    event: AnswerEvent
    begins: Sequence[int]
    tokens: int


class _Window(NamedTuple):
    """What is looked at of a channel: from where on, and up to where it was looked at before."""

    channel: Channel
    text: str
    begin: int
    seen: int


class Outlet:
    """Of one answer. All that its client gets goes through it, in order."""

    def __init__(
        self,
        texts: AnswerTexts,
        guards: Sequence[Standing],
        originals: Mapping[str, str],
        asking: MakeAsking,
        chain: Chain,
        now_s: Callable[[], float],
        told: Callable[[str, GuardVerdict], None],
    ) -> None:
        """``originals``: what stands for placeholders. ``told``: hears of final verdicts, with the guard's kind."""
        self._texts = texts
        self._acting = [one for one in guards if one[0].mode in _ACTING]
        self._watching = [one for one in guards if one[0].mode not in _ACTING]
        self._is_whole = any(rule.release is Release.WHOLE for rule, _ in self._acting)
        self._originals = originals
        self._asking = asking
        self._chain = chain
        self._now_s = now_s
        self._told = told
        self._channels: dict[str, Channel] = {}
        self._held: deque[_Held] = deque()
        self._tokens = self._tokens_looked = 0
        self._verdicts: dict[str, int] = {}  # where in the chain, by the guard's name
        self._began: dict[str, float] = {}
        self._kinds = {rule.name: rule.kind for rule, _ in guards}

    async def pass_on(self, shown: bytes) -> bytes:
        """Take these events; what the client gets now, perhaps of earlier ones. Raises Stopped and GatewayError."""
        self._take(shown)
        if not self._acting:
            return self._let_out(self._tokens)
        if not self._is_whole and self._tokens - self._tokens_looked >= STRIDE_TOKENS:
            await self._look()
        return self._let_out(min(self._tokens_looked, self._tokens - HELD_TOKENS))

    async def finish(self) -> bytes:
        """Nothing follows but what ends the answer. Raises Stopped and GatewayError."""
        if self._acting:
            await self._look()
        if self._watching:
            await self._watch()
        self._say()
        return self._let_out(self._tokens)

    async def close(self, closing: bytes) -> bytes:
        """What ends it, in its client's words: it mostly repeats texts that came before.

        Raises Stopped and GatewayError for one that tells what no event told before.
        """
        self._take(closing)
        if self._acting and self._tokens > self._tokens_looked:
            await self._look()
        return self._let_out(self._tokens)

    def stopped(self, usage: Usage | None, cost_nusd: int) -> bytes:
        """What ends it when a guard blocked it."""
        self._say()
        self._held.clear()
        return self._texts.stopped(usage, cost_nusd)

    def abandon(self) -> None:
        """Its client is gone, or its upstream: what guards said until then is all that they say."""
        self._say()

    # What comes in.

    def _take(self, shown: bytes) -> None:
        if not shown:
            return
        try:
            events = self._texts.read(shown)
        except ValueError as exc:
            raise UpstreamBroken("The upstream's answer could not be read, and so not be looked at.") from exc
        for event in events:
            begins = [self._came(slot) for slot in event.slots]
            self._held.append(_Held(event, begins, self._tokens))

    def _came(self, slot: Slot) -> int:
        channel = self._channel(slot)
        if slot.is_whole and channel.text == slot.text:
            return -1  # it only repeats
        self._tokens += max(1, len(slot.text) // _CHARACTERS_PER_TOKEN) if slot.text else 0
        return channel.take(slot.text)

    def _channel(self, slot: Slot) -> Channel:
        channel = self._channels.get(slot.channel)
        if channel is None:
            channel = self._channels[slot.channel] = Channel(self._originals, is_json=slot.is_json)
        return channel

    # What guards say of it.

    async def _look(self) -> None:
        """Those that act see what is new. Raises Stopped."""
        windows = [_Window(one, *seen) for one in self._channels.values() if (seen := one.window()) is not None]
        self._tokens_looked = self._tokens
        if not windows:
            return
        texts = [one.text for one in windows]
        looked = [
            _acting_on(one, windows) for one in await look(self._acting, texts, Where.OUTPUT, self._asking, self._now_s)
        ]
        for one in looked:
            self._note(one)
        for one in looked:
            if one.blocks:
                raise Stopped(one.rule)
            if one.bars:
                raise GuardUnavailable(one.rule.name)
            for window, spans in zip(windows, spans_by_text(one.places, len(texts)), strict=True):
                begin = window.begin
                window.channel.mask(type(span)(span.start + begin, span.end + begin, span.kind) for span in spans)

    async def _watch(self) -> None:
        """Those that only watch see it once, whole."""
        texts = [channel.text for channel in self._channels.values() if channel.came]
        if not texts:
            return
        for one in await look(self._watching, texts, Where.OUTPUT, self._asking, self._now_s):
            self._note(one)
            if one.bars:
                raise GuardUnavailable(one.rule.name)

    def _note(self, looked: Looked) -> None:
        """One verdict for each guard, of all its looks: on the chain from the first on, whatever ends the answer."""
        verdict, chain = looked.verdict, self._chain
        place = self._verdicts.get(verdict.guard)
        if place is None:
            self._verdicts[verdict.guard] = len(chain.verdicts)
            self._began[verdict.guard] = looked.began_s
            chain.verdicts.append(verdict)
            return
        before = chain.verdicts[place]
        scores = [score for score in (before.score, verdict.score) if score is not None]
        chain.verdicts[place] = msgspec.structs.replace(
            verdict,
            verdict=worse(GuardResult(before.verdict), GuardResult(verdict.verdict)).value,
            ms=round(before.ms + verdict.ms, 3),
            cost_nusd=before.cost_nusd + verdict.cost_nusd,
            categories=tuple(dict.fromkeys((*before.categories, *verdict.categories))),
            score=max(scores, default=None),
            error=before.error or verdict.error,
        )

    def _say(self) -> None:
        """The verdicts are final."""
        for name, place in self._verdicts.items():
            verdict, began_s = self._chain.verdicts[place], self._began[name]
            self._chain.add(StageName.OUTPUT_MODERATION, began_s, began_s + verdict.ms / 1000, name)
            self._told(self._kinds[name], verdict)
        self._verdicts.clear()

    # What goes out.

    def _let_out(self, tokens: int) -> bytes:
        """All that had come with so many tokens, and what holds no text."""
        shown: list[bytes] = []
        held = self._held
        while held and held[0].tokens <= tokens:
            shown.append(self._shown(held.popleft()))
        return b"".join(shown)

    def _shown(self, held: _Held) -> bytes:
        event, slots = held.event, held.event.slots
        texts = [self._text(slot, begin) for slot, begin in zip(slots, held.begins, strict=True)]
        before = b""
        for name in event.ends:
            rest = self._channels[name].rest() if name in self._channels else ""
            if not rest:
                continue
            own = [at for at, slot in enumerate(slots) if slot.channel == name and held.begins[at] >= 0]
            if not own:
                before += self._texts.more(name, rest)
            else:
                texts[own[-1]] += rest
        if texts == [slot.text for slot in slots]:
            return before + event.encoded()
        return before + event.encoded(texts)

    def _text(self, slot: Slot, begin: int) -> str:
        channel = self._channels[slot.channel]
        return channel.repeated() if begin < 0 else channel.let_out(begin, slot.text)


def _acting_on(looked: Looked, windows: Sequence[_Window]) -> Looked:
    """What a guard said, without the places that are out or were found before; flagged, where that leaves none."""
    if not looked.finding.places or looked.verdict.verdict not in _FOUND:
        return looked
    places = [place for place in looked.finding.places if _is_news(place, windows[place.text])]
    if places:
        return replace(looked, finding=replace(looked.finding, places=places))
    return replace(looked, verdict=msgspec.structs.replace(looked.verdict, verdict=GuardResult.FLAGGED.value))


def _is_news(place: Place, window: _Window) -> bool:
    channel, begin = window.channel, window.begin
    return channel.may_act_on(begin + place.start, begin + place.end, begin, window.seen)
