"""Whose request it is, going by its headers: one key, two keys, and what holds while nobody can look a key up."""

from __future__ import annotations

import pytest

from gateway.api.auth import authenticate, keys_of
from gateway.domain import Caller
from gateway.errors import StoreUnavailable, Unauthorized


class Keys:
    """A directory of live keys by secret; one whose owner is ``None`` cannot be looked up now."""

    def __init__(self, **owners: str | None) -> None:
        self._owners = owners
        self.asked: list[str] = []

    async def find(self, secret: str) -> Caller | None:
        self.asked.append(secret)
        if secret not in self._owners:
            return None
        owner = self._owners[secret]
        if owner is None:
            raise StoreUnavailable("The database is away.")
        return Caller(owner, "key", "team", "team", "organization")


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
    assert (await authenticate(BOTH[:1], keys)).key_id == "a"
    assert keys.asked == ["one"]


@pytest.mark.parametrize("owners", [{"one": "a"}, {"two": "a"}, {"one": "a", "two": "a"}])
async def test_of_two_keys_the_live_one_counts(owners):
    assert (await authenticate(BOTH, Keys(**owners))).key_id == "a"


async def test_two_live_keys_are_refused():
    with pytest.raises(Unauthorized, match="Two different API keys"):
        await authenticate(BOTH, Keys(one="a", two="b"))


@pytest.mark.parametrize("owners", [{"one": "a", "two": None}, {"one": None, "two": "a"}])
async def test_a_key_that_is_known_serves_while_the_other_cannot_be_looked_up(owners):
    assert (await authenticate(BOTH, Keys(**owners))).key_id == "a"


async def test_while_nobody_can_tell_the_client_may_come_back():
    with pytest.raises(StoreUnavailable):
        await authenticate(BOTH, Keys(one=None))


async def test_two_unknown_keys_are_refused():
    with pytest.raises(Unauthorized, match="Incorrect API key"):
        await authenticate(BOTH, Keys())
