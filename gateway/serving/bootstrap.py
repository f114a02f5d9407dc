"""What must stand before the first request: the schema, and a first key. A process of its own beside the supervisor.

`python -m gateway.serving.bootstrap` imports its heavy parts while the stores start. Told "migrate" on standard
input, it does; told "key", it makes the first key and ends. A worker could do the same, but would keep Alembic's
memory for life.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from gateway.domain import Actor, Role
from gateway.errors import GatewayError
from gateway.serving import database_failures, secret_files
from gateway.settings import Settings
from gateway.stores import database, migrate
from gateway.stores.keys import KeyStore
from gateway.stores.tenants import TenantStore

_FIRST_START = Actor(id="first-start", name="first start", role=Role.OWNER)


async def ensure_first_key(tenants: TenantStore, keys: KeyStore, data_dir: Path) -> None:
    """Make a key of the default team and put it into the data folder, unless one was made before.

    A file whose database knows no key at all belongs to a database that is gone, and is replaced; one whose key was
    revoked is left alone. Raises StoreUnavailable.
    """
    path = secret_files.first_key_file(data_dir)
    if secret_files.read(path) and (await keys.page(limit=1))[0]:
        return
    team = await tenants.ensure_default_team(_FIRST_START)
    made = await keys.create_key(_FIRST_START, team.id, "first key")
    secret_files.write(path, made.secret)


async def _ensure_first_key(settings: Settings) -> None:
    engine = database.connect(settings.database_url)
    try:
        await ensure_first_key(TenantStore(engine), KeyStore(engine), settings.data_dir)
    finally:
        await engine.dispose()


def main() -> int:
    settings = Settings.from_environment(os.environ)
    try:
        if sys.stdin.readline() != "migrate\n":
            return 0  # the supervisor is gone or changed its mind
        migrate.upgrade(settings.database_url)
        if sys.stdin.readline() != "key\n":
            return 0
        asyncio.run(_ensure_first_key(settings))
    except GatewayError as exc:
        sys.stderr.write(f"obol: {database_failures.reason(exc, settings.database_url)}\n")
        return 1
    except (OSError, ValueError) as exc:
        sys.stderr.write(f"obol: cannot prepare the database: {exc}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
