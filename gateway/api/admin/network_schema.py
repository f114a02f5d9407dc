"""What OpenAPI says of an address or network: exactly those IPv4 networks that have no host bits."""

from __future__ import annotations

from pydantic.config import JsonDict

_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_GROUP = "[0-9a-fA-F]{1,4}"


def _ending_in(octets: int) -> str:
    """IPv4 networks whose prefix ends in the octet after so many whole ones."""
    zeros = r"\.0" * (3 - octets)
    forms = [
        f"({'|'.join(map(str, range(0, 256, 2 ** (8 - bits))))}){zeros}/{8 * octets + bits}" for bits in range(1, 8)
    ]
    return rf"({_OCTET}\.){{{octets}}}({'|'.join([*forms, f'{_OCTET}{zeros}/{8 * octets + 8}'])})"


def _written(groups: int) -> str:
    """IPv6 networks of which so many groups are written, and whose prefix covers them."""
    return f"({_GROUP}:){{{groups}}}{':' if groups else '::'}/({'|'.join(map(str, range(16 * groups, 129)))})"


NETWORK_SCHEMA: JsonDict = {
    "description": "An IPv4 or IPv6 address or network, such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32.",
    "anyOf": [
        {"type": "string", "format": "ipv4"},
        {"type": "string", "format": "ipv6"},
        {"type": "string", "pattern": rf"^(0\.0\.0\.0/0|{'|'.join(map(_ending_in, range(4)))})$"},
        {"type": "string", "pattern": f"^({'|'.join(map(_written, range(8)))})$"},
    ],
}
