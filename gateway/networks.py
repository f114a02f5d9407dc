"""Networks as people write them: 192.0.2.0/24, 2001:db8::/32, or a single address."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

_MAPPED = IPv6Network("::ffff:0:0/96")


def parse_network(text: str) -> IPv4Network | IPv6Network:
    """The network that a text names. Raises ValueError, also for 192.0.2.1/24, which is an address or a mistake.

    IPv4 inside IPv6 (::ffff:192.0.2.0/120) is the IPv4 network, as addresses of that form are read.
    """
    if "%" in text:
        raise ValueError(f"{text!r} names an interface")
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        inner = network.network_address.ipv4_mapped
        assert inner is not None  # noqa: S101 - it lies in that network
        return IPv4Network((inner, network.prefixlen - _MAPPED.prefixlen))
    return network


def written(network: IPv4Network | IPv6Network) -> str:
    """The shortest form: a single address without its length."""
    return str(network.network_address if network.prefixlen == network.max_prefixlen else network)
