"""The local journal: on disk before anyone relies on it, gone when nobody needs it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from journal_parts import charge_of, make_intent, until

from gateway.errors import JournalUnavailable
from gateway.stores.local_journal import LocalJournal, dead_journals

encode = msgspec.json.encode


@pytest.fixture
async def local(tmp_path):
    local = LocalJournal(tmp_path, "one")
    yield local
    await local.close()


def left_in(directory: Path) -> list[bytes]:
    entries: list[bytes] = []
    for journal in dead_journals(directory):
        for batch in journal.batches(2):
            entries += batch
        journal.release()
    return entries


async def test_there_is_no_file_while_nothing_is_written(local, tmp_path):
    local.forget(["nothing"])
    assert not local.holds("nothing")
    assert list(tmp_path.iterdir()) == []


async def test_an_entry_is_on_disk_when_open_returns(local, tmp_path):
    intent = make_intent()
    await local.open("org", intent.id, encode(intent))
    (path,) = tmp_path.iterdir()
    assert encode(intent) in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600


async def test_the_file_goes_when_the_ledger_has_all_of_it(local, tmp_path):
    intents = [make_intent() for _ in range(3)]
    for intent in intents:
        await local.open("org", intent.id, encode(intent))
        await local.settle("org", intent.id, encode(charge_of(intent)))
    local.forget([intent.id for intent in intents[:2]])
    await local.void("org", "never here")
    assert len(list(tmp_path.iterdir())) == 1
    local.forget([intents[2].id])
    await until(lambda: not list(tmp_path.iterdir()))


async def test_a_long_outage_does_not_make_one_endless_file(tmp_path):
    local = LocalJournal(tmp_path, "one", segment_bytes_max=1000)
    charges = [charge_of(make_intent()) for _ in range(10)]
    for charge in charges:
        await local.settle("org", charge.id, encode(charge))
    assert len(list(tmp_path.iterdir())) > 3
    local.forget([charge.id for charge in charges[:-1]])
    await until(lambda: len(list(tmp_path.iterdir())) == 1)
    await local.close()
    left = left_in(tmp_path)  # that one, and at most its neighbour in the same file, which the ledger knows
    assert left[-1] == encode(charges[-1])
    assert len(left) <= 2


async def test_many_at_once_share_their_syncs(local, tmp_path, monkeypatch):
    syncs = []
    monkeypatch.setattr("gateway.stores.local_journal.os.fdatasync", syncs.append)
    charges = [charge_of(make_intent()) for _ in range(500)]
    await asyncio.gather(*(local.settle("org", charge.id, encode(charge)) for charge in charges))
    assert len(syncs) < 100
    await local.close()
    assert left_in(tmp_path) == [encode(charge) for charge in charges]


async def test_what_a_dead_owner_left_is_the_charge_or_else_the_intent(local, tmp_path):
    left, ended, voided = make_intent(), make_intent(), make_intent()
    for intent in (left, ended, voided):
        await local.open("org", intent.id, encode(intent))
    await local.settle("org", ended.id, encode(charge_of(ended)))
    await local.void("org", voided.id)
    assert left_in(tmp_path) == [], "its owner lives"

    await local.close()

    assert left_in(tmp_path) == [encode(left), encode(charge_of(ended))]


@pytest.mark.parametrize("cut", [1, 10, 400])
async def test_a_torn_last_line_costs_that_line_only_and_the_file_is_kept_aside(local, tmp_path, cut):
    charges = [charge_of(make_intent()) for _ in range(2)]
    for charge in charges:
        await local.settle("org", charge.id, encode(charge))
    await local.close()
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 1 - cut])

    (journal,) = dead_journals(tmp_path)
    assert list(journal.batches(10)) == [[encode(charges[0])]]
    journal.remove()
    journal.release()

    assert [one.name for one in tmp_path.iterdir()] == [path.name + ".torn"]
    assert list(dead_journals(tmp_path)) == []


async def test_one_dead_journal_is_replayed_by_one_process_at_a_time(local, tmp_path):
    await local.settle("org", "a", encode(charge_of(make_intent())))
    await local.close()
    (journal,) = dead_journals(tmp_path)
    assert list(dead_journals(tmp_path)) == []
    journal.release()
    assert len(left_in(tmp_path)) == 1


async def test_strange_files_in_the_folder_are_left_alone(tmp_path):
    for name in ("notes.txt", "one.jsonl", "one.1.jsonl.torn", "a.b.x.jsonl"):
        (tmp_path / name).write_text("mine")
    assert list(dead_journals(tmp_path)) == []


async def test_a_directory_that_cannot_be_made_makes_open_fail_and_nothing_hang(tmp_path):
    (tmp_path / "file").touch()
    local = LocalJournal(tmp_path / "file" / "journal", "one")
    with pytest.raises(JournalUnavailable):
        await local.open("org", "a", b"{}")
    assert not local.holds("a")
    await local.close()


FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from gateway.errors import JournalUnavailable
from gateway.stores.local_journal import LocalJournal

async def main():
    # A file may not grow over this, which is what a full disk looks like: a short write, then an error.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    local = LocalJournal(Path(sys.argv[1]), "full")
    entry = b'{"text":"' + b"x" * 300 + b'"}'
    await local.settle("org", "fits-1", entry)
    await local.settle("org", "fits-2", entry)
    refused = 0
    for op in (local.open, local.settle):
        try:
            await op("org", "too-much", entry)
        except JournalUnavailable as exc:
            refused += 1
    assert refused == 2
    assert local.holds("fits-1")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await local.settle("org", "fits-3", entry)
    await local.close()

asyncio.run(main())
"""


async def test_a_full_disk_refuses_and_spoils_nothing_that_was_written(tmp_path):
    result = subprocess.run(  # noqa: ASYNC221 - nothing else is to run meanwhile
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert len(left_in(tmp_path)) == 3
