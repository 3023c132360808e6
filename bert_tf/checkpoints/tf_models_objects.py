"""tf-models-official's models, built from a configuration and filled with Google's arrays."""

import tf_keras as keras
from official.nlp.modeling import layers, models, networks

from bert_tf import keras_internals
from bert_tf.checkpoints import names

_ACTIVATIONS = {
    "gelu": lambda x: keras.activations.gelu(x, approximate=True),
    "gelu_erf": lambda x: keras.activations.gelu(x, approximate=False),
}


def build(config, arrays):
    """Builds the models that the arrays fill.

    Args:
      config: `BertConfig`, post-LN and dense.
      arrays: {Google name: array}, with a pooler.

    Returns:
      (objects, placed): keyword arguments of `tf.train.Checkpoint`, and the names of the arrays
      that were assigned.
    """
    encoder = build_encoder(config)
    places = encoder_variables(encoder)
    objects = {"encoder": encoder, "model": encoder}
    if _is_masked_lm(config, arrays):  # BertPretrainerV2 always has that head
        pretrainer, head_places = _build_pretrainer(config, encoder, arrays)
        places.update(head_places)
        objects.update(pretrainer.checkpoint_items, model=pretrainer)
    if "output_weights" in arrays:
        classifier = models.BertClassifier(encoder, num_classes=len(arrays["output_bias"]))
        projection = classifier.classifier.out_proj
        places.update(output_weights=[projection.kernel], output_bias=[projection.bias])
        if objects["model"] is not encoder:
            objects["pretrainer"] = objects["model"]
        objects["model"] = classifier
    placed = set(places) & set(arrays)
    for name in placed:
        value = arrays[name].T if name.endswith("output_weights") else arrays[name]
        for variable in places[name]:
            variable.assign(value.reshape(variable.shape))
    return objects, placed


def _is_masked_lm(config, arrays):
    """Whether the arrays have a whole masked-LM head."""
    head = [name for name in names.head_shapes(config) if name.startswith("cls/predictions/")]
    return all(name in arrays for name in head)


def build_encoder(config):
    """Returns a built tf-models-official `BertEncoderV2` of the configuration.

    Args:
      config: `BertConfig`, post-LN and dense.
    """
    encoder = networks.BertEncoderV2(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        num_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        embedding_width=config.embedding_width,
        max_sequence_length=config.max_position_embeddings,
        type_vocab_size=config.type_vocab_size,
        inner_dim=config.intermediate_size,
        inner_activation=_ACTIVATIONS.get(config.hidden_act, config.hidden_act),
        output_dropout=config.hidden_dropout_prob,
        attention_dropout=config.attention_probs_dropout_prob,
        initializer=keras.initializers.TruncatedNormal(stddev=config.initializer_range),
    )
    encoder(encoder.inputs)
    return encoder


def encoder_variables(encoder):
    """Returns {Google name: [variable]} of a built tf-models-official encoder.

    The variables keep the library's shapes: attention kernels are three-dimensional.
    """
    tables, norm, projection = keras_internals.embeddings_of_official_encoder(encoder)
    places = {f"bert/embeddings/{name}": [table] for name, table in tables.items()}
    places.update(_norm("bert/embeddings/LayerNorm", norm))
    if projection is not None:
        places.update(_dense(names.PROJECTION, projection))
    for i, layer in enumerate(encoder.transformer_layers):
        for name, part in keras_internals.parts_of_official_layer(layer).items():
            variables = _norm if name.endswith("LayerNorm") else _dense
            places.update(variables(f"bert/encoder/layer_{i}/{name}", part))
    return {**places, **_dense("bert/pooler/dense", encoder.pooler_layer)}


def _build_pretrainer(config, encoder, arrays):
    """Returns (BertPretrainerV2, {Google name: [variable]} of its heads and both its poolers)."""
    heads = []
    if "cls/seq_relationship/output_bias" in arrays:
        head = layers.ClassificationHead(config.hidden_size, 2, name="next_sentence")
        heads.append(head)
    pretrainer = models.BertPretrainerV2(
        encoder,
        mlm_activation=_ACTIVATIONS.get(config.hidden_act, config.hidden_act),
        classification_heads=heads,
    )
    pretrainer(pretrainer.inputs)
    lm = pretrainer.masked_lm
    places = {
        **_dense("cls/predictions/transform/dense", lm.dense),
        **_norm("cls/predictions/transform/LayerNorm", lm.layer_norm),
        "cls/predictions/output_bias": [lm.bias],
    }
    for head in heads:
        places["cls/seq_relationship/output_weights"] = [head.out_proj.kernel]
        places["cls/seq_relationship/output_bias"] = [head.out_proj.bias]
        # The library's next sentence head has the pooler inside it; the encoder's serves others.
        for leaf in ("kernel", "bias"):
            places[f"bert/pooler/dense/{leaf}"] = [
                getattr(encoder.pooler_layer, leaf),
                getattr(head.dense, leaf),
            ]
    return pretrainer, places


def _dense(scope, layer):
    return {f"{scope}/kernel": [layer.kernel], f"{scope}/bias": [layer.bias]}


def _norm(scope, layer):
    return {f"{scope}/gamma": [layer.gamma], f"{scope}/beta": [layer.beta]}
