"""A trained router: which model of a pool to call for a prompt, within a stated loss of quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.routing.bands import Band, Bands, GeneralBands
from policies.routing.calibration import Calibration
from policies.routing.features import features
from policies.routing.general import GeneralPredictor, completed
from policies.routing.operating import STRONGEST, OperatingTable, choices, row_of
from policies.routing.pool import Pool
from policies.routing.predictor import Floats, PoolPredictor, Predicted
from policies.routing.words import WordTable


@dataclass(frozen=True, slots=True)
class KnownPool:
    """A pool that the router was trained on; ``unit_usd``: what its strongest model costs on average.

    ``calibration``: ``None`` in a router that was made before such records were kept.
    """

    models: tuple[str, ...]
    predictor: PoolPredictor
    operating: OperatingTable
    strongest: int
    unit_usd: float
    bands: Bands | None = None  # None: made before there were any
    calibration: Calibration | None = None

    @property
    def is_tried(self) -> bool:
        """Whether all its models were tried on the same prompts; else it was learned from recorded decisions."""
        return self.calibration is not None or bool((self.operating.certified != STRONGEST).any())

    def is_kept(self, target: int) -> bool:
        """Whether the loss of that row of TARGETS is kept by any other choice than the strongest model."""
        if self.calibration is not None:
            return self.calibration.is_kept(target)
        return int(self.operating.certified[target]) != STRONGEST

    def point(self, target: int, features: Floats, kind: int) -> int:
        """At which one question is answered within that loss, by its features and its kind."""
        if self.calibration is not None:
            return self.calibration.point(target, features, kind)
        return int(self.operating.certified[target])


class Chosen(NamedTuple):
    """The model for each prompt, and whether the loss is certified at the point that chose."""

    models: NDArray[np.int64]
    is_certified: bool


@dataclass(frozen=True, slots=True)
class Router:
    """``version`` names its content."""

    words: WordTable
    known: Mapping[str, KnownPool]
    general: GeneralPredictor
    version: str = ""
    general_bands: GeneralBands | None = None

    def features(self, texts: Sequence[str]) -> Floats:
        """(prompts, features)."""
        if not texts:
            return np.zeros((0, len(self.general.feature_mean)), np.float32)
        return np.stack([features(text, self.words) for text in texts])

    def predict(self, found: Floats, pool: Pool) -> Predicted:
        """Quality and cost of every model of the pool: learned where it was trained on, else by what they are."""
        known = self.known.get(pool.track)
        learned = None if known is None else known.predictor.predict(found)
        if learned is not None and known is not None and known.models == pool.models:
            return learned
        general = self.general.predict(found, pool)
        if learned is None or known is None:
            return general
        places = {model: place for place, model in enumerate(known.models)}
        quality, cost = general.quality.copy(), general.cost.copy()
        for column, model in enumerate(pool.models):
            if (place := places.get(model)) is not None:
                quality[:, column], cost[:, column] = learned.quality[:, place], learned.cost[:, place]
        return Predicted(quality, cost, learned.familiarity, learned.kind)

    def band(self, predicted: Predicted, pool: Pool) -> Band | None:
        """Where the mean scores of prompts that are predicted so lie; ``None`` where nothing is known of that."""
        known = self.known.get(pool.track)
        if known is not None and known.models == pool.models:
            return None if known.bands is None else known.bands.of(predicted)
        general = None
        if self.general_bands is not None:
            general = self.general_bands.of(predicted, ~np.isnan(pool.quality))
        if known is None:
            return general
        places = {model: place for place, model in enumerate(known.models)}
        is_learned = np.array([model in places for model in pool.models])
        if known.bands is None or not (general or is_learned.all()):
            return None
        learned = known.bands.at([places.get(model, 0) for model in pool.models]).of(predicted)
        if general is None:
            return learned
        return Band(*(np.where(is_learned, one, other) for one, other in zip(learned, general, strict=True)))

    def choose(self, predicted: Predicted, pool: Pool, loss_max: float, *, must_be_certified: bool = False) -> Chosen:
        """The cheapest choices that keep the loss: as it was on calibration prompts, or only where it is certified.

        Of a pool that nobody calibrated nothing is promised, and its strongest model is called.
        """
        known = self.known.get(pool.track)
        quality, _ = completed(pool)
        strongest = int(np.argmax(quality))
        if known is None or known.models != pool.models:
            return Chosen(np.full(len(predicted.quality), strongest, dtype=np.int64), False)
        row = row_of(loss_max)
        certified = int(known.operating.certified[row])
        point = certified if must_be_certified else max(certified, int(known.operating.aimed[row]))
        picked = choices(predicted, point, known.strongest, known.unit_usd)
        return Chosen(picked, point == STRONGEST or point <= certified)
