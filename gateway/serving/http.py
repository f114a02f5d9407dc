"""HTTP as uvicorn reads it, with bounds on what a caller without a key can make us read, and errors in our own form."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.error_objects import error_bytes
from gateway.errors import BadRequest, GatewayError
from gateway.ids import new_request_id

HEAD_BYTES_MAX = 64 * 1024  # request line and headers; the parser's work on one header grows with its square
HEAD_S_MAX = 30.0
_LINGER_S = 1.0  # a connection closed while its client still sends is reset, and the answer lost


class HeadTooLarge(BadRequest):
    """The request line and headers (or trailers) are longer than anybody needs."""

    status = 431
    code = "headers_too_large"


class BoundedHttp(HttpToolsProtocol):
    """Refuses a head beyond 64 KiB with 431, and closes a connection whose head is not there within 30 s."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_in_head = True
        self._head_bytes = 0  # of the head that has begun; 0: none has
        self._silent_bytes = 0  # read within a body without any of it being body: chunk extensions and trailers
        self._is_refused = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEAD_S_MAX, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        if self._is_in_head:
            self._head_received(data)
        else:
            self._silent_bytes += len(data)
            super().data_received(data)
            if self._silent_bytes > HEAD_BYTES_MAX:
                self._refuse_head()
        if self._head_bytes and self._is_in_head and self._deadline is None and not self._is_refused:
            self._deadline = self.loop.call_later(HEAD_S_MAX, self._head_is_late)

    def _head_received(self, data: bytes) -> None:
        room = HEAD_BYTES_MAX - self._head_bytes
        self._head_bytes += len(data)
        if len(data) <= room:
            super().data_received(data)
            return
        super().data_received(data[:room])
        if self._is_in_head and self._head_bytes > HEAD_BYTES_MAX:
            self._refuse_head()
        else:
            self.data_received(data[room:])

    def on_message_begin(self) -> None:
        self._head_bytes = self._head_bytes or 1  # it may begin behind the body of the one before
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._silent_bytes = 0
        self._cancel_deadline()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._silent_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._is_in_head = True
        self._head_bytes = self._silent_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(BadRequest(msg))

    def _refuse_head(self) -> None:
        self._refuse(HeadTooLarge(f"The request's headers are larger than {HEAD_BYTES_MAX} bytes."))

    def _refuse(self, error: GatewayError) -> None:
        """Answer, read nothing more, and close once the client can have seen it."""
        if self._is_refused or self.transport.is_closing():
            return
        self._is_refused = True
        self._cancel_deadline()
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()  # another answer is under way: one written into it would be taken for a part of it
            return
        body = error_bytes(error)
        head = b"content-type: application/json\r\ncontent-length: %d\r\nx-request-id: %s\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[error.status] + head % (len(body), new_request_id().encode()) + body)
        self.transport.write_eof()
        self._deadline = self.loop.call_later(_LINGER_S, self.transport.close)

    def _head_is_late(self) -> None:
        self._deadline = None
        if self.cycle is not None and not self.cycle.response_complete:
            # Reading may be paused until that answer is out, so that the lateness may be ours.
            self._deadline = self.loop.call_later(HEAD_S_MAX, self._head_is_late)
        else:
            self.transport.close()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
