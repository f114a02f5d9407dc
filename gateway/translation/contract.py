"""What a translation between two dialects offers to ``gateway.api.dialects``."""

from __future__ import annotations

from typing import Protocol

from gateway.domain import Body, Deployment
from gateway.errors import GatewayError


class AnswerTranslator(Protocol):
    """Turns one answer of the upstream's dialect into the client's. Keeps state: one for each answer."""

    def whole(self, answer: bytes) -> bytes:
        """A complete answer. Raises UpstreamBroken for one that cannot be read."""

    def feed(self, events: bytes) -> bytes:
        """Whole server-sent events in (``event:``/``data:`` lines with their blank line), whole events out.

        The end of the upstream's stream (``[DONE]``, ``message_stop``) brings the end of the client's. Raises
        UpstreamBroken for an event that cannot be read, and for an end where ``is_cut``.
        """

    @property
    def is_cut(self) -> bool:
        """Should the stream end here, it would do so in the middle of a tool call, and for no reason that is known."""

    def failing(self, error: GatewayError, request_id: str | None = None) -> bytes:
        """What ends a stream that broke off, in the client's dialect, at whatever point it stands.

        ``request_id`` is ours, for dialects that repeat it in their errors.
        """


class Translation(Protocol):
    """From one dialect of clients to one of upstreams."""

    def request(self, body: Body, deployment: Deployment) -> Body:
        """The client's request in the upstream's dialect; ``model`` and ``stream_options`` are set later.

        Raises BadRequest naming the field that cannot be carried.
        """

    def answer(self, body: Body) -> AnswerTranslator:
        """A translator for one answer to that request (``body`` as the client sent it)."""
