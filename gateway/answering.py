"""An answer that has begun: what its client gets of it next, and how it ends in its charge."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.answers.recording import Recording
from gateway.conversing import remember
from gateway.domain import (
    NO_ROOM_TOLD,
    Basis,
    CacheStatus,
    Decision,
    GuardRule,
    OnBlock,
    Outcome,
    RepairStatus,
    Source,
    StoredResponse,
)
from gateway.entries import Attempt
from gateway.errors import ContentFiltered, GatewayError, UpstreamError, UpstreamInterrupted
from gateway.following import follow
from gateway.ports import Dialect, Reply, Services
from gateway.progress import Progress, Seen
from gateway.reading import NO_REPLY, first_shown, hide_secrets, read_block
from gateway.screening.outlet import Outlet, Stopped
from gateway.settlement import Settlement


class Answer:
    """An answer that has begun. ``next()`` yields the client's bytes; ``abandon()`` ends it when the client left.

    A whole answer is settled before it is shown, a streamed one before its last bytes are: nobody sees the end of an
    answer whose charge is not durable.
    """

    def __init__(
        self,
        services: Services,
        settlement: Settlement,
        progress: Progress,
        attempt: Attempt,
        dialect: Dialect,
        decision: Decision,
    ) -> None:
        self.room = NO_ROOM_TOLD  # what limits of ours leave
        self.cache: CacheStatus | None = None  # what became of it where answers are given again
        self.recording: Recording | None = None  # notes it down, so that it may be given again
        self.guards: Callable[[], str] | None = None  # what its client hears of those that looked so far
        self.outlet: Outlet | None = None  # through which all goes that its client gets
        self.steps = 0  # of a cascade: how many deployments were asked for it
        self.repair: RepairStatus | None = None  # what became of it where it was asked for as JSON
        self._close: Callable[[bytes], bytes] | None = None  # what ends it, where it goes out in other words
        self.cost_besides_nusd = 0  # what else was spent on it
        self.guards_nusd: Callable[[], int] | None = None  # ... and on guards of its request so far
        self._services = services
        self._settlement = settlement
        self._progress = progress
        self._attempt = attempt
        self._dialect = dialect
        self._decision = decision
        self._reader = dialect.reader(attempt.deployment)
        self._reply: Reply = NO_REPLY
        self._ready = b""
        self._is_over = False
        self._is_blocked = False  # by a guard
        self._is_followed = False
        self._seen = Seen(attempt, self._reader)
        self._remembered: str | None = None

    source = Source.UPSTREAM
    age_s: int | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the upstream that a client may see."""
        return self._reply.headers

    @property
    def deployment(self) -> str:
        return self._attempt.deployment.name

    def is_of(self, attempt: Attempt) -> bool:
        """Whether it is what became of that attempt."""
        return attempt is self._attempt

    @property
    def is_unpriced(self) -> bool:
        """Charged nothing because nobody stated a price, by the operator's leave."""
        return self._attempt.deployment.tariff is None

    @property
    def ready_bytes(self) -> int:
        """How many bytes the next block has: the length of a whole answer."""
        return len(self._ready)

    @property
    def cost_nusd(self) -> int | None:
        """The charge, with all that its cascade and guards cost, once it is known: of a whole answer at once."""
        settled = self._attempt.settled
        if settled is None:
            return None
        of_guards = 0 if self.guards_nusd is None else self.guards_nusd()
        return settled.cost_nusd + self.cost_besides_nusd + of_guards

    async def begin(self, reply: Reply) -> None:
        """Take the upstream's answer over and wait until there is something to show. Raises UpstreamError."""
        self._reply = reply
        self._ready = await first_shown(reply, self._reader)
        self._note(self._ready)
        self._attempt.began(reply.http_status, reply.upstream_request_id, self._settlement.now_s())
        self._settlement.began(self._attempt)
        await self._remember()
        if not self._reader.is_ended:
            self._progress.begin(self._seen, len(self._ready))

    async def hold(self, reply: Reply) -> None:
        """As ``begin``, but wait for all of it: it is judged before any of it is shown. Raises UpstreamError."""
        await self.begin(reply)
        reader = self._reader
        while not reader.is_ended:
            if reader.error is not None:
                raise reader.error
            block = await reply.next()
            shown = read_block(reader, block)
            self._ready += shown
            self._seen.shown_bytes += len(shown)
            if block is None and not reader.is_ended:
                if reader.error is None and not reader.is_complete:
                    raise UpstreamInterrupted("The upstream broke off in the middle of its answer.")
                break
        if reader.error is not None:
            raise reader.error
        self._attempt.whole_at(self._settlement.now_s())
        self._progress.begin(self._seen, len(self._ready))  # it may be judged for a while

    @property
    def held(self) -> bytes:
        """What its client would be shown."""
        return self._ready

    @property
    def finish_reason(self) -> str | None:
        """Why it ended, in its upstream's words."""
        return self._reader.finish_reason

    async def show(self) -> None:
        """It goes to its client. A whole answer is charged now. Raises GatewayError where a guard does not let it."""
        if self.outlet is not None and self._reader.is_ended:
            self._attempt.whole_at(self._settlement.now_s())
        self._ready = await self._out(self._ready)
        if self._reader.is_ended and not self._is_over:
            await self.settle()

    async def accept(self, shown: bytes, close: Callable[[bytes], bytes] | None = None) -> None:
        """What was held goes to its client, as ``shown``. Raises GatewayError where a guard does not let it.

        ``close``: what becomes of the bytes that end it, which may repeat what was said.
        """
        self._close = close
        if self.recording is not None:  # not as it came, but as it is given
            self.recording.begin()
            self.recording.add(shown)
        self._ready = await self._out(shown)
        if not self._is_over:
            await self.settle()

    async def reject(self, why: str) -> None:
        """What was held is charged, and goes to nobody."""
        self._progress.end(self._seen)
        await self._settlement.reject(self._attempt, why, self._reader, self._dialect)
        self._reply.finish()

    async def keep(self) -> None:
        """What was held is charged, and was for ourselves."""
        self._progress.end(self._seen)
        await self._settlement.succeed(self._attempt, self._reader, self._dialect, is_last=False)
        self._reply.finish()

    async def fail(self, error: UpstreamError) -> None:
        """Nothing was shown, and nothing will be: end the attempt so that another may answer."""
        self._progress.end(self._seen)
        self._reply.close()
        hide_secrets(error, self._attempt.deployment)
        await self._settlement.fail(self._attempt, error, self._reader, self._dialect, is_last=False)

    async def next(self) -> bytes | None:
        """The next bytes for the client, ``None`` at the end. Raises GatewayError when the upstream broke off."""
        if self._ready:
            return self._take_ready()
        reader = self._reader
        while not self._is_over:
            if reader.is_ended:
                await self.settle()
                break
            if reader.error is not None:
                await self._break_off(reader.error)
            block, shown = None, b""
            try:
                block = await self._reply.next()
                shown = read_block(reader, block)
            except UpstreamError as exc:
                await self._break_off(exc)
            if block is None:
                if reader.is_complete:
                    await self.settle()
                elif reader.error is None:
                    await self._break_off(UpstreamInterrupted("The upstream broke off in the middle of its answer."))
            if shown:
                self._seen.shown_bytes += len(shown)
                self._note(shown)
                out = await self._out(shown)
                if out:
                    return out
        return self._take_ready() or None

    async def _out(self, shown: bytes) -> bytes:
        """What of it the client gets now. A guard may end the answer here. Raises GatewayError."""
        if self.outlet is None or not shown:
            return shown
        try:
            return await self.outlet.pass_on(shown)
        except Stopped as stopped:
            return await self._stop(stopped.rule)
        except GatewayError as exc:
            await self._break_off(exc)
            raise

    async def _stop(self, rule: GuardRule) -> bytes:
        """A guard blocks the answer: what was generated is charged, and its client gets no more of it.

        Raises ContentFiltered where the guard's rule says so.
        """
        assert self.outlet is not None  # noqa: S101 - only guards on it stop answers
        self._is_over = self._is_blocked = True
        self._progress.end(self._seen)
        self._reply.close()
        self.outlet.abandon()
        if self.recording is not None:
            self.recording.fail()
        if not self._follow():
            await self._settlement.stop(self._attempt, ContentFiltered.code, self._reader, self._dialect)
        if rule.on_block is OnBlock.ERROR:
            raise ContentFiltered(rule.name, is_answer=True)
        return self.outlet.stopped(self._reader.usage, self.cost_nusd or 0)

    def _note(self, shown: bytes) -> None:
        if self.recording is not None:
            self.recording.add(shown)

    def _take_ready(self) -> bytes:
        ready, self._ready = self._ready, b""
        return ready

    async def settle(self) -> None:
        """Charge the complete answer, durably, and make its closing bytes ready."""
        self._is_over = True
        self._progress.end(self._seen)
        if self.outlet is not None:
            self._attempt.whole_at(self._settlement.now_s())
            self._ready += await self._last_out()
            if self._is_blocked:
                return
        await self._remember()
        if not self._follow():
            await self._settlement.succeed(self._attempt, self._reader, self._dialect)
            remember(self._services, self._decision, self._attempt)
        self._reply.finish()
        closing = self._reader.closing(self.cost_nusd or 0)
        if self._close is not None and closing:
            closing = self._close(closing)
        self._ready += await self._closed(closing)
        if self.recording is not None:
            self._note(closing)
            settled = self._attempt.settled
            self.recording.keep(self._reader, is_estimated=settled is None or settled.basis != Basis.REPORTED)

    async def _closed(self, closing: bytes) -> bytes:
        """What ends the answer for its client; what is charged by now stays charged, whatever guards say of it."""
        if self.outlet is None:
            return closing
        error: GatewayError
        try:
            return await self.outlet.close(closing)
        except Stopped as stopped:
            error = ContentFiltered(stopped.rule.name, is_answer=True)
            is_told = stopped.rule.on_block is OnBlock.ERROR
        except GatewayError as exc:
            error, is_told = exc, True
        if self.recording is not None:
            self.recording.fail()
        return self.failing(error) if is_told else self.outlet.stopped(self._reader.usage, self.cost_nusd or 0)

    async def _last_out(self) -> bytes:
        """All that was kept back. If a guard ends the answer at last, it is settled. Raises GatewayError."""
        assert self.outlet is not None  # noqa: S101 - only asked then
        try:
            return await self.outlet.finish()
        except Stopped as stopped:
            return await self._stop(stopped.rule)
        except GatewayError as exc:
            await self._break_off(exc)
            raise

    async def _break_off(self, error: GatewayError) -> None:
        self._is_over = True
        self._progress.end(self._seen)
        self._reply.close()
        if self.outlet is not None:
            self.outlet.abandon()
        hide_secrets(error, self._attempt.deployment)
        if not self._follow():
            await self._settlement.interrupt(self._attempt, error, self._reader, self._dialect)
        if self.recording is not None:
            self.recording.fail()
        raise error

    def failing(self, error: GatewayError) -> bytes:
        """What tells the client, in its dialect, that the stream which it was reading broke off."""
        return self._reader.failing(error)

    def abandon(self, outcome: Outcome = Outcome.CANCELLED) -> bool:
        """The client went away, or we do: cancel the upstream and charge what was used. Harmless after the end.

        Whether a charge is still to come.
        """
        self._progress.end(self._seen)
        self._reply.close()
        if self.outlet is not None:
            self.outlet.abandon()
        if self.recording is not None:
            self.recording.leave()
        if self._follow():
            return True
        return self._settlement.abandon(self._attempt, outcome, self._reader, self._dialect)

    async def _remember(self) -> None:
        """Write down where the upstream keeps the answer, before the client sees its id."""
        response_id = self._reader.stored_id
        if response_id is not None and response_id != self._remembered:
            self._remembered = response_id
            intent = self._attempt.intent
            await self._services.stored.remember(
                StoredResponse(response_id, intent.organization_id, intent.team_id, intent.key_id, intent.deployment)
            )

    def _follow(self) -> bool:
        """Leave an answer that the upstream goes on with to be charged when it is done; false for any other."""
        pending = self._reader.pending
        if pending is not None and not self._is_followed:
            self._is_followed = True
            following = follow(self._services, self._settlement, self._attempt, pending, self._reader, self._dialect)
            self._services.background.spawn_lasting(following)
        return self._is_followed
