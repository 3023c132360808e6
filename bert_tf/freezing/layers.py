"""Freezes the bottom of an encoder: no gradients, no dropout, no optimizer slots."""

import tf_keras as keras

from bert_tf import keras_internals
from bert_tf.encoder import BertEncoder


def find_encoder(model):
    """Returns the `BertEncoder` in a Keras model.

    Raises:
      ValueError: it has none, or several.
    """
    layers = keras_internals.layers_of(model)
    found = [layer for layer in layers if isinstance(layer, BertEncoder)]
    if len(found) != 1:
        raise ValueError(f"the model has {len(found)} bert_tf encoders; freezing needs exactly one")
    return found[0]


def freeze(model, num_layers, keep_slots=False):
    """Freezes the embeddings and the first layers of a model's encoder.

    What is frozen runs as in inference; the backward pass ends above it. A model that is training
    goes on with the state of its optimizer: the slots of live variables stay as they are, and the
    training step is traced once more at its next call.

    Args:
      model: Keras model with one `BertEncoder`, compiled or not.
      num_layers: 0 thaws everything; -1 freezes the embeddings only; n > 0 the embeddings and the
        first n layers.
      keep_slots: keep the slots of what is frozen, for a model that may be thawed again.

    Raises:
      ValueError: the encoder has fewer layers, or the model no encoder.

    Example:
      >>> freeze(model, 4)
      >>> model.fit(dataset)
    """
    encoder = find_encoder(model)
    encoder.freeze(num_layers)
    with_slots = _trained(model)
    if keep_slots:
        encoder.freeze(0)
        with_slots = _trained(model)
        encoder.freeze(num_layers)
    if getattr(model, "optimizer", None) is not None:  # compiled
        keras_internals.keep_trainable(model)
        match_slots(model.optimizer, with_slots, create=keep_slots)
    if getattr(model, "train_function", None) is not None:
        model.make_train_function(force=True)


def _trained(model):
    return getattr(model, "trained_weights", model.trainable_variables)


def match_slots(optimizer, live, create=False):
    """Gives the optimizer slots for `live` and no other variables; those there keep their values.

    Args:
      optimizer: Keras optimizer, built or not; a loss-scaling one, too.
      live: variables that are trained from now on, in the model's order.
      create: make the slots of an optimizer that has none yet; else its first update does.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if not isinstance(optimizer, keras.optimizers.Optimizer):  # such as official's LAMB
        keras_internals.drop_legacy_slots(optimizer, live)
    elif not keras_internals.has_slots(optimizer):
        if create:
            optimizer.build(live)
    elif isinstance(optimizer, keras_internals.SlotOptimizer):
        optimizer.keep_slots(live)
    else:
        keras_internals.keep_slots(optimizer, live)
