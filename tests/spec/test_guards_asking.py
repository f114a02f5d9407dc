"""Guards that ask others: each in each mode, streamed and not, and whatever goes wrong with whom they ask."""

from __future__ import annotations

import json
import textwrap
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from running_gateway import Gateway, UpstreamProcess
from spec_parts import Books

SERVER = Path(__file__).parents[1] / "guard_server.py"
SECRET = "a secret of ours"
KINDS = {
    "judge": 'kind: judge, deployment: NAME, rubric: "Adverse is what the rules of the house forbid."',
    "guard-model": "kind: judge, deployment: NAME",
    "moderation": "kind: moderation_api, deployment: NAME, thresholds: {violence: 0.5}",
    "classifier": "kind: injection, classifier: NAME, asked_as: classify, escalate_at: 0.000001, block_at: 1",
    "hook": f'kind: webhook, url: HOST/hook?NAME, secret: "{SECRET}"',
    "plugin": "kind: plugin, plugin: ours, settings: {word: ADVERSE}",
}
# Whom those ask that ask a deployment: each guard one of its name, with a circuit of its own.
ASKING = {
    "judge": "provider: up, model: judge, price: {input: 3, output: 7}",
    "guard-model": "provider: up, model: judge, price: {input: 3, output: 7}",
    "moderation": "provider: up, model: omni, price: free, mode: moderation",
    "classifier": "provider: gpu, model: prompt-guard, price: {input: 0.1, output: 0}, mode: moderation",
}
# The others block, flag, watch and filter in test_guards, and fail in test_guard_failures.
HERE = ("guard-model", "classifier", "plugin")
MODES = ("block", "flag", "shadow")
PLUGIN = """
import time

class Ours:
    version = "1"

    def __init__(self, word):
        self.word = word

    def look(self, texts, asking):
        said = " ".join(texts)
        if "HANG" in said:
            time.sleep(3)
        if "DIE" in said or "REFUSE" in said:
            raise RuntimeError("no")
        if "NONSENSE" in said:
            return {"nonsense": True}
        found = [(number, text.find(self.word)) for number, text in enumerate(texts)]
        places = [{"text": n, "start": at, "end": at + len(self.word)} for n, at in found if at >= 0]
        spans = [{**place, "category": "our words"} for place in places]
        return {"verdict": "block" if spans else "pass", "spans": spans}

def make(settings):
    return Ours(settings["word"])
"""
HARMLESS, ADVERSE = "What now?", "What of ADVERSE things?"


def catalog(base_url: str) -> str:
    """A route for each guard: KIND-MODE for each mode, KIND-closed and KIND-open for failures, KIND-out for answers."""
    guards, routes, deployments = [], [], []
    for kind, settings in KINDS.items():
        rules = {mode: f"mode: {mode}, on_error: closed, timeout_s: 30" for mode in MODES}
        rules |= {end: f"mode: block, on_error: {end}, timeout_s: 30" for end in ("closed", "open")}
        # Of these nothing is asked but what hangs.
        rules |= {f"{end}-soon": f"mode: block, on_error: {end}, timeout_s: 0.5" for end in ("closed", "open")}
        rules["out"] = "mode: block, on_error: closed, timeout_s: 30, where: output, release: whole"
        if kind == "plugin":
            rules["redact"] = "mode: redact, on_error: closed, timeout_s: 30"
        for rule, said in rules.items():
            guards.append(f"  {kind}-{rule}: {{{settings.replace('NAME', f'{kind}-{rule}-asked')}, {said}}}\n")
            if kind in ASKING:
                deployments.append(f"  - {{name: {kind}-{rule}-asked, {ASKING[kind]}}}\n")
            routes.append(f"  {kind}-{rule}: {{deployments: [mini], guards: [{kind}-{rule}]}}\n")
    text = f"""
providers:
  up: {{kind: openai_compatible, base_url: HOST/v1}}
  gpu: {{kind: vllm, base_url: HOST/v1}}
deployments:
  - {{name: mini, provider: up, model: mini, price: {{input: 1, output: 2}}}}
{"".join(deployments)}guards:
{"".join(guards)}routes:
{"".join(routes)}"""
    return text.replace("HOST", base_url.removesuffix("/v1"))


@pytest.fixture(scope="module")
def asked() -> Iterator[UpstreamProcess]:
    process = UpstreamProcess(SERVER)
    yield process
    process.stop()


@pytest.fixture(scope="module")
def guarded(gateway: Gateway, asked: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with a package beside it that has a guard."""
    folder = tmp_path_factory.mktemp("guarded")
    installed = folder / "installed" / "ours-1.dist-info"
    installed.mkdir(parents=True)
    (installed.parent / "guard_of_ours.py").write_text(textwrap.dedent(PLUGIN))
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: ours\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[obol.guards]\nours = guard_of_ours:make\n")
    path = str(installed.parent)
    with Gateway.running(folder, catalog(asked.base_url), PYTHONPATH=path, **gateway.store_urls) as running:
        yield running


@pytest.fixture
def key(guarded: Gateway) -> str:
    secret: str = guarded.make_key()["key"]
    return secret


@pytest.fixture
def sdk(guarded: Gateway, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=guarded.base_url, api_key=key, max_retries=0) as made:
        yield made


@pytest.fixture
def ledger(guarded: Gateway) -> Books:
    return Books(guarded)


def says(text: str) -> Sequence[Any]:
    """A message that no other test sends."""
    return [{"role": "user", "content": f"{uuid.uuid4().hex} {text}"}]


def calls_with(asked: UpstreamProcess, messages: Sequence[Any], path: str = "") -> list[dict[str, Any]]:
    """The calls that carry the message, and those of them to one path."""
    mark = messages[0]["content"].split()[0]
    return [call for call in asked.calls() if mark in json.dumps(call["body"]) and call["path"].startswith(path)]


def of_mini(calls: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [call for call in calls if call["body"].get("model") == "mini"]


def entries_by_purpose(ledger: Books, request_id: str | None) -> dict[str, dict[str, Any]]:
    return {entry["purpose"]: entry for entry in ledger.entries(request_id)}


@pytest.mark.parametrize("kind", HERE)
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_what_a_guard_finds_is_blocked_before_anything_else_is_asked(
    sdk: openai.OpenAI, ledger: Books, asked: UpstreamProcess, kind: str, is_stream: bool
) -> None:
    messages = says(ADVERSE)
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.chat.completions.create(model=f"{kind}-block", messages=messages, stream=is_stream)

    error = refused.value
    assert error.code == "content_filter"
    assert error.body["guard"] == f"{kind}-block"  # type: ignore[index]
    assert "ADVERSE" not in str(error)
    assert of_mini(calls_with(asked, messages)) == []
    entries = entries_by_purpose(ledger, error.request_id)
    (verdict,) = entries["answer"]["guards"]
    assert (verdict["guard"], verdict["verdict"]) == (f"{kind}-block", "blocked")
    assert (entries["answer"]["cost_nusd"], entries["answer"]["status"]) == (0, "rejected")
    assert ("guard" in entries) == (kind in ASKING)
    if kind in ASKING:
        assert entries["guard"]["status"] == "succeeded"
        assert verdict.get("cost_nusd", 0) == entries["guard"]["cost_nusd"]


def test_what_guards_ask_is_charged_at_their_deployments(sdk: openai.OpenAI, ledger: Books) -> None:
    prices = {"judge": 100 * 3000 + 3 * 7000, "guard-model": 100 * 3000 + 3 * 7000, "moderation": 0}
    prices["classifier"] = 100 * 100
    for kind, cost_nusd in prices.items():
        raw = sdk.chat.completions.with_raw_response.create(model=f"{kind}-block", messages=says(HARMLESS))

        entries = entries_by_purpose(ledger, raw.headers["x-request-id"])
        assert entries["guard"]["cost_nusd"] == cost_nusd, kind
        assert entries["answer"]["cost_nusd"] == 100 * 1000 + 3 * 2000
        assert entries["answer"]["guards"][0]["verdict"] == "passed"


@pytest.mark.parametrize("kind", HERE)
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_a_guard_that_flags_tells_the_client_and_one_in_the_shadow_the_ledger_alone(
    sdk: openai.OpenAI, ledger: Books, kind: str, is_stream: bool
) -> None:
    for mode in ("flag", "shadow"):
        with sdk.chat.completions.with_streaming_response.create(
            model=f"{kind}-{mode}", messages=says(ADVERSE), stream=is_stream
        ) as raw:
            assert "Fin" in raw.read().decode()
            told = raw.headers.get("x-obol-guards", "")
        (verdict,) = entries_by_purpose(ledger, raw.headers["x-request-id"])["answer"]["guards"]
        assert (told == f"{kind}-flag=flagged") == (mode == "flag")
        assert (verdict["mode"], verdict["verdict"]) == (mode, "flagged")


@pytest.mark.parametrize("kind", [*ASKING, "hook"])
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_a_model_is_asked_while_a_guard_in_the_shadow_looks_and_what_that_says_and_costs_is_told_all_the_same(
    guarded: Gateway, sdk: openai.OpenAI, ledger: Books, kind: str, is_stream: bool
) -> None:
    # Of what is AFTER something nobody says anything until the model was asked.
    with sdk.chat.completions.with_streaming_response.create(
        model=f"{kind}-shadow", messages=says("What comes AFTER that?"), stream=is_stream
    ) as raw:
        assert "Fin" in raw.read().decode()
    entries = entries_by_purpose(ledger, raw.headers["x-request-id"])
    (verdict,) = entries["answer"]["guards"]
    assert (verdict["guard"], verdict["verdict"]) == (f"{kind}-shadow", "passed")
    assert ("guard" in entries) == (kind in ASKING)
    paid_nusd = entries["guard"]["cost_nusd"] if kind in ASKING else 0
    assert verdict.get("cost_nusd", 0) == paid_nusd

    told = guarded.admin("GET", f"requests/{raw.headers['x-request-id']}").raise_for_status().json()
    assert [(one["guard"], one["verdict"]) for one in told["guards"]] == [(f"{kind}-shadow", "passed")]
    assert told["cost_nusd"] == entries["answer"]["cost_nusd"] + paid_nusd
    stages = {(one["stage"], one["name"]): one for one in told["stages"]}
    assert stages["prompt_moderation", f"{kind}-shadow"]["verdict"] == "passed"


@pytest.mark.parametrize("kind", ["guard-model", "classifier"])
@pytest.mark.parametrize("fault", ["NONSENSE", "DIE", "REFUSE", "HANG"])
def test_a_guard_without_a_verdict_has_not_passed_and_its_rule_says_what_becomes_of_the_request(
    sdk: openai.OpenAI, ledger: Books, asked: UpstreamProcess, kind: str, fault: str
) -> None:
    soon = "-soon" if fault == "HANG" else ""
    messages = says(f"What of {fault}?")
    with pytest.raises(openai.InternalServerError) as refused:
        sdk.chat.completions.create(model=f"{kind}-closed{soon}", messages=messages)
    assert (refused.value.status_code, refused.value.code) == (503, "guard_unavailable")
    assert refused.value.body["guard"] == f"{kind}-closed{soon}"  # type: ignore[index]
    assert of_mini(calls_with(asked, messages)) == []
    (verdict,) = entries_by_purpose(ledger, refused.value.request_id)["answer"]["guards"]
    assert verdict["verdict"] == "failed"
    assert verdict["error"]

    raw = sdk.chat.completions.with_raw_response.create(model=f"{kind}-open{soon}", messages=says(f"What of {fault}?"))
    assert raw.parse().choices[0].message.content == "Fine."
    assert raw.headers["x-obol-guards"] == f"{kind}-open{soon}=failed"
    (verdict,) = entries_by_purpose(ledger, raw.headers["x-request-id"])["answer"]["guards"]
    assert verdict["verdict"] == "failed"


@pytest.mark.parametrize("kind", HERE)
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_an_answer_in_which_a_guard_finds_something_ends_filtered(
    sdk: openai.OpenAI, kind: str, is_stream: bool
) -> None:
    asked = {"model": f"{kind}-out", "messages": says("say an ADVERSE thing")}
    if is_stream:
        chunks = list(sdk.chat.completions.create(**asked, stream=True))
        text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
        (reason,) = [one.finish_reason for chunk in chunks for one in chunk.choices if one.finish_reason]
    else:
        (choice,) = sdk.chat.completions.create(**asked).choices
        text, reason = choice.message.content or "", choice.finish_reason
    assert "ADV" not in text
    assert reason == "content_filter"


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_what_a_plugin_says_is_somewhere_is_replaced_there_and_put_back_in_the_answer(
    sdk: openai.OpenAI, asked: UpstreamProcess, is_stream: bool
) -> None:
    messages = says("say an ADVERSE thing")
    with sdk.chat.completions.with_streaming_response.create(
        model="plugin-redact", messages=messages, stream=is_stream
    ) as raw:
        said = raw.read().decode()
    if is_stream:
        events = [json.loads(one[6:]) for one in said.split("\n\n") if one.startswith("data: {")]
        text = "".join(choice["delta"].get("content") or "" for one in events for choice in one["choices"])
    else:
        text = json.loads(said)["choices"][0]["message"]["content"]

    (call,) = of_mini(calls_with(asked, messages))
    assert call["body"]["messages"][0]["content"].endswith("say an [OUR_WORDS_1] thing")
    assert text == "an ADVERSE thing"


def test_a_hook_hears_of_everything_that_a_model_would(guarded: Gateway, key: str, asked: UpstreamProcess) -> None:
    messages = [
        *says("first"),
        {"role": "assistant", "content": "second"},
        {"role": "user", "content": [{"type": "text", "text": "third"}]},
    ]
    body = {"model": "hook-block", "messages": messages, "user": "somebody"}
    httpx.post(
        f"{guarded.base_url}/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}, timeout=60
    ).raise_for_status()

    (call,) = calls_with(asked, messages, "/hook")
    assert {"second", "third"} <= set(call["body"]["texts"])
    assert (call["body"]["guard"], call["body"]["model"]) == ("hook-block", "hook-block")
    assert call["body"]["end_user"] == "somebody"
    assert call["headers"]["webhook-signature"].startswith("v1,")
