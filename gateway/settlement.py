"""How attempts end: each of them in exactly one durable entry, also when the client or the upstream goes away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

import msgspec

from gateway.domain import Basis, KeptAnswer, LedgerEntry, Outcome, Purpose, Room, Source, StageName, Usage
from gateway.entries import Attempt, charged_entry, recalled_entry, unbilled_entry
from gateway.errors import GatewayError, UpstreamError
from gateway.ports import Dialect, ReplyReader, Services
from policies.breaker import ErrorFacts, HealthBoard
from policies.first_token import FirstTokenBoard

_log = logging.getLogger("obol.path")


class Settlement:
    """Turns what was seen of an answer into its charge and hands that to the journal."""

    def __init__(self, services: Services, health: HealthBoard, first_tokens: FirstTokenBoard) -> None:
        self._services = services
        self._health = health
        self._first_tokens = first_tokens
        self._asides: dict[str, set[asyncio.Event]] = {}  # by request: the ends of what goes on beside it

    async def admit(self, attempt: Attempt) -> Room:
        """Admit the attempt by our own limits and budgets: its intent is durable then. Raises what refuses it.

        If it is cancelled, the attempt never was.
        """
        try:
            return await self._services.journal.open(attempt.intent, attempt.admission)
        except BaseException as exc:  # mostly a cancellation: no call was made, so nothing may stand for one
            if not isinstance(exc, GatewayError):  # who is refused has consumed nothing
                self.take_back(attempt)
            raise

    async def place(self, attempt: Attempt) -> None:
        """Take a place of an admitted attempt within its provider's limits.

        Where those are used up, nothing stands and ``attempt.is_open`` stays false; likewise if it is cancelled.
        """
        services, deployment = self._services, attempt.deployment
        asked_s = self.now_s()
        try:
            attempt.is_open = await services.admission.acquire(deployment, attempt.id, attempt.admission.input_tokens)
            if attempt.chain is not None and deployment.limits.is_limited:
                attempt.chain.add(StageName.LIMITS, asked_s, self.now_s(), deployment.name)
        except BaseException:  # as above
            self.take_back(attempt)
            raise
        if not attempt.is_open:
            await services.journal.void(attempt.intent)

    def take_back(self, attempt: Attempt) -> None:
        """The call is not made: nothing stands for it, in the background."""
        self._services.background.spawn(self._void(attempt))

    async def recall(
        self,
        attempt: Attempt,
        answer: KeptAnswer,
        source: Source = Source.CACHE_EXACT,
        content: dict[str, str] | None = None,
        error: GatewayError | None = None,
    ) -> None:
        """Settle an answer that no upstream was asked for. May be repeated.

        ``content``: for content logging. ``error``: what the client gets in its place.
        """
        await self._informed(attempt)
        total_ms = self._ended_ms(attempt)
        entry = recalled_entry(attempt, answer, total_ms=total_ms, source=source, content=content, error=error)
        await self._settle(attempt, entry)

    async def refuse(self, attempt: Attempt, entry: LedgerEntry) -> None:
        """Settle a request that nobody is asked to answer. Raises what refuses it before."""
        await self.admit(attempt)
        try:
            await self._settle(attempt, entry)
        except BaseException:  # mostly a cancellation: it was refused all the same
            self._services.background.spawn(self._settle(attempt, entry))
            raise

    async def charge_own(self, attempt: Attempt, entry: LedgerEntry) -> None:
        """Charge work of our own that was done for a request beside its answer, if that can be."""
        try:
            await self.admit(attempt)
        except GatewayError as exc:
            _log.warning("work of our own is not charged: %s", exc)
            return
        await self._settle(attempt, entry, is_last=False)

    async def _void(self, attempt: Attempt) -> None:
        await self._services.journal.void(attempt.intent)
        await self._services.admission.release(attempt.deployment, attempt.id)

    def leave(self, request_id: str, organization_id: str) -> None:
        """The request ends without an answer: give its parallel place back, in the background."""
        self._services.background.spawn(self._leave(request_id, organization_id))

    async def _leave(self, request_id: str, organization_id: str) -> None:
        await self._asides_of(request_id)  # their tokens are counted where the place is
        await self._services.journal.leave(request_id, organization_id)

    def beside(self, request_id: str, work: Coroutine[object, object, None]) -> None:
        """Start what only the entries of the request's answers wait for, and its place. It ends by itself."""
        self._services.background.spawn(self._aside(request_id, work))

    async def _asides_of(self, request_id: str) -> None:
        while asides := self._asides.get(request_id):
            await next(iter(asides)).wait()

    async def _informed(self, attempt: Attempt) -> None:
        """Wait until all is known that the entry of an answer tells of its request."""
        if attempt.intent.purpose == Purpose.ANSWER and attempt.intent.request_id in self._asides:
            attempt.whole_at(self.now_s())
            await self._asides_of(attempt.intent.request_id)

    async def succeed(self, attempt: Attempt, reader: ReplyReader, dialect: Dialect, *, is_last: bool = True) -> None:
        """Charge a complete answer. ``is_last`` false: it was for ourselves, and the request goes on."""
        await self._charge(attempt, Outcome.SUCCEEDED, reader, dialect, None, is_last=is_last)
        self._health.succeeded(attempt.deployment.name, self._services.clock.monotonic_s())

    async def reject(self, attempt: Attempt, why: str, reader: ReplyReader, dialect: Dialect) -> None:
        """Charge a complete answer that nobody is shown; another one follows, so the request keeps its place."""
        await self._charge(attempt, Outcome.REJECTED, reader, dialect, None, error_code=why, is_last=False)
        self._health.succeeded(attempt.deployment.name, self._services.clock.monotonic_s())

    async def stop(self, attempt: Attempt, why: str, reader: ReplyReader, dialect: Dialect) -> None:
        """Charge what was generated of an answer that goes on to nobody, and nobody else is asked for."""
        await self._charge(attempt, Outcome.REJECTED, reader, dialect, None, error_code=why)
        self._health.succeeded(attempt.deployment.name, self._services.clock.monotonic_s())

    async def interrupt(self, attempt: Attempt, error: GatewayError, reader: ReplyReader, dialect: Dialect) -> None:
        """Charge what was generated before the upstream broke off."""
        await self._charge(attempt, Outcome.INTERRUPTED, reader, dialect, error)
        if isinstance(error, UpstreamError):
            self._blame(attempt, error)

    async def fail(
        self, attempt: Attempt, error: UpstreamError, reader: ReplyReader, dialect: Dialect, *, is_last: bool
    ) -> None:
        """End an attempt that gave no answer: unbilled, unless text was generated before it broke.

        ``is_last`` false: another may follow, so the request keeps its parallel place.
        """
        self._blame(attempt, error)
        if reader.usage is not None or reader.output_text():
            await self._charge(attempt, Outcome.FAILED, reader, dialect, error, is_last=is_last)
        else:
            await self._informed(attempt)
            entry = unbilled_entry(attempt, error, total_ms=self._ended_ms(attempt))
            await self._settle(attempt, entry, is_last=is_last)

    def began(self, attempt: Attempt) -> None:
        """Something of an answer is here."""
        name, now_s = attempt.deployment.name, self.now_s()
        self._health.began(name, now_s)
        # A whole answer comes when its last token does. And only routes choose, whose deployments are in the catalog:
        # of the names that a wildcard takes there is no end.
        if attempt.intent.is_stream and attempt.intent.route is not None and attempt.first_token_ms is not None:
            self._first_tokens.observed(name, attempt.first_token_ms / 1000, now_s)

    def abandon(self, attempt: Attempt, outcome: Outcome, reader: ReplyReader, dialect: Dialect) -> bool:
        """The client left: charge in the background what was used. A charge already under way is only repeated.

        Whether a charge is still to come that ends the request; false for an attempt that has its own already. What a
        guard asked ends none: its deadline may be over, and the request goes on without it.
        """
        if attempt.is_settled:
            return False
        is_last = attempt.intent.purpose != Purpose.GUARD
        charge = self._charge_somehow(attempt, outcome, reader, dialect, is_last=is_last)
        self._services.background.spawn(charge if is_last else self._aside(attempt.intent.request_id, charge))
        return is_last

    def _aside(self, request_id: str, work: Coroutine[object, object, None]) -> Coroutine[object, object, None]:
        """The work, for which the request's place and the entries of its answers wait from now on."""
        ended = asyncio.Event()
        self._asides.setdefault(request_id, set()).add(ended)

        async def waited_for_until_it_ends() -> None:
            try:
                await work
            finally:
                ended.set()
                asides = self._asides[request_id]
                asides.remove(ended)
                if not asides:
                    del self._asides[request_id]

        return waited_for_until_it_ends()

    async def _charge_somehow(
        self, attempt: Attempt, outcome: Outcome, reader: ReplyReader, dialect: Dialect, *, is_last: bool
    ) -> None:
        try:
            if attempt.settled is not None:
                await self._settle(attempt, attempt.settled, is_last=is_last)
            else:
                await self._charge(attempt, outcome, reader, dialect, None, is_last=is_last)
        except Exception:  # noqa: BLE001 - a fault of ours must not leave a call without its entry: the intent's figures stand
            _log.exception("attempt %s is charged by its intent: its charge could not be made", attempt.id)
            entry = msgspec.structs.replace(attempt.intent, basis=Basis.ESTIMATED, status=outcome)
            await self._settle(attempt, entry, is_last=is_last)

    async def _charge(
        self,
        attempt: Attempt,
        outcome: Outcome,
        reader: ReplyReader,
        dialect: Dialect,
        error: GatewayError | None,
        *,
        error_code: str | None = None,
        is_last: bool = True,
    ) -> None:
        if is_last or outcome is not Outcome.REJECTED:  # of one that another follows, that one's entry tells the rest
            await self._informed(attempt)
        usage, basis = reader.usage, Basis.REPORTED
        if usage is None:
            usage, basis = await self._count(attempt, reader, dialect), Basis.ESTIMATED
            reader.usage = usage
        elif text := reader.unreported_text():
            more = await self._services.tokens.count(attempt.deployment.model, text)
            usage, basis = msgspec.structs.replace(usage, output_tokens=usage.output_tokens + more), Basis.ESTIMATED
            reader.usage = usage
        usage = _with_calls(usage, reader.unreported_calls)
        usage = dialect.with_unreported(attempt.deployment, usage)
        if usage.is_estimated:
            basis = Basis.ESTIMATED
        entry = charged_entry(
            attempt,
            usage,
            basis,
            outcome,
            total_ms=self._ended_ms(attempt),
            service_tier=reader.service_tier,
            model_answered=reader.model_answered,
            finish_reason=reader.finish_reason,
            error=error,
            error_code=error_code,
            content=_content(reader, dialect) if self._services.is_content_logged else None,
        )
        await self._settle(attempt, entry, is_last=is_last)

    async def _settle(self, attempt: Attempt, entry: LedgerEntry, *, is_last: bool = True) -> None:
        """Journal the charge, in the windows of its budgets in which it was admitted."""
        attempt.settled = entry
        claims = self._services.rules.claims(entry, attempt.created_ms)
        await self._services.journal.settle(entry, claims, is_last=is_last)
        if attempt.is_settled:  # the repetition of a settlement that went through after all
            return
        attempt.is_settled = True
        self._services.telemetry.settled(entry)
        if attempt.deployment.limits.is_limited:
            await self._services.admission.release(attempt.deployment, attempt.id)

    async def _count(self, attempt: Attempt, reader: ReplyReader, dialect: Dialect) -> Usage:
        """Count tokens of an answer whose upstream reported none."""
        count, model = self._services.tokens.count, attempt.deployment.model
        text = reader.output_text()
        return Usage(
            input_tokens=await count(model, dialect.input_text()),
            output_tokens=await count(model, text) if text else 0,
        )

    def _blame(self, attempt: Attempt, error: UpstreamError) -> None:
        facts = ErrorFacts(error.blames_deployment, error.retry_after_s)
        self._health.failed(attempt.deployment.name, self._services.clock.monotonic_s(), facts)

    def _ended_ms(self, attempt: Attempt) -> float:
        """How long it took: it is over now, and a stage of its request."""
        return attempt.end(self.now_s())

    def now_s(self) -> float:
        return self._services.clock.monotonic_s()


def _with_calls(usage: Usage, calls: Usage) -> Usage:
    """The usage with tools that were seen to run and that nobody reported."""
    if not (calls.web_searches or calls.code_sessions):
        return usage
    return msgspec.structs.replace(
        usage,
        web_searches=usage.web_searches + calls.web_searches,
        code_sessions=usage.code_sessions + calls.code_sessions,
        is_estimated=True,
    )


def _content(reader: ReplyReader, dialect: Dialect) -> dict[str, str]:
    return {"request": dialect.input_text(), "answer": reader.output_text()}
