"""What stands in requests and answers is looked at and replaced wherever and however it stands, in every dialect."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import anthropic
import httpx
import openai
import pytest
from echoing_upstream import REWRITINGS
from guard_parts import ADVERSE
from running_gateway import Gateway, UpstreamProcess

STREAMED = pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
DIALECT = pytest.mark.parametrize("dialect", ["chat", "claude", "responses"])
ADA, EVE, CARD = "ada.lovelace@example.org", "eve@example.com", "4111 1111 1111 1111"
COUNTESS = 'Ada "Countess" \\ Lovelace'
LOCAL: dict[str, Any] = {
    "names": {"kind": "patterns", "deny": {"our-names.v2": {"words": [COUNTESS]}}},
    "secrets": {"kind": "secrets"},
    "lists": {"kind": "patterns", "deny": {"1": {"expressions": ["(a+)+$", "(x+x+)+y", "(?:.*,){9}q"]}}},
    "injection": {"kind": "injection", "mode": "flag"},
    "example": {"kind": "patterns", "deny": {"part": {"words": ["example.org"]}}},
}
MODES = {"ranks": "rerank", "draws": "image_generation", "speaks": "audio_speech"}
ROUTES = {
    "locally": ["names", "secrets", "lists", "injection"],
    "named": ["names"],
    "overlapping": ["example", "secrets"],
    "expressions": ["lists"],
}


@pytest.fixture(scope="module")
def echoing() -> Iterator[UpstreamProcess]:
    from pathlib import Path  # noqa: PLC0415

    process = UpstreamProcess(Path(__file__).with_name("echoing_upstream.py"))
    yield process
    process.stop()


@pytest.fixture(scope="module")
def private(gateway: Gateway, echoing: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that redacts personal data everywhere, on the stores of the first one."""
    stated = {"mode": "redact", "on_error": "closed", "timeout_s": 60}
    price = {"price": {"input": 1, "output": 2}}
    kinds = {"chat": "openai_compatible", "claude": "anthropic", "responses": "openai"}
    providers = {name: {"kind": kind, "base_url": echoing.base_url, "api_key": "sk-up"} for name, kind in kinds.items()}
    routed = [f"{dialect}/{name}" for dialect in kinds for name in ("calls", "echo")]
    catalog = {
        "providers": providers,
        "deployments": [
            *({"name": f"{name}/*", "provider": name, "model": "*", **price} for name in kinds),
            *({"name": name, "provider": "chat", "model": name, "mode": mode, **price} for name, mode in MODES.items()),
            *({"name": f"routed/{name}", "provider": name.partition("/")[0], "model": name.partition("/")[2], **price}
              for name in routed),
        ],
        "guards": {
            "personal": {"kind": "pii", "always": True, **stated},
            **{name: {**stated, **guard} for name, guard in LOCAL.items()},
        },
        "routes": {
            f"{route}-{name.replace('/', '-')}": {"deployments": [f"routed/{name}"], "guards": guards}
            for route, guards in ROUTES.items()
            for name in routed
        },
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("private")
    with Gateway.running(folder, json.dumps(catalog), **gateway.store_urls) as running:
        yield running


class Talk:
    """One key's requests in any dialect by its official SDK; ``user`` tells them apart at the upstream."""

    def __init__(self, gateway: Gateway, upstream: UpstreamProcess, user: str) -> None:
        secret = gateway.make_key()["key"]
        self._openai = openai.OpenAI(base_url=gateway.base_url, api_key=secret, max_retries=0, timeout=100)
        self._claude = anthropic.Anthropic(base_url=gateway.url, api_key=secret, max_retries=0, timeout=100)
        self._upstream, self._user = upstream, user
        self.secret = secret

    def close(self) -> None:
        self._openai.close()
        self._claude.close()

    def said(self, dialect: str, model: str, text: Any, *, is_stream: bool) -> str:
        """The text of the answer; the same of its deltas and of what repeats them."""
        match dialect:
            case "chat":
                return self._chat(model, text, is_stream=is_stream)
            case "claude":
                return self._messages(model, text, is_stream=is_stream)
            case _:
                return self._responses(model, text, is_stream=is_stream)

    def called(self, dialect: str, model: str, text: Any, *, is_stream: bool) -> dict[str, Any]:
        """The arguments of the only tool call of the answer."""
        parameters = {"type": "object", "properties": {"to": {"type": "string"}}}
        match dialect:
            case "chat":
                tool: Any = {"type": "function", "function": {"name": "send", "parameters": parameters}}
                arguments = self._chat(model, text, is_stream=is_stream, tools=[tool])
            case "claude":
                tool = {"name": "send", "input_schema": parameters}
                arguments = self._messages(model, text, is_stream=is_stream, tools=[tool])
            case _:
                tool = {"type": "function", "name": "send", "parameters": parameters, "strict": False}
                arguments = self._responses(model, text, is_stream=is_stream, tools=[tool])
        found: dict[str, Any] = json.loads(arguments)
        return found

    def _chat(self, model: str, text: Any, *, is_stream: bool, **fields: Any) -> str:
        said = [{"role": "user", "content": text}] if isinstance(text, str) else text
        asked: dict[str, Any] = {"model": model, "messages": said, "user": self._user, **fields}
        if not is_stream:
            message = self._openai.chat.completions.create(**asked).choices[0].message
            return message.tool_calls[0].function.arguments if message.tool_calls else message.content
        told = ""
        for chunk in self._openai.chat.completions.create(**asked, stream=True):
            for choice in chunk.choices:
                told += choice.delta.content or ""
                told += "".join(call.function.arguments or "" for call in choice.delta.tool_calls or [])
        return told

    def _messages(self, model: str, text: Any, *, is_stream: bool, **fields: Any) -> str:
        said = [{"role": "user", "content": text}] if isinstance(text, str) else text
        asked: dict[str, Any] = {
            "model": model, "messages": said, "max_tokens": 999, "metadata": {"user_id": self._user}, **fields
        }  # fmt: skip
        if not is_stream:
            (block,) = self._claude.messages.create(**asked).content
            return block.text if block.type == "text" else json.dumps(block.input)
        told = ""
        with self._claude.messages.stream(**asked) as stream:
            for event in stream:
                if event.type == "content_block_delta":
                    told += event.delta.text if event.delta.type == "text_delta" else event.delta.partial_json
            (block,) = stream.get_final_message().content
        assert block.text == told if block.type == "text" else block.input == json.loads(told)
        return told

    def _responses(self, model: str, text: Any, *, is_stream: bool, **fields: Any) -> str:
        asked: dict[str, Any] = {"model": model, "input": text, "user": self._user, **fields}
        if not is_stream:
            (item,) = self._openai.responses.create(**asked).output
            return item.arguments if item.type == "function_call" else item.content[0].text
        told = ""
        with self._openai.responses.stream(**asked) as stream:
            for event in stream:
                if event.type in ("response.output_text.delta", "response.function_call_arguments.delta"):
                    told += event.delta
                if event.type == "response.output_text.done":
                    assert event.text == told
                if event.type == "response.function_call_arguments.done":
                    assert event.arguments == told
            (item,) = stream.get_final_response().output
        assert told == (item.arguments if item.type == "function_call" else item.content[0].text)
        return told

    def heard(self) -> list[Any]:
        """The bodies that reached the upstream."""
        return [call["body"] for call in self._upstream.calls(self._user)]

    def heard_text(self) -> str:
        """All that reached it, as nobody escapes it."""
        return json.dumps(self.heard(), ensure_ascii=False)


@pytest.fixture
def talk(private: Gateway, echoing: UpstreamProcess, user: str) -> Iterator[Talk]:
    made = Talk(private, echoing, f"{user}.")  # a name that ends with "a" is on a list here, and is redacted
    yield made
    made.close()


def never_left(talk: Talk, originals: Sequence[str]) -> bool:
    heard = talk.heard_text()
    assert talk.heard()
    return not any(one in heard for one in originals)


@DIALECT
@STREAMED
@pytest.mark.parametrize("rewriting", REWRITINGS)
def test_placeholders_that_a_model_rewrites_are_put_back_whatever_chunks_they_come_in(
    talk: Talk, dialect: str, rewriting: str, is_stream: bool
) -> None:
    text = f"Write to {ADA} and {EVE}, again to {ADA}; charge {CARD}."
    assert talk.said(dialect, f"{dialect}/{rewriting}", text, is_stream=is_stream) == text
    assert never_left(talk, [ADA, EVE, CARD, "1111"])
    heard = talk.heard_text()
    assert heard.count("[EMAIL_ADDRESS_1]") == 2
    assert heard.count("[EMAIL_ADDRESS_2]") == heard.count("[CREDIT_CARD_1]") == 1


@DIALECT
@STREAMED
def test_what_looks_like_a_placeholder_in_a_prompt_is_nobodys_address(
    talk: Talk, dialect: str, is_stream: bool
) -> None:
    text = f"What is [EMAIL_ADDRESS_1], \\[email address 2\\] or [ EMAIL_ADDRESS_3 ]? Not {ADA}, nor [EMAIL_ADDRESS_9]."
    assert talk.said(dialect, f"{dialect}/echo", text, is_stream=is_stream) == text
    assert never_left(talk, [ADA])
    assert "Not [EMAIL_ADDRESS_4]" in talk.heard_text()


@STREAMED
def test_a_value_has_one_placeholder_throughout_a_conversation_and_in_arguments_of_tools(
    talk: Talk, is_stream: bool
) -> None:
    escaped = ADA.replace("@", "\\u0040")
    call = {"name": "send", "arguments": f'{{"to": "{escaped}", "cc": ["{EVE}"], "n": 4111111111111111}}'}
    told = talk.said(
        "chat",
        "chat/echo",
        [
            {"role": "system", "content": f"You write for {EVE}."},
            {"role": "user", "content": [{"type": "text", "text": f"Write to {ADA}"}]},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": call}]},
            {"role": "tool", "tool_call_id": "c1", "content": json.dumps({"sent": ADA, "error": f"{EVE} is full"})},
            {"role": "user", "content": f"So {ADA} has it and {EVE} has not?"},
        ],
        is_stream=is_stream,
    )
    assert told == f"So {ADA} has it and {EVE} has not?"
    assert never_left(talk, [ADA, EVE, "lovelace", "4111111111111111"])
    (body,) = talk.heard()
    system, user, assistant, tool, last = body["messages"]
    eve = system["content"].removeprefix("You write for ").removesuffix(".")
    ada = user["content"][0]["text"].removeprefix("Write to ")
    assert {ada, eve} == {"[EMAIL_ADDRESS_1]", "[EMAIL_ADDRESS_2]"}
    arguments = json.loads(assistant["tool_calls"][0]["function"]["arguments"])
    assert (arguments["to"], arguments["cc"]) == (ada, [eve])
    assert json.loads(tool["content"]) == {"sent": ada, "error": f"{eve} is full"}
    assert last["content"] == f"So {ada} has it and {eve} has not?"


@DIALECT
@STREAMED
def test_originals_are_put_back_into_arguments_of_tools_as_json_has_them(
    talk: Talk, dialect: str, is_stream: bool
) -> None:
    text = f"Mail {COUNTESS}, {ADA}, [EMAIL_ADDRESS_7]"
    told = talk.called(dialect, f"named-{dialect}-calls", text, is_stream=is_stream)
    assert told == {"to": text, "about": [text]}
    assert never_left(talk, ["Countess", ADA])
    assert "[OUR_NAMES_V2_1]" in talk.heard_text()


@DIALECT
@STREAMED
def test_several_guards_that_find_the_same_and_parts_of_it_replace_it_once(
    talk: Talk, dialect: str, is_stream: bool
) -> None:
    token = ADVERSE["secrets"]
    text = (
        f"{ADA} at https://user:{token}@example.org/?to={EVE}&key={token} or example.org, "
        f"mailto:{ADA}?cc={EVE}, <{ADA}>, {ADA}{ADA}, password={token}:{ADA}, 192.0.2.7@example.org"
    )
    assert talk.said(dialect, f"overlapping-{dialect}-echo", text, is_stream=is_stream) == text
    assert never_left(talk, [ADA, EVE, token, "example.org", "lovelace"])


@pytest.mark.parametrize(
    ("written", "part"),
    [
        ("ada\u200b.lovelace\u2060@exam\u00adple.org", "lovelace"),
        ("\u0430d\u0430.lovelace@ex\u0430mple.org", "lovelace"),
        ("ada.lovelace\uff20example\uff0eorg", "lovelace"),
        ("\uff14\uff11\uff11\uff11" + " \uff11\uff11\uff11\uff11" * 3, "\uff11\uff11"),
        ("4111\u200b1111\u200b1111\u200b1111", "1111"),
        ("4111\u20111111\u20111111\u20111111", "1111"),
        ("\u0664" + "\u0661" * 15, "\u0661\u0661"),
        ("GB82\u00a0WEST\u00a01234\u00a05698\u00a07654\u00a032", "WEST"),
    ],
    ids=["invisible", "cyrillic", "wide", "wide card", "invisible card", "hyphens", "arabic card", "spaces"],
)  # fmt: skip
@STREAMED
def test_what_only_looks_like_an_address_or_a_number_is_redacted_and_comes_back_as_it_was(
    talk: Talk, written: str, part: str, is_stream: bool
) -> None:
    text = f"\u5199\u4fe1\u7ed9{written}\u5427 \U0001f600"
    assert talk.said("chat", "chat/echo", text, is_stream=is_stream) == text
    assert never_left(talk, [part])


@STREAMED
def test_texts_in_json_in_a_text_and_beside_images_are_redacted(talk: Talk, is_stream: bool) -> None:
    nested = json.dumps({"mail": json.dumps({"to": ADA})}).replace("@", "\\\\u0040")
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    talk.said(
        "chat",
        "chat/echo",
        [{"role": "user", "content": [{"type": "text", "text": ADA}, image, {"type": "text", "text": nested}]}],
        is_stream=is_stream,
    )
    assert never_left(talk, [ADA, "lovelace"])
    assert talk.heard()[0]["messages"][0]["content"][1] == image


# Other endpoints.


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("embeddings", {"model": "chat/*", "input": f"Mail {ADA}"}),
        ("embeddings", {"model": "chat/*", "input": ["nothing", f"Mail {ADA}", EVE]}),
        ("completions", {"model": "chat/*", "prompt": f"Mail {ADA}", "suffix": EVE}),
        ("messages/count_tokens", {"model": "claude/*", "messages": [{"role": "user", "content": f"Mail {ADA}"}]}),
        (
            "messages/count_tokens",
            {"model": "claude/*", "messages": [{"role": "user", "content": "x"}], "system": ADA},
        ),
        ("responses/input_tokens", {"model": "responses/*", "input": f"Mail {ADA}"}),
        ("moderations", {"model": "chat/*", "input": f"Mail {ADA}"}),
        ("rerank", {"model": "ranks", "query": f"Mail {ADA}", "documents": [f"of {EVE}", "other"]}),
        ("images/generations", {"model": "draws", "prompt": f"A picture of {ADA}"}),
        ("audio/speech", {"model": "speaks", "input": f"Say {ADA}", "voice": "alloy"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_no_endpoint_tells_its_upstream_what_is_redacted(
    private: Gateway, echoing: UpstreamProcess, talk: Talk, path: str, body: dict[str, Any]
) -> None:
    asked = {**body, "model": body["model"].replace("*", uuid4().hex)}
    reply = httpx.post(
        f"{private.base_url}/{path}", json=asked, headers={"authorization": f"Bearer {talk.secret}"}, timeout=60
    )
    heard = json.dumps(echoing.calls_of(asked["model"].rpartition("/")[2]))
    assert ADA not in heard
    assert EVE not in heard
    assert reply.status_code == 200, reply.text
    assert "EMAIL_ADDRESS_1" in heard
    assert reply.headers["x-obol-guards"] == "personal=redacted"


# Long texts, and expressions that others backtrack on.


@STREAMED
def test_a_prompt_of_ten_megabytes_is_looked_at_while_others_are_served(
    private: Gateway, talk: Talk, is_stream: bool
) -> None:
    line = f"What of {ADA}, {CARD} and example.org? " + "lorem ipsum dolor sit amet " * 500 + "\n"
    long = line * (10_000_000 // len(line))
    said = [{"role": "user", "content": long}, {"role": "user", "content": f"And {EVE}?"}]
    answers: list[str] = []
    asking = threading.Thread(
        target=lambda: answers.append(talk.said("chat", "locally-chat-echo", said, is_stream=is_stream))
    )
    asking.start()
    served = 0
    other = Talk(private, talk._upstream, f"other-{talk._user}")
    while asking.is_alive():
        assert other.said("chat", "chat/echo", "short", is_stream=False) == "short"
        served += 1
    asking.join()
    other.close()
    assert answers == [f"And {EVE}?"]
    assert served > 3
    print(f"{served} short requests were answered meanwhile")  # noqa: T201 - pytest shows it beside a failure
    heard = talk.heard()[0]["messages"][0]["content"]
    assert heard.count("[EMAIL_ADDRESS_1]") == heard.count("[CREDIT_CARD_1]") == long.count(ADA)
    assert "lovelace" not in heard


@pytest.mark.parametrize("text", ["a" * 200_000 + "!", "x" * 200_000, ("," * 200_000)], ids=["a", "x", "commas"])
def test_expressions_that_others_take_for_ever_on_are_linear(talk: Talk, text: str) -> None:
    assert talk.said("chat", "expressions-chat-echo", text, is_stream=False) == text


@pytest.mark.parametrize("expression", ["(?=a)b", "(?<!a)b", r"(a)\1", "(?>a)"])
def test_an_expression_that_cannot_be_bounded_is_refused_in_words(private: Gateway, expression: str) -> None:
    team = private.make_key()["team"]
    guard = {"name": "own", "kind": "patterns", "mode": "block", "on_error": "closed"}
    body = {"guards": [{**guard, "deny": {"ours": {"expressions": [expression]}}}]}
    reply = private.admin("PATCH", f"teams/{team}", json=body)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (409, "invalid_guard")
    assert f"ours: {expression!r}: " in error["message"]
