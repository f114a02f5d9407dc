"""Whose request it is, going by its headers: one key, two keys, and what holds while nobody can look a key up."""

from __future__ import annotations

import pytest

from gateway.api.auth import authenticate, keys_of
from gateway.domain import Caller
from gateway.errors import Forbidden, StoreUnavailable, Unauthorized
from gateway.networks import parse_network


class Keys:
    """A directory of live keys by secret; one whose owner is ``None`` cannot be looked up now."""

    def __init__(self, allowed_ips: tuple[str, ...] | None = None, /, **owners: str | None) -> None:
        self._allowed_ips = None if allowed_ips is None else tuple(map(parse_network, allowed_ips))
        self._owners = owners
        self.asked: list[str] = []

    async def find(self, secret: str) -> Caller | None:
        self.asked.append(secret)
        if secret not in self._owners:
            return None
        owner = self._owners[secret]
        if owner is None:
            raise StoreUnavailable("The database is away.")
        return Caller(owner, "key", "team", "team", "organization", allowed_ips=self._allowed_ips)


def scope(headers, client=None):
    return {"headers": headers, "client": client}


BOTH = [(b"authorization", b"Bearer one"), (b"x-api-key", b"two")]


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([(b"authorization", b"Bearer one")], ("one", None)),
        ([(b"authorization", b"  bEaReR   one ")], ("one", None)),
        ([(b"x-api-key", b" two ")], ("two", None)),
        ([(b"api-key", b"two")], ("two", None)),
        (BOTH, ("one", "two")),
        (BOTH[::-1], ("one", "two")),
        ([(b"authorization", b"Bearer one"), (b"x-api-key", b"one")], ("one", None)),
        ([(b"authorization", b"Bearer one"), (b"x-api-key", b"")], ("one", None)),
        ([(b"authorization", b"Basic eA=="), (b"x-api-key", b"two")], ("two", None)),
        ([(b"authorization", b"Bearer"), (b"api-key", b"two")], ("two", None)),
    ],
)
def test_keys_are_found_wherever_sdks_put_them(headers, found):
    assert keys_of(headers) == found


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([], "missing_api_key"),
        ([(b"x-api-key", b" ")], "missing_api_key"),
        ([(b"authorization", b"x")], "invalid_api_key"),
    ],
)
def test_a_request_without_a_key_is_refused(headers, code):
    with pytest.raises(Unauthorized) as caught:
        keys_of(headers)
    assert caught.value.code == code


async def test_one_key_is_looked_up_once():
    keys = Keys(one="a")
    assert (await authenticate(scope(BOTH[:1]), keys, ())).key_id == "a"
    assert keys.asked == ["one"]


@pytest.mark.parametrize("owners", [{"one": "a"}, {"two": "a"}, {"one": "a", "two": "a"}])
async def test_of_two_keys_the_live_one_counts(owners):
    assert (await authenticate(scope(BOTH), Keys(**owners), ())).key_id == "a"


async def test_two_live_keys_are_refused():
    with pytest.raises(Unauthorized, match="Two different API keys"):
        await authenticate(scope(BOTH), Keys(one="a", two="b"), ())


@pytest.mark.parametrize("owners", [{"one": "a", "two": None}, {"one": None, "two": "a"}])
async def test_a_key_that_is_known_serves_while_the_other_cannot_be_looked_up(owners):
    assert (await authenticate(scope(BOTH), Keys(**owners), ())).key_id == "a"


async def test_while_nobody_can_tell_the_client_may_come_back():
    with pytest.raises(StoreUnavailable):
        await authenticate(scope(BOTH), Keys(one=None), ())


async def test_two_unknown_keys_are_refused():
    with pytest.raises(Unauthorized, match="Incorrect API key"):
        await authenticate(scope(BOTH), Keys(), ())


@pytest.mark.parametrize(
    ("allowed", "client"),
    [
        (("192.0.2.7",), ("192.0.2.7", 4711)),
        (("10.0.0.0/8", "192.0.2.0/24"), ("192.0.2.7", 4711)),
        (("192.0.2.0/24",), ("::ffff:192.0.2.7", 4711)),
        (("::ffff:192.0.2.0/120",), ("192.0.2.7", 4711)),
        (("2001:db8::/32",), ("2001:db8::7", 4711)),
        (("fe80::/10",), ("fe80::1%eth0", 4711)),
    ],
)
async def test_a_key_serves_from_the_addresses_it_allows(allowed, client):
    assert (await authenticate(scope(BOTH[:1], client), Keys(allowed, one="a"), ())).key_id == "a"


@pytest.mark.parametrize("client", [("192.0.3.7", 4711), ("2001:db8::7", 4711), ("", 0), ("a-socket", 0), None])
async def test_a_key_is_refused_from_elsewhere_and_from_nowhere(client):
    with pytest.raises(Forbidden) as caught:
        await authenticate(scope(BOTH[:1], client), Keys(("192.0.2.0/24",), one="a"), ())
    assert (caught.value.status, caught.value.code) == (403, "ip_not_allowed")


async def test_what_a_client_says_of_its_address_counts_only_through_a_trusted_proxy():
    headers = [*BOTH[:1], (b"x-forwarded-for", b"192.0.2.7")]
    keys, through = Keys(("192.0.2.0/24",), one="a"), scope(headers, ("10.0.0.1", 4711))

    assert await authenticate(through, keys, (parse_network("10.0.0.0/8"),))
    with pytest.raises(Forbidden, match=r"10\.0\.0\.1"):
        await authenticate(through, keys, ())
