"""Questions over a real Valkey and real sockets: found on every machine, ended with their answers, gone when purged."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from uuid import uuid4

import numpy as np
import pytest
from embedder_parts import ANSWER, machine
from journal_parts import until
from word_encoder import WordEncoder

from gateway.answer_ports import IndexAway
from gateway.domain import AnswerKey, Writer, WriterKind
from gateway.domain.similar import KeptQuestion
from gateway.embedding.client import EmbedderClient


@pytest.fixture
async def here(valkey, link, tmp_path):
    del link  # it empties the server
    async with machine(valkey.url, tmp_path) as one:
        yield one


@pytest.fixture
async def there(valkey, here, tmp_path):
    del here  # it empties the server first
    async with machine(valkey.url, tmp_path) as one:
        yield one


async def test_what_is_near_is_found_nearest_first_with_its_answer_and_the_cost_of_looking(here):
    is_kept, digest = await here.answer("how do I enable it")
    assert is_kept
    await here.answer("how do I enable this")
    found = await here.client.nearest("org", "space", "how do I enable it")
    first, second = found.neighbours
    assert (first.text, first.digest) == ("how do I enable it", digest)
    assert first.cosine == pytest.approx(1, abs=0.001)
    assert 0.5 < second.cosine < first.cosine
    assert found.tokens == 5
    assert found.cpu_ns > 0
    assert np.frombuffer(found.vector, np.float32) == pytest.approx(WordEncoder().encode(["how do I enable it"])[0])


async def test_nothing_is_found_in_another_space_or_by_another_tenant(here):
    await here.answer("hello there")
    assert await here.texts("hello there", space="other") == []
    assert await here.texts("hello there", tenant="another") == []
    assert await here.texts("hello there") == ["hello there"]


async def test_vectors_of_another_model_have_a_space_of_their_own_of_any_length(here):
    vector = np.arange(1, 1537, dtype=np.float32).tobytes()
    place = AnswerKey("org", uuid4().hex, "org", "team", "key")
    epoch = (await here.answers.look(place, may_lead=False)).epoch
    await here.answers.keep(place, epoch, ANSWER, 1000)
    assert await here.client.keep(KeptQuestion(place, epoch, "wide", "hello", vector))
    found = await here.client.nearest("org", "wide", "anything", vector)
    assert [one.text for one in found.neighbours] == ["hello"]
    assert (found.tokens, found.cpu_ns) == (0, 0)
    assert (await here.client.nearest("org", "wide", "hello")).neighbours == ()  # this one is of 64 numbers
    for broken in (b"", b"abc", np.zeros(4, np.float32).tobytes(), np.full(4, np.nan, np.float32).tobytes()):
        assert (await here.client.nearest("org", "wide", "hello", broken)).neighbours == ()


async def test_a_question_is_found_with_the_group_it_was_kept_under_or_with_its_own(here):
    _, digest = await here.answer("hello there")
    place = AnswerKey("org", uuid4().hex, "org", "team", "key")
    epoch = (await here.answers.look(place, may_lead=False)).epoch
    await here.answers.keep(place, epoch, ANSWER, 1000)
    await here.client.keep(KeptQuestion(place, epoch, "space", "hello you", group=digest))
    found = await here.client.nearest("org", "space", "hello there")
    assert [(one.text, one.group) for one in found.neighbours] == [("hello there", digest), ("hello you", digest)]


async def test_a_long_text_is_neither_looked_for_nor_kept(here):
    long = "word " * 257
    found = await here.client.nearest("org", "space", long)
    assert (found.is_too_long, found.neighbours, found.vector) == (True, (), b"")
    assert not (await here.answer(long))[0]
    assert (await here.client.nearest("org", "space", "x" * 20_000)).is_too_long
    assert (await here.answer("word " * 256))[0]


async def test_a_question_is_kept_only_beside_its_answer_and_under_the_epoch_it_was_asked_under(here):
    place = AnswerKey("org", uuid4().hex, "org", "team", "key")
    epoch = (await here.answers.look(place, may_lead=False)).epoch
    assert not await here.client.keep(KeptQuestion(place, epoch, "space", "no answer"))
    await here.answers.keep(place, epoch, ANSWER, 1000)
    assert not await here.client.keep(KeptQuestion(place, "1:2::", "space", "another epoch"))
    await here.answers.purge(Writer(WriterKind.ORGANIZATION, "org", "org"))
    assert not await here.client.keep(KeptQuestion(place, epoch, "space", "purged meanwhile"))
    assert await here.texts("no answer") == []


async def test_a_question_ends_with_its_answer(here, link):
    _, digest = await here.answer("hello", ttl_s=1000)
    left_ms = await link.command("PTTL", f"obol:{{answers:org}}:{digest}")
    value = await link.command("HGET", "obol:{answers:org}:similar", f"space:{digest}")
    seconds, micros = await link.command("TIME")
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    assert abs(int(value.split(b" ")[0]) - now_ms - left_ms) < 2000
    for name in ("similar", "similar:ends", "similar:log", "similar:state"):
        assert abs(await link.command("PTTL", f"obol:{{answers:org}}:{name}") - left_ms) < 2000


async def test_an_answer_that_is_gone_before_its_time_takes_its_question_along_everywhere(here, there):
    _, digest = await here.answer("hello")
    assert await there.texts("hello") == ["hello"]
    await here.client.forget("org", "space", digest)
    assert await here.texts("hello") == []
    await there.following.look()
    assert await there.texts("hello") == []


async def test_an_organization_keeps_so_many_and_what_ends_first_makes_room_everywhere(valkey, here, tmp_path):
    async with machine(valkey.url, tmp_path, questions_max=3) as small:
        for number in range(5):
            await small.answer(f"question {number}", ttl_s=1000 + 500 * number)
        assert set(await small.texts("question")) == {"question 2", "question 3", "question 4"}
    assert set(await here.texts("question")) == {"question 2", "question 3", "question 4"}


async def test_machines_stay_in_step(here, there):
    await here.answer("one")
    assert await there.texts("one") == ["one"]  # read when it is first asked for
    await here.answer("two")
    assert await there.texts("two") == ["one"]
    await there.following.look()
    assert await there.texts("two") == ["two", "one"]
    await there.answer("three")
    await here.following.look()
    found = await here.texts("three")
    assert (found[0], set(found)) == ("three", {"one", "two", "three"})


async def test_a_machine_follows_by_itself(here, there):
    task = asyncio.create_task(there.following.run())
    await there.texts("one")
    await here.answer("one")

    async def is_found():
        return await there.texts("one") == ["one"]

    await until(is_found)
    task.cancel()


async def test_who_fell_behind_reads_everything_again(here, there, link):
    await here.answer("first")
    assert await there.texts("first") == ["first"]
    for number in range(5):
        await here.answer(f"further {number}")
    await link.command("XTRIM", "obol:{answers:org}:similar:log", "MAXLEN", 2)
    await there.following.look()
    assert len(await there.texts("first")) == 6


async def test_who_knows_more_than_a_store_that_lost_its_last_changes_reads_everything_again(here, there, link):
    digests = [(await here.answer(f"question {number}"))[1] for number in range(3)]
    assert len(await there.texts("question")) == 3
    await link.command("HDEL", "obol:{answers:org}:similar", f"space:{digests[2]}")
    await link.command("HSET", "obol:{answers:org}:similar:state", "count", 2)
    await there.following.look()
    assert set(await there.texts("question")) == {"question 0", "question 1"}


async def test_more_changes_than_are_read_at_once_all_arrive(here, there):
    assert await there.texts("x") == []
    for number in range(230):
        await here.answer(f"question {number}")
    await there.following.look()
    assert there.index.count_of("org") == 230


async def test_an_emptied_valkey_is_an_empty_index_and_what_comes_then_is_found(here, there, link):
    for number in range(4):
        await here.answer(f"old {number}")
    assert len(await there.texts("old")) == 4
    await link.command("FLUSHALL")
    for one in (here, there):
        await one.following.look()
        assert await one.texts("old") == []
    for number in range(4):  # as many changes as there were before
        await here.answer(f"new {number}")
    await there.following.look()
    assert {text.split()[0] for text in await there.texts("new old")} == {"new"}


async def test_while_valkey_is_away_nothing_is_found_and_when_it_is_back_everything(valkey, here):
    await here.answer("hello")
    valkey.kill()
    try:
        await until(lambda: not here.link.is_connected)
        with pytest.raises(IndexAway, match="away"):
            await here.client.nearest("org", "space", "hello")
        with pytest.raises(IndexAway):
            await here.client.keep(KeptQuestion(AnswerKey("org", "d", "org", "team"), "1:1::", "space", "hi"))
    finally:
        valkey.start()
    await until(lambda: here.link.is_connected)
    assert await here.texts("hello") == ["hello"]


async def test_without_an_encoder_only_given_vectors_are_looked_for(valkey, tmp_path):
    async with machine(valkey.url, tmp_path, encoder=None) as bare:
        with pytest.raises(IndexAway, match="no sentence encoder"):
            await bare.client.nearest("org", "space", "hello")
        given = await bare.client.nearest("org", "space", "hello", np.ones(8, np.float32).tobytes())
        assert given.neighbours == ()


class SlowEncoder(WordEncoder):
    """It encodes when it is let."""

    def __init__(self):
        self.begun, self.may_end = threading.Semaphore(0), threading.Event()

    def encode(self, texts):
        self.begun.release()
        assert self.may_end.wait(60)
        return super().encode(texts)


async def test_who_asks_while_too_many_wait_is_told_at_once(valkey, tmp_path):
    encoder = SlowEncoder()
    async with machine(valkey.url, tmp_path, encoder=encoder, waiting_max=2) as busy:
        await busy.following.known("org")
        asking = [asyncio.create_task(busy.client.nearest("org", "space", f"text {n}")) for n in range(3)]
        await until(lambda: busy.turns.waiting == 2)
        with pytest.raises(IndexAway, match="busy"):
            await busy.client.nearest("org", "space", "one more")
        assert not any(one.done() for one in asking)
        encoder.may_end.set()
        assert [found.tokens for found in await asyncio.gather(*asking)] == [2, 2, 2]


async def test_an_answer_that_comes_too_late_is_none_and_harms_no_other(valkey, tmp_path):
    encoder = SlowEncoder()
    async with machine(valkey.url, tmp_path, encoder=encoder, within_s=0.01) as slow:
        with pytest.raises(IndexAway, match="within"):
            await slow.client.nearest("org", "space", "slow")
        encoder.may_end.set()
        assert (await slow.client.vectors(["a", "b c"])).shape == (2, 64)


async def test_a_long_list_of_texts_lets_those_pass_who_are_in_a_hurry(valkey, tmp_path):
    encoder = SlowEncoder()
    async with machine(valkey.url, tmp_path, encoder=encoder) as one:
        await one.following.known("org")
        many = asyncio.create_task(one.client.vectors([f"text {n}" for n in range(50)]))
        await asyncio.to_thread(encoder.begun.acquire)
        hurried = asyncio.create_task(one.client.nearest("org", "space", "now"))
        await until(lambda: one.turns.waiting == 1)
        encoder.may_end.set()
        await hurried
        assert not many.done()
        assert np.allclose(await many, WordEncoder().encode([f"text {n}" for n in range(50)]))


async def test_vectors_of_texts_are_rows_of_unit_length(here):
    found = await here.client.vectors(["one", "two three"], is_urgent=True)
    assert np.allclose(np.linalg.norm(found, axis=1), 1)
    assert (await here.client.vectors([])).shape[0] == 0


async def test_without_an_embedder_whoever_asks_goes_on_at_once(tmp_path):
    client = EmbedderClient(tmp_path / "none.sock", lambda: True)
    await client.refresh()
    for asking in (client.nearest("org", "space", "x"), client.vectors(["x"]), client.forget("org", "space", "d")):
        with pytest.raises(IndexAway, match="no embedder"):
            await asking


async def test_one_that_hangs_is_not_sent_more_and_more(tmp_path):
    path = tmp_path / "hangs.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        client = EmbedderClient(path, lambda: True, within_s=0.001)
        await client.refresh()
        for _ in range(20):
            with suppress(IndexAway):
                await client.nearest("org", "space", "word " * 200_000)
        with pytest.raises(IndexAway, match="hangs"):
            await client.nearest("org", "space", "text")
        client.close()


async def test_a_client_that_is_not_wanted_any_more_leaves(here):
    wanted = [True]
    client = EmbedderClient(here.path, lambda: wanted[0], monotonic_s=lambda: 10_000.0)
    await client.refresh()
    assert client.is_connected
    wanted[0] = False
    await client.refresh()
    assert not client.is_connected


@pytest.mark.parametrize("nonsense", [b"\0\0\0\3abc", b"\xff\xff\xff\xff", b"\0\0\0\1\x90", b"GET / HTTP/1.1\r\n\r\n"])
async def test_who_talks_nonsense_is_left_and_nobody_else_is_harmed(here, nonsense):
    reader, writer = await asyncio.open_unix_connection(str(here.path))
    writer.write(nonsense)
    with suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    assert await here.texts("hello") == []


async def test_a_connection_that_is_lost_at_once_is_made_again(tmp_path):
    path, visits = tmp_path / "rude.sock", []

    def turn_away(_reader, writer):
        visits.append(writer)
        writer.transport.abort()

    async with await asyncio.start_unix_server(turn_away, path):
        client = EmbedderClient(path, lambda: True)
        for number in range(5):
            await client.refresh()
            await until(lambda count=number + 1: len(visits) == count and not client.is_connected)
