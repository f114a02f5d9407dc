"""What guards make of one request: its prompt before anything else sees it, and the way out of its answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from hashlib import blake2b

import msgspec

from gateway.admitting import Admissions
from gateway.attempting import Path
from gateway.domain import (
    Basis,
    Caller,
    Chain,
    Decision,
    Deployment,
    Endpoint,
    Finding,
    GuardMode,
    GuardRule,
    GuardVerdict,
    OnBlock,
    Outcome,
    Place,
    Provider,
    Request,
    Source,
    StageName,
    Usage,
    Where,
)
from gateway.entries import recalled_intent
from gateway.errors import (
    ContentFiltered,
    GatewayError,
    GuardFailed,
    GuardUnavailable,
    PromptUnreadable,
    StoreUnavailable,
)
from gateway.guard_ports import Asking, Guard
from gateway.ports import Dialect
from gateway.screening.asking import InItsName
from gateway.screening.looking import Looked, Standing, look
from gateway.screening.outlet import Outlet, Stopped
from policies.screening.modes import in_groups, spans_by_text
from policies.screening.redaction import Redactor

GUARDS_HEADER = "x-obol-guards"
# Names have no digits: eight of these behind a word such as "call" would be somebody's number to guards of answers.
_LETTERS = str.maketrans("0123456789abcdef", "ABCDEFGHIJKLMNOP")
_LONG = 131_072  # bytes of a body: texts are taken out of longer ones off the loop
# Where a prompt may be token ids; and strings, or a number in a list.
_PROMPTS = {Endpoint.COMPLETIONS: "prompt", Endpoint.EMBEDDINGS: "input"}
_STRING_OR_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|([\[,]\s*-?[0-9])', re.DOTALL)


class Screening:
    """Of one request with guards before it or after it."""

    def __init__(
        self, path: Path, guards: Sequence[Standing], request: Request, dialect: Dialect, caller: Caller
    ) -> None:
        self.request = request
        self.dialect = dialect
        self._answered_in = dialect  # the client's own: what it said itself, answers repeat to it as it was
        self._path = path
        self._guards = guards
        self._caller = caller
        self._route = request.model if path.services.catalog().route(request.model) is not None else None
        self._chain = request.chain or Chain(path.services.clock.monotonic_s())
        self._redactor = Redactor(self._name_of if _goes_on(request) else None)
        self._asked: list[InItsName] = []
        self._is_in_tokens = False
        self._shadows_looking = 0

    @property
    def has_place(self) -> bool:
        """Whether a call of a guard's made the request count among those under way, or still may."""
        return self._shadows_looking > 0 or any(one.has_place for one in self._asked)

    def cost_nusd(self) -> int:
        """What its guards were paid so far."""
        return sum(one.cost_nusd for one in self._asked)

    def _name_of(self, original: str) -> str:
        """The same in every request of the organization, and to nobody else a way to the original."""
        key = self._path.services.answer_secret + self._caller.organization_id.encode()
        digest = blake2b(original.encode(errors="replace"), digest_size=4, key=key[:64], person=b"obol hidden")
        return digest.hexdigest().translate(_LETTERS)

    def told(self) -> str:
        """What the client hears of its guards so far."""
        return told(self._chain.verdicts)

    # The prompt.

    async def look_at_prompt(self) -> None:
        """``request`` and ``dialect`` are what may go on afterwards.

        Shadows look at what the others let pass, beside all that follows: only entries of the request wait for them.
        Raises ContentFiltered, GuardUnavailable, PromptUnreadable, and what refuses a paid guard.
        """
        guards = [one for one in self._guards if one[0].looks_at(Where.INPUT)]
        if not guards:
            return
        is_long = self.request.body_bytes > _LONG
        texts = await asyncio.to_thread(self.dialect.texts) if is_long else self.dialect.texts()
        look_for = partial(_is_in_tokens, self.request)
        self._is_in_tokens = await asyncio.to_thread(look_for) if is_long else look_for()
        if self._is_in_tokens:
            guards = [(rule, _Blind(guard)) for rule, guard in guards]
        before = texts
        standing = {id(rule): guard for rule, guard in guards}
        shadows: list[tuple[Sequence[Standing], Sequence[str]]] = []  # with what they are to see
        for group in in_groups(rule for rule, _ in guards):
            here = [(rule, standing[id(rule)]) for rule in group]
            shadows.append(([one for one in here if one[0].mode is GuardMode.SHADOW], texts))
            looked = await self._looked([one for one in here if one[0].mode is not GuardMode.SHADOW], texts)
            if places := [place for one in looked for place in one.places]:
                redact = partial(self._redacted, texts, places, is_first=texts is before)
                texts = await asyncio.to_thread(redact) if is_long else redact()
        if texts is not before:
            change = self.dialect.with_texts
            self.request = await asyncio.to_thread(change, texts) if is_long else change(texts)
            self.dialect = self.dialect.of(self.request)
        for shadowing, seen in shadows:
            if shadowing:
                self._shadows_looking += 1
                self._path.settlement.beside(self.request.id, self._watch(shadowing, seen))

    async def _watch(self, shadows: Sequence[Standing], texts: Sequence[str]) -> None:
        try:
            await self._looked(shadows, texts)  # it refuses nothing: shadows neither block nor bar
        finally:
            self._shadows_looking -= 1

    def _redacted(self, texts: Sequence[str], places: Sequence[Place], *, is_first: bool) -> Sequence[str]:
        if is_first:
            for text in texts:
                self._redactor.avoid(text)
        spans = spans_by_text(places, len(texts))
        return [self._redactor.redact(text, found) if found else text for text, found in zip(texts, spans, strict=True)]

    async def _looked(self, guards: Sequence[Standing], texts: Sequence[str]) -> list[Looked]:
        """What they say, noted down. Raises what keeps the request from going on."""
        now_s = self._path.services.clock.monotonic_s
        looked = await look(guards, texts, Where.INPUT, self._asking(Where.INPUT), now_s)
        for one in looked:
            self._chain.verdicts.append(one.verdict)
            self._chain.add(StageName.PROMPT_MODERATION, one.began_s, one.ended_s, one.rule.name)
            self._path.services.telemetry.guarded(one.rule.kind, one.verdict)
        for one in looked:
            if one.blocks:
                await self._refuse(ContentFiltered(one.rule.name), one, Outcome.REJECTED)
            if one.bars:
                why = PromptUnreadable if self._is_in_tokens else GuardUnavailable
                await self._refuse(why(one.rule.name), one, Outcome.FAILED)
        return looked

    def _asking(self, where: Where) -> Callable[[GuardRule], InItsName]:
        def make(rule: GuardRule) -> InItsName:
            del rule
            end_user = self.request.end_user and self._redactor.hide(self.request.end_user)
            asked = InItsName(self._path, self.request, self.dialect, self._caller, self._route, where, end_user)
            self._asked.append(asked)
            return asked

        return make

    async def _refuse(self, error: GatewayError, looked: Looked, outcome: Outcome) -> None:
        """Write down that nobody was asked, and why. Limits of requests count it like any other."""
        services = self._path.services
        name = looked.rule.name
        guard = Deployment(f"obol/{name}", _US, looked.rule.kind, is_unpriced_allowed=True)
        admissions = Admissions(services, self.request, self._caller, Decision(self._route, (), None))
        attempt = admissions.attempt(guard, 1)
        attempt.intent = recalled_intent(attempt.intent, Source.GUARD)
        attempt.admission = replace(attempt.admission, hold_nusd=0, input_tokens=0)
        entry = msgspec.structs.replace(
            attempt.intent,
            basis=Basis.NONE,
            status=outcome,
            error_code=error.code,
            total_ms=(services.clock.monotonic_s() - self._chain.arrived_s) * 1000,
            guards=tuple(self._chain.verdicts),
            stages=tuple(self._chain.stages),
        )
        with suppress(StoreUnavailable):  # what is blocked stays blocked
            await self._path.settlement.refuse(attempt, entry)
        raise error

    # The answer.

    def outlet(self) -> Outlet | None:
        """The way out of an answer; ``None`` where nobody looks at it and nothing is put back."""
        guards = [one for one in self._guards if one[0].looks_at(Where.OUTPUT)]
        originals = self._redactor.originals
        texts = self._answered_in.answer_texts() if guards or originals else None
        if texts is None:
            return None
        services = self._path.services
        now_s = services.clock.monotonic_s
        return Outlet(
            texts, guards, originals, self._asking(Where.OUTPUT), self._chain, now_s, services.telemetry.guarded
        )

    async def pass_whole(self, told: bytes, usage: Usage | None = None) -> bytes:
        """An answer that is all there, as its client gets it. Raises ContentFiltered and GuardUnavailable."""
        outlet = self.outlet()
        if outlet is None:
            return told
        try:
            return await outlet.pass_on(told) + await outlet.finish()
        except Stopped as exc:
            if exc.rule.on_block is OnBlock.ERROR:
                raise ContentFiltered(exc.rule.name, is_answer=True) from exc
            return outlet.stopped(usage, 0)
        finally:
            outlet.abandon()


class _Blind:
    """A guard before a prompt of token ids, which it cannot read: what it did not see never passed it."""

    def __init__(self, guard: Guard) -> None:
        self.version = guard.version

    async def look(self, texts: Sequence[str], asking: Asking) -> Finding:
        """Raises GuardFailed."""
        del texts, asking
        raise GuardFailed("The prompt is given as token ids.")


_US = Provider("obol", "guard")


def _is_in_tokens(request: Request) -> bool:
    """Whether any of its prompt is token ids."""
    raw = bytes(request.body.fields.get(_PROMPTS.get(request.endpoint, ""), b""))
    return raw.lstrip()[:1] == b"[" and any(found[1] for found in _STRING_OR_TOKEN.finditer(raw))


def _goes_on(request: Request) -> bool:
    """Whether its upstream keeps what was said before: placeholders in that, which this request does not hold."""
    return request.continues is not None or "conversation" in request.body.fields


def told(verdicts: Sequence[GuardVerdict]) -> str:
    """What a client hears of guards: their names and what each said, ``pii=redacted, judge/output=passed``."""
    words = []
    for one in verdicts:
        if one.mode != GuardMode.SHADOW:
            where = "/output" if one.where == Where.OUTPUT else ""
            words.append(f"{one.guard}{where}={one.verdict}")
    return ", ".join(words)
