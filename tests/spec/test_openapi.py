"""The API keeps to what its OpenAPI document says: schemathesis runs all its checks against a real gateway."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from proofs import IS_WHOLE
from running_gateway import ADMIN_KEY, Gateway, UpstreamProcess
from spec_parts import CATALOG

_SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
# "coverage" tries the bounds and the forms of every field, which takes two minutes; the others go by chance.
_PHASES = "examples,coverage,fuzzing,stateful" if IS_WHOLE else "examples,fuzzing,stateful"
_EXAMPLES = 3 if IS_WHOLE else 5

pytestmark = pytest.mark.proof


@pytest.fixture(scope="module")
def tried_gateway(upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One of its own: whoever tries everything revokes keys and deletes teams."""
    with Gateway.running(tmp_path_factory.mktemp("openapi"), CATALOG.replace("UPSTREAM", upstream.base_url)) as running:
        yield running


def run_schemathesis(gateway: Gateway, folder: Path, secret: str, paths: str) -> None:
    """All checks; what it found is the message of the failure."""
    run = subprocess.run(
        [
            *(_SCHEMATHESIS, "run", f"{gateway.url}/openapi.json", "--header", f"Authorization: Bearer {secret}"),
            *("--include-path-regex", paths, "--phases", _PHASES, "--max-examples", str(_EXAMPLES)),
            # One worker: two threads that parse source text at once trip over each other in CPython 3.11.
            *("--generation-deterministic", "--workers", "1", "--continue-on-failure", "--no-color"),
        ],
        cwd=folder,  # it leaves a folder behind
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-10_000:] + run.stderr[-2000:]


@pytest.mark.timeout(400)
def test_the_admin_api_is_as_its_openapi_document_says(tried_gateway, tmp_path):
    run_schemathesis(tried_gateway, tmp_path, ADMIN_KEY, "^/admin/")


def test_what_virtual_keys_may_ask_is_as_the_openapi_document_says(tried_gateway, tmp_path):
    run_schemathesis(tried_gateway, tmp_path, tried_gateway.make_key()["key"], "^/(v1|health|metrics)")


def test_both_addresses_have_the_same_document(tried_gateway):
    at_admin = tried_gateway.admin("GET", "openapi.json").json()

    assert tried_gateway.admin("GET", "../openapi.json").json() == at_admin
