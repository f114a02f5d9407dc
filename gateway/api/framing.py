"""Cuts streams of server-sent events at their blank lines, wherever the network cut them."""

from __future__ import annotations

from gateway.errors import UpstreamBroken

EVENT_BYTES_MAX = 32 * 1024 * 1024  # a picture of 4096 by 4096 dots fits; what is longer shall not fill our memory


class EventFrames:
    """Whole events of a stream, without their blank lines, and with line breaks of one kind.

    An event may hold a picture of megabytes, so that what is not whole yet is neither copied nor searched again.
    """

    def __init__(self) -> None:
        self.held = bytearray()  # an event that is not whole yet

    def split(self, block: bytes) -> list[bytes]:
        """The events that are whole with this block. Raises UpstreamBroken for one that is too long."""
        held = self.held
        if held or b"\r" in block:
            if held.endswith(b"\r"):  # it was half of a line break, or a whole one
                del held[-1:]
                block = b"\r" + block
            held += _even(block)
            if len(held) > EVENT_BYTES_MAX:
                raise too_long()
            if held.find(b"\n\n", max(0, len(held) - len(block) - 1)) < 0:
                return []
            block = bytes(held)
            held.clear()
        *events, rest = block.split(b"\n\n")
        if rest:
            held += rest
        return events

    def rest(self) -> bytes:
        """What is left at the end of the body: an event without its blank line, or the beginning of one."""
        rest = bytes(self.held).strip(b"\r\n")
        self.held.clear()
        return rest


def _even(block: bytes) -> bytes:
    """The same with line breaks of one kind."""
    if b"\r" not in block:
        return block
    # A carriage return at the end may be half of a line break: wait for its other half.
    tail = b"\r" if block.endswith(b"\r") else b""
    return block.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n") + tail


def too_long() -> UpstreamBroken:
    """The upstream does not end an event, or what it sends is none."""
    return UpstreamBroken(f"The upstream sent an event of more than {EVENT_BYTES_MAX} bytes.")
