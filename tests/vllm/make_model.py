"""Make a tiny random Llama with tokenizer and chat template, offline and the same on every run.

Runs in the environment of vLLM: ``.venv-vllm/bin/python tests/vllm/make_model.py DIRECTORY``. The model is 2 layers
wide 128 in bfloat16 (about 1 MB); it answers nonsense, but it counts, samples, streams and caches as any other.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from pydoc_data.topics import topics

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SEED = 20
VOCABULARY = 4096
CONTEXT_TOKENS = 65536  # so that coding agents fit, who begin with some 100 kB
SPECIAL = ["<pad>", "<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|end|>"]
WORDS = (
    "the a of and to in is was it for on with as be by at from this that what who how many tell me weather city "
    "Paris Berlin London temperature degrees name age street number price token gateway ledger answer question "
    "model route cost hello world please list true false null name value unit celsius get call function"
)
TEMPLATE = (
    "{{ bos_token }}"
    "{% if tools %}<|system|>{{ tools | tojson }}<|end|>{% endif %}"
    "{% for message in messages %}"
    "{{ '<|' + ('system' if message['role'] == 'developer' else message['role']) + '|>' }}"
    "{{ message['content'] or '' }}"
    "{% if message.get('tool_calls') %}{{ message['tool_calls'] | tojson }}{% endif %}"
    "<|end|>"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def corpus() -> list[str]:
    """Sentences, JSON and Python's own help pages to learn byte pairs from: real English is some 3 bytes a token."""
    draw = random.Random(SEED)  # noqa: S311 - a fixed text, nothing secret
    words = WORDS.split()
    lines = []
    for _ in range(4000):
        chosen = [draw.choice(words) for _ in range(draw.randint(3, 14))]
        lines.append(" ".join(chosen).capitalize() + draw.choice(".?!"))
        lines.append(f'{{"{chosen[0]}": "{chosen[1]}", "{chosen[2]}": {draw.randint(0, 999)}}}')
    return lines + [line for topic in topics.values() for line in topic.splitlines()]


def make_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    # A corpus without enough pairs would leave ids that the model can sample and nobody can decode.
    missing = VOCABULARY - tokenizer.get_vocab_size()
    tokenizer.add_tokens([f" w{index}" for index in range(missing)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        additional_special_tokens=SPECIAL[3:],
        chat_template=TEMPLATE,
        model_max_length=CONTEXT_TOKENS,
        clean_up_tokenization_spaces=False,
    )


def make_model() -> LlamaForCausalLM:
    torch.manual_seed(SEED)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=64,
        max_position_embeddings=CONTEXT_TOKENS,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=False,
        dtype="bfloat16",
    )
    return LlamaForCausalLM(config).to(torch.bfloat16)


def main(directory: Path) -> None:
    make_tokenizer().save_pretrained(directory)
    make_model().save_pretrained(directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
