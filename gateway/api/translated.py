"""Reads an answer in the upstream's dialect and shows it in the client's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.domain import Usage
from gateway.errors import GatewayError, UpstreamBroken, UpstreamError, UpstreamInterrupted
from gateway.ports import ReplyReader
from gateway.translation.contract import AnswerTranslator


class TranslatedReader:
    """A reader of the upstream's dialect, whose shown bytes pass through translators; it alone meters."""

    stored_id: str | None = None  # what a translated request asks to be stored, nobody stores
    pending = None

    def __init__(
        self, inner: ReplyReader, steps: Sequence[AnswerTranslator], *, is_stream: bool, request_id: str | None = None
    ) -> None:
        self._inner = inner
        self._steps = steps
        self._is_stream = is_stream
        self._request_id = request_id
        self._broken: UpstreamError | None = None  # no end of the upstream's makes such an answer a good one
        self._has_shown = False

    @property
    def usage(self) -> Usage | None:
        return self._inner.usage

    @usage.setter
    def usage(self, usage: Usage | None) -> None:
        self._inner.usage = usage

    @property
    def finish_reason(self) -> str | None:
        return self._inner.finish_reason

    @property
    def model_answered(self) -> str | None:
        return self._inner.model_answered

    @property
    def service_tier(self) -> str | None:
        return self._inner.service_tier

    @property
    def error(self) -> UpstreamError | None:
        return self._broken or self._inner.error

    @property
    def has_data(self) -> bool:
        return self._inner.has_data and (self._broken is None or self._has_shown)

    @property
    def is_ended(self) -> bool:
        return self._inner.is_ended and self._broken is None

    @property
    def is_complete(self) -> bool:
        return self._inner.is_complete and self._broken is None and not self._is_cut

    def feed(self, block: bytes) -> bytes:
        return self._unless_cut(self._through(self._inner.feed(block)))

    def flush(self) -> bytes:
        return self._unless_cut(self._through(self._inner.flush()))

    def closing(self, cost_nusd: int) -> bytes:
        shown = self._through(self._inner.closing(cost_nusd))
        # The charge stands, but the client must not take what it has for a good end.
        return self.failing(self._broken) if self._broken is not None else shown

    def failing(self, error: GatewayError) -> bytes:
        return self._steps[-1].failing(error, self._request_id)

    def unreported_text(self) -> str:
        return self._inner.unreported_text()

    @property
    def unreported_calls(self) -> Usage:
        return self._inner.unreported_calls

    def output_text(self) -> str:
        return self._inner.output_text()

    @property
    def _is_cut(self) -> bool:
        return self._is_stream and self._steps[0].is_cut

    def _unless_cut(self, shown: bytes) -> bytes:
        """Take no end mark for a good end where the call of a tool stops in the middle: clients would run it."""
        if self._inner.is_ended and self._broken is None and self._is_cut:
            self._broken = UpstreamInterrupted("The upstream ended in the middle of a tool call.")
        return shown

    def _through(self, shown: bytes) -> bytes:
        if self._broken is not None:
            return b""
        try:
            for step in self._steps:
                if not shown:
                    break
                translate: Callable[[bytes], bytes] = step.feed if self._is_stream else step.whole
                shown = translate(shown)
        except UpstreamBroken as exc:
            self._broken = exc
            return b""
        self._has_shown = self._has_shown or bool(shown)
        return shown
