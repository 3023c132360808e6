"""Small random models with every switch of the configuration, to be exported."""

import numpy as np

from bert_tf.checkpoints import names, shapes
from bert_tf.checkpoints.model_folder import LoadedModel
from bert_tf.config import BertConfig
from bert_tf.export import source

SHAPE = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
    "type_vocab_size": 2,
}
SWITCHES = {
    "google": {"hidden_act": "gelu"},
    "hugging_face": {"hidden_act": "gelu_erf", "layer_norm_eps": 1e-5},
    "pre_norm": {"norm_position": "pre", "hidden_act": "gelu_erf"},
    "gated": {"gated_ffn": True, "use_bias": False},
    "relu": {"hidden_act": "relu", "type_vocab_size": 1},
    "tanh": {"hidden_act": "tanh", "num_hidden_layers": 1},
    "linear": {"hidden_act": "linear", "norm_position": "pre", "num_hidden_layers": 3},
    "distilbert": {"type_vocab_size": 0, "pooler_act": "relu", "hidden_act": "gelu_erf"},
    "electra": {"embedding_size": 6, "pooler_act": "gelu_erf", "hidden_act": "gelu_erf"},
    "uneven": {"attention_head_size": 4, "layer_heads": [3, 1], "layer_neurons": [7, 20]},
}
"""Names of configurations, and how they differ from Google's."""
HEADS = {
    "classification": {"output_weights": (3, 16), "output_bias": (3,)},
    "regression": {"output_weights": (1, 16), "output_bias": (1,)},
    "masked_lm": {},
    "encoder": {},
}
"""Names of heads, and the arrays of those of sentences."""


def make(switches="google", head="classification", ranks=(), pooler=True, seed=0):
    """Returns the `ExportSource` of a random model.

    Args:
      switches: a name of `SWITCHES`.
      head: a name of `HEADS`.
      ranks: given to the first kernels, which are then factorised.
      pooler: whether there is one.
      seed: of the weights.
    """
    config = BertConfig(**{**SHAPE, **SWITCHES[switches]})
    expected = {**names.encoder_shapes(config), **HEADS[head]}
    if head == "masked_lm":
        known = names.head_shapes(config).items()
        expected |= {name: shape for name, shape in known if name.startswith("cls/predictions/")}
    for scope, rank in zip(names.dense_scopes(config), ranks, strict=False):
        d_in, d_out = expected.pop(f"{scope}/kernel")
        expected[f"{scope}_p/kernel"], expected[f"{scope}_q/kernel"] = (d_in, rank), (rank, d_out)
        if expected.pop(f"{scope}/bias", None):
            expected[f"{scope}_q/bias"] = (d_out,)
    rng = np.random.default_rng(seed)
    arrays = {
        name: (rng.normal(scale=0.3, size=shape) + name.endswith("gamma")).astype(np.float32)
        for name, shape in expected.items()
        if pooler or "pooler" not in name
    }
    shapes.check_shapes(config, arrays, "random model")
    task = {"labels": ["no", "yes", "maybe"]} if head == "classification" else {"labels": None}
    return source.of(LoadedModel(config, arrays, "random model", task=task))
