"""The same small question and answer in each dialect, whole and as a stream: bodies, and what the upstreams send."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

PROMPT = "Explain in plain words how a toll bridge pays for itself over the years. " * 7  # 511 bytes
TEXT = "A bridge earns its keep one coin at a time. " * 6
CHAT, RESPONSES, MESSAGES = "chat", "responses", "messages"


@dataclass(frozen=True, slots=True)
class Dialect:
    """One client API. ``model`` is answered by nginx, ``stream_model`` event by event; ``chunks`` makes a stream."""

    path: str
    model: str
    stream_model: str
    question: Mapping[str, object]
    answer: str
    chunks: Callable[[int], Iterator[bytes]]

    def body(self, *, is_stream: bool) -> str:
        model = self.stream_model if is_stream else self.model
        return msgspec.json.encode({"model": model, **self.question, "stream": is_stream}).decode()


def _chat_choice(number: int, last: int) -> bytes:
    if number == 0:
        return b'[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]'
    if number == last:
        return b'[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]'
    return b'[{"index":0,"delta":{"content":" word%d"},"logprobs":null,"finish_reason":null}]' % number


def chat_usage(output_tokens: int) -> bytes:
    return b'{"prompt_tokens":120,"total_tokens":%d,"completion_tokens":%d,"completion_tokens_details":null}' % (
        120 + output_tokens,
        output_tokens,
    )


def chat_chunks(chunks: int, template: bytes, usage: Callable[[int], bytes]) -> Iterator[bytes]:
    """A chat stream: ``template`` takes the choices and the usage; the last chunk is the usage chunk."""
    for number in range(chunks - 1):
        yield b"data: " + template % (_chat_choice(number, chunks - 2), usage(number))
    yield b"data: " + template % (b"[]", chat_usage(chunks))
    yield b"data: [DONE]"


_OPENAI = (
    b'{"id":"chatcmpl-BenchBenchBenchBenchBench0001","object":"chat.completion.chunk","created":1790000000,'
    b'"model":"bench","service_tier":"default","system_fingerprint":"fp_0123456789","choices":%s,"usage":%s}'
)
_VLLM = (
    b'{"id":"chatcmpl-0123456789abcdef0123456789abcdef","object":"chat.completion.chunk","created":1790000000,'
    b'"model":"bench","choices":%s,"usage":%s}'
)


def _openai_chunks(chunks: int) -> Iterator[bytes]:
    return chat_chunks(chunks, _OPENAI, lambda _: b"null")


def vllm_chunks(chunks: int) -> Iterator[bytes]:
    """Chat with usage on each chunk."""
    return chat_chunks(chunks, _VLLM, chat_usage)


def _event(kind: bytes, data: bytes) -> bytes:
    return b"event: " + kind + b'\ndata: {"type":"' + kind + b'",' + data + b"}"


_RESPONSE = (
    b'"response":{"id":"resp_0123456789abcdef0123456789abcdef","object":"response","created_at":1790000000,'
    b'"status":"%s","model":"bench","output":[%s],"parallel_tool_calls":true,"tools":[],"usage":%s}'
)
_RESPONSE_USAGE = (
    b'{"input_tokens":120,"input_tokens_details":{"cached_tokens":0},"output_tokens":%d,'
    b'"output_tokens_details":{"reasoning_tokens":0},"total_tokens":%d}'
)
_ITEM = b'{"id":"msg_0123456789abcdef","type":"message","status":"%s","role":"assistant","content":[%s]}'


def _responses_chunks(chunks: int) -> Iterator[bytes]:
    yield _event(b"response.created", b'"sequence_number":0,' + _RESPONSE % (b"in_progress", b"", b"null"))
    item = _ITEM % (b"in_progress", b"")
    yield _event(b"response.output_item.added", b'"sequence_number":1,"output_index":0,"item":' + item)
    for number in range(2, chunks - 2):
        yield _event(
            b"response.output_text.delta",
            b'"sequence_number":%d,"item_id":"msg_0123456789abcdef","output_index":0,"content_index":0,'
            b'"delta":" word%d","logprobs":[],"obfuscation":"0123456789"' % (number, number),
        )
    item = _ITEM % (b"completed", b'{"type":"output_text","text":"words","annotations":[]}')
    yield _event(b"response.output_item.done", b'"sequence_number":%d,"output_index":0,"item":%s' % (chunks - 2, item))
    usage = _RESPONSE_USAGE % (chunks, chunks + 120)
    yield _event(
        b"response.completed", b'"sequence_number":%d,' % (chunks - 1) + _RESPONSE % (b"completed", item, usage)
    )


_MESSAGE = (
    b'"message":{"id":"msg_0123456789abcdef","type":"message","role":"assistant","model":"bench","content":[],'
    b'"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":120,"cache_creation_input_tokens":0,'
    b'"cache_read_input_tokens":0,"output_tokens":1}}'
)


def _messages_chunks(chunks: int) -> Iterator[bytes]:
    yield _event(b"message_start", _MESSAGE)
    yield _event(b"content_block_start", b'"index":0,"content_block":{"type":"text","text":""}')
    for number in range(chunks - 5):
        yield _event(b"content_block_delta", b'"index":0,"delta":{"type":"text_delta","text":" word%d"}' % number)
    yield _event(b"content_block_stop", b'"index":0')
    yield _event(
        b"message_delta",
        b'"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":%d}' % chunks,
    )
    yield b'event: message_stop\ndata: {"type":"message_stop"}'


DIALECTS: Mapping[str, Dialect] = {
    CHAT: Dialect(
        path="/v1/chat/completions",
        model="static",
        stream_model="openai-stream",
        question={"messages": [{"role": "user", "content": PROMPT}], "temperature": 0.7},
        answer='{"id":"chatcmpl-BenchBenchBenchBenchBench0001","object":"chat.completion","created":1790000000,'
        '"model":"bench-2026-01-01","choices":[{"index":0,"message":{"role":"assistant","content":"'
        + TEXT
        + '","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":120,'
        '"completion_tokens":66,"total_tokens":186,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},'
        '"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}},"service_tier":"default",'
        '"system_fingerprint":"fp_0123456789"}',
        chunks=_openai_chunks,
    ),
    RESPONSES: Dialect(
        path="/v1/responses",
        model="static",
        stream_model="openai-stream",
        # Not stored: remembering whose response it is would be a write to Postgres.
        question={"input": [{"role": "user", "content": PROMPT}], "temperature": 0.7, "store": False},
        answer='{"id":"resp_BenchBenchBenchBenchBench0001","object":"response","created_at":1790000000,"status":'
        '"completed","model":"bench-2026-01-01","output":[{"id":"msg_0123456789abcdef","type":"message","status":'
        '"completed","role":"assistant","content":[{"type":"output_text","text":"'
        + TEXT
        + '","annotations":[]}]}],"parallel_tool_calls":true,"tools":[],"usage":{"input_tokens":120,'
        '"input_tokens_details":{"cached_tokens":0},"output_tokens":66,"output_tokens_details":'
        '{"reasoning_tokens":0},"total_tokens":186},"service_tier":"default"}',
        chunks=_responses_chunks,
    ),
    MESSAGES: Dialect(
        path="/v1/messages",
        model="static-messages",
        stream_model="messages-stream",
        question={"messages": [{"role": "user", "content": PROMPT}], "temperature": 0.7, "max_tokens": 500},
        answer='{"id":"msg_BenchBenchBenchBenchBench0001","type":"message","role":"assistant","model":'
        '"bench-2026-01-01","content":[{"type":"text","text":"'
        + TEXT
        + '"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":120,'
        '"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":66,"service_tier":"standard"}}',
        chunks=_messages_chunks,
    ),
}
