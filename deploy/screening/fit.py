"""Weighs the rules of the injection guard, on public attacks and harmless prompts and on composed ones.

    python fit.py injection.jsonl.gz weights.py

Run by `make screening`. What is fitted, and on whose texts: SOURCES.md. It writes the same file each time.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import numpy as np
from compose import compose
from numpy.typing import NDArray

from policies.screening.injection.features import examine
from policies.screening.injection.rules import CONTEXT_RULES, DOUBTFUL, RULES, SILENT

# What a rule weighs where no text says otherwise: sure ones are the forms that nobody writes by chance.
SURE = frozenset(
    "override_prior override_all reveal_prompt ordered_payload ciphered pwned disguised_override chat_mark unbound_model mode"
    " to_the_model inserts_code begins_sure encoded_order encoded_reveal"
    " spelt respelt run_disguised asks_key".split()
)
PRIOR_SURE, PRIOR, PRIOR_CONTEXT = 3.0, 0.7, -1.5
PENALTY = 2.0
DOUBTFUL_ODDS = 0.5  # what a doubtful rule alone has beyond the score that escalates
EACH = 25  # composed texts of a pattern
WEIGHT = 2000.0  # of all attacks together, and of all harmless texts

# Of harmless prompts, how many may be looked at more closely, and how many blocked at once.
ESCALATED_MAX, BLOCKED_MAX = 0.005, 0.0005

Rows = NDArray[np.float64]


def main(path: Path, out: Path) -> None:
    with gzip.open(path, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    texts = [(row["text"], row["source"], row["label"] == "attack") for row in rows]
    texts += [(text, "composed", is_attack) for text, _, is_attack in compose(EACH)]
    names = [name for name in RULES if name not in SILENT]
    fired = [examine(text) for text, _, _ in texts]
    evidence = np.array([[name in one for name in names] for one in fired], dtype=float)
    is_attack = np.array([one[2] for one in texts])
    sources = np.array([one[1] for one in texts])
    weights, bias = fitted(evidence, is_attack, shares(sources, is_attack), names)
    # As they are written down: what lies just below a threshold must not be rounded up to it.
    weights, bias = weights.round(3), round(bias, 3)
    scores = 1 / (1 + np.exp(-(evidence @ weights + bias)))
    harmless = scores[~is_attack & (sources != "composed")]
    escalate_at = float(np.quantile(harmless, 1 - ESCALATED_MAX)) + 1e-4
    block_at = float(np.quantile(harmless, 1 - BLOCKED_MAX)) + 1e-4
    is_doubtful = np.isin(names, sorted(DOUBTFUL))
    weights[is_doubtful] = round(odds(escalate_at) + DOUBTFUL_ODDS - bias, 3)
    out.write_text(module(dict(zip(names, weights, strict=True)), bias, escalate_at, block_at))


def odds(score: float) -> float:
    return float(np.log(score / (1 - score)))


def shares(sources: NDArray[np.str_], is_attack: NDArray[np.bool_]) -> Rows:
    """What each text counts: sources by the square root of their size, attacks as much as harmless texts."""
    weights = np.zeros(len(sources))
    for label in (True, False):
        for source in np.unique(sources[is_attack == label]):
            chosen = (is_attack == label) & (sources == source)
            weights[chosen] = 1 / np.sqrt(chosen.sum())
        weights[is_attack == label] *= WEIGHT / weights[is_attack == label].sum()
    return weights


def fitted(evidence: Rows, is_attack: NDArray[np.bool_], counts: Rows, names: list[str]) -> tuple[Rows, float]:
    """Logistic regression towards the priors; a rule never speaks for the other side."""
    signs = np.array([-1.0 if name in CONTEXT_RULES else 1.0 for name in names])
    prior = np.array([prior_of(name) for name in names])
    used = np.ones(len(names), dtype=bool)
    while True:
        found, bias = newton(evidence[:, used], is_attack.astype(float), counts, prior[used])
        wrong = found * signs[used] < 0
        if not wrong.any():
            break
        used[np.flatnonzero(used)[wrong]] = False
    weights = np.zeros(len(names))
    weights[used] = found
    return weights, bias


def prior_of(name: str) -> float:
    if name in CONTEXT_RULES:
        return PRIOR_CONTEXT
    return PRIOR_SURE if name in SURE else PRIOR


def newton(evidence: Rows, wanted: Rows, counts: Rows, prior: Rows) -> tuple[Rows, float]:
    rows = np.column_stack([evidence, np.ones(len(evidence))])
    centre = np.append(prior, 0.0)
    penalty = np.append(np.full(len(prior), PENALTY), 1e-3)
    weights = centre.copy()
    for _ in range(30):
        expected = 1 / (1 + np.exp(-np.clip(rows @ weights, -30, 30)))
        slope = rows.T @ (counts * (expected - wanted)) + penalty * (weights - centre)
        bend = (rows * (counts * expected * (1 - expected))[:, None]).T @ rows + np.diag(penalty)
        weights -= np.linalg.solve(bend, slope)
    return weights[:-1], float(weights[-1])


def module(weights: dict[str, float], bias: float, escalate_at: float, block_at: float) -> str:
    lines = "".join(f'    "{name}": {weight:.3f},\n' for name, weight in weights.items() if abs(weight) > 5e-4)  # noqa: PLR2004
    return f'''"""What rules weigh: written by `make screening`, from public and composed texts (deploy/screening/SOURCES.md)."""

from __future__ import annotations

# Their sum with BIAS is the log odds.
WEIGHTS = {{
{lines}}}
BIAS = {bias:.3f}
# Scores from which a text is looked at more closely, and from which it may be refused at once.
ESCALATE_AT = {escalate_at:.4f}
BLOCK_AT = {max(block_at, escalate_at):.4f}
'''


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
