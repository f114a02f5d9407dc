"""One conversation by LangChain; prints what came of it as JSON: ``... <base url> <key> <model>``."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from langchain_openai import ChatOpenAI, OpenAIEmbeddings


def main() -> None:
    base_url, key, model = sys.argv[1:]
    options: dict[str, Any] = {"base_url": base_url, "api_key": key, "model": model, "max_retries": 0}
    chat = ChatOpenAI(**options, stream_usage=True)
    whole = chat.invoke("What now?")
    chunks = list(chat.stream("What now?"))
    total = chunks[0]
    for chunk in chunks[1:]:
        total = total + chunk
    late = asyncio.run(chat.ainvoke("What now?"))
    vectors = OpenAIEmbeddings(**options, check_embedding_ctx_length=False).embed_documents(["one", "two"])
    told = {
        "whole": whole.content,
        "tokens": whole.usage_metadata,
        "streamed": total.content,
        "streamed_tokens": total.usage_metadata,
        "async": late.content,
        "vectors": vectors,
    }
    print(json.dumps(told))  # noqa: T201


if __name__ == "__main__":
    main()
