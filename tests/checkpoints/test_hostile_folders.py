"""Hugging Face folders changed at random: each loads, or ends in one line that names it."""

import json
import random

import numpy as np
import pytest
import safetensors.numpy

from bert_tf.checkpoints import huggingface
from bert_tf.checkpoints.model_folder import load_model
from bert_tf.errors import UserError

SEEDS = 60
VALUES = (
    None, 0, -1, 1.5, True, "", "x", "[UNK]", [], [1], [[1]], {}, {"0": [1]}, {"a": 1},
    {"content": 3}, {"type": "BertNormalizer", "lowercase": 1},
)  # fmt: skip
CONFIG_KEYS = (
    "pruned_heads", "model_type", "tie_word_embeddings", "quantization_config", "hidden_act",
    "hidden_size", "vocab_size", "num_attention_heads",
)  # fmt: skip
TOKENIZER_FILES = ("tokenizer_config", "tokenizer", "special_tokens_map", "added_tokens")
TOKENIZER_KEYS = (
    "do_lower_case", "strip_accents", "tokenize_chinese_chars", "never_split", "unk_token",
    "tokenizer_class", "added_tokens_decoder", "additional_special_tokens", "wordpieces_prefix",
    "normalizer", "pre_tokenizer", "model", "added_tokens",
)  # fmt: skip


def change_tensors(rng, tensors):
    """One change of names, shapes or types."""
    tensors, name = dict(tensors), rng.choice(sorted(tensors))
    kind = rng.choice(["drop", "shape", "rename", "prefix", "type", "slash", "decoder"])
    if kind == "prefix":
        prefix = rng.choice(["module.", "a.", "bert.", "x/"])
        return {prefix + n: value for n, value in tensors.items()}
    value = tensors.pop(name)
    if kind == "shape":
        shape = [rng.randint(0, 3) for _ in range(rng.randint(0, 3))]
        tensors[name] = np.zeros(shape, np.float32)
    elif kind == "rename":
        tensors[rng.choice(["x", "bert.", "."]) + name] = value
    elif kind == "type":
        tensors[name] = value.astype(rng.choice(["float64", "float16", "int8", "bool"]))
    elif kind == "slash":
        tensors[name.replace(".", "/")] = value
    elif kind == "decoder":
        tensors |= {name: value, "cls.predictions.decoder.weight": value.copy()}
    return tensors


def damage(rng, folder, tensors, config):
    """Writes a folder of a model with one to three changes."""
    for _ in range(rng.randint(1, 3)):
        place = rng.choice(["tensors", "config", *TOKENIZER_FILES])
        if place == "tensors":
            tensors = change_tensors(rng, tensors)
        elif place == "config":
            config = {**config, rng.choice(CONFIG_KEYS): rng.choice(VALUES)}
        else:
            values = {rng.choice(TOKENIZER_KEYS): rng.choice(VALUES) for _ in range(2)}
            (folder / f"{place}.json").write_text(json.dumps(values))
    (folder / "config.json").write_text(json.dumps(config))
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize(
    "seeds", [range(SEEDS), pytest.param(range(SEEDS, 20 * SEEDS), marks=pytest.mark.slow)]
)
def test_every_folder_loads_or_ends_in_one_line(tmp_path, config, arrays, seeds):
    huggingface.write(tmp_path / "hf", config, arrays)
    tensors = safetensors.numpy.load_file(tmp_path / "hf" / "model.safetensors")
    theirs = json.loads((tmp_path / "hf" / "config.json").read_text())
    refused = 0
    for seed in seeds:
        folder = tmp_path / str(seed)
        folder.mkdir()
        damage(random.Random(seed), folder, tensors, theirs)
        try:
            load_model(folder)
        except UserError as e:
            refused += 1
            assert str(e).startswith(str(folder)) and "\n" not in str(e), seed
    assert 0 < refused < len(seeds)
