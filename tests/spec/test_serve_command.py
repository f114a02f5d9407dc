"""The commands as a person meets them: `obol serve`, what it prints, and the commands beside it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from own_valkey import free_port
from process_parts import OBOL_SERVE, Serving, clean_environment, wait_until

OBOL = [sys.executable, "-c", "import sys; from gateway.cli import main; sys.exit(main())"]
CATALOG = """
providers:
  local: {kind: simulator}
deployments:
  - {name: small, provider: local, model: sim-small, price: {input: 0.1, output: 0.4}}
  - {name: large, provider: local, model: sim-large, price: {input: 2, output: 8}}
routes:
  auto: {deployments: [small], policy: ordered, baseline: large}
"""


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    """A real gateway on any free port, with a catalog whose upstream is the simulator."""
    folder = tmp_path_factory.mktemp("serve")
    (folder / "catalog.yaml").write_text(CATALOG)
    started = Serving(folder / "data", program=OBOL_SERVE, OBOL_CATALOG=str(folder / "catalog.yaml"))
    yield started.wait_ready()
    started.clean_up()


def obol(serving: Serving, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command beside the running gateway."""
    return run_obol(*arguments, "--data-dir", str(serving.data_dir))


def run_obol(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*OBOL, *arguments],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def status_with(serving: Serving, key: str) -> int:
    """The status of a chat completion that is asked for with that key."""
    request = urllib.request.Request(  # noqa: S310  our own http address
        f"{serving.url}/v1/chat/completions",
        data=json.dumps({"model": "auto", "messages": [{"role": "user", "content": "Hello!"}]}).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  our own http address
            return answer.status
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code


def pasted(serving: Serving, begin: str, end: str) -> str:
    """What stands between two lines of the banner, as a person would copy it."""
    return serving.output.partition(begin)[2].partition(end)[0]


def test_the_curl_example_of_the_banner_works_when_pasted(serving):
    example = pasted(serving, "curl:\n", "Python (")
    run = subprocess.run(["bash", "-c", example], capture_output=True, text=True, timeout=60, check=False)
    assert json.loads(run.stdout)["choices"][0]["message"]["content"]


def test_the_python_example_of_the_banner_works_when_pasted(serving):
    example = pasted(serving, "(pip install openai):\n", "Ctrl-C")
    run = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, timeout=60, check=False)
    assert run.stdout.strip(), run.stderr


def test_the_banner_lists_the_catalog_and_warns_of_the_simulator(serving):
    assert "auto: ordered, baseline large" in serving.output
    assert "BUILT-IN SIMULATOR" in serving.output


def test_try_prints_answer_deployment_tokens_cost_and_baseline(serving):
    run = obol(serving, "try", "What is an obol?")
    assert run.returncode == 0, run.stderr
    answer, account = run.stdout.split("\n\n")
    assert answer
    lines = dict(re.findall(r"^(\w+) +(.*)$", account, re.MULTILINE))
    assert lines["deployment"].startswith("small ")
    assert lines["source"] == "upstream"
    assert re.match(r"\d+ in \(0 cached\), \d+ out, reported", lines["tokens"])
    assert lines["cost"].startswith("$0.0000")
    assert "saved" in lines["baseline"]


def test_explain_says_whom_a_route_would_ask(serving):
    run = obol(serving, "explain", "What is an obol?")
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("auto (ordered) would ask small.")
    found = json.loads(obol(serving, "explain", "What is an obol?", "--json").stdout)
    assert (found["choice"], found["candidates"][0]["place"]) == ("small", 1)
    assert obol(serving, "explain", "Hello!", "--model", "nobody").returncode == 1


def test_try_of_an_unknown_model_fails_in_one_line(serving):
    run = obol(serving, "try", "Hello!", "--model", "nobody")
    assert run.returncode == 1
    assert run.stderr.startswith("obol: 404: ")
    assert run.stderr.count("\n") == 1


def test_ledger_tail_shows_entries_as_they_come(serving):
    follower = subprocess.Popen(
        [*OBOL, "ledger", "tail", "--limit", "0", "--data-dir", str(serving.data_dir)],
        env=clean_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(iter(follower.stdout.readline, "")))
    reader.start()
    try:
        wait_until(lambda: lines, "the heading")
        # What is asked before the first look at the ledger counts as old, so ask until something shows.
        wait_until(lambda: obol(serving, "try", "Hello!").returncode == 0 and lines[1:], "an entry")
    finally:
        follower.send_signal(signal.SIGINT)
        assert follower.wait(30) == 130
        reader.join(30)
        follower.stdout.close()
    assert "succeeded" in lines[1]
    assert lines[1].index("upstream") == lines[0].index("source")
    assert len({line.index("succeeded") for line in lines[1:]}) == 1


def test_a_key_made_beside_the_running_gateway_works_until_it_is_revoked(serving):
    created = obol(serving, "keys", "create", "for the test", "--models", "auto,small")
    secret, about = created.stdout.splitlines()
    key_id = about.split()[0]
    assert status_with(serving, secret) == 200
    assert "for the test" in obol(serving, "keys", "list").stdout
    assert obol(serving, "keys", "revoke", key_id).returncode == 0
    wait_until(lambda: status_with(serving, secret) == 401, "the revocation to be known")
    assert "revoked" in obol(serving, "keys", "list").stdout
    assert secret not in obol(serving, "keys", "list").stdout


def test_the_secret_of_no_key_reaches_the_output_of_the_server(serving):
    created = obol(serving, "keys", "create", "quiet").stdout.splitlines()[0]
    assert status_with(serving, created) == 200
    assert created not in serving.output
    assert (serving.data_dir / "admin-key").read_text().strip() not in serving.output


def test_migrate_beside_the_running_gateway_changes_nothing(serving):
    run = obol(serving, "migrate")
    assert run.returncode == 0, run.stderr
    assert re.fullmatch(r"the database is at \w+\n", run.stdout)


def test_keys_are_made_without_a_running_gateway_too(tmp_path):
    resting = Serving(tmp_path / "data").wait_ready()
    resting.signal(signal.SIGINT)
    assert resting.end() == 0
    assert obol(resting, "keys", "create", "offline").stdout.startswith("sk-obol-")
    assert "offline" in obol(resting, "keys", "list").stdout
    resting.clean_up()


@pytest.mark.parametrize(
    "arguments",
    [
        ["keys", "list"],
        ["try", "Hello!"],
        ["ledger", "tail"],
        ["keys", "create", "x", "--expires-at", "soon"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_done_is_said_in_one_line(tmp_path, arguments):
    run = subprocess.run(
        [*OBOL, *arguments, "--data-dir", str(tmp_path / "nothing")],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 1
    assert run.stderr.startswith("obol: ")
    assert run.stderr.count("\n") == 1
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("given", ["", " , "])
@pytest.mark.parametrize("flag", ["--models", "--allowed-ips"])
def test_a_key_restricted_to_nothing_is_none_that_may_do_everything(serving, flag, given):
    run = obol(serving, "keys", "create", "of a variable that is not set", flag, given)

    assert run.returncode == 1
    assert run.stderr == f"obol: {flag} {given!r} names nothing; without the flag nothing is restricted\n"


def test_a_key_of_a_team_whose_name_others_have_too_is_made_for_none_of_them(serving):
    obol(serving, "organizations", "create", "other")
    other = json.loads(obol(serving, "organizations", "list", "--json").stdout)[0]["id"]
    for organization in ("org_default", other):
        assert obol(serving, "teams", "create", "twice", "--organization", organization).returncode == 0
    ids = [
        team["id"] for team in json.loads(obol(serving, "teams", "list", "--json").stdout) if team["name"] == "twice"
    ]

    run = obol(serving, "keys", "create", "x", "--team", "twice")

    assert (run.returncode, run.stdout) == (1, "")
    assert all(team_id in run.stderr for team_id in ids)
    assert obol(serving, "keys", "create", "x", "--team", ids[0]).returncode == 0


@pytest.mark.parametrize("address", ["http://127.0.0.1:99999", "http://[::1", "127.0.0.1:8080", "ftp://127.0.0.1"])
def test_what_is_no_address_of_a_gateway_is_said_in_one_line(serving, address):
    run = obol(serving, "teams", "list", "--url", address)

    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == f"obol: {address!r} is no address of a gateway, such as http://127.0.0.1:8080\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [(None, "cannot be read"), ("deployments: [{name: x, provider: nobody, model: y}]\n", "catalog.yaml:1: ")],
    ids=["missing", "wrong"],
)
def test_a_catalog_that_cannot_serve_is_refused_at_the_start(tmp_path, text, reason):
    path: Path = tmp_path / "catalog.yaml"
    if text is not None:
        path.write_text(text)
    serving = Serving(tmp_path / "data", program=OBOL_SERVE, OBOL_CATALOG=str(path))
    assert serving.end() == 1
    assert reason in serving.output
    assert "Traceback" not in serving.output
    serving.clean_up()


@pytest.mark.parametrize("command", [["keys", "list"], ["migrate"], ["serve", "--port", "0"]])
def test_a_database_that_is_away_is_named_with_the_cause_but_no_credentials(tmp_path, command):
    url = f"postgresql://alice:hush@127.0.0.1:{free_port()}/x"
    run = run_obol(*command, "--data-dir", str(tmp_path / "data"), "--database-url", url)
    assert run.returncode == 1
    (line,) = run.stderr.strip().splitlines()
    assert url.partition("@")[2].partition("/")[0] in line
    assert "refused" in line or "Connect call failed" in line
    assert "alice" not in line
    assert "hush" not in line


@pytest.mark.parametrize("command", [["try", "x"], ["keys", "list"], ["ledger", "tail"], ["serve", "--port", "0"]])
def test_a_data_folder_that_is_a_file_is_refused_in_one_line(tmp_path, command):
    file = tmp_path / "file"
    file.touch()
    run = run_obol(*command, "--data-dir", str(file))
    assert run.returncode == 1
    (line,) = run.stderr.strip().splitlines()
    assert str(file) in line


@pytest.mark.parametrize("name", ["", "  "])
def test_a_key_without_a_name_is_refused(serving, name):
    run = obol(serving, "keys", "create", name)
    assert (run.returncode, run.stderr) == (1, "obol: A key needs a name.\n")
