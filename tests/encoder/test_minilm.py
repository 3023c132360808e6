"""all-MiniLM-L6-v2 from safetensors against a computation in plain numpy (float64)."""

import os
import pathlib

import numpy as np
import pytest
import safetensors.numpy
import scipy.special

import bert_tf  # noqa: F401  (before tensorflow: it asks for tf_keras)
from bert_tf.checkpoints.model_folder import load_model
from bert_tf.checkpoints.report import assign_arrays
from bert_tf.encoder import BertEncoder
from bert_tf.tokenization.tokenizer import BertTokenizer

TEXTS = [
    "A man is eating food.",
    "Someone in a gorilla costume is playing a set of drums, naïvely, on a Monday morning!",
    "Unaffable.",
]


@pytest.mark.slow
@pytest.mark.skipif(
    "BERT_TF_MINILM" not in os.environ,
    reason="BERT_TF_MINILM does not name the folder of all-MiniLM-L6-v2",
)
def test_hidden_states_equal_an_independent_computation():
    folder = pathlib.Path(os.environ["BERT_TF_MINILM"])
    model = load_model(folder)
    encoder = BertEncoder(model.config)
    report = assign_arrays(encoder.trainable_variables, model.arrays, model.source)
    assert not report.initialized and model.config.hidden_act == "gelu_erf"
    inputs = BertTokenizer(folder / "vocab.txt").encode(TEXTS)
    weights = safetensors.numpy.load_file(folder / "model.safetensors")
    mask = inputs["input_mask"].numpy()
    states = _forward(weights, inputs["input_word_ids"].numpy(), mask, model.config)
    outputs = encoder(inputs)
    real = mask.astype(bool)
    for ours, expected in zip(outputs["encoder_outputs"], states[1:], strict=True):
        assert np.abs(ours.numpy() - expected)[real].max() < 1e-4
    sentences = _sentence_embeddings(outputs["sequence_output"].numpy(), mask)
    np.testing.assert_allclose(sentences, _sentence_embeddings(states[-1], mask), atol=1e-5)


def _forward(weights, ids, mask, config):
    """Embedding output and every layer's, float64 [batch, seq, hidden]."""
    w = {k.removeprefix("bert."): v.astype(np.float64) for k, v in weights.items()}

    def dense(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        x /= np.sqrt((x**2).mean(-1, keepdims=True) + 1e-12)
        return x * w[f"{name}.weight"] + w[f"{name}.bias"]

    def heads(x):
        split = x.reshape(*x.shape[:2], config.num_attention_heads, -1)
        return split.transpose(0, 2, 1, 3)

    x = w["embeddings.word_embeddings.weight"][ids]
    x = x + w["embeddings.token_type_embeddings.weight"][0]
    x = x + w["embeddings.position_embeddings.weight"][: ids.shape[1]]
    states = [norm(x, "embeddings.LayerNorm")]
    for i in range(config.num_hidden_layers):
        x, place = states[-1], f"encoder.layer.{i}"
        q, k, v = (
            heads(dense(x, f"{place}.attention.self.{n}")) for n in ("query", "key", "value")
        )
        scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(config.head_size)
        context = scipy.special.softmax(scores - 1e9 * (1 - mask[:, None, None]), -1) @ v
        context = context.transpose(0, 2, 1, 3).reshape(x.shape)
        attended = dense(context, f"{place}.attention.output.dense") + x
        x = norm(attended, f"{place}.attention.output.LayerNorm")
        wide = dense(x, f"{place}.intermediate.dense")
        wide = wide * 0.5 * (1 + scipy.special.erf(wide / np.sqrt(2)))
        states.append(norm(dense(wide, f"{place}.output.dense") + x, f"{place}.output.LayerNorm"))
    return states


def _sentence_embeddings(hidden, mask):
    """all-MiniLM's sentence embedding: the mean over real tokens, of length 1."""
    mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)
