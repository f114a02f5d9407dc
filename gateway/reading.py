"""Reading what an upstream sends, and hiding in its words what is ours."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from gateway.domain import Deployment
from gateway.errors import GatewayError, UpstreamBroken
from gateway.ports import Reply, ReplyReader

_log = logging.getLogger("obol.path")
_SECRET_CHARS_MIN = 8  # what is shorter is no secret but a word


class _NoReply:
    """Stands in for the upstream's answer until there is one."""

    first = b""
    http_status = 0
    upstream_request_id: str | None = None
    headers: Mapping[str, str] = {}

    async def next(self) -> bytes | None:
        return None

    def close(self) -> None:
        pass

    finish = close


NO_REPLY = _NoReply()


def hide_secrets(error: GatewayError, deployment: Deployment) -> None:
    """Strike our credentials out of what an upstream said: its words go to the client and into the log."""
    provider = deployment.provider
    for secret in (provider.api_key, *provider.headers.values(), *provider.query.values()):
        if len(secret) >= _SECRET_CHARS_MIN:
            error.message = error.message.replace(secret, "[secret]")
    error.args = (error.message,)


def read_block(reader: ReplyReader, block: bytes | None) -> bytes:
    """What the client gets of a block, or of the body's end. Raises UpstreamError."""
    try:
        return reader.flush() if block is None else reader.feed(block)
    except GatewayError:
        raise
    except Exception as exc:  # whatever a reader trips over, the call gets its charge and the client an error
        _log.exception("an answer could not be read")
        raise UpstreamBroken("The upstream's answer could not be read.") from exc


async def first_shown(reply: Reply, reader: ReplyReader) -> bytes:
    """Read until something other than comments has come: before that, an error is still an HTTP status."""
    shown = read_block(reader, reply.first)
    while not (reader.has_data or reader.is_ended or reader.error):
        block = await reply.next()
        shown += read_block(reader, block)
        if block is None:
            break
    if not reader.has_data:
        if reader.error is not None:
            raise reader.error
        raise UpstreamBroken("The upstream's answer is empty.")
    return shown
