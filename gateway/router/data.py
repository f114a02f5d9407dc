"""What a router learns from: prompts, what each model of their pool made of them, and the models. Parquet and CSV.

Columns: ``prompts.parquet`` pid, track (which fixes the pool), prompt, and where there are benchmark, domain, group
(near-duplicates), split and scored_by; ``outcomes.parquet`` pid, model, score (0..1), cost (USD), and where there are
in_tok, out_tok and judge (what a judge gave, whether or not it is the score); ``models.csv`` track, model,
train_quality, train_usd_per_1k, price_in_per_M, price_out_per_M.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.routing.pool import Pool

Floats = NDArray[np.float64]

JUDGE = "judge"  # in the column scored_by: the scores of the prompt are a judge's word, and nothing surer
_OUTCOMES = ("score", "cost", "in_tok", "out_tok", "judge")
_OF_MODELS = ("train_quality", "train_usd_per_1k", "price_in_per_M", "price_out_per_M")


class BadData(ValueError):
    """The data cannot be used; the message says which file and why."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts of one track. ``labels``: further columns, by name, for reporting and splitting only."""

    track: str
    pids: tuple[str, ...]
    texts: tuple[str, ...]
    labels: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.pids)

    def where(self, mask: NDArray[np.bool_]) -> Prompts:
        rows = np.flatnonzero(mask)
        return Prompts(
            self.track,
            tuple(self.pids[row] for row in rows),
            tuple(self.texts[row] for row in rows),
            {name: tuple(values[row] for row in rows) for name, values in self.labels.items()},
        )

    def label(self, name: str) -> NDArray[np.str_]:
        """One further column; empty strings where the file has none."""
        return np.array(self.labels.get(name, ("",) * len(self)), dtype=np.str_)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What each model of a pool made of each prompt: (prompts, models), NaN where nobody asked it.

    ``judge``: what a judge gave, also where the score is surer than that; ``None``: there was no judge.
    """

    score: Floats
    cost: Floats
    input_tokens: Floats
    output_tokens: Floats
    judge: Floats | None = None

    @property
    def is_complete(self) -> NDArray[np.bool_]:
        """Prompts for which score and cost of every model are known."""
        return np.asarray(~(np.isnan(self.score) | np.isnan(self.cost)).any(axis=1), dtype=np.bool_)

    def where(self, mask: NDArray[np.bool_]) -> Outcomes:
        judge = None if self.judge is None else self.judge[mask]
        return Outcomes(self.score[mask], self.cost[mask], self.input_tokens[mask], self.output_tokens[mask], judge)


def read_pools(folder: Path) -> dict[str, Pool]:
    """The pools of ``models.csv`` by track. Raises BadData."""
    needed = ("track", "model", "train_quality", "train_usd_per_1k")
    columns = _read(folder / "models.csv", needed, numbers=_OF_MODELS)
    tracks = columns["track"]
    pools: dict[str, Pool] = {}
    for track in sorted(set(tracks)):
        rows = [row for row, one in enumerate(tracks) if one == track]
        names = tuple(str(columns["model"][row]) for row in rows)
        order = sorted(range(len(rows)), key=lambda index: names[index])
        rows = [rows[index] for index in order]
        pools[track] = Pool(
            track,
            tuple(names[index] for index in order),
            _numbers(columns, "train_quality", rows),
            _numbers(columns, "train_usd_per_1k", rows) / 1000,
            _numbers(columns, "price_in_per_M", rows),
            _numbers(columns, "price_out_per_M", rows),
        )
    return pools


def read_prompts(folder: Path) -> dict[str, Prompts]:
    """The prompts of ``prompts.parquet`` by track, in the file's order. Raises BadData."""
    columns = _read(folder / "prompts.parquet", ("pid", "track", "prompt"))
    rows_of: dict[str, list[int]] = {}
    for row, track in enumerate(columns["track"]):
        rows_of.setdefault(str(track), []).append(row)
    further = [name for name in columns if name not in {"pid", "track", "prompt"}]
    return {
        track: Prompts(
            track,
            tuple(str(columns["pid"][row]) for row in rows),
            tuple(_text(columns["prompt"][row]) for row in rows),
            {name: tuple(_text(columns[name][row]) for row in rows) for name in further},
        )
        for track, rows in sorted(rows_of.items())
    }


def read_outcomes(folder: Path, prompts: Mapping[str, Prompts], pools: Mapping[str, Pool]) -> dict[str, Outcomes]:
    """The outcomes of ``outcomes.parquet`` by track, in the order of its prompts and pool. Raises BadData."""
    columns = _read(folder / "outcomes.parquet", ("pid", "model", "score", "cost"), numbers=_OUTCOMES)
    place = {pid: (track, row) for track, part in prompts.items() for row, pid in enumerate(part.pids)}
    column_of = {(track, model): at for track, pool in pools.items() for at, model in enumerate(pool.models)}
    found = {
        track: Outcomes(*(np.full((len(part), len(pools[track].models)), np.nan) for _ in _OUTCOMES))
        for track, part in prompts.items()
        if track in pools
    }
    rows = range(len(columns["pid"]))
    values = {name: _numbers(columns, name, rows) for name in _OUTCOMES}
    for row, (pid, model) in enumerate(zip(columns["pid"], columns["model"], strict=True)):
        track, at = place.get(str(pid), ("", 0))
        column = column_of.get((track, str(model)))
        if column is not None:
            into = found[track]
            arrays = (into.score, into.cost, into.input_tokens, into.output_tokens, into.judge)
            for array, name in zip(arrays, _OUTCOMES, strict=True):
                if array is not None:
                    array[at, column] = values[name][row]
    return found


def write_table(path: Path, columns: Mapping[str, Sequence[object] | Floats]) -> None:
    """Write one Parquet file of equally long columns, whole or not at all. Raises BadData where none can be."""
    import duckdb  # noqa: PLC0415 - 0.3 s, for who reads or writes such files

    written = {  # noqa: F841 - DuckDB finds it by its name
        name: values if isinstance(values, np.ndarray) else np.array(values, dtype=object)
        for name, values in columns.items()
    }
    beside = path.with_name(f".{path.name}.part")
    try:
        with duckdb.connect() as connection:
            connection.execute(f"COPY (SELECT * FROM written) TO '{_quoted(beside)}' (FORMAT parquet)")  # noqa: S608 - a file's name, quoted
        beside.replace(path)
    except (duckdb.Error, OSError) as exc:
        raise BadData(f"{path} cannot be written: {str(exc).splitlines()[0]}") from exc


def _read(path: Path, needed: Sequence[str], *, numbers: Sequence[str] = ()) -> dict[str, Any]:
    """All columns of a file by name, some as numbers (NaN where there is none). Raises BadData."""
    import duckdb  # noqa: PLC0415

    if not path.is_file():
        raise BadData(f"{path}: there is no such file")
    reader = "read_csv" if path.suffix == ".csv" else "read_parquet"
    try:
        with duckdb.connect() as connection:
            connection.execute("SET threads TO 1")  # rows come in the file's order whatever the machine
            columns: dict[str, Any] = connection.execute(
                f"SELECT * FROM {reader}('{_quoted(path)}')"  # noqa: S608 - a file's name, quoted
            ).fetchnumpy()
    except duckdb.Error as exc:
        raise BadData(f"{path}: {str(exc).splitlines()[0]}") from exc
    missing = [name for name in needed if name not in columns]
    if missing:
        raise BadData(f"{path}: it has no column {', '.join(missing)}")
    for name in set(numbers) & columns.keys():
        try:
            columns[name] = np.ma.filled(np.ma.asarray(columns[name], dtype=np.float64), np.nan)
        except (TypeError, ValueError) as exc:
            raise BadData(f"{path}: in its column {name} is something that is no number: {exc}") from exc
    return columns


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _numbers(columns: Mapping[str, Any], name: str, rows: Sequence[int]) -> Floats:
    """A column's numbers in those rows; NaN where it has none, or the file has no such column."""
    column = columns.get(name)
    if column is None:
        return np.full(len(rows), np.nan)
    picked: Floats = column[np.asarray(rows, dtype=np.int64)]
    return picked
