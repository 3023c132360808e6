"""Tiny classifiers of every kind, and their loss in float64 NumPy with a gate on every unit."""

import math

import numpy as np

from bert_tf.checkpoints import names
from bert_tf.checkpoints.report import assign_arrays
from bert_tf.classification.model import SequenceClassifier
from bert_tf.config import BertConfig
from bert_tf.data.features import FeatureStore
from bert_tf.encoder import BertEncoder, kernels
from flop.compaction import MaskedKernel

CONFIG = BertConfig(
    vocab_size=30,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=12,
    max_position_embeddings=12,
    type_vocab_size=2,
)
KINDS = {
    "post-LN": {},
    "pre-LN": {"norm_position": "pre"},
    "gated": {"gated_ffn": True, "hidden_act": "relu"},
    "no bias": {"use_bias": False},
    "factorised": {"rank": 5},
    "masked": {"rank": 7, "masked": True},
    "everything": {
        "norm_position": "pre",
        "gated_ffn": True,
        "use_bias": False,
        "rank": 6,
        "masked": True,
    },
}
LABELS = 3
LENGTHS = np.array([4, 9, 2, 7, 6, 3])


def make_arrays(rank=None, masked=False, **changes):
    """Returns (config, arrays) of a classifier whose every weight matters.

    Args:
      rank: of every kernel's factors; None makes it dense.
      masked: whether the factors have gates, some of them closed.
      **changes: of `CONFIG`.
    """
    config, rng = CONFIG.replace(**changes), np.random.default_rng(4)

    def normal(shape):
        return rng.normal(scale=0.4, size=shape).astype(np.float32)

    arrays = {name: normal(shape) for name, shape in names.encoder_shapes(config).items()}
    arrays |= {name: 1 + a for name, a in arrays.items() if name.endswith("/gamma")}
    arrays |= {"output_weights": normal([LABELS, 16]), "output_bias": normal([LABELS])}
    for scope, (d_in, d_out) in names.dense_scopes(config).items() if rank is not None else ():
        del arrays[f"{scope}/kernel"]
        arrays |= {
            f"{scope}_p/kernel": normal([d_in, rank]),
            f"{scope}_q/kernel": normal([rank, d_out]),
        }
        if config.use_bias:
            arrays[f"{scope}_q/bias"] = arrays.pop(f"{scope}/bias")
        if masked:
            arrays[f"{scope}_g/log_alpha"] = np.linspace(-3, 3, rank, dtype=np.float32)
    return config, arrays


def make_model(config, arrays):
    """Returns the `SequenceClassifier` with these weights."""
    encoder = BertEncoder(config, kernels.factory(config, arrays))
    model = SequenceClassifier(config, LABELS, encoder=encoder)
    assign_arrays(model.model_weights, arrays, "test")
    return model


def make_store(labels=(0, 1, 2, 1, 0, 2)):
    """Returns a `FeatureStore` of six examples of 2 to 9 tokens."""
    rng = np.random.default_rng(1)
    return FeatureStore(
        ids=rng.integers(1, CONFIG.vocab_size, LENGTHS.sum()).astype(np.int32),
        offsets=np.cumsum([0, *LENGTHS]),
        first_lengths=LENGTHS // 2,
        labels=None if labels is None else np.asarray(labels, np.int32),
        fingerprint="test",
    )


def multiplied_out(arrays):
    """The arrays in float64, with one kernel in the place of factors and gates."""
    dense = {name: np.asarray(a, np.float64) for name, a in arrays.items()}
    for scope in [n.removesuffix("_p/kernel") for n in arrays if n.endswith("_p/kernel")]:
        p, q = dense.pop(f"{scope}_p/kernel"), dense.pop(f"{scope}_q/kernel")
        if f"{scope}_g/log_alpha" in dense:
            p *= MaskedKernel(p, q, dense.pop(f"{scope}_g/log_alpha")).gates()
        dense[f"{scope}/kernel"] = p @ q
        if f"{scope}_q/bias" in dense:
            dense[f"{scope}/bias"] = dense.pop(f"{scope}_q/bias")
    return dense


class GatedLoss:
    """The mean loss of a batch, computed from its formulas with a gate on every unit.

    `gates` {(layer, part): float64 [units]}, all ones: `heads` multiply attention probabilities;
    `up` and `gate` what goes into a neuron by either kernel, `down` what comes out of it.

    Args:
      config, arrays: a model of `make_arrays`.
    """

    def __init__(self, config, arrays):
        self.config, self.weights = config, multiplied_out(arrays)
        self.gates = {(i, "heads"): np.ones(config.num_attention_heads) for i in range(2)}
        for part in ("up", "down", "gate") if config.gated_ffn else ("up", "down"):
            self.gates |= {(i, part): np.ones(config.intermediate_size) for i in range(2)}

    def derivatives(self, inputs, labels, step=1e-5):
        """{(layer, part): [units]}: derivative by each gate, from differences."""
        found = {}
        for place, gate in self.gates.items():
            found[place] = np.zeros(len(gate))
            for unit in range(len(gate)):
                losses = []
                for gate[unit] in (1 + step, 1 - step):
                    losses.append(self(inputs, labels))
                gate[unit] = 1
                found[place][unit] = (losses[0] - losses[1]) / (2 * step)
        return found

    def __call__(self, inputs, labels):
        weights, ids = self.weights, inputs["input_word_ids"]
        embeddings = "bert/embeddings"
        hidden = weights[f"{embeddings}/word_embeddings"][ids]
        hidden = hidden + weights[f"{embeddings}/token_type_embeddings"][inputs["input_type_ids"]]
        hidden += weights[f"{embeddings}/position_embeddings"][: ids.shape[1]]
        hidden = self._norm(hidden, f"{embeddings}/LayerNorm")
        for layer in range(2):
            hidden = self._layer(hidden, inputs["input_mask"], layer)
        if self.config.norm_position == "pre":
            hidden = self._norm(hidden, "bert/encoder/LayerNorm")
        pooled = np.tanh(self._dense(hidden[:, 0], "bert/pooler/dense"))
        logits = pooled @ weights["output_weights"].T + weights["output_bias"]
        return np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(len(ids)), labels])

    def _layer(self, hidden, mask, layer):
        scope, pre = f"bert/encoder/layer_{layer}", self.config.norm_position == "pre"
        norm = f"{scope}/attention/output/LayerNorm"
        inputs = self._norm(hidden, norm) if pre else hidden
        context = self._attend(inputs, mask, scope, self.gates[layer, "heads"])
        hidden = hidden + self._dense(context, f"{scope}/attention/output/dense")
        hidden = hidden if pre else self._norm(hidden, norm)

        norm = f"{scope}/output/LayerNorm"
        inputs = self._norm(hidden, norm) if pre else hidden
        wide = self._dense(inputs, f"{scope}/intermediate/dense") * self.gates[layer, "up"]
        wide = np.maximum(wide, 0) if self.config.hidden_act == "relu" else _gelu(wide)
        if self.config.gated_ffn:
            wide *= self._dense(inputs, f"{scope}/intermediate/gate") * self.gates[layer, "gate"]
        hidden = hidden + self._dense(wide * self.gates[layer, "down"], f"{scope}/output/dense")
        return hidden if pre else self._norm(hidden, norm)

    def _attend(self, inputs, mask, scope, gate):
        batch, length, width = inputs.shape
        size = self.config.head_size
        query, key, value = (
            self._dense(inputs, f"{scope}/attention/self/{part}")
            .reshape(batch, length, -1, size)
            .swapaxes(1, 2)
            for part in ("query", "key", "value")
        )
        scores = query @ key.swapaxes(2, 3) / math.sqrt(size) - 1e4 * (1 - mask[:, None, None])
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares *= gate[:, None, None] / shares.sum(-1, keepdims=True)
        return (shares @ value).swapaxes(1, 2).reshape(batch, length, width)

    def _dense(self, x, scope):
        return x @ self.weights[f"{scope}/kernel"] + self.weights.get(f"{scope}/bias", 0)

    def _norm(self, x, scope):
        normal = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return normal * self.weights[f"{scope}/gamma"] + self.weights[f"{scope}/beta"]


def _gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
