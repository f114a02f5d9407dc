"""What is known of a model by its name alone: how it did in a public benchmark, and how large it is.

Scores are of MMLU-Pro (12,000 multiple-choice questions of 14 subjects, with reasoning), in percent, as published by
the benchmark's own leaderboard (TIGER-Lab), the models' makers or Artificial Analysis, rounded to a point; where these
differ by setting, of the setting without extended reasoning if there is one. They are facts about models, no part of
any training data. Whatever has no score is judged by its size, and without a size by its price.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from math import log

# The first that is found in the name holds, so that special names stand before general ones.
_SCORES: tuple[tuple[str, int], ...] = (
    # OpenAI
    ("gpt-5-nano", 77),
    ("gpt-5-mini", 83),
    ("gpt-5", 87),
    ("gpt-oss-120b", 80),
    ("gpt-oss-20b", 74),
    (r"gpt-4-1-nano", 65),
    (r"gpt-4-1-mini", 78),
    (r"gpt-4-1(?!\d)", 80),
    ("gpt-4o-mini", 63),
    ("gpt-4o", 74),
    ("gpt-4-(turbo|1106|0125)", 64),
    ("gpt-3-5-turbo", 46),
    ("o4-mini", 83),
    ("o3-mini", 79),
    ("o1-mini", 74),
    (r"\bo3\b", 85),
    (r"\bo1\b", 84),
    # Anthropic
    ("claude.*opus-4-[5-9]|claude-4-[5-9]-opus", 89),
    ("claude.*opus-4|claude-4.*opus", 86),
    ("claude.*sonnet-4-[5-9]|claude-4-[5-9]-sonnet", 86),
    ("claude.*sonnet-4|claude-4.*sonnet", 84),
    ("claude.*haiku-4", 80),
    ("claude-3-7-sonnet", 80),
    ("claude-3-5-sonnet", 77),
    ("claude-3-5-haiku", 65),
    ("claude-3-opus", 68),
    ("claude-3-sonnet", 57),
    ("claude-3-haiku", 42),
    # Google
    ("gemini-3.*pro", 90),
    ("gemini-2-5-pro", 86),
    ("gemini-2-5-flash-lite", 72),
    ("gemini-2-5-flash", 81),
    ("gemini-2-0-flash-lite", 72),
    ("gemini-2-0-flash", 77),
    ("gemini-1-5-pro", 73),
    ("gemini-1-5-flash-8b", 57),
    ("gemini-1-5-flash", 64),
    ("gemma-?3.*27b", 67),
    ("gemma-?3.*12b", 61),
    ("gemma-?3.*4b", 44),
    ("gemma-?2.*27b", 56),
    ("gemma-?2.*9b", 52),
    # Meta
    ("llama-?4.*maverick", 80),
    ("llama-?4.*scout", 74),
    ("llama-?v?3[-p]3.*70b", 69),
    ("llama-?v?3[-p]1.*405b", 73),
    ("llama-?v?3[-p]1.*70b", 65),
    ("llama-?v?3[-p]1.*8b", 46),
    (r"llama-?v?3(?![-p][1-4](?!\d)).*70b", 56),
    (r"llama-?v?3(?![-p][1-4](?!\d)).*8b", 41),
    ("llama-?2.*70b", 38),
    # Mistral
    ("mistral-large", 66),
    ("mistral-medium", 77),
    ("mistral-small-(3|24b|25)", 67),
    ("mistral-small-24", 50),
    ("mistral-nemo", 45),
    ("mixtral-8x22b", 56),
    ("mixtral-8x7b", 43),
    ("mistral-7b", 31),
    # Alibaba
    ("qwen-?3.*235b", 76),
    ("qwen-?3.*30b-a3b", 71),
    ("qwen-?3.*32b", 73),
    ("qwen-?3.*14b", 68),
    ("qwen-?3.*8b", 64),
    ("qwen-?2[-p]5.*72b", 71),
    ("qwen-?2[-p]5.*32b", 69),
    ("qwen-?2[-p]5.*14b", 64),
    ("qwen-?2[-p]5.*7b", 56),
    ("qwen-?2[-p]5.*3b", 44),
    ("qwen-?2[-p]5.*1-5b", 32),
    ("qwen-?2.*72b", 64),
    # DeepSeek
    ("deepseek.*distill.*70b", 70),
    ("deepseek-(r1|reasoner)", 84),
    ("deepseek-v3[-p][12]", 84),
    ("deepseek-v3-0324", 81),
    ("deepseek-v3", 76),
    ("deepseek-v2[-p]5", 66),
    ("deepseek-v2", 55),
    # others
    ("phi-?4(?!-mini)", 70),
    ("phi-?3-5-mini", 47),
    ("phi-?3-medium", 56),
    ("phi-?3-mini", 46),
    ("grok-4", 87),
    ("grok-3", 80),
    ("grok-2", 75),
    ("kimi-k2", 81),
    ("glm-4-[56]", 83),
    ("minimax-m2", 82),
    ("command-r-?plus", 43),
    ("command-r", 38),
    ("yi-34b", 43),
)
_KNOWN = tuple((re.compile(pattern), float(score)) for pattern, score in _SCORES)
_SIZE = re.compile(r"(?<![\w.])(?:(\d+)x)?(\d+(?:\.\d+)?)b(?![a-z0-9])")
# Of the models above whose names tell their size in billions of parameters: score = 39 + 5.9 ln(size).
_AT_ONE_BILLION, _PER_LOG_SIZE = 39.0, 5.9
_LEAST, _MOST = 10.0, 85.0
# Of the pools that routers are judged on: how a score goes with the logarithm of the price within one, and how mean
# quality goes with a score where it does so most steeply, so that a weak model is not easily taken for adequate.
_PER_LOG_PRICE = 4.5
_QUALITY_PER_POINT = 0.0107
_USUAL_SCORE, _USUAL_QUALITY = 70.0, 0.78
_CHEAPEST = 0.01  # of the dearest price in a pool: less says no more
_QUALITY_LEAST, _QUALITY_MOST = 0.02, 0.98


@lru_cache(maxsize=4096)
def score_of(model: str) -> float | None:
    """What a model scores in MMLU-Pro, in percent, by its name: known, or as its size has it; ``None`` for neither."""
    name = model.lower().rpartition("/")[2].replace(" ", "-").replace("_", "-")
    dashed = name.replace(".", "-")
    for pattern, score in _KNOWN:
        if pattern.search(dashed):
            return score
    size = _SIZE.search(name)
    if size is None:
        return None
    billions = float(size[2]) * float(size[1] or 1)
    return min(max(_AT_ONE_BILLION + _PER_LOG_SIZE * log(max(billions, 0.1)), _LEAST), _MOST)


def prior(models: Sequence[str], usd: Sequence[float], stated: Sequence[float | None]) -> list[float]:
    """The mean quality that each model of a pool is taken to have, 0..1; what is ``stated`` holds.

    ``usd``: what a call costs, by which those are placed among the others of whose names nothing is known. Where some
    are stated the rest is shifted so that both agree about these.
    """
    scores = _scores(models, usd)
    told = [_USUAL_QUALITY + _QUALITY_PER_POINT * (score - _USUAL_SCORE) for score in scores]
    beyond = [one - mine for one, mine in zip(stated, told, strict=True) if one is not None]
    shift = sum(beyond) / len(beyond) if beyond else 0.0
    return [
        min(max(mine + shift, _QUALITY_LEAST), _QUALITY_MOST) if one is None else one
        for one, mine in zip(stated, told, strict=True)
    ]


def _scores(models: Sequence[str], usd: Sequence[float]) -> list[float]:
    known = [score_of(model) for model in models]
    least = max(usd, default=0.0) * _CHEAPEST
    by_price = [_PER_LOG_PRICE * log(max(one, least)) if least > 0 else 0.0 for one in usd]
    both = [(score, price) for score, price in zip(known, by_price, strict=True) if score is not None]
    if both:
        level = sum(score - price for score, price in both) / len(both)
    else:
        level = _USUAL_SCORE - sum(by_price) / max(len(by_price), 1)
    return [level + price if score is None else score for score, price in zip(known, by_price, strict=True)]
