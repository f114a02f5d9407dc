"""The embedded Postgres and Valkey: private, durable, and gone when their owner is."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
import redis
from process_parts import family, wait_until, wait_until_gone

from gateway.stores import child, embedded, survivors
from gateway.stores.embedded import DataDirInUse, EmbeddedStores, StoresFailed, layout
from gateway.stores.probe import postgres_rows, valkey_answer

# Starts stores, notes its visit in both, says so, and waits to be killed.
OWNER = """
import sys, time
from pathlib import Path
from gateway.stores.embedded import EmbeddedStores
from gateway.stores.probe import postgres_rows, valkey_answer
stores = EmbeddedStores.start(Path(sys.argv[1]))
run = stores.layout.run
postgres_rows(run, "CREATE TABLE IF NOT EXISTS visits (at timestamptz DEFAULT now())")
postgres_rows(run, "INSERT INTO visits DEFAULT VALUES")
valkey_answer(stores.layout.valkey_socket, "INCR", "visits")
print("up", flush=True)
time.sleep(600)
"""


KEPT = "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 42 AS answer"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A data folder whose first start is done already; tests leave it stopped and whole."""
    folder = tmp_path_factory.mktemp("cluster") / "data"
    EmbeddedStores.start(folder).stop()
    return folder


@pytest.fixture
def started(cluster):
    """Start stores with ``started()``; each pair is stopped when the test ends."""
    pairs: list[EmbeddedStores] = []

    def start(folder: Path = cluster) -> EmbeddedStores:
        pairs.append(EmbeddedStores.start(folder))
        return pairs[-1]

    yield start
    for pair in pairs:
        pair.stop()


@pytest.fixture
def owner(tmp_path):
    """Start a process that owns stores in a folder; it is killed when the test ends."""
    processes: list[subprocess.Popen[str]] = []

    def start(folder: Path = tmp_path / "data") -> subprocess.Popen[str]:
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", OWNER, str(folder)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return processes[-1]

    yield start
    for process in processes:
        everyone = family(process.pid) if process.poll() is None else []
        process.kill()
        process.wait()
        process.stdout.close()
        wait_until_gone(everyone)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def forget(stores: EmbeddedStores) -> list[psutil.Process]:
    """Let the folder go without stopping its servers, as a supervisor does that dies without their noticing."""
    os.close(stores._lock)
    stores._lock = -1
    return [one for pid in stores.pids().values() for one in family(pid)]


def test_both_servers_listen_on_unix_sockets_only(started):
    places = started().layout
    assert postgres_rows(places.run, "SHOW listen_addresses") == [("",)]
    assert "tcp_port:0" in valkey_answer(places.valkey_socket, "INFO", "server")


def test_settings_that_durability_rests_on_are_in_force(started):
    stores = started()
    assert postgres_rows(stores.layout.run, "SHOW fsync") == [("on",)]
    assert postgres_rows(stores.layout.run, "SHOW synchronous_commit") == [("on",)]
    with redis.Redis.from_url(stores.redis_url, decode_responses=True) as client:
        wanted = {"appendonly": "yes", "appendfsync": "no", "maxmemory-policy": "noeviction"}
        assert client.config_get(*wanted) == wanted


def test_everything_in_the_data_folder_is_private(started):
    data_dir = started().layout.data_dir
    assert mode(data_dir) == 0o700
    assert {mode(one) for one in data_dir.iterdir() if one.is_dir()} == {0o700}
    assert {mode(one) for one in data_dir.iterdir() if one.is_file()} == {0o600}


def test_no_user_is_added_and_no_folder_above_is_opened(started, tmp_path):
    users, parent = Path("/etc/passwd").read_bytes(), mode(tmp_path)
    started(tmp_path / "data")
    assert Path("/etc/passwd").read_bytes() == users
    assert mode(tmp_path) == parent


def test_a_root_without_user_namespaces_runs_postgres_as_nobody(started, tmp_path, monkeypatch):
    monkeypatch.setattr(child, "has_user_namespaces", lambda: False)
    stores = started(tmp_path / "data")
    expected = child.NOBODY if os.geteuid() == 0 else os.geteuid()
    assert psutil.Process(stores.pids()["postgres"]).uids().effective == expected
    assert mode(stores.layout.data_dir) == 0o700


def test_data_outlives_a_stop(started):
    first = started()
    postgres_rows(first.layout.run, KEPT)
    valkey_answer(first.layout.valkey_socket, "SET", "kept", "42")
    first.stop()
    places = started().layout
    assert postgres_rows(places.run, "SELECT answer FROM kept") == [("42",)]
    assert valkey_answer(places.valkey_socket, "GET", "kept") == "42"


def test_a_stop_leaves_no_process(started):
    stores = started()
    processes = [one for pid in stores.pids().values() for one in family(pid)]
    stores.stop()
    wait_until_gone(processes)


def test_a_second_owner_of_the_folder_is_told_who_holds_it(started):
    started()
    with pytest.raises(DataDirInUse, match=f"in use by process {os.getpid()}.*OBOL_DATA_DIR"):
        started()


def test_survivors_are_stopped_before_new_servers_start(started):
    left = forget(started())
    places = started().layout
    wait_until_gone(left)
    assert postgres_rows(places.run, "SELECT 1") == [("1",)]
    assert valkey_answer(places.valkey_socket, "PING") == "PONG"


def test_survivors_that_hang_are_killed(started, monkeypatch):
    monkeypatch.setattr(survivors, "POLITE_S", 0.1)
    monkeypatch.setattr(survivors, "QUICK_S", 0.1)
    left = forget(started())
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):  # Postgres has some that end by themselves
            process.suspend()
    assert postgres_rows(started().layout.run, "SELECT 1") == [("1",)]
    wait_until_gone(left)


def test_stale_pid_and_socket_files_are_no_obstacle(started):
    first = started()
    first.stop()
    places = first.layout
    (places.postgres / "postmaster.pid").write_text(f"{os.getpid()}\n{places.postgres}\n0\n5432\n{places.run}\n\n")
    (places.run / ".s.PGSQL.5432").touch()
    (places.valkey_socket).touch()
    assert postgres_rows(started().layout.run, "SELECT 1") == [("1",)]


def test_servers_end_when_their_owner_is_killed(owner):
    process = owner()
    assert process.stdout.readline() == "up\n"
    servers = family(process.pid)[1:]
    assert servers
    process.kill()
    wait_until_gone(servers)


def test_ten_kills_each_with_an_immediate_restart_lose_nothing(owner, started, cluster):
    for _ in range(10):
        process = owner(cluster)
        assert process.stdout.readline() == "up\n"
        process.kill()
        process.wait()
    places = started().layout
    assert postgres_rows(places.run, "SELECT count(*) FROM visits") == [("10",)]
    assert valkey_answer(places.valkey_socket, "GET", "visits") == "10"


def test_a_kill_during_the_first_start_leaves_no_half_made_cluster(owner, started, tmp_path):
    process = owner()
    wait_until((tmp_path / "data" / "postgres.new" / "PG_VERSION").exists, "initdb to begin")
    process.kill()
    process.wait()
    assert postgres_rows(started(tmp_path / "data").layout.run, "SELECT 1") == [("1",)]
    assert not (tmp_path / "data" / "postgres.new").exists()


@pytest.mark.parametrize("name", ["postgres", "valkey"])
def test_a_server_that_is_killed_is_seen_and_starts_again_with_its_data(started, name):
    stores = started()
    postgres_rows(stores.layout.run, KEPT)
    valkey_answer(stores.layout.valkey_socket, "SET", "kept", "42")
    os.kill(stores.pids()[name], signal.SIGKILL)
    assert wait_until(stores.ended, "its end to be seen") == [name]
    stores.restart(name)
    assert stores.ended() == []
    assert postgres_rows(stores.layout.run, "SELECT answer FROM kept") == [("42",)]
    assert valkey_answer(stores.layout.valkey_socket, "GET", "kept") == "42"


def test_what_valkey_acknowledged_survives_its_kill(started):
    stores = started()
    with redis.Redis.from_url(stores.redis_url) as client:
        for _ in range(2000):
            acknowledged = client.incr("acknowledged")
        os.kill(stores.pids()["valkey"], signal.SIGKILL)
    wait_until(stores.ended, "its end to be seen")
    stores.restart("valkey")
    assert valkey_answer(stores.layout.valkey_socket, "GET", "acknowledged") == str(acknowledged)


def test_a_path_too_long_for_a_socket_gets_a_private_folder_elsewhere(started, tmp_path):
    folder = tmp_path / ("long" * 30)
    stores = started(folder)
    assert postgres_rows(stores.layout.run, "SELECT 1") == [("1",)]
    assert not stores.layout.run.is_relative_to(folder)
    assert mode(stores.layout.run) == 0o700
    assert layout(folder).run == stores.layout.run
    stores.stop()
    assert not stores.layout.run.exists()


def test_somebody_elses_folder_is_not_used_for_sockets(started, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / ("long" * 30)
    (tmp_path / "trap").mkdir()
    layout(folder).run.symlink_to(tmp_path / "trap")
    with pytest.raises(StoresFailed, match="belongs to somebody else"):
        started(folder)


def test_a_server_that_cannot_start_says_why(started, tmp_path):
    (tmp_path / "data" / "postgres").mkdir(parents=True, mode=0o700)
    (tmp_path / "data" / "postgres" / "PG_VERSION").write_text("18\n")
    with pytest.raises(StoresFailed, match=r"postgres stopped while starting: .*postgresql\.conf"):
        started(tmp_path / "data")


def test_a_missing_wheel_says_what_to_do(started, monkeypatch):
    monkeypatch.setattr(embedded.binaries, "_package", _no_package)
    with pytest.raises(StoresFailed, match=r"make install.*OBOL_DATABASE_URL"):
        started()


def _no_package(name: str) -> Path:
    raise embedded.binaries.BinaryMissing(f"the package {name} is not installed: run `make install`")
