"""What a guard redacts never comes to a real vLLM, as its own log of requests says, and is back in what it answers."""

from __future__ import annotations

import pytest
from books import Books, said
from openai import OpenAI
from vllm_server import VllmServer

pytestmark = pytest.mark.vllm

ORIGINALS = ("grace.hopper@navy.example.org", "4111 1111 1111 1111")
SENTENCE = "Write to {} about the card {}."
REDACTED = SENTENCE.format("[EMAIL_ADDRESS_1]", "[CREDIT_CARD_1]")
PLAIN = SENTENCE.format(*ORIGINALS)
# A random model says only what it is bound to, which is redacted like all that the client says.
BOUND = {"structured_outputs": {"choice": [PLAIN]}}


def what_vllm_heard(server: VllmServer, before: int) -> str:
    """Its log of the requests since then."""
    logged = server.logged
    if logged is None:
        pytest.skip("the log of this vLLM server is with whoever started it")
    return logged[before:]


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_a_real_vllm_hears_placeholders_alone_and_its_client_reads_the_originals(
    client: OpenAI, books: Books, is_stream: bool
) -> None:
    before = len(books.server.logged or "")
    asked = client.chat.completions.with_raw_response.create(
        model="private",
        messages=said(f"Repeat: {PLAIN}"),
        max_tokens=200,
        stream=is_stream,
        user="grace.hopper@navy.example.org",
        extra_body=BOUND,
    )
    answer = asked.parse()
    if is_stream:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in answer)  # type: ignore[attr-defined]
    else:
        text = answer.choices[0].message.content or ""

    assert text == PLAIN
    entry = books.balanced(asked.headers["x-request-id"])
    assert [(one["guard"], one["verdict"]) for one in entry["guards"]] == [("personal", "redacted")]
    heard = what_vllm_heard(books.server, before)
    assert f"<|user|>Repeat: {REDACTED}<|end|>" in heard
    assert [one for one in ORIGINALS if one in heard] == []
    assert "grace" not in heard.casefold()
    assert "4111" not in heard


def test_without_its_guard_vllm_hears_the_originals_so_that_its_log_proves_something(
    client: OpenAI, books: Books
) -> None:
    before = len(books.server.logged or "")
    client.chat.completions.create(model="auto", messages=said(f"Repeat: {PLAIN}"), max_tokens=200, extra_body=BOUND)
    assert f"<|user|>Repeat: {PLAIN}<|end|>" in what_vllm_heard(books.server, before)
