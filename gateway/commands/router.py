"""`obol router train | eval | predict | decide | guarantee | calibrate`: routers are made, judged and asked."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.commands import CommandFailed
from gateway.commands.arguments import CLIENT_FLAGS, STORE_FLAGS, add_command
from gateway.commands.text_table import table
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.router.cascade_eval import CascadeEvaluation
    from gateway.router.evaluation import Evaluation
    from gateway.router.training import Track
    from policies.routing.pool import Pool
    from policies.routing.router import Router
    from policies.routing.words import WordTable

DEFAULT_LOSS_MAX = 0.02
_DRAWS = 200
_TOKENS_MAX = 10**6


def add_routers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The commands below `obol router`."""
    routers = commands.add_parser("router", help="what chooses the cheapest adequate model").add_subparsers(
        required=True, metavar="COMMAND"
    )
    train = add_command(
        routers, "train", "train a router on prompts with known outcomes", _train, (*STORE_FLAGS, "router")
    )
    train.add_argument(
        "--from-decisions", action="store_true", help="on recorded decisions that were judged (feedback)"
    )
    train.add_argument("--out", type=Path, required=True, metavar="ARTIFACT", help="the file to write")
    train.add_argument("--words", type=Path, metavar="ARTIFACT", help="whose word table to read with (the default's)")
    train.add_argument("--sources", default="", metavar="TEXT", help="where the data come from, kept in the artifact")
    judge = add_command(routers, "eval", "print how good a router is on prompts with known outcomes", _eval, ())
    judge.add_argument("--artifact", type=Path, help="a trained router (one is trained on the rest of the data)")
    judge.add_argument("--json", action="store_true", help="one JSON object")
    judge.add_argument("--unseen", action="store_true", help="on domains held out of training, too")
    judge.add_argument("--ablations", action="store_true", help="without one part of the router at a time, too")
    predict = add_command(routers, "predict", "predict quality and cost of every model for every prompt", _predict, ())
    decide = add_command(routers, "decide", "choose a model for every prompt within a loss of quality", _decide, ())
    for parser in (predict, decide):
        parser.add_argument("--artifact", type=Path, help="a trained router (the one that ships with the package)")
        parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the Parquet file to write")
    told = add_command(routers, "guarantee", "recompute what is promised of a route from its data", _guarantee, ())
    told.add_argument("--route", required=True, metavar="NAME", help="the route, and the data's track")
    told.add_argument("--artifact", type=Path, help="a trained router (the one that ships with the package)")
    told.add_argument("--json", action="store_true", help="as GET /admin/routes/{name}/guarantee has it")
    for parser in (judge, decide, told):
        parser.add_argument(
            "--quality-loss-max",
            type=_share,
            default=DEFAULT_LOSS_MAX,
            metavar="SHARE",
            help="of the strongest model's quality that may be lost (0.02)",
        )
    decide.add_argument("--certified", action="store_true", help="only what is certified with 95 %% confidence")
    train.add_argument("--data", type=Path, metavar="FOLDER", help="prompts.parquet, models.csv, outcomes.parquet")
    for parser in (judge, predict, decide, told):
        parser.add_argument(
            "--data", type=Path, required=True, metavar="FOLDER", help="prompts.parquet, models.csv, outcomes.parquet"
        )
    _add_calibrate(routers)


def _add_calibrate(routers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        routers,
        "calibrate",
        "run a route's deployments on prompts of your own, then fit and certify a router for it",
        _calibrate,
        (*CLIENT_FLAGS, "router"),
    )
    parser.add_argument("--route", required=True, help="the route, such as auto")
    parser.add_argument("--prompts", type=Path, required=True, metavar="FILE", help="JSON lines: docs/calibration.md")
    parser.add_argument("--judge", metavar="DEPLOYMENT", help="scores the answers that nothing surer can score")
    parser.add_argument("--run-tests", action="store_true", help="allow lines with tests: code of models is run here")
    parser.add_argument("--yes", action="store_true", help="spend without asking")
    parser.add_argument("--out", type=Path, metavar="ARTIFACT", help="the file to write (that of OBOL_ROUTER)")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="answers and outcomes (in the data folder)")
    parser.add_argument("--output-tokens", type=_tokens, metavar="N", help="expected length of an answer (300)")
    parser.add_argument("--key", metavar="KEY", help="the virtual key that pays (the first key)")
    parser.add_argument("--url", help="the gateway's address (that of the data folder)")


def _tokens(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= _TOKENS_MAX:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {_TOKENS_MAX}")
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError("must be a number from 0 to below 1, such as 0.02")
    return share


def _train(options: argparse.Namespace, settings: Settings) -> int:
    if options.from_decisions == bool(options.data):
        raise CommandFailed("say what to learn from: --data FOLDER or --from-decisions, one of them")
    if options.from_decisions:
        from gateway.commands.train_recorded import train_recorded  # noqa: PLC0415

        with _failures():
            print("\n".join(train_recorded(settings, options.out)))
        return 0
    from gateway.router import artifact, training  # noqa: PLC0415 - numpy, only once the command is given

    with _failures():
        words = _words(options.words)
        tracks = _tracks(options.data, words)
        router = training.train(tracks, words)
        counts = {track.pool.track: len(track.prompts) for track in tracks}
        version = artifact.write(training.to_artifact(router, counts, options.sources), options.out)
    learned = ", ".join(f"{count:,} of {track}" for track, count in counts.items())
    print(f"router {version} learned from {learned}: {options.out}")
    return 0


def _eval(options: argparse.Namespace, _settings: Settings) -> int:
    from gateway.router import cascade_eval, evaluation, training  # noqa: PLC0415

    with _failures():
        words = _words(options.artifact)
        learned, judged = evaluation.split(_tracks(options.data, words))
        router = _router(options.artifact) if options.artifact else training.train(learned, words)
        loss_max = options.quality_loss_max
        found = {"in distribution": evaluation.judge(router, judged, loss_max, draws=_DRAWS)}
        if options.unseen:
            found["unseen domains"] = evaluation.on_unseen_domains(learned, words, loss_max)
        without = evaluation.ablations(learned, judged, words) if options.ablations else {}
        cascades = cascade_eval.judge_cascades(router, learned, judged, draws=_DRAWS)
    if options.json:
        told = {name: one.as_json() for name, one in found.items()} | {"cascade": cascades.as_json()}
        print(json.dumps(told | ({"ablations": {name: dict(one) for name, one in without.items()}} if without else {})))
    else:
        print("\n".join([*_told(found, without, loss_max), *_told_of_cascades(cascades)]))
    return 0


def _predict(options: argparse.Namespace, _settings: Settings) -> int:
    from gateway.router import data  # noqa: PLC0415

    with _failures():
        router = _router(options.artifact)
        pools = data.read_pools(options.data)
        pids: list[str] = []
        models: list[str] = []
        quality: list[float] = []
        cost: list[float] = []
        for track, prompts in data.read_prompts(options.data).items():
            pool = _pool(pools, track, options.data)
            found = router.predict(router.features(prompts.texts), pool)
            pids += [pid for pid in prompts.pids for _ in pool.models]
            models += list(pool.models) * len(prompts)
            quality += found.quality.ravel().tolist()
            cost += found.cost.ravel().tolist()
        data.write_table(options.out, {"pid": pids, "model": models, "quality": quality, "cost_usd": cost})
    print(f"router {router.version}: {len(pids):,} predictions in {options.out}")
    return 0


def _decide(options: argparse.Namespace, _settings: Settings) -> int:
    from gateway.router import data  # noqa: PLC0415

    with _failures():
        router = _router(options.artifact)
        pools = data.read_pools(options.data)
        pids: list[str] = []
        models: list[str] = []
        for track, prompts in data.read_prompts(options.data).items():
            pool = _pool(pools, track, options.data)
            found = router.predict(router.features(prompts.texts), pool)
            chosen = router.choose(found, pool, options.quality_loss_max, must_be_certified=options.certified)
            pids += prompts.pids
            models += [pool.models[place] for place in chosen.models]
            said = "certified" if chosen.is_certified else "not certified, aimed at"
            print(f"{track}: a loss of {options.quality_loss_max:.2%} is {said}")
        data.write_table(options.out, {"pid": pids, "model": models})
    print(f"router {router.version}: {len(pids):,} decisions in {options.out}")
    return 0


def _guarantee(options: argparse.Namespace, _settings: Settings) -> int:
    from gateway.commands import guarantee  # noqa: PLC0415

    with _failures():
        router = _router(options.artifact)
        print(guarantee.told(options, router, _tracks(options.data, router.words)))
    return 0


def _calibrate(options: argparse.Namespace, settings: Settings) -> int:
    from gateway.commands.calibrate import calibrate  # noqa: PLC0415

    return calibrate(options, settings)


class _failures:  # noqa: N801 - reads as what it is for
    """What data and artifacts refuse, as the command's own failure."""

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        from gateway.router.artifact import BadArtifact  # noqa: PLC0415
        from gateway.router.data import BadData  # noqa: PLC0415

        if isinstance(error, BadArtifact | BadData):
            raise CommandFailed(str(error)) from error


def _router(path: Path | None) -> Router:
    from gateway.router import artifact, training  # noqa: PLC0415

    return training.from_artifact(artifact.read(path or artifact.DEFAULT))


def _words(path: Path | None) -> WordTable:
    from gateway.router import artifact, training  # noqa: PLC0415

    return training.words_in(artifact.read(path or artifact.DEFAULT))


def _tracks(folder: Path, words: WordTable) -> list[Track]:
    from gateway.router import data, training  # noqa: PLC0415

    pools, prompts = data.read_pools(folder), data.read_prompts(folder)
    return training.tracks_of(pools, prompts, data.read_outcomes(folder, prompts, pools), words)


def _pool(pools: Mapping[str, Pool], track: str, folder: Path) -> Pool:
    if track not in pools:
        raise CommandFailed(f"{folder / 'models.csv'}: it has no models for the track {track}")
    return pools[track]


def _told(
    found: Mapping[str, Evaluation], without: Mapping[str, Mapping[str, float]], loss_max: float
) -> Sequence[str]:
    """Tables of percentages."""
    from gateway.router.evaluation import NAMES  # noqa: PLC0415

    lines = []
    for title, one in found.items():
        header = ("track", "prompts", *NAMES)
        rows = [(track, f"{one.prompts[track]:,}", *_cells(figures, NAMES)) for track, figures in one.tracks.items()]
        rows.append(("all", f"{sum(one.prompts.values()):,}", *_cells(one.macro, NAMES)))
        if one.intervals:
            ends = [{name: both[end] for name, both in one.intervals.items()} for end in (0, 1)]
            rows += [
                (f"  {side} 95 %", "", *_cells(end, NAMES)) for side, end in zip(("from", "to"), ends, strict=True)
            ]
        lines += [f"{title}, in % of the strongest model (quality and saved: at a loss of {loss_max:.1%})"]
        lines += [*table(header, rows, left=1), ""]
    if without:
        rows = [(name, *_cells(figures, NAMES)) for name, figures in without.items()]
        lines += ["without ...", *table(("", *NAMES), rows, left=1), ""]
    return lines


def _told_of_cascades(found: CascadeEvaluation) -> Sequence[str]:
    """What asking a second model after the first one's answer would have saved."""
    from gateway.router.cascade_eval import NAMES  # noqa: PLC0415

    if not found.tracks:
        return ["cascade: no track to judge it on"]
    rows = [(track, *_cells(figures, NAMES), " > ".join(found.pairs[track])) for track, figures in found.tracks.items()]
    gain, low, high = found.gain
    return [
        "cascade: saved at 98 % quality, all calls charged (quality, saved and escalated: as chosen beforehand)",
        *table(("track", *NAMES, "the pair"), [*rows, ("all", *_cells(found.macro, NAMES), "")], left=1),
        f"the cascade saves {gain:+.1f} points against the router alone (95 %: {low:+.1f} to {high:+.1f})",
    ]


def _cells(figures: Mapping[str, float], names: Sequence[str]) -> list[str]:
    shown = [figures.get(name, math.nan) for name in names]
    return [f"{round(one, 1) + 0.0:.1f}" if math.isfinite(one) else "" for one in shown]  # + 0.0: no -0.0
