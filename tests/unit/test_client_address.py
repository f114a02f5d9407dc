"""Where a request comes from, through proxies that are trusted and past clients that lie."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.client_address import client_address
from gateway.networks import parse_network, written

PROXIES = tuple(map(parse_network, ("10.0.0.0/8", "2001:db8:ffff::/48")))


def address_of(peer, *said):
    headers = [(b"host", b"obol"), *((b"x-forwarded-for", line.encode()) for line in said)]
    found = client_address({"client": peer and (peer, 4711), "headers": headers}, PROXIES)
    return None if found is None else str(found)


@pytest.mark.parametrize(
    ("peer", "said", "client"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.1"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.66, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.66, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.66", "198.51.100.1", "10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("2001:db8:ffff::1", ["2001:db8::7"], "2001:db8::7"),
        ("10.0.0.1", ["198.51.100.1:51234"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8::7]:51234"], "2001:db8::7"),
        ("10.0.0.1", ["198.51.100.1, unknown"], None),
        ("10.0.0.1", ["198.51.100.1, nonsense, 10.0.0.2"], None),
        (None, ["198.51.100.1"], None),
    ],
)
def test_the_address_is_the_last_one_that_no_trusted_proxy_wrote_for_itself(peer, said, client):
    assert address_of(peer, *said) == client


@given(st.lists(st.text(max_size=40), max_size=4))
def test_whatever_stands_left_of_what_the_proxy_wrote_changes_nothing(lies):
    assert address_of("10.0.0.1", *lies, "198.51.100.1") == "198.51.100.1"


@given(st.lists(st.text(max_size=40), max_size=4))
def test_no_header_breaks_the_look_at_it(said):
    address_of("10.0.0.1", *said)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1/32", "192.0.2.1"),
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("2001:DB8:0::/32", "2001:db8::/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("::/0", "::/0"),
    ],
)
def test_networks_have_one_spelling(text, canonical):
    assert written(parse_network(text)) == canonical


@pytest.mark.parametrize("text", ["", "here", "192.0.2.1/24", "192.0.2.0/33", "192.0.2", "fe80::1%eth0", "1.2.3.4/"])
def test_what_is_no_network_is_refused(text):
    with pytest.raises(ValueError, match=r"\S"):
        parse_network(text)
