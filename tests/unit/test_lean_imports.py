"""What the request path may not load: libraries that cost seconds and hundreds of megabytes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from gateway.stores.embedded import EmbeddedStores

HEAVY = (
    *("litellm", "tiktoken", "openai", "alembic", "re2", "json_repair"),
    *(f"policies.screening.{kind}" for kind in ("patterns", "pii", "secrets", "injection", "folding")),
)

# In a process of its own: composes a worker, lets it answer (whole and streamed), and says what it loaded.
SERVE_TWICE = """
import asyncio, json, os, sys
from gateway.serving import secret_files
from gateway.settings import Settings

settings = Settings.from_environment(os.environ)

def loaded():
    return [name for name in json.loads(sys.argv[1]) if name in sys.modules]

async def ask(app, stream):
    sent = []
    body = {"model": "sim-small", "messages": [{"role": "user", "content": "Hello"}], "stream": stream}
    messages = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]
    key = secret_files.read(secret_files.first_key_file(settings.data_dir)).strip()
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"",
             "headers": [(b"authorization", b"Bearer " + key.encode())]}
    async def receive():
        if messages:
            return messages.pop()
        await asyncio.Event().wait()
    async def send(message):
        sent.append(message)
    await app(scope, receive, send)
    return sent[0]["status"]

async def serve():
    from gateway.app import create_app
    app = create_app(settings)
    imported = loaded()
    async with app.framework.router.lifespan_context(app.framework):
        statuses = [await ask(app, stream) for stream in (False, True)]
    print(json.dumps({"imported": imported, "statuses": statuses, "serving": loaded()}))

asyncio.run(serve())
"""


CATALOG = """
providers: {sim: {kind: simulator}}
deployments: [{name: sim-small, provider: sim, model: sim-small, price: {input: 0.1, output: 0.4}}]
"""


def run(arguments: list[str], environment: dict[str, str], told: str = "") -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        input=told,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_application_and_serving_requests_loads_nothing_heavy(
    stores: EmbeddedStores, tmp_path: Path
) -> None:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(CATALOG)
    environment = {
        "OBOL_CATALOG": str(catalog),
        "OBOL_DATA_DIR": str(tmp_path),
        "OBOL_DATABASE_URL": stores.database_url,
        "OBOL_REDIS_URL": stores.redis_url,
        "OBOL_ADMIN_KEY": "sk-obol-admin-of-this-test",
    }
    run(["-m", "gateway.serving.bootstrap"], environment, "migrate\nkey\n")

    seen = json.loads(run(["-c", SERVE_TWICE, json.dumps(HEAVY)], environment))

    assert seen == {"imported": [], "statuses": [200, 200], "serving": []}


BUILD_ONE = """
import json, sys
from backends.guards import registry
from gateway.domain import GuardRule, PiiSettings

before = [name for name in sys.modules if name.startswith("policies.screening") or name == "re2"]
registry.build(GuardRule("personal", "pii", PiiSettings()))
others = [name for name in ("re2", "backends.guards.injection") if name in sys.modules]
print(json.dumps({"before": before, "others": others}))
"""


def test_a_guard_loads_what_it_goes_by_and_only_once_one_of_its_kind_is_built() -> None:
    assert json.loads(run(["-c", BUILD_ONE], {})) == {"before": [], "others": []}
