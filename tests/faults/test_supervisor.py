"""`obol serve` as a tree of processes: it starts whole, survives its parts, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from own_valkey import own_valkey
from process_parts import OBOL_SERVE, Serving, wait_until, wait_until_gone


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def begin_slow_request(serving: Serving) -> tuple[threading.Thread, list[str]]:
    """A request that goes on until the test lets it end; its answer comes into the list."""
    answers: list[str] = []
    begun = threading.Event()
    host, port = serving.url.removeprefix("http://").split(":")

    def ask() -> None:
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            text = connection.recv(65536)
            begun.set()
            while block := connection.recv(65536):
                text += block
            answers.append(text.decode())

    thread = threading.Thread(target=ask)
    thread.start()
    assert begun.wait(60)
    return thread, answers


def test_the_first_start_shows_the_key_and_later_ones_only_where_it_is(serve, tmp_path):
    first = serve(tmp_path / "data").wait_ready()
    key = (first.data_dir / "first-key").read_text().strip()
    assert f"virtual key       {key}" in first.output
    first.signal(signal.SIGINT)
    assert first.end() == 0
    second = serve(tmp_path / "data").wait_ready()
    assert (second.data_dir / "first-key").read_text().strip() == key
    assert key not in second.output
    assert str(second.data_dir / "first-key") in second.output


def test_secrets_are_for_the_owner_only_and_never_printed_but_the_first_key(serve):
    serving = serve().wait_ready()
    assert mode(serving.data_dir) == 0o700
    assert mode(serving.data_dir / "first-key") == 0o600
    assert mode(serving.data_dir / "admin-key") == 0o600
    admin_key = (serving.data_dir / "admin-key").read_text().strip()
    assert admin_key.startswith("sk-obol-admin-")
    assert admin_key not in serving.output
    files = [path for path in serving.data_dir.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in files if mode(path) & 0o077] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_that_was_started(serve, number):
    serving = serve(OBOL_WORKERS="2").wait_ready()
    everyone = serving.family()
    names = {one.name() for one in everyone}
    assert {"postgres", "valkey-server"} <= names
    serving.signal(number)
    assert serving.end() == 0
    wait_until_gone(everyone)
    assert not (serving.data_dir / "address").exists()
    assert "Traceback" not in serving.output


def test_a_signal_lets_running_requests_end(serve, tmp_path):
    serving = serve(STUB_RELEASE=str(tmp_path / "release")).wait_ready()
    request, answers = begin_slow_request(serving)
    serving.signal(signal.SIGINT)
    wait_until(lambda: "stopping" in serving.output, "the draining")
    (tmp_path / "release").touch()
    request.join(60)
    assert serving.end() == 0
    assert answers[0].rstrip().endswith("0")  # the end mark of a whole chunked body


def test_a_second_signal_cuts_running_requests_off(serve, tmp_path):
    serving = serve(STUB_RELEASE=str(tmp_path / "release")).wait_ready()
    everyone = serving.family()
    request, answers = begin_slow_request(serving)
    serving.signal(signal.SIGINT)
    wait_until(lambda: "stopping" in serving.output, "the draining")
    serving.signal(signal.SIGINT)
    assert serving.end() == 0
    request.join(60)
    assert not answers[0].rstrip().endswith("\r\n0")
    wait_until_gone(everyone)


def test_a_signal_while_starting_leaves_nothing(serve, tmp_path):
    serving = serve(tmp_path / "data")
    wait_until((serving.data_dir / "postgres.new").exists, "initdb to begin")
    everyone = serving.family()
    serving.signal(signal.SIGINT)
    assert serving.end() == 0
    wait_until_gone(everyone)
    assert "Traceback" not in serving.output


def test_everything_ends_when_the_supervisor_is_killed(serve):
    serving = serve(OBOL_WORKERS="2").wait_ready()
    everyone = serving.family()
    serving.signal(signal.SIGKILL)
    wait_until_gone(everyone)


def test_a_kill_of_the_supervisor_lets_running_requests_end(serve, tmp_path):
    serving = serve(STUB_RELEASE=str(tmp_path / "release")).wait_ready()
    everyone = serving.family()
    request, answers = begin_slow_request(serving)
    serving.signal(signal.SIGKILL)
    serving.process.wait()
    (tmp_path / "release").touch()
    request.join(60)
    assert answers[0].rstrip().endswith("0")
    wait_until_gone(everyone)


def test_ten_kills_each_with_an_immediate_restart_on_the_same_port(serve):
    serving = serve().wait_ready()
    port = serving.url.rsplit(":", 1)[1]
    for _ in range(10):
        serving.signal(signal.SIGKILL)
        serving.process.wait()
        serving = serve(OBOL_PORT=port).wait_ready()
        assert serving.get("/pid").isdigit()


def test_a_kill_during_the_first_start_is_no_obstacle_to_the_next(serve, tmp_path):
    serving = serve(tmp_path / "data")
    wait_until((serving.data_dir / "postgres.new").exists, "initdb to begin")
    serving.signal(signal.SIGKILL)
    serving.process.wait()
    assert serve(tmp_path / "data").wait_ready().get("/pid").isdigit()


def test_a_worker_that_dies_is_replaced(serve):
    serving = serve().wait_ready()
    worker = int(serving.get("/pid"))
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: f"worker {worker} ended" in serving.output, "its end to be seen")
    assert int(serving.get("/pid")) != worker


@pytest.mark.parametrize("name", ["postgres", "valkey-server"])
def test_an_embedded_server_that_dies_is_started_again(serve, name):
    serving = serve().wait_ready()

    def servers():
        children = psutil.Process(serving.process.pid).children()
        named = {one.pid: one for one in psutil.process_iter(["name"]) if one.info["name"] == name}
        return [one for one in children if one.pid in named]  # process_iter passes over those that end meanwhile

    (killed,) = servers()
    killed.kill()
    wait_until(lambda: [one for one in servers() if one.pid != killed.pid], "another to be started")
    assert "it is started again" in serving.output


def test_a_busy_port_says_who_holds_it_and_how_to_change_ours(serve, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        serving = serve(tmp_path / "data", OBOL_PORT=str(port))
        assert serving.end() == 1
    assert f"127.0.0.1:{port} is in use by process {os.getpid()} (" in serving.output
    assert f"OBOL_PORT={port + 1} or --port {port + 1}" in serving.output
    assert serving.output.count("\n") == 1
    assert not serving.data_dir.exists()


def test_a_second_gateway_on_the_same_data_folder_is_refused(serve):
    first = serve().wait_ready()
    second = serve()
    assert second.end() == 1
    assert f"in use by process {first.process.pid}" in second.output
    assert second.output.count("\n") == 1
    assert first.get("/pid").isdigit()


def test_two_gateways_run_side_by_side(serve, tmp_path):
    one, other = serve(), serve(tmp_path / "other")
    assert one.wait_ready().get("/pid") != other.wait_ready().get("/pid")


def test_an_application_that_cannot_start_is_told_in_one_line(serve):
    serving = serve(STUB_FAILS="1")
    assert serving.end() == 1
    assert "obol: the stub refuses to start\n" in serving.output
    assert "Traceback" not in serving.output


def test_a_wrong_setting_is_told_in_one_line(serve):
    serving = serve(program="import sys; from gateway.cli import main; sys.exit(main(['serve']))", OBOL_WORKERS="none")
    assert serving.end() == 1
    assert serving.output == "obol: OBOL_WORKERS must be a whole number from 1 to 512, not 'none'\n"


def test_the_supervisor_imports_nothing_heavy():
    heavy = {"fastapi", "sqlalchemy", "asyncio", "uvicorn", "redis", "aiohttp", "alembic"}
    program = f"import sys, gateway.serving.supervisor; sys.exit(bool({heavy!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_redis_that_would_drop_charges_is_refused_in_one_line(tmp_path):
    with own_valkey(maxmemory_policy="allkeys-lru") as valkey:
        serving = Serving(tmp_path / "data", program=OBOL_SERVE, OBOL_REDIS_URL=valkey.url)
        try:
            assert serving.end() == 1
        finally:
            serving.clean_up()
    (line,) = serving.output.strip().splitlines()
    assert line.startswith("obol: OBOL_REDIS_URL: ")
    assert "allkeys-lru" in line
