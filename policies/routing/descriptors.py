"""What is known of a model by its name alone: how it did in a public benchmark, and how large it is.

Scores are of MMLU-Pro (12,000 multiple-choice questions of 14 subjects, with reasoning), in percent. Each was looked up
in a publication: in what Artificial Analysis measured (as of April 2026, nearly all), else in what the benchmark's
authors or a model's maker report; where there are both they differ by up to 6 points. Of several settings it is the one
without extended reasoning, of models that always reason the medium one, else the one that was measured; where a name
tells the setting, of that. A pattern stands for all names that contain it: other dates of a model, quantisations,
fine-tunes. What nobody measured and is placed by its family is in a table of its own. These are facts about models, no
part of any training data. Whatever has no score is judged by its size, and without a size by its price.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from math import log

# The first that is found in the name holds, so that special names stand before general ones. As measured by Artificial
# Analysis; where a heading names another source, of those alone.
_MEASURED: tuple[tuple[str, float], ...] = (
    # OpenAI
    ("gpt-5-nano", 77.2),
    ("gpt-5-mini", 82.8),
    ("gpt-5-chat", 82.0),
    ("gpt-5-1-codex-mini", 82.0),
    ("gpt-5-1-codex", 86.0),
    ("gpt-5-codex", 86.5),
    (r"gpt-5-1(?!\d)", 80.1),
    (r"gpt-5-2(?!\d|-codex|-pro)", 81.4),
    (r"gpt-5(?!-(\d(?!\d)|pro))", 86.7),
    ("gpt-oss-120b", 80.8),
    ("gpt-oss-20b", 74.8),
    ("gpt-4-1-nano", 65.7),
    ("gpt-4-1-mini", 78.1),
    (r"gpt-4-1(?!\d)", 80.6),
    ("chatgpt-4o", 80.3),
    ("gpt-4o-mini", 64.8),
    ("gpt-4o-2024-11", 74.8),
    ("gpt-4o", 74.0),
    ("gpt-4-(turbo|1106|0125)", 69.4),
    ("gpt-3-?5-turbo", 46.2),
    ("o4-mini", 83.2),
    ("o3-mini", 79.1),
    ("o1-mini", 74.2),
    (r"\bo3\b(?!-(pro|deep))", 85.3),
    (r"\bo1\b(?!-(pro|preview))", 84.1),
    # Anthropic
    ("opus-4-5|claude-4-5-opus", 88.9),
    (r"opus-4(?!-[1-9](?!\d))|claude-4-opus", 86.0),
    ("sonnet-4-5|claude-4-5-sonnet", 86.0),
    (r"sonnet-4(?!-[1-9](?!\d))|claude-4-sonnet", 83.7),
    ("haiku-4-5|claude-4-5-haiku", 80.0),
    ("claude-3-7-sonnet", 80.3),
    ("claude-3-5-sonnet.*20240620", 75.1),
    ("claude-3-5-sonnet", 77.2),
    ("claude-3-5-haiku", 63.4),
    ("claude-3-opus", 69.6),
    ("claude-3-sonnet", 57.9),
    ("claude-v?2-1", 49.5),
    ("claude-v?2(?!-1)", 48.6),
    ("claude-instant", 43.4),
    # Google; Gemma 2: the report on Gemma 3
    ("gemini-3-pro", 89.8),
    ("gemini-3-flash", 88.2),
    ("gemini-2-5-pro", 86.2),
    ("gemini-2-5-flash-lite-preview-09", 79.6),
    ("gemini-2-5-flash-lite", 72.4),
    ("gemini-2-5-flash-preview-09", 83.6),
    ("gemini-2-5-flash", 80.9),
    ("gemini-2-0-pro", 80.5),
    ("gemini-2-0-flash-lite", 72.4),
    ("gemini-2-0-flash-thinking", 79.8),
    ("gemini-2-0-flash", 77.9),
    ("gemini-1-5-pro-001", 65.7),
    ("gemini-1-5-pro", 75.0),
    ("gemini-1-5-flash-8b", 56.9),
    ("gemini-1-5-flash-001", 57.4),
    ("gemini-1-5-flash", 68.0),
    ("gemini-1-0-pro", 43.1),
    ("gemma-?3-27b", 66.9),
    ("gemma-?3-12b", 59.5),
    ("gemma-?3-4b", 41.7),
    ("gemma-?3-1b", 13.5),
    ("gemma-?3n-e4b", 48.8),
    ("gemma-?3n-e2b", 37.8),
    ("gemma-?2-27b", 56.9),
    ("gemma-?2-9b", 46.8),
    ("gemma-?2-2b", 15.6),
    # DeepSeek; V2.5: the repository of V3; V2: the benchmark's repository
    ("deepseek.*distill-llama-70b", 79.5),
    ("deepseek.*distill-qwen-32b", 73.9),
    ("deepseek.*distill-qwen-14b", 74.0),
    ("deepseek.*distill-llama-8b", 54.3),
    ("deepseek.*distill-qwen-1-5b", 26.9),
    ("deepseek-r1-0528-qwen3-8b", 73.9),
    ("deepseek-r1-0528", 84.9),
    ("deepseek-r1(?!.*distill|-(1-5|7|8|14|32|70)b)", 84.4),
    ("deepseek-v3[-p]2.*reason", 86.2),
    ("deepseek-v3[-p]2", 83.7),
    ("deepseek-v3[-p]1", 83.3),
    ("deepseek-v3-0324", 81.9),
    ("deepseek-v3", 75.2),
    ("deepseek-v2[-p]5", 66.2),
    ("deepseek-coder-v2-lite", 42.9),
    ("deepseek-v2", 54.8),
    # Meta
    ("llama-?4.*maverick", 80.9),
    ("llama-?4.*scout", 75.2),
    ("nemotron.*-70b", 69.0),
    ("llama-?v?3[-p]3.*70b", 71.3),
    ("llama-?v?3[-p]2.*90b", 67.1),
    ("llama-?v?3[-p]2.*11b", 46.4),
    ("llama-?v?3[-p]2.*3b", 34.7),
    ("llama-?v?3[-p]2.*1b", 20.0),
    ("llama-?v?3[-p]1.*405b", 73.2),
    ("llama-?v?3[-p]1.*70b", 67.6),
    ("llama-?v?3[-p]1.*8b", 47.6),
    (r"llama-?v?3(?![-p][1-4](?!\d)).*70b", 57.4),
    (r"llama-?v?3(?![-p][1-4](?!\d)).*8b", 40.5),
    ("llama-?2.*70b", 40.6),
    # Mistral; Nemo: the model card of Phi-3.5-mini
    ("mistral-large-(3|2512)", 80.7),
    (r"mistral-large-(2|2411)(?!\d)", 69.7),
    ("mistral-large-2407", 68.3),
    ("mistral-large-2402", 51.5),
    ("pixtral-large", 70.1),
    ("mistral-medium-(3-1|2508)", 68.3),
    (r"mistral-medium-(3(?!-?\d)|2505)", 76.0),
    ("mistral-medium-2312", 49.1),
    ("mistral-small.*(3-2|2506)", 68.1),
    ("mistral-small.*(3-1|2503)", 65.9),
    (r"mistral-small-(3(?!-?\d)|24b.*2501|2501)", 65.2),
    ("mistral-small.*2409", 52.9),
    ("mistral-small.*2402", 41.9),
    ("ministral-(3-14b|14b-2512)", 69.3),
    ("ministral-(3-8b|8b-2512)", 64.2),
    ("ministral-(3-3b|3b-2512)", 52.4),
    (r"devstral-small-(2(?!\d)|.*2512)", 67.8),
    (r"devstral-(2(?!\d)|.*2512)", 76.2),
    ("devstral-medium", 70.8),
    ("devstral-small-2505", 63.2),
    ("devstral-small-2507", 62.2),
    ("mistral-nemo", 40.7),
    ("mixtral-8x22b", 53.7),
    ("mixtral-8x7b", 38.7),
    ("mistral-7b", 24.5),
    # Alibaba; Qwen 2.5 of 14B and less (without coder) and Qwen 2 of 7B: the report on Qwen 2.5
    ("qwen-?3-235b.*thinking-2507", 84.3),
    ("qwen-?3-235b.*2507", 82.8),
    ("qwen-?3-235b", 76.2),
    ("qwen-?3-coder-480b", 78.8),
    ("qwen-?3-coder-30b", 70.6),
    ("qwen-?3-next-80b.*thinking", 82.4),
    ("qwen-?3-next-80b", 81.9),
    ("qwen-?3-max(?!-thinking)", 84.1),
    ("qwen-?3-30b.*thinking-2507", 80.5),
    ("qwen-?3-30b.*2507", 77.7),
    ("qwen-?3-30b", 71.0),
    ("qwen-?3-32b", 72.7),
    ("qwen-?3-14b", 67.5),
    ("qwen-?3-8b", 64.3),
    ("qwen-?3-4b.*thinking-2507", 74.3),
    ("qwen-?3-4b.*2507", 67.2),
    ("qwen-?3-4b", 58.6),
    ("qwen-?3-1-7b", 41.1),
    ("qwen-?3-0-6b", 23.1),
    ("qwq-32b(?!-preview)", 76.4),
    ("qwen-?2[-p]5-max", 76.2),
    ("qwen-?2[-p]5-coder-32b", 63.5),
    ("qwen-?2[-p]5-coder-7b", 47.3),
    ("qwen-?2[-p]5-72b", 72.0),
    ("qwen-?2[-p]5-32b", 69.7),
    ("qwen-?2[-p]5-14b", 63.7),
    ("qwen-?2[-p]5-7b", 56.3),
    ("qwen-?2[-p]5-3b", 43.7),
    ("qwen-?2[-p]5-1-5b", 32.4),
    ("qwen-?2[-p]5-0-5b", 15.0),
    ("qwen-?2-72b", 62.2),
    ("qwen-?2-7b", 44.1),
    # others; Phi-3.5-mini: its model card; Phi-3-medium and Yi: the benchmark's repository and data set
    ("phi-?4-mini(?!.*reason)", 46.5),
    ("phi-?4-multimodal", 48.5),
    ("phi-?4(?!-(mini|reason))", 71.4),
    ("phi-?3-5-mini", 47.4),
    ("phi-?3-medium-128k", 51.9),
    ("phi-?3-medium", 53.5),
    ("phi-?3-mini", 43.5),
    ("grok-4-1-fast-reason", 85.4),
    ("grok-4-1-fast", 74.3),
    ("grok-4-fast-reason", 85.0),
    ("grok-4-fast", 73.0),
    (r"grok-4(?!-(\d|20)(?!\d))", 86.6),
    ("grok-3-mini", 82.8),
    ("grok-3", 79.9),
    ("grok-2", 70.9),
    ("grok-code-fast", 79.3),
    ("kimi-k2-thinking", 84.8),
    ("kimi-k2-0905", 81.9),
    (r"kimi-k2(?!-\d(?!\d))", 82.4),
    ("glm-4-5-air", 81.5),
    ("glm-4-5(?!v)", 83.5),
    ("glm-4-6(?!v)", 78.4),
    ("glm-4-7(?!-flash)", 79.4),
    ("minimax-m2-1", 87.5),
    (r"minimax-m2(?!-\d)", 82.0),
    (r"command-a(?!-(reason|vision|trans)|\w)", 71.2),
    (r"command-r-?(plus|\+)", 43.2),
    (r"command-r(?!\w)", 33.8),
    ("nova-2-pro", 77.2),
    ("nova-2-lite", 74.3),
    ("nova-premier", 73.3),
    ("nova-pro", 69.1),
    ("nova-lite", 59.0),
    ("nova-micro", 53.1),
    ("yi-1-5-34b", 52.3),
    ("yi-34b", 40.9),
    ("yi-large", 57.5),
)
# Of the same family, estimated: nobody measured them. A successor has the score of the last one before it that has one,
# and a name without a version that of the newest.
_ESTIMATED: tuple[tuple[str, float], ...] = (
    ("gpt-5-[2-9]-codex", 86.0),  # gpt-5.1-codex
    (r"gpt-5-[3-9](?!\d|.*(mini|nano|pro))", 81.4),  # gpt-5.2
    (r"opus-4-[1-4](?!\d)|claude-4-1-opus", 86.0),  # claude-opus-4
    (r"opus-4-[6-9](?!\d)", 88.9),  # claude-opus-4.5
    (r"sonnet-4-[6-9](?!\d)", 86.0),  # claude-sonnet-4.5
    ("claude-3-haiku", 43.4),  # claude-instant
    ("gemini-3-[1-9]-pro", 89.8),  # gemini-3-pro
    ("gemini-3-[1-9]-flash(?!-lite)", 88.2),  # gemini-3-flash
    ("deepseek-reasoner", 86.2),  # deepseek-v3.2, reasoning
    ("deepseek-chat", 83.7),  # deepseek-v3.2
    (r"mistral-large(?!-\d)", 80.7),  # mistral-large-2512
    (r"mistral-medium(?!-\d)", 68.3),  # mistral-medium-2508
    (r"mistral-small(?!-?\d)", 68.1),  # mistral-small-2506
    (r"kimi-k2-[5-9](?!\d)", 82.4),  # kimi-k2
    (r"minimax-m2-[2-9](?!\d)", 87.5),  # minimax-m2.1
    ("glm-5(?!.*(flash|air|v))", 79.4),  # glm-4.7
)
_KNOWN = tuple((re.compile(pattern), score) for pattern, score in _MEASURED + _ESTIMATED)
_SIZE = re.compile(r"(?<![\w.])(?:(\d+)x)?(\d+(?:\.\d+)?)b(?![a-z0-9])")
# Of the 64 models above whose names tell their size, in billions of parameters: score = 34 + 8.6 ln(size), off by 13.
_AT_ONE_BILLION, _PER_LOG_SIZE = 34.0, 8.6
_LEAST, _MOST = 10.0, 85.0
# By the training averages of the pools that routers are judged on: how a score goes with the logarithm of a price
# within one (3.9 to 6.0 if any one is left out), and what their models reach in their own questions, in percent.
_PER_LOG_PRICE = 4.9
_USUAL_SCORE = 73.0
_CHEAPEST = 0.01  # of the dearest price in a pool: less says no more
_QUALITY_LEAST, _QUALITY_MOST = 0.02, 0.98


@lru_cache(maxsize=4096)
def score_of(model: str) -> float | None:
    """What a model scores in MMLU-Pro, in percent, by its name: known, or as its size has it; ``None`` for neither."""
    name = model.lower().rpartition("/")[2].replace(" ", "-").replace("_", "-").replace(":", "-")
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

    As if a route's questions were the benchmark's: in most others models lie nearer to each other, so that by
    this a weak one is not easily taken for adequate. ``usd``: what a call costs, by which those are placed among the
    others of whose names nothing is known. Where some are stated the rest is shifted so that both agree about these.
    """
    scores = _scores(models, usd)
    told = [score / 100 for score in scores]
    beyond = [one - mine for one, mine in zip(stated, told, strict=True) if one is not None]
    shift = sum(beyond) / len(beyond) if beyond else 0.0
    return [
        min(max(mine + shift, _QUALITY_LEAST), _QUALITY_MOST) if one is None else one
        for one, mine in zip(stated, told, strict=True)
    ]


def _scores(models: Sequence[str], usd: Sequence[float]) -> list[float]:
    known = [score_of(model) for model in models]
    scores = [one for one in known if one is not None]
    if len(scores) == len(known):  # then no price counts
        return scores
    least = max(usd, default=0.0) * _CHEAPEST
    by_price = [_PER_LOG_PRICE * log(max(one, least)) if least > 0 else 0.0 for one in usd]
    both = [(score, price) for score, price in zip(known, by_price, strict=True) if score is not None]
    if both:
        level = sum(score - price for score, price in both) / len(both)
    else:
        level = _USUAL_SCORE - sum(by_price) / max(len(by_price), 1)
    return [level + price if score is None else score for score, price in zip(known, by_price, strict=True)]
