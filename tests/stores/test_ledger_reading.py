"""Reading the ledger: newest first, by pages that neither skip nor repeat."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from postgres_parts import encoded, make_entry

from gateway.errors import BadRequest
from gateway.stores.entry_filter import COLUMNS, EntryFilter


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
        entries, cursor = await ledger.page(EntryFilter(team=team), limit=limit, cursor=cursor)
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
        return [entry.id for entry in (await ledger.page(EntryFilter(**filters))).entries]

    assert await ids(team=team) == [mine[2].id, mine[1].id, mine[0].id]
    assert await ids(key=key) == [other.id, mine[1].id, mine[0].id]
    assert await ids(team=team, key=key) == [mine[1].id, mine[0].id]
    assert await ids(request=mine[0].request_id) == [mine[0].id]
    assert await ids(team=team, request=other.request_id) == []


@pytest.mark.parametrize(("name", "column"), COLUMNS.items())
async def test_every_filter_chooses_by_its_own_column(ledger, name, column):
    wanted, team = uuid4().hex, uuid4().hex
    entry = at(1, **({"team_id": team} | {column: wanted}))
    await ledger.write(encoded(entry, at(2, team_id=team)))

    assert (await ledger.page(EntryFilter(**{name: wanted}))).entries == (entry,)


async def test_a_tag_chooses_every_entry_that_has_it_among_others(ledger):
    tag, team = uuid4().hex, uuid4().hex
    tagged = [at(1, team_id=team, tags=("first", tag)), at(2, team_id=team, tags=(tag,))]
    await ledger.write(encoded(*tagged, at(3, team_id=team), at(4, team_id=team, tags=(tag + "x",))))

    assert (await ledger.page(EntryFilter(tag=tag))).entries == tuple(tagged[::-1])


async def test_a_span_of_time_begins_with_its_first_instant_and_ends_before_its_last(ledger):
    team = uuid4().hex
    entries = [at(second, team_id=team) for second in range(4)]
    await ledger.write(encoded(*entries))
    first, last = (datetime.fromisoformat(entries[number].created_at) for number in (1, 3))

    assert (await ledger.page(EntryFilter(team=team, from_at=first, to_at=last))).entries == (entries[2], entries[1])


async def test_nothing_outside_the_readers_bounds_is_chosen_whatever_is_asked_for(ledger):
    team, organization, request = uuid4().hex, uuid4().hex, uuid4().hex
    mine = at(1, team_id=team, organization_id=organization, request_id=request)
    beside = at(2, team_id=uuid4().hex, organization_id=organization, request_id=request)
    await ledger.write(encoded(mine, beside, at(3, request_id=request)))

    async def found(**fields):
        return (await ledger.page(EntryFilter(**fields))).entries

    assert await found(request=request, within_organization=organization) == (beside, mine)
    assert await found(request=request, within_team=team) == (mine,)
    assert await found(team=beside.team_id, within_team=team) == ()


async def test_empty_filters_and_an_empty_cursor_are_none(ledger):
    await ledger.write(encoded(at(1)))

    assert await ledger.page(
        EntryFilter(team="", key="", request="", tag=""), cursor="", limit="1"
    ) == await ledger.page(limit=1)


async def test_a_page_has_a_hundred_entries_unless_asked_otherwise(ledger):
    team = uuid4().hex
    await ledger.write(encoded(*(at(second, team_id=team) for second in range(101))))

    first = await ledger.page(EntryFilter(team=team))
    rest = await ledger.page(EntryFilter(team=team), cursor=first.next_cursor)

    assert (len(first.entries), len(rest.entries), rest.next_cursor) == (100, 1, None)
    assert (await ledger.page(EntryFilter(team=team), limit=101)).next_cursor is None


async def test_pages_go_on_over_the_border_of_months(ledger):
    team = uuid4().hex
    times = ["2026-10-31T23:59:59.999999Z", "2026-11-01T00:00:00.000000Z", "2027-01-01T00:00:00.000001Z"]
    entries = [make_entry(team_id=team, created_at=time) for time in times]
    await ledger.write(encoded(*entries))

    seen, cursor = [], None
    for _ in times:
        page, cursor = await ledger.page(EntryFilter(team=team), limit=1, cursor=cursor)
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


@pytest.mark.parametrize("param", ["team", "key", "request", "end_user", "tag"])
async def test_a_filter_that_postgres_cannot_compare_with_is_refused(ledger, param):
    with pytest.raises(BadRequest) as caught:
        await ledger.page(EntryFilter(**{param: "a\0b"}))

    assert caught.value.param == param
