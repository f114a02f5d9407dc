"""Trains a router on prompts with known outcomes, and turns routers into artifacts and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gateway.router.artifact import Artifact, BadArtifact
from gateway.router.calibrating import calibration
from gateway.router.data import JUDGE, BadData, Outcomes, Prompts
from gateway.router.fitting import Lessons, fit, fit_general, out_of_fold, rounded
from policies.routing.bands import Bands, Beyond, GeneralBands, bands_of, general_bands_of
from policies.routing.calibration import Calibration, Slice
from policies.routing.features import features
from policies.routing.general import GeneralPredictor
from policies.routing.operating import TARGETS, Judged, OperatingTable, calibrated
from policies.routing.pool import Pool
from policies.routing.predictor import PoolPredictor
from policies.routing.router import KnownPool, Router
from policies.routing.words import WordTable

PROMPTS_MIN = 50  # fewer teach nothing
_FOREBEARS_MAX = 100
_CALIBRATION = (
    *("points", "caps", "loss", "saving", "slice_loss", "slice_loss_upper", "slice_saving"),
    *("familiarity", "quality"),
)


class _Calibrated(msgspec.Struct):
    """Of a Calibration what is no array."""

    prompts: int
    calibrated_at: float | None
    slices: list[tuple[str, str, int]]
    recognised: list[tuple[str, str]]


class _About(msgspec.Struct):
    """What an artifact says of itself. ``sources``: where its training data come from."""

    tracks: dict[str, list[str]]
    prompts: dict[str, int]
    sources: str = ""
    calibrations: dict[str, _Calibrated] = {}  # by track
    made_from: list[str] | msgspec.UnsetType = (
        msgspec.UNSET
    )  # versions of the routers before it, which see the same in a prompt


@dataclass(frozen=True, slots=True)
class Track:
    """One pool with its prompts, their vectors and their outcomes, all complete."""

    pool: Pool
    prompts: Prompts
    features: NDArray[np.float32]
    outcomes: Outcomes

    def where(self, mask: NDArray[np.bool_]) -> Track:
        return Track(self.pool, self.prompts.where(mask), self.features[mask], self.outcomes.where(mask))

    def lessons(self) -> Lessons:
        """What a predictor is fitted to; the kind of a prompt is its benchmark and domain, where they are known."""
        kinds = np.char.add(np.char.add(self.prompts.label("benchmark"), "/"), self.prompts.label("domain"))
        groups = self.prompts.labels.get("group", self.prompts.pids)
        return Lessons(self.features.astype(np.float64), self.outcomes.score, self.outcomes.cost, kinds, groups)

    def judged(self) -> Judged | None:
        """Which scores are a judge's word, and what it said elsewhere; ``None`` where every score is sure."""
        is_judged = self.prompts.label("scored_by") == JUDGE
        if not is_judged.any():
            return None
        told = self.outcomes.judge
        return Judged(is_judged, np.full_like(self.outcomes.score, np.nan) if told is None else told)


def tracks_of(
    pools: Mapping[str, Pool], prompts: Mapping[str, Prompts], outcomes: Mapping[str, Outcomes], words: WordTable
) -> list[Track]:
    """The tracks that can be learned from, with the vectors of their prompts. Raises BadData where there is none."""
    found = []
    for name, known in outcomes.items():
        is_complete = known.is_complete
        if is_complete.sum() < PROMPTS_MIN:
            continue
        part = prompts[name].where(is_complete)
        vectors = np.stack([features(text, words) for text in part.texts])
        found.append(Track(pools[name], part, vectors, known.where(is_complete)))
    if not found:
        raise BadData(f"no track has {PROMPTS_MIN} prompts whose outcome with every model of its pool is known")
    return found


def train(tracks: Sequence[Track], words: WordTable, calibrated_at: float | None = None) -> Router:
    """A router that knows these pools, and what can be said of others. ``calibrated_at``: Unix seconds, kept in it."""
    lessons = [track.lessons() for track in tracks]
    known = {track.pool.track: known_pool(track, calibrated_at) for track in tracks}
    return Router(words, known, fit_general(lessons), general_bands=_general_bands(tracks, lessons))


def known_pool(track: Track, calibrated_at: float | None = None) -> KnownPool:
    """What is learned of one pool alone."""
    lessons = track.lessons()
    strongest = int(np.argmax(lessons.score.mean(axis=0)))
    unit_usd = float(np.float32(lessons.cost[:, strongest].mean()))
    unseen = out_of_fold(lessons)
    judged = track.judged()
    operating = calibrated(unseen, lessons.score, lessons.cost, strongest, unit_usd, judged)
    record = calibration(
        *(unseen, lessons, track.prompts, operating),
        strongest=strongest,
        unit_usd=unit_usd,
        calibrated_at=calibrated_at,
        judged=judged,
    )
    bands = _stored_bands(bands_of(unseen, lessons.score, lessons.kinds))
    return KnownPool(track.pool.models, fit(lessons), operating, strongest, unit_usd, bands, record)


def _stored_bands(bands: Bands) -> Bands:
    return Bands(rounded(bands.edges), rounded(bands.familiar), rounded(bands.strange))


def _general_bands(tracks: Sequence[Track], lessons: Sequence[Lessons]) -> GeneralBands | None:
    """How far one is out about a pool of which only its models' averages, or prices, are known; of one alone: None."""
    if len(tracks) == 1:
        return None
    stated: list[Beyond] = []
    guessed: list[Beyond] = []
    for place, (track, lesson) in enumerate(zip(tracks, lessons, strict=True)):
        others = fit_general([one for at, one in enumerate(lessons) if at != place])
        unknown = replace(track.pool, quality=np.full(len(track.pool.models), np.nan))
        for found, pool in ((stated, track.pool), (guessed, unknown)):
            predicted = others.predict(track.features, pool)
            found.append(Beyond(lesson.score - predicted.quality, lesson.kinds))
    bands = general_bands_of(stated, guessed)
    return GeneralBands(rounded(bands.stated), rounded(bands.guessed))


def with_tracks(base: Artifact, pools: Mapping[str, KnownPool], prompts: Mapping[str, int]) -> Artifact:
    """The router of an artifact with tracks added or replaced, all else as it was. Raises BadArtifact."""
    router = from_artifact(base)
    about = msgspec.json.decode(base.about, type=_About)
    made = to_artifact(replace(router, known={**router.known, **pools}), {**about.prompts, **prompts}, about.sources)
    told = msgspec.json.decode(made.about, type=_About)
    told.made_from = [*(about.made_from or ()), base.version][-_FOREBEARS_MAX:]
    return replace(made, about=msgspec.json.encode(told, order="sorted"))


def alike(artifact: Artifact) -> frozenset[str]:
    """The versions of routers that see in a prompt just what this one sees: itself, and those that it was made from."""
    about = msgspec.json.decode(artifact.about, type=_About)
    return frozenset({artifact.version, *(about.made_from or ())})


def to_artifact(router: Router, counts: Mapping[str, int], sources: str = "") -> Artifact:
    """``counts``: of training prompts, by track."""
    arrays: dict[str, NDArray[Any]] = {
        "words/hashes": router.words.hashes,
        "words/vectors": router.words.stored,
        "words/scale": router.words.scale,
        "words/log_frequency": router.words.log_frequency,
    }
    arrays |= {f"general/{name}": getattr(router.general, name) for name in GeneralPredictor.names()}
    arrays |= _named("general/bands", router.general_bands)
    tracks: dict[str, list[str]] = {}
    calibrations: dict[str, _Calibrated] = {}
    for number, (track, pool) in enumerate(sorted(router.known.items())):
        tracks[track] = list(pool.models)
        arrays |= {f"{number}/{name}": getattr(pool.predictor, name) for name in PoolPredictor.names()}
        arrays[f"{number}/aimed"] = pool.operating.aimed
        arrays[f"{number}/certified"] = pool.operating.certified
        arrays[f"{number}/unit"] = rounded(np.array([pool.strongest, pool.unit_usd]))
        arrays |= _named(f"{number}/bands", pool.bands)
        if (record := pool.calibration) is not None:
            slices = [(one.dimension, one.value, one.prompts) for one in record.slices]
            calibrations[track] = _Calibrated(record.prompts, record.calibrated_at, slices, list(record.recognised))
            arrays |= {f"{number}/calibration/{name}": getattr(record, name) for name in _CALIBRATION}
    about = _About(tracks, dict(counts), sources, calibrations)
    return Artifact(msgspec.json.encode(about, order="sorted"), arrays)


def _named(prefix: str, bands: Bands | GeneralBands | None) -> dict[str, NDArray[Any]]:
    """The arrays of a part that older artifacts do not have."""
    return {} if bands is None else {f"{prefix}/{one.name}": getattr(bands, one.name) for one in fields(bands)}


def from_artifact(artifact: Artifact) -> Router:
    """Raises BadArtifact for one whose arrays do not fit together."""
    try:
        about = msgspec.json.decode(artifact.about, type=_About)
        arrays = artifact.arrays
        words = words_in(artifact)
        general = GeneralPredictor(*(arrays[f"general/{name}"] for name in GeneralPredictor.names()))
        known = {
            track: _pool(arrays, str(number), tuple(models), about.calibrations.get(track))
            for number, (track, models) in enumerate(sorted(about.tracks.items()))
        }
        general_bands = None
        if "general/bands/stated" in arrays:
            general_bands = GeneralBands(*(arrays[f"general/bands/{one.name}"] for one in fields(GeneralBands)))
    except (KeyError, IndexError, ValueError, TypeError, msgspec.MsgspecError) as exc:
        raise BadArtifact(f"it lacks something: {exc}") from exc
    router = Router(words, known, general, artifact.version, general_bands)
    _check(router)
    return router


def words_in(artifact: Artifact) -> WordTable:
    """Raises KeyError where it has none."""
    arrays = artifact.arrays
    return WordTable.of(
        arrays["words/hashes"], arrays["words/vectors"], arrays["words/scale"], arrays["words/log_frequency"]
    )


def _pool(
    arrays: Mapping[str, NDArray[Any]], prefix: str, models: tuple[str, ...], calibrated: _Calibrated | None
) -> KnownPool:
    predictor = PoolPredictor(*(arrays[f"{prefix}/{name}"] for name in PoolPredictor.names()))
    operating = OperatingTable(arrays[f"{prefix}/aimed"], arrays[f"{prefix}/certified"])
    strongest, unit_usd = arrays[f"{prefix}/unit"]
    if len(predictor.quality_mean) != len(models):
        raise ValueError(f"{len(models)} models have predictions for {len(predictor.quality_mean)}")
    bands = None
    if f"{prefix}/bands/edges" in arrays:
        bands = Bands(*(arrays[f"{prefix}/bands/{one.name}"] for one in fields(Bands)))
        if {len(bands.edges), len(bands.familiar), len(bands.strange)} != {len(models)}:
            raise ValueError(f"{len(models)} models have bands for another number")
    record = None if calibrated is None else _record(arrays, f"{prefix}/calibration", calibrated)
    return KnownPool(models, predictor, operating, int(strongest), float(unit_usd), bands, record)


def _record(arrays: Mapping[str, NDArray[Any]], prefix: str, calibrated: _Calibrated) -> Calibration:
    record = Calibration(
        calibrated.prompts,
        calibrated.calibrated_at,
        tuple(Slice(*one) for one in calibrated.slices),
        tuple(calibrated.recognised),
        *(arrays[f"{prefix}/{name}"] for name in _CALIBRATION),
    )
    targets, slices = len(TARGETS), len(record.slices)
    shapes = [(targets,), (targets, len(record.recognised)), (targets,), (targets,), *[(targets, slices)] * 3]
    if [getattr(record, name).shape for name in _CALIBRATION[: len(shapes)]] != shapes:
        raise ValueError("the record of a calibration is not of all targets and slices")
    return record


def _check(router: Router) -> None:
    """Predict once: whatever does not fit together, or makes no number, is found here and not by a request."""
    try:
        general = router.general.foresee(router.features(["Which is it?"])[0], [0.5, 0.9], [1.0, 2.0])
        if not np.isfinite([*general.quality, *general.cost]).all():
            raise BadArtifact("its predictions for others are no numbers")
        for track, pool in router.known.items():
            unknown = np.full(len(pool.models), np.nan)
            asked = Pool(track, pool.models, unknown, unknown, unknown, unknown)
            found = router.predict(router.features(["Which is it?"]), asked)
            band = router.band(found, asked)
            numbers = (found.quality, found.cost, *(band or ()))
            if not all(np.isfinite(one).all() for one in numbers):
                raise BadArtifact(f"its predictions for {track} are no numbers")
    except (ValueError, IndexError) as exc:
        raise BadArtifact(f"its arrays do not fit together: {exc}") from exc
