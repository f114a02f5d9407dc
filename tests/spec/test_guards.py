"""Guards of every kind, in every mode, before prompts and after answers, whole and streamed, by the official SDK."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

import openai
import pytest
from guard_parts import ADVERSE, FORBIDDEN, KINDS, REPLACING, SECRET, Asked, Looker, guards_catalog
from running_gateway import Gateway, UpstreamProcess, until

STREAMED = pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
KIND = pytest.mark.parametrize("kind", KINDS)
CALM = "All is well. " * 40


@pytest.fixture(scope="module")
def looker() -> Iterator[Looker]:
    made = Looker()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def guarded(
    gateway: Gateway, upstream: UpstreamProcess, looker: Looker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway with a route for each guard, on the stores of the first one."""
    catalog = guards_catalog(upstream.base_url, looker.url)
    running = Gateway(tmp_path_factory.mktemp("guarded"), catalog, OBOL_TEST_HOOK_SECRET=SECRET, **gateway.store_urls)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def asked(guarded: Gateway, upstream: UpstreamProcess) -> Iterator[Asked]:
    made = Asked(guarded, upstream, guarded.make_key()["key"])
    yield made
    made.close()


def verdicts(entry) -> list[tuple[str, str, str, str]]:
    return [(one["guard"], one["where"], one["mode"], one["verdict"]) for one in entry["guards"]]


# Prompts.


@KIND
@STREAMED
def test_a_blocked_prompt_reaches_nobody_costs_nothing_upstream_and_names_its_guard_alone(asked, kind, is_stream):
    name = f"{kind}-block"
    told = asked.ask(name, f"So: {ADVERSE[kind]} now", is_stream=is_stream)
    assert isinstance(told.error, openai.BadRequestError)
    assert (told.error.code, told.error.status_code) == ("content_filter", 400)
    assert name in told.error.message
    assert ADVERSE[kind] not in told.error.message
    assert told.headers["x-obol-guards"] == f"{name}=blocked"
    assert asked.heard() == []
    entry = asked.entry(told)
    assert (entry["source"], entry["basis"], entry["status"]) == ("guard", "none", "rejected")
    assert (entry["cost_nusd"], entry["error_code"]) == (0, "content_filter")
    assert verdicts(entry) == [(name, "input", "block", "blocked")]
    assert entry["guards"][0]["version"]


@KIND
@STREAMED
def test_a_flagged_prompt_goes_on_and_client_and_ledger_are_told(asked, kind, is_stream):
    told = asked.ask(f"{kind}-flag", ADVERSE[kind], is_stream=is_stream)
    assert told.error is None
    assert told.headers["x-obol-guards"] == f"{kind}-flag=flagged"
    assert len(asked.heard()) == 1
    assert verdicts(asked.entry(told)) == [(f"{kind}-flag", "input", "flag", "flagged")]


@KIND
@STREAMED
def test_of_a_shadow_only_the_ledger_knows(asked, kind, is_stream):
    told = asked.ask(f"{kind}-shadow", ADVERSE[kind], is_stream=is_stream)
    assert told.error is None
    assert "x-obol-guards" not in told.headers
    assert ADVERSE[kind] in asked.heard()[0]["body"]["messages"][0]["content"]
    assert verdicts(asked.entry(told)) == [(f"{kind}-shadow", "input", "shadow", "flagged")]


@pytest.mark.parametrize("kind", REPLACING)
@STREAMED
def test_what_is_redacted_never_leaves_and_is_put_back_into_the_answer(asked, kind, is_stream):
    said = f"I read {ADVERSE[kind]}, thank you."
    told = asked.ask(f"{kind}-redact", f"Read {ADVERSE[kind]}!", is_stream=is_stream, said=said)
    assert told.text == said
    assert told.headers["x-obol-guards"] == f"{kind}-redact=redacted"
    (call,) = asked.heard()
    assert ADVERSE[kind] not in str(call)
    assert call["body"]["messages"][0]["content"].startswith("Read [")
    assert verdicts(asked.entry(told)) == [(f"{kind}-redact", "input", "redact", "redacted")]


@KIND
@STREAMED
def test_a_prompt_in_which_nothing_is_found_passes_as_it_came(asked, kind, is_stream):
    told = asked.ask(f"{kind}-block", CALM, is_stream=is_stream)
    assert told.error is None
    assert told.headers["x-obol-guards"] == f"{kind}-block=passed"
    assert asked.heard()[0]["body"]["messages"][0]["content"] == CALM


# Answers.


@KIND
@STREAMED
@pytest.mark.parametrize("release", ["out", "whole"])
def test_a_blocked_answer_ends_as_filtered_and_what_was_generated_is_charged(asked, kind, is_stream, release):
    name = f"{kind}-block-{release}"
    told = asked.ask(name, "Speak!", is_stream=is_stream, said=f"{CALM}{ADVERSE[kind]} {CALM}")
    assert told.error is None
    assert told.finish_reason == "content_filter"
    assert ADVERSE[kind] not in told.text
    assert CALM.startswith(told.text)
    assert release == "out" or told.text == ""
    assert told.usage.completion_tokens > 0
    entry = asked.entry(told)
    assert_charged_for_nothing(entry)
    assert verdicts(entry) == [(name, "output", "block", "blocked")]


def assert_charged_for_nothing(entry) -> None:
    """What was generated costs, and saved nobody anything; that a guard looked is a stage of it."""
    assert (entry["status"], entry["error_code"]) == ("rejected", "content_filter")
    assert entry["cost_nusd"] > 0
    assert entry["baseline_nusd"] == 0
    assert "output_moderation" in [stage for stage, *_ in entry["stages"]]


@KIND
def test_with_on_block_error_a_stream_ends_as_no_sdk_takes_for_a_good_end(asked, kind):
    told = asked.ask(f"{kind}-error", "Speak!", is_stream=True, said=f"{CALM}{ADVERSE[kind]} {CALM}")
    assert isinstance(told.error, openai.APIError)
    assert told.error.code == "content_filter"
    assert told.finish_reason is None
    assert CALM.startswith(told.text)
    assert_charged_for_nothing(asked.entry(told))


@KIND
def test_with_on_block_error_a_whole_answer_is_an_error(asked, kind):
    told = asked.ask(f"{kind}-error", "Speak!", is_stream=False, said=f"{CALM}{ADVERSE[kind]} {CALM}")
    assert isinstance(told.error, openai.BadRequestError)
    assert (told.error.code, told.text) == ("content_filter", "")
    assert told.headers["x-obol-guards"] == f"{kind}-error/output=blocked"
    assert f"{kind}-error" in told.error.message
    assert_charged_for_nothing(asked.entry(told))


@pytest.mark.parametrize("kind", REPLACING)
@STREAMED
def test_what_is_found_in_an_answer_is_masked_and_nothing_else_changes(asked, kind, is_stream):
    told = asked.ask(f"{kind}-redact-out", "Speak!", is_stream=is_stream, said=f"{CALM}({ADVERSE[kind]}) {CALM}")
    assert told.finish_reason == "stop"
    before, _, rest = told.text.partition("([")
    assert before == CALM
    assert rest.partition("])")[2] == f" {CALM}"
    assert ADVERSE[kind] not in told.text
    assert verdicts(asked.entry(told)) == [(f"{kind}-redact-out", "output", "redact", "redacted")]


@KIND
@STREAMED
@pytest.mark.parametrize("mode", ["flag", "shadow"])
def test_an_answer_that_is_only_watched_goes_out_as_it_came(asked, kind, is_stream, mode):
    said = f"{CALM}{ADVERSE[kind]} {CALM}"
    told = asked.ask(f"{kind}-{mode}-out", "Speak!", is_stream=is_stream, said=said)
    assert (told.text, told.finish_reason) == (said, "stop")
    assert verdicts(asked.entry(told)) == [(f"{kind}-{mode}-out", "output", mode, "flagged")]


# What guards cost, and answers that nobody gives.


@pytest.mark.parametrize("kind", ["judge", "moderation_api"])
def test_a_guard_that_asks_a_model_has_an_entry_of_its_own_that_says_for_which_stage(asked, kind):
    told = asked.ask(f"{kind}-block", CALM, is_stream=False)
    entry = asked.entry(told, "guard")
    assert (entry["status"], entry["stage"]) == ("succeeded", "prompt_moderation")
    assert entry["cost_nusd"] == (100 * 1000 + 10 * 2000 if kind == "judge" else 0)
    (said,) = asked.entry(told)["guards"]
    assert said.get("cost_nusd", 0) == entry["cost_nusd"]


def guards_charged(asked, told):
    return until(lambda: len(found := asked.entries(told, "guard")) == 2 and found, "both guards are charged")


def test_the_cost_that_a_client_is_told_is_that_of_all_entries_of_its_request(asked):
    for source in ("upstream", "cache_exact"):
        told = asked.ask("judged", CALM, is_stream=False)
        assert told.headers["x-obol-source"] == source
        entries = [*guards_charged(asked, told), asked.entry(told)]
        spent_nusd = sum(one["cost_nusd"] for one in entries)
        assert int(Decimal(told.headers["x-obol-cost-usd"]) * 10**9) == spent_nusd


def test_requests_that_differ_in_what_is_redacted_share_a_kept_answer_and_each_gets_its_own_back(asked):
    mails = ["ada@example.org", "eve@example.com"]
    answers = [asked.ask("cached", f"Repeat {mail}", is_stream=False, said=f"It is {mail}.") for mail in mails]
    assert [one.headers["x-obol-source"] for one in answers] == ["upstream", "cache_exact"]
    assert [one.text for one in answers] == [f"It is {mail}." for mail in mails]


@STREAMED
def test_an_answer_that_is_blocked_is_blocked_each_time_and_never_kept(asked, is_stream):
    told = [asked.ask("cached", "Tell me a name", is_stream=is_stream, said="It is Rumpelstiltskin.") for _ in range(2)]
    assert [one.finish_reason for one in told] == ["content_filter"] * 2
    assert [one.headers["x-obol-cache"] for one in told] == ["miss"] * 2
    assert all("Rumpel" not in one.text for one in told)


def test_a_computed_answer_passes_the_guards_too(asked):
    told = asked.ask("computed", "what is 12 times 7", is_stream=False)
    assert told.headers["x-obol-source"] == "deflected"
    assert told.headers["x-obol-guards"] == "patterns-flag=passed, patterns-block-out/output=passed"


@STREAMED
@pytest.mark.parametrize("end", ["stop", "error"])
def test_a_computed_answer_that_is_blocked_is_rejected_and_saves_nothing(asked, end, is_stream):
    told = asked.ask(f"computed-{end}", "what is 12 times 7", is_stream=is_stream)
    assert told.text == ""
    assert told.finish_reason == ("content_filter" if end == "stop" else None)
    assert (told.error.code if told.error else None) == ("content_filter" if end == "error" else None)
    assert told.usage is None or told.usage.total_tokens == 0
    (entry,) = until(lambda: asked.gateway.ledger(end_user=asked.user), "the entry is on the ledger")
    assert (entry["source"], entry["status"], entry["error_code"]) == ("deflected", "rejected", "content_filter")
    assert (entry["cost_nusd"], entry["baseline_nusd"]) == (0, 0)
    assert verdicts(entry) == [(f"number-{end}", "output", "block", "blocked")]
    assert "output_moderation" in [stage for stage, *_ in entry["stages"]]


def test_webhooks_are_told_who_asks_and_their_words_are_signed(asked, looker):
    told = asked.ask("webhook-block", f"no {FORBIDDEN}", is_stream=False)
    sent = next(one for one in looker.asked if one["body"].get("request_id") == told.headers["x-request-id"])
    assert sent["body"]["texts"][0] == f"no {FORBIDDEN}"
    assert (sent["body"]["guard"], sent["body"]["where"]) == ("webhook-block", "input")
    assert {name.lower() for name in sent["headers"]} >= {"webhook-id", "webhook-timestamp", "webhook-signature"}


# What upstreams keep.


@pytest.fixture
def keeping(guarded: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=guarded.base_url, api_key=guarded.make_key()["key"], max_retries=0) as client:
        yield client


def test_an_answer_that_was_blocked_cannot_be_fetched_from_where_it_is_kept(keeping):
    script = {"script": {"text": "It is Rumpelstiltskin."}}
    response = keeping.responses.create(model="keeps", input="A name!", extra_body=script)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "content_filter")
    fetched = keeping.responses.retrieve(response.id)
    assert "Rumpel" not in fetched.model_dump_json()
    assert (fetched.status, fetched.incomplete_details.reason) == ("incomplete", "content_filter")
    with pytest.raises(openai.BadRequestError, match="stream"):
        keeping.responses.retrieve(response.id, stream=True)


def test_an_answer_given_in_the_background_is_looked_at_when_it_is_fetched(keeping):
    script = {"script": {"text": "It is Rumpelstiltskin."}}
    response = keeping.responses.create(model="keeps", input="A name!", background=True, store=True, extra_body=script)
    fetched = until(
        lambda: (found := keeping.responses.retrieve(response.id)).status not in {"queued", "in_progress"} and found,
        "the answer is there",
    )
    assert "Rumpel" not in fetched.model_dump_json()
    assert fetched.status == "incomplete"


def test_in_a_conversation_that_its_upstream_keeps_no_placeholder_stands_for_two(keeping, upstream):
    first = keeping.responses.create(model="keeps", input="I am ada@example.org")
    hidden = {}
    for mail in ("eve@example.com", "ada@example.org", "eve@example.com"):
        keeping.responses.create(model="keeps", input=f"And {mail}", previous_response_id=first.id)
        said = upstream.calls_of("good")[-1]["body"]["input"]
        assert mail not in str(said)
        assert re.search(r"\[EMAIL_ADDRESS_[A-Z]{8}\]", str(said)), "no digits that look like somebody's number"
        assert hidden.setdefault(mail, said) == said
    assert len(set(hidden.values())) == 2
    assert "EMAIL_ADDRESS_1]" not in str(hidden)
