"""DistilBERT, ELECTRA and BERT as Hugging Face publishes them: folders, and what they compute.

Written from their papers and tensor names, in numpy: nothing here comes from the library.
"""

import json
import math

import numpy as np
import safetensors.numpy
from scipy import special

ACTIVATIONS = {
    "gelu": lambda x: x * 0.5 * (1 + special.erf(x / math.sqrt(2))),
    "gelu_new": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
}
BERT = {
    "model_type": "bert", "architectures": ["BertModel"], "vocab_size": 40, "hidden_size": 12,
    "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 20,
    "hidden_act": "gelu", "max_position_embeddings": 16, "type_vocab_size": 2,
    "layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
    "initializer_range": 0.02, "pad_token_id": 0,
}  # fmt: skip
ELECTRA = {
    **BERT, "model_type": "electra", "architectures": ["ElectraModel"], "embedding_size": 8,
}  # fmt: skip
DISTILBERT = {
    "model_type": "distilbert", "architectures": ["DistilBertModel"], "vocab_size": 40, "dim": 12,
    "n_layers": 2, "n_heads": 3, "hidden_dim": 20, "activation": "gelu", "dropout": 0.1,
    "attention_dropout": 0.1, "max_position_embeddings": 16, "initializer_range": 0.02,
    "sinusoidal_pos_embds": False, "tie_weights_": True, "pad_token_id": 0,
}  # fmt: skip
PLAIN = {"bert": BERT, "electra": ELECTRA, "distilbert": DISTILBERT}


class Shapes(dict):
    """{tensor name: shape}, filled part by part."""

    def dense(self, name, d_in, d_out):
        self[f"{name}.weight"], self[f"{name}.bias"] = (d_out, d_in), (d_out,)

    def norm(self, name, width):
        self[f"{name}.weight"] = self[f"{name}.bias"] = (width,)


def shapes(config, labels=None, masked_lm=False, pooler=False):
    """{tensor name: shape} of a model.

    Args:
      config: dict of config.json.
      labels: outputs of a classifier of sentences, None for none.
      masked_lm: whether there is a masked-LM head (ELECTRA's generator).
      pooler: whether a BERT has its pooler.
    """
    kind = config["model_type"]
    if kind == "distilbert":
        return _distilbert(config, labels, masked_lm)
    found, width = Shapes(), config["hidden_size"]
    narrow, wide = config.get("embedding_size", width), config["intermediate_size"]
    for table, rows in (
        ("word", config["vocab_size"]),
        ("position", config["max_position_embeddings"]),
        ("token_type", config["type_vocab_size"]),
    ):
        found[f"{kind}.embeddings.{table}_embeddings.weight"] = (rows, narrow)
    found.norm(f"{kind}.embeddings.LayerNorm", narrow)
    if narrow != width:
        found.dense(f"{kind}.embeddings_project", narrow, width)
    for i in range(config["num_hidden_layers"]):
        at = f"{kind}.encoder.layer.{i}"
        for part in ("query", "key", "value"):
            found.dense(f"{at}.attention.self.{part}", width, width)
        found.dense(f"{at}.attention.output.dense", width, width)
        found.norm(f"{at}.attention.output.LayerNorm", width)
        found.dense(f"{at}.intermediate.dense", width, wide)
        found.dense(f"{at}.output.dense", wide, width)
        found.norm(f"{at}.output.LayerNorm", width)
    if pooler:
        found.dense("bert.pooler.dense", width, width)
    if labels and kind == "electra":
        found.dense("classifier.dense", width, width)
        found.dense("classifier.out_proj", width, labels)
    if masked_lm:
        found.dense("generator_predictions.dense", width, narrow)
        found.norm("generator_predictions.LayerNorm", narrow)
        found["generator_lm_head.bias"] = (config["vocab_size"],)
    return found


def _distilbert(config, labels, masked_lm):
    found, width = Shapes(), config["dim"]
    for table, rows in (
        ("word", config["vocab_size"]),
        ("position", config["max_position_embeddings"]),
    ):
        found[f"distilbert.embeddings.{table}_embeddings.weight"] = (rows, width)
    found.norm("distilbert.embeddings.LayerNorm", width)
    for i in range(config["n_layers"]):
        at = f"distilbert.transformer.layer.{i}"
        for part in ("q_lin", "k_lin", "v_lin", "out_lin"):
            found.dense(f"{at}.attention.{part}", width, width)
        found.norm(f"{at}.sa_layer_norm", width)
        found.dense(f"{at}.ffn.lin1", width, config["hidden_dim"])
        found.dense(f"{at}.ffn.lin2", config["hidden_dim"], width)
        found.norm(f"{at}.output_layer_norm", width)
    if labels:
        found.dense("pre_classifier", width, width)
        found.dense("classifier", width, labels)
    if masked_lm:
        found.dense("vocab_transform", width, width)
        found.norm("vocab_layer_norm", width)
        found["vocab_projector.bias"] = (config["vocab_size"],)
    return found


def random_tensors(found, seed=0):
    """{name: float32 array} of shapes, large enough for every part to matter."""
    rng = np.random.default_rng(seed)
    return {
        name: (
            1 + 0.3 * rng.normal(size=shape)
            if name.lower().endswith("norm.weight")
            else rng.normal(scale=0.4, size=shape)
        ).astype(np.float32)
        for name, shape in found.items()
    }


def write(folder, config, tensors, vocab=None):
    """Writes the files of a folder; returns it.

    Args:
      folder: `pathlib.Path`.
      config: dict of config.json.
      tensors: {name: array}.
      vocab: lines of vocab.txt, None for none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    safetensors.numpy.save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    if vocab:
        (folder / "vocab.txt").write_text("\n".join(vocab) + "\n", encoding="utf-8")
    return folder


def hidden_states(config, tensors, ids, mask, types):
    """The embedding output and that of each layer, float64 [batch, length, hidden] each.

    Args:
      config: dict of config.json.
      tensors: {name: array}.
      ids, mask, types: int [batch, length].
    """
    weights = {name: value.astype(np.float64) for name, value in tensors.items()}
    kind = config["model_type"]
    own = kind == "distilbert"
    eps = 1e-12 if own else config["layer_norm_eps"]
    heads = config["n_heads" if own else "num_attention_heads"]
    act = ACTIVATIONS[config["activation" if own else "hidden_act"]]
    names = (
        ("transformer", "attention.q_lin", "attention.k_lin", "attention.v_lin",
         "attention.out_lin", "sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm")
        if own
        else ("encoder", "attention.self.query", "attention.self.key", "attention.self.value",
              "attention.output.dense", "attention.output.LayerNorm", "intermediate.dense",
              "output.dense", "output.LayerNorm")
    )  # fmt: skip
    stack, *parts = names

    def dense(x, name):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(-1, keepdims=True) + eps)
        return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    at = f"{kind}.embeddings"
    x = weights[f"{at}.word_embeddings.weight"][ids]
    x = x + weights[f"{at}.position_embeddings.weight"][: ids.shape[1]]
    if f"{at}.token_type_embeddings.weight" in weights:
        x = x + weights[f"{at}.token_type_embeddings.weight"][types]
    x = norm(x, f"{at}.LayerNorm")
    if f"{kind}.embeddings_project.weight" in weights:
        x = dense(x, f"{kind}.embeddings_project")
    found = [x]
    for i in range(config["n_layers" if own else "num_hidden_layers"]):
        q, k, v, out, norm1, lin1, lin2, norm2 = (f"{kind}.{stack}.layer.{i}.{p}" for p in parts)
        split = [
            dense(x, name).reshape(*ids.shape, heads, -1).transpose(0, 2, 1, 3)
            for name in (q, k, v)
        ]
        scores = split[0] @ split[1].transpose(0, 1, 3, 2) / math.sqrt(split[0].shape[-1])
        scores = np.where(mask[:, None, None, :] == 0, -1e30, scores)
        probabilities = special.softmax(scores, -1)
        context = (probabilities @ split[2]).transpose(0, 2, 1, 3).reshape(x.shape)
        x = norm(dense(context, out) + x, norm1)
        x = norm(dense(act(dense(x, lin1)), lin2) + x, norm2)
        found.append(x)
    return found


def logits(config, tensors, last):
    """The classifier's logits of the last hidden states: first token, layer, activation, layer."""
    first, own = last[:, 0], config["model_type"] == "distilbert"
    layer, output = ("pre_classifier", "classifier") if own else (
        "classifier.dense", "classifier.out_proj",
    )  # fmt: skip
    act = ACTIVATIONS["relu" if own else "gelu"]
    hidden = act(first @ tensors[f"{layer}.weight"].T + tensors[f"{layer}.bias"])
    return hidden @ tensors[f"{output}.weight"].T + tensors[f"{output}.bias"]


def masked_lm_logits(config, tensors, last):
    """Logits over the vocabulary, the decoder tied to the word embeddings."""
    own = config["model_type"] == "distilbert"
    layer, scope = ("vocab_transform", "vocab_layer_norm") if own else (
        "generator_predictions.dense", "generator_predictions.LayerNorm",
    )  # fmt: skip
    act = ACTIVATIONS[config["activation"] if own else "gelu"]
    x = act(last @ tensors[f"{layer}.weight"].T + tensors[f"{layer}.bias"])
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-12)
    x = x * tensors[f"{scope}.weight"] + tensors[f"{scope}.bias"]
    bias = tensors["vocab_projector.bias" if own else "generator_lm_head.bias"]
    return x @ tensors[f"{config['model_type']}.embeddings.word_embeddings.weight"].T + bias
