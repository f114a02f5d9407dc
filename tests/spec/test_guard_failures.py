"""Guards that give no answer, each in every way: what was not looked at is never reported as passed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import openai
import pytest
from guard_fault_parts import FAULTS, HOOK_FAULTS, Hook, catalog_of, install_plugin
from guard_parts import Asked, Told
from running_gateway import Gateway, UpstreamProcess

FAULT = pytest.mark.parametrize("fault", FAULTS)
SAID = "Hello from upstream"
LONG = "All is well. " * 100
SLOWLY = {"text": LONG, "chunk_ms": 2}  # so that it is looked at more than once
COST_NUSD = 9 * 1000 + 3 * 2000
TRIED_AGAIN = {"error-500", "error-429", "cut", "drop"}


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def guarded(
    gateway: Gateway, upstream: UpstreamProcess, hook: Hook, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway with a route for each failing guard, on the stores of the first one."""
    catalog = json.dumps(catalog_of(upstream.base_url, hook.url))
    path = install_plugin(tmp_path_factory.mktemp("plugin"))
    folder = tmp_path_factory.mktemp("failing")
    with Gateway.running(folder, catalog, PYTHONPATH=path, **gateway.store_urls) as running:
        yield running


@pytest.fixture
def asked(guarded: Gateway, upstream: UpstreamProcess) -> Iterator[Asked]:
    made = Asked(guarded, upstream, guarded.make_key()["key"])
    yield made
    made.close()


def whole_and_streamed(asked: Asked, name: str) -> list[Told]:
    return [asked.ask(name, "What now?", is_stream=is_stream, said=SAID) for is_stream in (False, True)]


def verdict_of(entry: Mapping[str, Any], name: str) -> str:
    """The only verdict, which says why."""
    (one,) = entry["guards"]
    assert one["guard"] == name
    assert one["error"]
    verdict: str = one["verdict"]
    return verdict


@FAULT
def test_a_prompt_whose_guard_fails_reaches_nobody_where_it_is_closed(asked: Asked, fault: str) -> None:
    name = f"{fault}-closed"
    answers = whole_and_streamed(asked, name)
    assert [call for call in asked.heard() if call["body"]["model"] == "good"] == []
    for told in answers:
        assert isinstance(told.error, openai.InternalServerError)
        assert (told.error.status_code, told.error.code) == (503, "guard_unavailable")
        assert f"'{name}'" in told.error.message
        assert told.headers["x-obol-guards"] == f"{name}=failed"
        entry = asked.entry(told)
        assert (entry["source"], entry["basis"], entry["status"]) == ("guard", "none", "failed")
        assert (entry["cost_nusd"], entry["error_code"]) == (0, "guard_unavailable")
        assert verdict_of(entry, name) == "failed"


@FAULT
def test_a_prompt_whose_guard_fails_goes_on_where_it_is_open_and_is_not_said_to_have_passed(
    asked: Asked, fault: str
) -> None:
    name = f"{fault}-open"
    for told in whole_and_streamed(asked, name):
        assert (told.error, told.text) == (None, SAID)
        assert told.headers["x-obol-guards"] == f"{name}=failed"
        entry = asked.entry(told)
        assert (entry["source"], entry["status"], entry["cost_nusd"]) == ("upstream", "succeeded", COST_NUSD)
        assert verdict_of(entry, name) == "failed"


@FAULT
def test_of_an_answer_whose_guard_fails_nothing_is_shown_where_it_is_closed_and_it_is_charged(
    asked: Asked, fault: str
) -> None:
    name = f"{fault}-out-closed"
    for told in whole_and_streamed(asked, name):
        assert isinstance(told.error, openai.APIError)
        assert told.error.code == "guard_unavailable"
        assert f"'{name}'" in told.error.message
        assert (told.text, told.finish_reason) == ("", None)
        entry = asked.entry(told)
        assert (entry["source"], entry["error_code"]) == ("upstream", "guard_unavailable")
        assert entry["cost_nusd"] == COST_NUSD
        assert entry["status"] != "succeeded"
        assert verdict_of(entry, name) == "failed"


@FAULT
def test_an_answer_whose_guard_fails_goes_out_where_it_is_open(asked: Asked, fault: str) -> None:
    name = f"{fault}-out-open"
    for told in whole_and_streamed(asked, name):
        assert (told.error, told.text, told.finish_reason) == (None, SAID, "stop")
        entry = asked.entry(told)
        assert (entry["status"], entry["cost_nusd"]) == ("succeeded", COST_NUSD)
        assert verdict_of(entry, name) == "failed"


@pytest.mark.parametrize("fault", [one for one in HOOK_FAULTS if one != "gone"])
def test_a_hook_is_asked_again_only_where_another_try_may_bring_an_answer(asked: Asked, hook: Hook, fault: str) -> None:
    told = asked.ask(f"webhook-{fault}-open", "What now?", is_stream=False)
    assert hook.looks_of(told.headers["x-request-id"]) == (2 if fault in TRIED_AGAIN else 1)


def test_a_hook_that_flaps_is_asked_each_time_and_what_it_did_not_see_does_not_pass(asked: Asked) -> None:
    answers = [asked.ask("flapping", "What now?", is_stream=False, said=SAID) for _ in range(12)]
    assert [told.error is None for told in answers] == [False, True] * 6
    assert {told.headers["x-obol-guards"] for told in answers[::2]} == {"flapping=failed"}
    assert {told.headers["x-obol-guards"] for told in answers[1::2]} == {"flapping=passed"}
    assert len(asked.heard()) == 6


@pytest.mark.parametrize("name", ["redacting", "flagging"])
def test_without_a_guard_that_is_closed_nothing_passes_whatever_it_would_do_with_what_it_finds(
    asked: Asked, name: str
) -> None:
    for told in whole_and_streamed(asked, name):
        assert told.error is not None
        assert told.error.code == "guard_unavailable"
        assert verdict_of(asked.entry(told), name) == "failed"
    assert asked.heard() == []


def test_what_only_the_ledger_is_told_of_keeps_nothing_back_by_failing(asked: Asked) -> None:
    for told in whole_and_streamed(asked, "in-the-dark"):
        assert (told.error, told.text) == (None, SAID)
        assert "x-obol-guards" not in told.headers
        assert verdict_of(asked.entry(told), "in-the-dark") == "failed"


def test_a_stream_whose_guard_fails_half_way_ends_there_with_an_error_and_is_charged(asked: Asked) -> None:
    told = asked.ask("faltering-closed", "Speak!", is_stream=True, script=SLOWLY)
    assert isinstance(told.error, openai.APIError)
    assert (told.error.code, told.finish_reason) == ("guard_unavailable", None)
    assert told.text
    assert LONG.startswith(told.text)
    assert len(told.text) < len(LONG)
    entry = asked.entry(told)
    assert (entry["status"] != "succeeded", entry["error_code"]) == (True, "guard_unavailable")
    assert entry["cost_nusd"] > 0
    assert verdict_of(entry, "faltering-closed") == "failed"


def test_a_stream_goes_on_where_its_guard_that_is_open_fails_half_way_and_is_not_said_to_have_passed(
    asked: Asked,
) -> None:
    told = asked.ask("faltering-open", "Speak!", is_stream=True, script=SLOWLY)
    assert (told.error, told.text, told.finish_reason) == (None, LONG, "stop")
    assert verdict_of(asked.entry(told), "faltering-open") == "failed"
