"""The embedder's process as workers see it: there when one connects, back when it was killed, gone when nobody is."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from own_valkey import own_valkey
from process_parts import clean_environment, wait_until, wait_until_gone

from gateway.answer_ports import IndexAway
from gateway.domain import AnswerKey, KeptAnswer, Usage
from gateway.domain.similar import KeptQuestion
from gateway.embedding import SOCKET_NAME
from gateway.embedding.client import EmbedderClient
from gateway.serving.embedder_child import MODULE, EmbedderChild
from gateway.serving.embedder_process import minilm
from gateway.stores.answers import RedisAnswers
from gateway.stores.child import leave_terminal_and_die_with_parent
from gateway.stores.embedded import layout
from gateway.stores.redis_open import open_link

TESTS = Path(__file__).parent.parent
ANSWER = KeptAnswer(b"{}", Usage(input_tokens=1))


class Supervised:
    """What a supervisor does for its embedder, and what a worker makes of it."""

    def __init__(self, folder, redis_url, number):
        self.folder = folder / f"machine-{number}"
        self.folder.mkdir()
        self._redis_url = redis_url
        self.warnings: list[str] = []
        self.child = EmbedderChild(self.folder, self._spawn, self.warnings.append)
        self.client = EmbedderClient(self.folder / SOCKET_NAME, lambda: True, within_s=10.0)

    def _spawn(self, module, *arguments, pass_fds=()):
        settings = {"OBOL_REDIS_URL": self._redis_url, "OBOL_DATA_DIR": str(self.folder), "PYTHONPATH": str(TESTS)}
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments, "word_encoder:make"],
            env=clean_environment(**settings),
            stdin=subprocess.DEVNULL,
            pass_fds=pass_fds,
            preexec_fn=leave_terminal_and_die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - plain system calls only
        )

    async def until(self, asking, is_met):
        """Look after both until what is asked is answered so; returns the answer."""
        supervisor = asyncio.create_task(self._supervise())
        try:
            async with asyncio.timeout(60):
                while True:
                    await self.client.refresh()
                    try:
                        if is_met(found := await asking()):
                            return found
                    except IndexAway:
                        pass
                    await asyncio.sleep(0.02)
        finally:
            supervisor.cancel()

    async def _supervise(self):
        while True:
            self.child.look_after(time.monotonic())
            await asyncio.sleep(0.02)

    async def texts(self, text):
        return {one.text for one in (await self.client.nearest("org", "space", text)).neighbours}


@pytest.fixture(scope="module")
def valkey():
    with own_valkey() as server:
        yield server


@pytest.fixture
async def machines(valkey, tmp_path):
    """Two of them, on one empty Valkey."""
    link = await open_link(valkey.url)
    await link.command("FLUSHALL")
    both = [Supervised(tmp_path, valkey.url, number) for number in range(2)]
    yield both
    for one in both:
        one.client.close()
        one.child.stop()
    await link.close()


def kill(pid):
    """Returns when it is dead; its parent is still to take note of it."""
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


async def kept(valkey, machine, text):
    link = await open_link(valkey.url)
    answers, key = RedisAnswers(link, "worker"), AnswerKey("org", uuid4().hex, "org", "team", "key")
    epoch = (await answers.look(key, may_lead=False)).epoch
    await answers.keep(key, epoch, ANSWER, 1000)
    assert await machine.until(lambda: machine.client.keep(KeptQuestion(key, epoch, "space", text)), bool)
    await link.close()


async def test_no_process_runs_until_a_worker_connects(machines):
    one = machines[0]
    one.child.look_after(time.monotonic())
    assert one.child.pid is None
    assert one.child.wakes_by(time.monotonic()) is not None
    await one.client.refresh()
    one.child.look_after(time.monotonic())
    assert one.child.pid is not None
    assert one.child.wakes_by(time.monotonic()) is None
    assert stat.S_IMODE((one.folder / SOCKET_NAME).stat().st_mode) == 0o600


async def test_one_that_was_killed_comes_back_and_knows_everything(machines, valkey):
    one = machines[0]
    for number in range(3):
        await kept(valkey, one, f"question {number}")
    asked = asyncio.create_task(one.client.vectors([f"text {n}" for n in range(4000)]))
    await asyncio.sleep(0)
    kill(one.child.pid)
    with pytest.raises(IndexAway):  # nobody waits for one that is gone
        await asked
    found = await one.until(lambda: one.texts("question"), bool)
    assert found == {f"question {number}" for number in range(3)}
    assert len(one.warnings) == 1


async def test_what_one_machine_keeps_the_other_finds(machines, valkey):
    here, there = machines
    await there.until(lambda: there.texts("question"), lambda found: found == set())
    await kept(valkey, here, "question here")
    await there.until(lambda: there.texts("question"), lambda found: found == {"question here"})
    await kept(valkey, there, "question there")
    await here.until(lambda: here.texts("question"), lambda found: found == {"question here", "question there"})


async def test_one_that_keeps_ending_is_started_ever_more_slowly(machines):
    one = machines[0]
    for failures in (1, 2):
        await one.client.refresh()
        one.child.look_after(time.monotonic() + 60)
        kill(one.child.pid)
        now_s = time.monotonic()
        one.child.look_after(now_s)
        assert one.child.pid is None
        assert one.child.due_s(now_s) == pytest.approx(now_s + 0.1 * 2**failures)
        assert one.child.wakes_by(now_s) is None
        one.client.close()


async def test_stopping_leaves_neither_process_nor_socket(machines):
    one = machines[0]
    await one.until(lambda: one.client.vectors(["x"]), lambda _: True)
    process = psutil.Process(one.child.pid)
    one.child.stop()
    assert not process.is_running()
    assert not (one.folder / SOCKET_NAME).exists()


def test_the_encoder_is_the_one_that_is_installed_and_none_where_none_is(tmp_path, monkeypatch):
    vector = minilm(tmp_path).encode(["hello"])
    assert vector.shape == (1, 384)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert minilm(tmp_path) is None


def connected(folder):
    """Somebody at the embedder's door."""
    somebody = socket.socket(socket.AF_UNIX)
    somebody.connect(str(layout(folder).run / SOCKET_NAME))
    return somebody


def embedders(serving):
    return {one.pid for one in serving.family() if MODULE in one.cmdline()}


def test_obol_serve_has_an_embedder_while_somebody_wants_one_and_leaves_none(serve):
    serving = serve().wait_ready()
    assert embedders(serving) == set()
    with connected(serving.data_dir):
        first = wait_until(lambda: embedders(serving), "the embedder runs")
        os.kill(*first, signal.SIGKILL)
    with connected(serving.data_dir):
        second = wait_until(lambda: embedders(serving) - first, "it runs again")
        everyone = serving.family()
        serving.signal(signal.SIGINT)
        assert serving.end() == 0
    assert second <= {one.pid for one in everyone}
    wait_until_gone(everyone)
    assert "the embedder" in serving.output
