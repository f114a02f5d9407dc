"""What the commands of `obol eval` share: a file is judged, what is wrong with it is said, figures are printed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from gateway.commands import CommandFailed
from gateway.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Judged = TypeVar("Judged")


def judged(judge: Callable[..., Judged], *given: object) -> Judged:
    """What the judge makes of a file. Raises CommandFailed for rows that are none."""
    from gateway.evaluation.rows import BadRows  # noqa: PLC0415 - only once a command is given

    try:
        return judge(*given)
    except BadRows as exc:
        raise CommandFailed(str(exc)) from exc


def encoder(settings: Settings) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """What makes vectors of texts, from the same graph as the embedder. Raises CommandFailed where it is missing."""
    from gateway.embedding.minilm import EncoderMissing, SentenceEncoder  # noqa: PLC0415 - as above

    try:
        return SentenceEncoder.load(settings.encoder_dir).encode
    except EncoderMissing as exc:
        raise CommandFailed(str(exc)) from exc


def tell(options: argparse.Namespace, figures: Mapping[str, Any], told: Callable[[], Sequence[str]]) -> int:
    """Print the figures: as one JSON object where that is asked for, else as a table."""
    print(json.dumps(figures, ensure_ascii=False) if options.json else "\n".join(told()))
    return 0
