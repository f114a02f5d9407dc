"""Where a request comes from: the peer of its connection, or what proxies that the operator trusts say of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def client_address(scope: Mapping[str, Any], trusted_proxies: Sequence[Network]) -> Address | None:
    """The client's address, None when nobody can tell.

    It is the connection's peer. When that is a trusted proxy, it is the right-most address of X-Forwarded-For that is
    none: whatever stands left of it was written by the client, who may write anything. When all are trusted it is the
    left-most, a machine of the operator's own. A peer without an address (a Unix socket) is no trusted proxy.
    """
    peer = _address(scope["client"][0]) if scope.get("client") else None
    if peer is None or not lies_in(peer, trusted_proxies):
        return peer
    said = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for").decode("latin-1")
    client: Address | None = peer
    for text in reversed([part for part in map(str.strip, said.split(",")) if part]):
        client = _address(_without_port(text))
        if client is None or not lies_in(client, trusted_proxies):
            return client
    return client


def lies_in(address: Address, networks: Iterable[Network]) -> bool:
    """Whether one of the networks holds the address."""
    return any(address in network for network in networks if network.version == address.version)


def _address(text: str) -> Address | None:
    """The address that a text names; an IPv4 address inside IPv6 (::ffff:192.0.2.1) is that IPv4 address."""
    try:
        address = ip_address(text.partition("%")[0])  # a link-local peer names its interface
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _without_port(text: str) -> str:
    """Some proxies write 192.0.2.1:4711 and [2001:db8::1]:4711."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    host, colon, port = text.partition(":")
    return host if colon and port.isdigit() else text
