"""Guards that are code of their operator's, as requirements."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint

import pytest
from asking_parts import FakeAsking, chat

from backends.guards import plugin
from gateway.domain import Endpoint, Finding, GuardRule, Place, PluginSettings
from gateway.errors import GuardFailed

TEXTS = ["Mail to ada@example.com", "Hello"]
WAIT_S = 30.0


class Plain:
    """A plugin whose look is a plain function."""

    version = "7"

    def __init__(self, look: Callable[[Sequence[str]], object]) -> None:
        self._look = look

    def look(self, texts: Sequence[str], asking: object) -> object:
        del asking
        return self._look(texts)


class Async(Plain):
    """... whose look is a coroutine function."""

    async def look(self, texts: Sequence[str], asking: object) -> object:
        del asking
        return self._look(texts)


FACTORIES: dict[str, Callable[[Mapping[str, object]], object]] = {}


def make(settings: Mapping[str, object]) -> object:
    """What the entry point names."""
    return FACTORIES["made"](settings)


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if a package had one entry point of the group; the name of what it is stands in another."""

    def entry_points(*, group: str, name: str) -> Sequence[EntryPoint]:
        known = {"made": f"{__name__}:make", "broken": "no_such_module_of_ours:make", "gone": f"{__name__}:gone"}
        return [EntryPoint(name, known[name], group)] if group == "obol.guards" and name in known else []

    monkeypatch.setattr(plugin, "entry_points", entry_points)
    yield
    FACTORIES.clear()


def loaded(made: object, settings: str = "{}"):
    FACTORIES["made"] = lambda _settings: made
    return plugin.build(rule("made", settings))


def rule(entry_point: str, settings: str = "{}") -> GuardRule:
    return GuardRule("ours", "plugin", PluginSettings(entry_point, settings))


async def test_a_factory_is_given_its_settings():
    given: list[object] = []

    def factory(settings: Mapping[str, object]) -> object:
        given.append(settings)
        return Plain(lambda _texts: Finding())

    FACTORIES["made"] = factory
    plugin.build(rule("made", '{"words": ["a"], "at": 0.5}'))

    assert given == [{"words": ["a"], "at": 0.5}]


@pytest.mark.parametrize("kind", [Plain, Async])
async def test_what_it_finds_is_what_it_says(kind: type[Plain]):
    said = Finding(True, ("email",), 0.9, [Place(0, 8, 23, "email")])

    assert await loaded(kind(lambda _texts: said)).look(TEXTS, FakeAsking()) == said


@pytest.mark.parametrize("kind", [Plain, Async])
async def test_it_may_say_it_as_a_webhook_does(kind: type[Plain]):
    spans = [{"text": 0, "start": 8, "end": 23, "category": "email"}]
    guard = loaded(kind(lambda _texts: {"verdict": "block", "score": 0.9, "spans": spans}))

    assert await guard.look(TEXTS, FakeAsking()) == Finding(True, ("email",), 0.9, [Place(0, 8, 23, "email")])


async def test_a_plain_one_does_not_hold_the_loop_up():
    threads: list[str] = []
    goes_on, is_there = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def waits(_texts: Sequence[str]) -> Finding:
        threads.append(threading.current_thread().name)
        loop.call_soon_threadsafe(is_there.set)
        goes_on.wait(WAIT_S)
        return Finding()

    look = asyncio.create_task(loaded(Plain(waits)).look(TEXTS, FakeAsking()))
    await is_there.wait()
    assert not look.done()
    goes_on.set()

    assert await look == Finding(places=[])
    assert threads != [threading.current_thread().name]


async def test_a_plain_one_that_hangs_is_left_at_the_deadline_and_its_answer_is_nobody_s():
    goes_on, ended = threading.Event(), threading.Event()

    def hangs(_texts: Sequence[str]) -> Finding:
        goes_on.wait(WAIT_S)
        ended.set()
        return Finding()

    guard = loaded(Plain(hangs))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await guard.look(TEXTS, FakeAsking())
    goes_on.set()
    assert await asyncio.to_thread(ended.wait, WAIT_S)


async def test_threads_that_never_end_are_no_more_than_so_many():
    goes_on, are_all_there = threading.Event(), asyncio.Event()
    began: list[int] = []
    loop = asyncio.get_running_loop()

    def hangs(_texts: Sequence[str]) -> Finding:
        began.append(1)
        if len(began) == plugin.THREADS_MAX:
            loop.call_soon_threadsafe(are_all_there.set)
        goes_on.wait(WAIT_S)
        return Finding()

    guard = loaded(Plain(hangs))
    looks = [asyncio.create_task(guard.look(TEXTS, FakeAsking())) for _ in range(plugin.THREADS_MAX + 5)]
    await are_all_there.wait()
    assert len(began) == plugin.THREADS_MAX
    goes_on.set()

    assert await asyncio.gather(*looks) == [Finding(places=[])] * len(looks)
    assert len(began) == len(looks)


async def test_an_asynchronous_one_may_ask_deployments():
    class Asks:
        version = "1"

        async def look(self, texts: Sequence[str], asking: FakeAsking) -> Finding:
            answer = await asking.ask("mini", Endpoint.CHAT, {"messages": [{"role": "user", "content": texts[0]}]})
            return Finding(is_adverse=b"yes" in answer)

    assert (await loaded(Asks()).look(TEXTS, FakeAsking(chat("yes")))).is_adverse


@pytest.mark.parametrize("kind", [Plain, Async])
@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        True,
        "pass",
        [],
        {},
        {"verdict": "maybe"},
        {"verdict": "block", "spans": [{"text": 0, "start": 0, "end": 99, "category": "x"}]},
        Finding(is_adverse=1),  # type: ignore[arg-type]
        Finding(categories="x"),  # type: ignore[arg-type]
        Finding(categories=(1,)),  # type: ignore[arg-type]
        Finding(score=1.5),
        Finding(score=float("nan")),
        Finding(score=True),
        Finding(True, places=[Place(0, 0, 99, "x")]),
        Finding(True, places=[Place(2, 0, 1, "x")]),
        Finding(True, places=[Place(0, 5, 5, "x")]),
        Finding(True, places=[Place(0, True, 5, "x")]),
        Finding(True, places=[(0, 0, 5, "x")]),  # type: ignore[list-item]
        Finding(True, places=None),  # type: ignore[arg-type]
    ],
)
async def test_nonsense_is_no_verdict(kind: type[Plain], nonsense: object):
    with pytest.raises(GuardFailed):
        await loaded(kind(lambda _texts: nonsense)).look(TEXTS, FakeAsking())


@pytest.mark.parametrize("kind", [Plain, Async])
@pytest.mark.parametrize("error", [ValueError, SystemExit, StopIteration, RecursionError])
async def test_one_that_raises_gives_no_verdict(kind: type[Plain], error: type[BaseException]):
    def raises(_texts: Sequence[str]) -> Finding:
        raise error

    with pytest.raises((ValueError, RuntimeError, GuardFailed)):
        await loaded(kind(raises)).look(TEXTS, FakeAsking())


@pytest.mark.parametrize("name", ["unknown", "broken", "gone"])
def test_one_that_cannot_be_loaded_cannot_be_built(name: str):
    with pytest.raises(ValueError, match=name):
        plugin.build(rule(name))


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyError])
def test_a_factory_that_raises_builds_nothing(error: type[BaseException]):
    def raises(_settings: object) -> object:
        raise error

    FACTORIES["made"] = raises
    with pytest.raises(ValueError, match="cannot be loaded"):
        plugin.build(rule("made"))


@pytest.mark.parametrize("made", [None, object(), type("", (), {"version": 1, "look": print}), {"version": "1"}])
def test_what_is_no_guard_cannot_be_built(made: object):
    with pytest.raises(ValueError, match="cannot be loaded"):
        loaded(made)


def test_its_version_is_its_own_and_that_of_its_settings():
    plain = Plain(lambda _texts: Finding())

    assert loaded(plain).version.startswith("7-")
    assert loaded(plain).version == loaded(plain).version
    assert loaded(plain).version != loaded(plain, '{"a": 1}').version
