"""The first day of a route: its deployments are tried on prompts of one's own, and the gateway routes by that."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest
from router_parts import prompts_of
from running_gateway import ADMIN_KEY, Gateway, UpstreamProcess, until

from gateway.cli import main
from gateway.domain import NANO
from gateway.router import artifact
from gateway.router.training import from_artifact

TRIED = Path(__file__).parent.parent / "calibrated_upstream.py"
CATALOG = """
providers:
  up: {kind: openai_compatible, base_url: "UPSTREAM", api_key: sk-up}
deployments:
  - {name: strong, provider: up, model: strong, price: {input: 10, output: 40}}
  - {name: weak, provider: up, model: weak, price: {input: 1, output: 4}}
  - {name: broken, provider: up, model: error-500, price: {input: 1, output: 4}}
  - {name: judge, provider: up, model: judge, price: {input: 1, output: 1}}
routes:
  auto: {deployments: [strong, weak], policy: cheapest_adequate, quality_loss_max: 0.1, baseline: strong}
  other: {deployments: [strong, weak], policy: cheapest_adequate}
  half: {deployments: [strong, broken]}
  lonely: {deployments: [strong]}
"""
COUNT = 120


@pytest.fixture(scope="module")
def tried() -> Iterator[UpstreamProcess]:
    """An upstream on which ``strong`` answers everything right, and ``weak`` only what is easy."""
    process = UpstreamProcess(TRIED)
    yield process
    process.stop()


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that the gateway looks for its router in; it is not there yet."""
    return tmp_path_factory.mktemp("router") / "router.obol"


@pytest.fixture(scope="module")
def serving(
    gateway: Gateway, tried: UpstreamProcess, router: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway of its own on the stores of the first."""
    folder = tmp_path_factory.mktemp("calibrated")
    with Gateway.running(
        folder, CATALOG.replace("UPSTREAM", tried.base_url), OBOL_ROUTER=str(router), **gateway.store_urls
    ) as running:
        yield running


@pytest.fixture
def key(serving: Gateway) -> dict[str, Any]:
    return serving.make_key()


def lines(count: int = COUNT, seed: int = 3, **fields: Any) -> list[dict[str, Any]]:
    """Questions whose right answer is "yes"."""
    texts, is_hard = prompts_of(count, seed)
    return [
        {"prompt": f"{text} ({number})", "expected": "yes", "domain": "hard" if hard else "easy", **fields}
        for number, (text, hard) in enumerate(zip(texts, is_hard, strict=True))
    ]


def calibrate(serving: Gateway, folder: Path, rows: list[dict[str, Any]], key: dict[str, Any], *options: str) -> int:
    """The command as it is given in a shell."""
    prompts = folder / f"{uuid.uuid4().hex}.jsonl"
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return main(
        [
            *("router", "calibrate", "--route", "auto", "--prompts", str(prompts), "--key", key["key"]),
            *("--url", serving.url, "--data-dir", str(folder), "--data", str(folder / "data")),
            *("--admin-key", ADMIN_KEY, *options),
        ]
    )


def entries(serving: Gateway, key: dict[str, Any], count: int) -> list[dict[str, Any]]:
    return until(lambda: len(found := serving.ledger(key=key["id"])) >= count and found, f"{count} entries", 60)


def said_cost(printed: str) -> Decimal:
    """What the plan says it costs in all."""
    row = next(line for line in printed.splitlines() if line.startswith("in all"))
    return Decimal(row.split("$")[1].replace(",", ""))


def test_a_calibrated_route_sends_hard_questions_up_and_easy_ones_down(
    serving: Gateway, router: Path, key: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert calibrate(serving, tmp_path, lines(200), key, "--yes", "--router", str(router), "--output-tokens", "2") == 0

    printed = capsys.readouterr().out
    made = entries(serving, key, 400)
    assert len(made) == 400
    assert {entry["deployment"] for entry in made} == {"strong", "weak"}
    assert all(entry["tags"] == ["calibration"] and entry["route"] is None for entry in made)
    spent = Decimal(sum(entry["cost_nusd"] for entry in made)) / NANO
    assert spent / 3 < said_cost(printed) < spent * 3
    assert f"Spent ${spent.quantize(Decimal('0.000001')).normalize()}" in printed
    assert "certified" in printed

    learned = from_artifact(artifact.read(router)).known["auto"]
    assert learned.models == ("strong", "weak")
    version = artifact.read(router).version
    with openai.OpenAI(base_url=serving.base_url, api_key=key["key"], max_retries=0) as client:

        def asks(text: str) -> str:
            raw = client.chat.completions.with_raw_response.create(
                model="auto", messages=[{"role": "user", "content": text}]
            )
            return str(raw.headers["x-obol-deployment"])

        until(lambda: router_in_force(serving, key) == version, "the gateway has taken the new router")
        went = [(row["domain"], asks(row["prompt"])) for row in lines(40, seed=11)]
    hard = [name for domain, name in went if domain == "hard"]
    easy = [name for domain, name in went if domain == "easy"]
    assert hard.count("strong") > 0.8 * len(hard)
    assert easy.count("weak") > 0.6 * len(easy)


def router_in_force(serving: Gateway, key: dict[str, Any]) -> str | None:
    with openai.OpenAI(base_url=serving.base_url, api_key=key["key"]) as client:
        body = {"model": "auto", "messages": [{"role": "user", "content": "What is the word?"}]}
        told = client.post("/route/explain", body=body, cast_to=object)
    assert isinstance(told, dict)
    version = told["router_version"]
    return None if version is None else str(version)


def test_who_declines_spends_nothing(
    serving: Gateway,
    tried: UpstreamProcess,
    key: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = len(tried.calls())
    for said in ("n\n", ""):
        monkeypatch.setattr("sys.stdin", io.StringIO(said))
        assert calibrate(serving, tmp_path, lines(), key) == 1
        assert "nothing was spent" in capsys.readouterr().err
    assert len(tried.calls()) == before
    assert serving.ledger(key=key["id"]) == []
    assert not (tmp_path / "router.obol").exists()


def test_what_was_answered_is_not_paid_for_again(
    serving: Gateway, key: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert calibrate(serving, tmp_path, lines(80)[:60], key, "--yes") == 0
    entries(serving, key, 120)
    assert calibrate(serving, tmp_path, lines(80), key, "--yes") == 0
    assert len(entries(serving, key, 160)) == 160
    assert "paid before" in capsys.readouterr().out
    assert calibrate(serving, tmp_path, lines(80), key) == 0  # nothing is to be paid, so nothing is asked
    assert len(serving.ledger(key=key["id"])) == 160
    assert "Set OBOL_ROUTER=" in capsys.readouterr().out
    found = {path.name for path in (tmp_path / "data").iterdir()}
    assert found == {"answers.jsonl", "prompts.parquet", "outcomes.parquet", "models.csv"}
    assert main(["router", "train", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "again.obol")]) == 0


@pytest.mark.parametrize(
    ("rows", "options", "why"),
    [
        (lines(20), (), "fewer than 50"),
        ([*lines(60), {"prompt": "Why?"}], (), "line 61: nothing can score"),
        ([*lines(60), {"prompt": "Why?", "expected": "a", "tests": "b"}], (), "line 61: it has more than one"),
        ([*lines(60), {"prompt": "Why?", "tests": "assert f()"}], (), "line 61: its 'tests' run code"),
        (lines(60), ("--route", "none"), "There is no route 'none'"),
        (lines(60), ("--route", "lonely"), "nothing to choose"),
        (lines(60), ("--judge", "none"), "There is no deployment 'none'"),
    ],
)
def test_what_cannot_be_calibrated_is_refused_before_anything_is_spent(
    serving: Gateway, key: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], rows, options, why
) -> None:
    assert calibrate(serving, tmp_path, rows, key, "--yes", *options) == 1
    assert why in capsys.readouterr().err
    assert serving.ledger(key=key["id"]) == []


def test_too_many_failures_end_it_with_their_reasons(
    serving: Gateway, key: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert calibrate(serving, tmp_path, lines(60), key, "--yes", "--route", "half") == 1
    said = capsys.readouterr().err
    assert "more than a tenth of the calls failed" in said
    assert "broken: 50" in said
    assert not (tmp_path / "router.obol").exists()


def test_a_judge_scores_what_nothing_else_can_and_is_certified_only_as_far_as_it_was_measured(
    serving: Gateway, key: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    open_lines = [{"prompt": row["prompt"], "reference": "yes", "domain": row["domain"]} for row in lines(60)]
    assert calibrate(serving, tmp_path, open_lines, key, "--yes", "--judge", "judge") == 0
    printed = capsys.readouterr().out
    assert "aimed, not certified" in printed
    made = entries(serving, key, 180)
    assert len([one for one in made if one["tags"] == ["calibration", "judge"]]) <= 120
    table = from_artifact(artifact.read(tmp_path / "router.obol")).known["auto"].operating
    assert (table.certified == -1).all()
    assert (table.aimed >= 0).any()

    both = [*open_lines, *lines(60, seed=4)]
    assert calibrate(serving, tmp_path, both, key, "--yes", "--judge", "judge") == 0
    assert "It was wrong on 0.0% (off by 0.00 on average) of 120 answers" in capsys.readouterr().out


def test_decisions_that_nobody_judged_teach_nothing(
    gateway: Gateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "router.obol"
    asked = ["router", "train", "--from-decisions", "--out", str(out), "--data-dir", str(gateway.data_dir)]
    assert main(asked) == 1
    assert "So there is nothing to learn from." in capsys.readouterr().err
    assert not out.exists()
