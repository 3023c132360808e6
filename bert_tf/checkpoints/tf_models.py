"""tf-models-official's object-based checkpoints, both ways.

Its encoders keep attention kernels as [hidden, heads, head size] (queries, keys, values) and
[heads, head size, hidden] (output), classification kernels as [hidden, labels].
"""

import numpy as np

from bert_tf.checkpoints import bundle, finite, object_graph, shapes
from bert_tf.checkpoints.names import PROJECTION
from bert_tf.config import BertConfig
from bert_tf.errors import UserError
from bert_tf.packages import require_tf_models

_EMBEDDINGS = {
    "_embedding_layer/embeddings": "word_embeddings",
    "_position_embedding_layer/embeddings": "position_embeddings",
    "_type_embedding_layer/embeddings": "token_type_embeddings",
    "_embedding_norm_layer/gamma": "LayerNorm/gamma",
    "_embedding_norm_layer/beta": "LayerNorm/beta",
}
_LAYER = {
    "_attention_layer/_query_dense": "attention/self/query",
    "_attention_layer/_key_dense": "attention/self/key",
    "_attention_layer/_value_dense": "attention/self/value",
    "_attention_layer/_output_dense": "attention/output/dense",
    "_attention_layer_norm": "attention/output/LayerNorm",
    "_intermediate_dense": "intermediate/dense",
    "_output_dense": "output/dense",
    "_output_layer_norm": "output/LayerNorm",
}
_POOLER = "bert/pooler/dense/kernel"
_MASKED_LM = {
    "dense/kernel": "transform/dense/kernel",
    "dense/bias": "transform/dense/bias",
    "layer_norm/gamma": "transform/LayerNorm/gamma",
    "layer_norm/beta": "transform/LayerNorm/beta",
    "bias": "output_bias",
}
_HEADS = {
    "classifier": ("output_weights", "output_bias"),
    "next_sentence": ("cls/seq_relationship/output_weights", "cls/seq_relationship/output_bias"),
}


def read(prefix, config=None):
    """Reads a checkpoint of BertEncoder, BertEncoderV2, BertClassifier or BertPretrainerV2.

    The variables are found by their attributes in the saved object graph, wherever in it the
    encoder is (`tf.train.Checkpoint(model=...)`, `(encoder=...)`, with or without an optimizer).

    Args:
      prefix: checkpoint prefix, or a folder that `bundle.find_prefix` understands.
      config: the model's `BertConfig`; None infers it from the shapes, with the library's default
        activation (Google's gelu).

    Returns:
      (config, arrays, left): left is {Keras variable name: reason} of what was not taken.

    Raises:
      UserError: damaged files, no BERT encoder or more than one in the checkpoint, or other shapes
        than the configuration says.
    """
    prefix = bundle.find_prefix(prefix)
    graph = object_graph.ObjectGraph(prefix)
    if config is not None:
        shapes.check_representable(config, {}, "a tf-models-official checkpoint")
        shapes.check_square(config, "a tf-models-official checkpoint")
    places, heads = _encoder_places(graph)
    encoder_nodes = set(places.values())
    table = places["bert/embeddings/word_embeddings"]
    tied, untied = _masked_lm_heads(graph, table)
    places.update(_head_places(graph, tied))
    arrays = {name: _as_google(name, graph.read(node)) for name, node in places.items()}
    if config is None:
        config = _inferred_config(arrays, heads)
    elif config.num_attention_heads != heads:
        raise UserError(
            f"{prefix}: its kernels have {heads} attention heads, the configuration says"
            f" {config.num_attention_heads}"
        )
    shapes.check_shapes(config, arrays, prefix)
    taken = set(places.values())
    reasons = dict.fromkeys(encoder_nodes, "the head has its own pooler")
    for head in untied:
        for path in (*_MASKED_LM, "embedding_table"):
            reasons[graph.follow(head, path)] = (
                "masked-LM head, not taken: its decoder differs from the word embeddings"
            )
    left = {
        name: reasons.get(node, "not part of BERT")
        for node, name in graph.variables().items()
        if node not in taken
    }
    if graph.slot_count():
        left[f"{graph.slot_count()} optimizer variables"] = "training state"
    return config, arrays, left


def _encoder_parts(graph):
    """Returns ({attribute: node}, [node of a layer]) of the one encoder in the graph."""
    encoders = graph.find("_transformer_layers", "_embedding_layer", "_pooler_layer")
    old_style = [] if encoders else _old_encoders(graph)
    if len(encoders) + len(old_style) != 1:
        raise UserError(
            f"{graph.prefix}: expected one tf-models-official BERT encoder in the checkpoint,"
            f" found {len(encoders) + len(old_style)}"
        )
    if encoders:
        parts = dict(graph.children(encoders[0]))
        layer_list = graph.children(parts["_transformer_layers"])
        layers = [layer_list[str(i)] for i in range(len(layer_list))]
    else:
        parts, layers = old_style[0]
    return parts, layers


def _encoder_places(graph):
    """Returns ({Google name: node}, number of heads) of the one encoder in the graph."""
    parts, layers = _encoder_parts(graph)
    places = {}
    for path, name in _EMBEDDINGS.items():
        attribute, leaf = path.split("/")
        places[f"bert/embeddings/{name}"] = graph.follow(parts[attribute], leaf)
    dense = {"bert/pooler/dense": "_pooler_layer", PROJECTION: "_embedding_projection"}
    for scope, attribute in dense.items():
        for leaf in ("kernel", "bias") if attribute in parts else ():
            places[f"{scope}/{leaf}"] = graph.follow(parts[attribute], leaf)
    for i, layer in enumerate(layers):
        for path, name in _LAYER.items():
            for leaf in ("gamma", "beta") if name.endswith("LayerNorm") else ("kernel", "bias"):
                google_name = f"bert/encoder/layer_{i}/{name}/{leaf}"
                places[google_name] = graph.follow(layer, f"{path}/{leaf}")
    for name, node in places.items():
        if node is None or graph.variable(node) is None:
            near = shapes.nearest_names(name, list(graph.variables().values()))
            raise UserError(
                f"{graph.prefix}: the encoder has nothing where {name} is expected{near}"
            )
    query = places["bert/encoder/layer_0/attention/self/query/kernel"] if layers else None
    if query is None or graph.read(query).ndim != 3:
        raise UserError(f"{graph.prefix}: the encoder has no multi-head attention layer")
    return places, graph.read(query).shape[1]


def _old_encoders(graph):
    """Encoders of old releases, which saved layers by number only: [(parts, layers)]."""
    order = ("_embedding_layer", "_position_embedding_layer", "_type_embedding_layer")
    found = []
    for node in range(len(graph)):
        children = graph.children(node)
        numbered = []
        while f"layer_with_weights-{len(numbered)}" in children:
            numbered.append(children[f"layer_with_weights-{len(numbered)}"])
        embeddings, layers = numbered[:4], numbered[4:-1]
        if layers and all("_attention_layer" in graph.children(n) for n in layers):
            parts = dict(zip((*order, "_embedding_norm_layer"), embeddings, strict=True))
            found.append(({**parts, "_pooler_layer": numbered[-1]}, layers))
    return found


def _masked_lm_heads(graph, table):
    """Returns (tied, untied): the heads' nodes, by whether their decoder is the node `table`."""
    tied, untied = [], []
    for node in graph.find("embedding_table", "dense", "layer_norm", "bias"):
        decoder = graph.follow(node, "embedding_table")
        same = decoder == table or np.array_equal(graph.read(decoder), graph.read(table))
        (tied if same else untied).append(node)
    return tied, untied


def _head_places(graph, masked_lm_heads):
    """Returns {Google name: node} of the task heads; their own pooler replaces the encoder's."""
    places = {}
    for node in masked_lm_heads:
        for path, name in _MASKED_LM.items():
            places[f"cls/predictions/{name}"] = graph.follow(node, path)
    heads = {"next_sentence": [], "classifier": []}
    for node in graph.find("out_proj"):
        _, keras_name = graph.variable(graph.follow(node, "out_proj/kernel"))
        kind = "next_sentence" if "next_sentence/" in keras_name else "classifier"
        heads[kind].append(node)
    for kind, nodes in heads.items():
        if len(nodes) > 1:
            raise UserError(f"{graph.prefix}: holds {len(nodes)} {kind} heads, expected one")
        for node in nodes:
            weights, bias = _HEADS[kind]
            places[weights] = graph.follow(node, "out_proj/kernel")
            places[bias] = graph.follow(node, "out_proj/bias")
            if "dense" in graph.children(node):
                for leaf in ("kernel", "bias"):
                    places[f"bert/pooler/dense/{leaf}"] = graph.follow(node, f"dense/{leaf}")
    return places


def _as_google(name, array):
    """Returns a tf-models-official array in Google's shape for `name`."""
    if name.endswith("output_weights"):
        return np.ascontiguousarray(array.T)
    if name.endswith("attention/output/dense/kernel"):
        return array.reshape(-1, array.shape[-1])
    if "/attention/self/" in name:
        return array.reshape(array.shape[0], -1) if name.endswith("kernel") else array.reshape(-1)
    return array


def _inferred_config(arrays, heads):
    """The configuration that the shapes and the attention kernels' head count tell."""
    embeddings = "bert/embeddings"
    width, hidden = arrays[f"{embeddings}/word_embeddings"].shape[1], arrays[_POOLER].shape[0]
    return BertConfig(
        vocab_size=len(arrays[f"{embeddings}/word_embeddings"]),
        hidden_size=int(hidden),
        embedding_size=int(width) if width != hidden else None,
        num_hidden_layers=sum(n.endswith("/intermediate/dense/bias") for n in arrays),
        num_attention_heads=int(heads),
        intermediate_size=len(arrays["bert/encoder/layer_0/intermediate/dense/bias"]),
        max_position_embeddings=len(arrays[f"{embeddings}/position_embeddings"]),
        type_vocab_size=len(arrays[f"{embeddings}/token_type_embeddings"]),
    )


def write(prefix, config, arrays):
    """Writes what `tf.train.Checkpoint(model=model, encoder=encoder)` of the library writes.

    `encoder` is a BertEncoderV2; `model` is a BertClassifier when there are output_weights, else a
    BertPretrainerV2 when there is a masked-LM head, else the encoder. With both kinds of heads, the
    BertPretrainerV2 is saved as `pretrainer`. Its own `checkpoint_items` are saved too. A
    next-sentence head alone has no place: the library's model would add a random masked-LM head.

    Args:
      prefix: checkpoint prefix; its folder is made if need be.
      config: `BertConfig`, post-LN.
      arrays: {Google name: array}.

    Returns:
      {name: reason} of the arrays that the library's models have no place for.

    Raises:
      UserError: the model cannot be represented, tf-models-official is not installed, or the files
        cannot be written.
    """
    import tensorflow as tf

    shapes.check_representable(config, arrays, "a tf-models-official checkpoint")
    shapes.check_square(config, "a tf-models-official checkpoint")
    shapes.check_shapes(config, arrays, prefix)
    finite.check(arrays, prefix)
    if _POOLER not in arrays:
        raise UserError(
            f"{prefix}: the model has no pooler, which tf-models-official's encoders always have"
        )
    if config.pooler_act != "tanh":
        raise UserError(
            f"{prefix}: the activation of the model's pooler is {config.pooler_act} (pooler_act of"
            " its configuration), that of tf-models-official's encoders tanh: write a model folder"
            " or a Hugging Face folder"
        )
    require_tf_models(f"{prefix}: writing a tf-models-official checkpoint")
    from bert_tf.checkpoints import tf_models_objects

    config, arrays = shapes.with_token_types(*shapes.with_biases(config, arrays))
    objects, placed = tf_models_objects.build(config, arrays)
    with bundle.atomic_prefix(prefix) as temporary:
        tf.train.Checkpoint(**objects).write(temporary)
    return {n: "no place in tf-models-official's models" for n in sorted(set(arrays) - placed)}
