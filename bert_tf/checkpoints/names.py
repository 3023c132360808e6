"""Google BERT's variable names and their shapes, as a function of the configuration."""

# What optimizers and training loops leave in a checkpoint: nothing that a model needs.
TRAINING_LEAVES = ("adam_m", "adam_v", "Adam", "Adam_1", "Momentum")
TRAINING_NAMES = ("global_step", "beta1_power", "beta2_power")
PROJECTION = "bert/embeddings_project"
"""Scope of the dense layer from narrow embeddings to the hidden states, as ELECTRA names it."""


def is_training_state(name, others=()):
    """Whether `name` is an optimizer slot or a counter, not a weight.

    Args:
      name: of a variable.
      others: the names beside it. What lies under one of them is its slot, whatever the optimizer
        calls it.
    """
    scope, _, leaf = name.rpartition("/")
    return leaf in TRAINING_LEAVES or leaf in TRAINING_NAMES or scope in others


def dense_scopes(config):
    """Returns {scope: (d_in, d_out)} of the kernels of each layer, which may be factorised.

    Args:
      config: `BertConfig`.
    """
    hidden, scopes = config.hidden_size, {}
    for i in range(config.num_hidden_layers):
        layer = f"bert/encoder/layer_{i}"
        heads, wide = config.units_of(i)
        attention = heads * config.head_size
        for part in ("query", "key", "value"):
            scopes[f"{layer}/attention/self/{part}"] = (hidden, attention)
        scopes[f"{layer}/attention/output/dense"] = (attention, hidden)
        scopes[f"{layer}/intermediate/dense"] = (hidden, wide)
        if config.gated_ffn:
            scopes[f"{layer}/intermediate/gate"] = (hidden, wide)
        scopes[f"{layer}/output/dense"] = (wide, hidden)
    return scopes


def encoder_shapes(config):
    """Returns {name: shape} of the dense encoder's variables; shapes are tuples.

    Args:
      config: `BertConfig`; its `pruned_layers_dim` is not looked at.
    """
    hidden, narrow = config.hidden_size, config.embedding_width
    shapes = {
        "bert/embeddings/word_embeddings": (config.vocab_size, narrow),
        "bert/embeddings/token_type_embeddings": (config.type_vocab_size, narrow),
        "bert/embeddings/position_embeddings": (config.max_position_embeddings, narrow),
    }
    if not config.type_vocab_size:
        del shapes["bert/embeddings/token_type_embeddings"]
    for leaf in ("gamma", "beta"):
        shapes[f"bert/embeddings/LayerNorm/{leaf}"] = (narrow,)
    norms = []
    for i in range(config.num_hidden_layers):
        layer = f"bert/encoder/layer_{i}"
        norms += [f"{layer}/attention/output/LayerNorm", f"{layer}/output/LayerNorm"]
    if config.norm_position == "pre":
        norms.append("bert/encoder/LayerNorm")
    for scope in norms:
        shapes[f"{scope}/gamma"] = shapes[f"{scope}/beta"] = (hidden,)
    scopes, dense = dense_scopes(config), {"bert/pooler/dense": (hidden, hidden)}
    if config.projects_embeddings:
        dense[PROJECTION] = (narrow, hidden)
    for scope, (d_in, d_out) in {**scopes, **dense}.items():
        shapes[f"{scope}/kernel"] = (d_in, d_out)
        if config.use_bias or scope in dense:
            shapes[f"{scope}/bias"] = (d_out,)
    return shapes


def head_shapes(config):
    """Returns {name: shape} of the known heads; None stands for the number of labels.

    Args:
      config: `BertConfig`.
    """
    hidden, narrow = config.hidden_size, config.embedding_width
    transform = "cls/predictions/transform"
    return {
        "output_weights": (None, hidden),
        "output_bias": (None,),
        f"{transform}/dense/kernel": (hidden, narrow),
        f"{transform}/dense/bias": (narrow,),
        f"{transform}/LayerNorm/gamma": (narrow,),
        f"{transform}/LayerNorm/beta": (narrow,),
        "cls/predictions/output_bias": (config.vocab_size,),
        "cls/seq_relationship/output_weights": (2, hidden),
        "cls/seq_relationship/output_bias": (2,),
        "cls/squad/output_weights": (2, hidden),
        "cls/squad/output_bias": (2,),
    }


def is_optional(name):
    """Whether an encoder may lack the variable: the pooler, and gates, which begin open."""
    return not name.startswith("bert/") or name.startswith("bert/pooler/") or is_gate(name)


def is_gate(name):
    """Whether `name` is the log_alpha of a masked kernel."""
    return name.endswith("_g/log_alpha")
