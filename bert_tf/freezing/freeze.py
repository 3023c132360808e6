"""Freezes the bottom of an encoder: no gradients, no dropout, no optimizer slots."""

import tf_keras as keras

from bert_tf.encoder import BertEncoder


def find_encoder(model):
    """Returns the `BertEncoder` in a Keras model.

    Raises:
      ValueError: it has none, or several.
    """
    found = [layer for layer in model._flatten_layers() if isinstance(layer, BertEncoder)]
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
    if getattr(model, "_is_compiled", False):  # else `fit` undoes it
        model._compiled_trainable_state.update(model._get_trainable_state())
    if getattr(model, "optimizer", None) is not None:
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
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        _drop_legacy_slots(optimizer, live)
        return
    places = getattr(optimizer, "_index_dict", None)
    keys = [optimizer._var_key(v) for v in live]
    if not places:
        if create:
            optimizer.build(live)
        return
    if set(keys) == set(places):
        return
    before = _slot_lists(optimizer, len(places))
    if set(keys) <= set(places):
        kept = {name: [slots[places[key]] for key in keys] for name, slots in before.items()}
        dropped = _ids(before) - _ids(kept)
        optimizer._variables = [v for v in optimizer._variables if id(v) not in dropped]
    else:  # something thaws: its slots begin at zero
        dropped = _ids(before)
        optimizer._variables = [v for v in optimizer._variables if id(v) not in dropped]
        optimizer._built = False
        optimizer.build(live)
        new = _slot_lists(optimizer, len(live))
        old = {
            id(slot): before[name][places[key]]
            for name, slots in new.items()
            for key, slot in zip(keys, slots, strict=True)
            if key in places
        }
        kept = {name: [old.get(id(slot), slot) for slot in slots] for name, slots in new.items()}
        # In the order in which `build` makes them, which is that of a checkpoint.
        optimizer._variables = [old.get(id(v), v) for v in optimizer._variables]
    for name, slots in kept.items():
        setattr(optimizer, name, slots)
    if hasattr(optimizer, "_coalesced_children"):  # what an earlier checkpoint found to save
        del optimizer._coalesced_children
    optimizer._index_dict = {key: place for place, key in enumerate(keys)}


def _slot_lists(optimizer, count):
    """{attribute: its slots, one for each of `count` variables} of a built optimizer."""
    return {
        name: list(value)
        for name, value in vars(optimizer).items()
        if name != "_variables"
        and isinstance(value, list)
        and len(value) == count
        and all(hasattr(slot, "assign") for slot in value)
    }


def _ids(slot_lists):
    return {id(slot) for slots in slot_lists.values() for slot in slots}


def _drop_legacy_slots(optimizer, live):
    """The same for the older kind, such as official's LAMB, which makes missing slots itself."""
    from tf_keras.src.optimizers.legacy.optimizer_v2 import _var_key

    keys = {_var_key(v) for v in live}
    dropped = {
        id(slot)
        for key in set(optimizer._slots) - keys
        for slot in optimizer._slots.pop(key).values()
    }
    optimizer._weights = [w for w in optimizer._weights if id(w) not in dropped]
