"""What tests of guards share: a request to look at, whose guards ask deployments that answer as the test says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from gateway.domain import Asker, Endpoint, Where


class FakeAsking:
    """Gives ``answers`` in turn (the last of them again and again); an exception among them is raised."""

    def __init__(self, *answers: object, where: Where = Where.INPUT) -> None:
        self.asker = Asker(
            request_id="req_1",
            organization_id="org_default",
            team_id="team_1",
            key_id="key_1",
            where=where,
            model="auto",
            end_user="somebody",
        )
        self.asked: list[tuple[str, Endpoint, Mapping[str, object]]] = []
        self._answers: Sequence[object] = answers

    async def ask(self, deployment: str, endpoint: Endpoint, fields: Mapping[str, object]) -> bytes:
        answer = self._answers[min(len(self.asked), len(self._answers) - 1)]
        self.asked.append((deployment, endpoint, dict(fields)))
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, bytes) else json.dumps(answer).encode()


def chat(content: str | None, finish_reason: str = "stop") -> dict[str, object]:
    """A whole chat completion that says this."""
    message = {"role": "assistant", "content": content}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105},
    }
