"""Reading the ledger: newest first, by pages that neither skip nor repeat."""

from __future__ import annotations

from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from postgres_parts import encoded, make_entry

from gateway.errors import BadRequest


def at(second: int, **fields: object):
    return make_entry(
        created_at=f"2026-11-{1 + second // 3600 % 28:02d}T00:{second // 60 % 60:02d}:{second % 60:02d}.000000Z",
        **fields,
    )


def order(entry):
    return (entry.created_at, entry.id)


@given(
    seconds=st.lists(st.integers(0, 40), min_size=0, max_size=30),
    late=st.lists(st.lists(st.integers(0, 80), max_size=4), max_size=12),
    limit=st.integers(1, 12),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_every_standing_entry_comes_exactly_once_while_others_are_inserted(ledger, seconds, late, limit):
    team = uuid4().hex
    before = [at(second, team_id=team) for second in seconds]
    await ledger.write(encoded(*before))
    arriving = iter(late)

    seen, cursor = [], ""
    while cursor is not None:
        entries, cursor = await ledger.page(team=team, limit=limit, cursor=cursor)
        assert len(entries) <= limit
        seen += entries
        await ledger.write(encoded(*(at(second, team_id=team) for second in next(arriving, []))))

    ids = [entry.id for entry in seen]
    assert len(ids) == len(set(ids))
    assert {entry.id for entry in before} <= set(ids)
    assert sorted(seen, key=order, reverse=True) == seen


async def test_filters_choose_by_team_by_key_and_by_request(ledger):
    team, key = uuid4().hex, uuid4().hex
    mine = [at(1, team_id=team, key_id=key), at(2, team_id=team, key_id=key), at(3, team_id=team)]
    other = at(4, key_id=key)
    await ledger.write(encoded(*mine, other))

    async def ids(**filters):
        return [entry.id for entry in (await ledger.page(**filters)).entries]

    assert await ids(team=team) == [mine[2].id, mine[1].id, mine[0].id]
    assert await ids(key=key) == [other.id, mine[1].id, mine[0].id]
    assert await ids(team=team, key=key) == [mine[1].id, mine[0].id]
    assert await ids(request=mine[0].request_id) == [mine[0].id]
    assert await ids(team=team, request=other.request_id) == []


async def test_empty_filters_and_an_empty_cursor_are_none(ledger):
    await ledger.write(encoded(at(1)))

    assert await ledger.page(team="", key="", request="", cursor="", limit="1") == await ledger.page(limit=1)


async def test_a_page_has_a_hundred_entries_unless_asked_otherwise(ledger):
    team = uuid4().hex
    await ledger.write(encoded(*(at(second, team_id=team) for second in range(101))))

    first = await ledger.page(team=team)
    rest = await ledger.page(team=team, cursor=first.next_cursor)

    assert (len(first.entries), len(rest.entries), rest.next_cursor) == (100, 1, None)
    assert (await ledger.page(team=team, limit=101)).next_cursor is None


async def test_pages_go_on_over_the_border_of_months(ledger):
    team = uuid4().hex
    times = ["2026-10-31T23:59:59.999999Z", "2026-11-01T00:00:00.000000Z", "2027-01-01T00:00:00.000001Z"]
    entries = [make_entry(team_id=team, created_at=time) for time in times]
    await ledger.write(encoded(*entries))

    seen, cursor = [], None
    for _ in times:
        page, cursor = await ledger.page(team=team, limit=1, cursor=cursor)
        seen += [entry.created_at for entry in page]

    assert seen == times[::-1]
    assert cursor is None


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "ten", "1.5", " 5", "٣", 0, 1001, "9" * 30])
async def test_a_limit_outside_one_to_a_thousand_is_refused(ledger, limit):
    with pytest.raises(BadRequest) as caught:
        await ledger.page(limit=limit)

    assert caught.value.param == "limit"


@pytest.mark.parametrize(
    "cursor", ["nonsense", "!!!!", "MTIz", "é", "\0", "A" * 100_000, "OTk5OTk5OTk5OTk5OTk5OTkuYQ", "MS5h", "MQ=="]
)
async def test_a_cursor_that_we_never_gave_is_refused(ledger, cursor):
    with pytest.raises(BadRequest) as caught:
        await ledger.page(cursor=cursor)

    assert caught.value.param == "cursor"


@pytest.mark.parametrize("param", ["team", "key", "request"])
async def test_a_filter_that_postgres_cannot_compare_with_is_refused(ledger, param):
    with pytest.raises(BadRequest) as caught:
        await ledger.page(**{param: "a\0b"})

    assert caught.value.param == param
