"""What bert_tf uses of TensorFlow, Keras and tf-models-official beside their public interfaces.

No other file touches a private name of theirs. A function says what it does for us; its test, what
it relies on and what would go wrong without.
"""

import tf_keras as keras
from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2
from tensorflow.python.eager import context

from flop.keras_internals import report_first_replica as report_first_replica


def add_in_order():
    """Makes TensorFlow add up several tensors in their own order, in every `tf.function`.

    Where a step might take more than 0.8 of the device's memory, and of a CPU TensorFlow takes 256
    MB for granted, its graph optimizer adds them to a variable as they come: another order, and
    another last bit, each time. Gradient accumulation is enough for that. Call it in the thread
    that trains.
    """
    config, own = config_pb2.ConfigProto(), context.context()
    if own._config is not None:
        config.CopyFrom(own._config)
    rewrites = config.graph_options.rewrite_options
    rewrites.memory_optimization = rewriter_config_pb2.RewriterConfig.NO_MEM_OPT
    own._config = config
    own.function_call_options = None  # what this thread made of the configuration before


def layers_of(model):
    """Returns a list of all layers in a model, itself and those nested in others included."""
    return list(model._flatten_layers())


def keep_trainable(model):
    """Makes `fit` keep the layers' `trainable` as it is now; it would undo changes since `compile`.

    Args:
      model: compiled Keras model.
    """
    model._compiled_trainable_state.update(model._get_trainable_state())


def take_tensors(callback):
    """Gives a callback the logs as tensors; else Keras reads all of them after every step."""
    callback._supports_tf_logs = True


class SlotOptimizer(keras.optimizers.Optimizer):
    """Base of an optimizer whose `update_step` does the whole update of a variable.

    Weight decay and the repeated rows of a sparse gradient are left to it; Keras would do both in
    separate passes. A subclass names its slots; they are kept in the attributes `_<name>`.

    Args:
      learning_rate: a float or a schedule.
      name: the optimizer's name.
    """

    slot_names = ()

    def __init__(self, learning_rate, name):
        # jit_compile would compile one kernel per variable on a GPU.
        super().__init__(name=name, jit_compile=False)
        self._learning_rate = self._build_learning_rate(learning_rate)

    def build(self, var_list):
        """Creates the slots, zeros of each variable's shape, where there are none yet."""
        super().build(var_list)
        if getattr(self, "_built", False):
            return
        for name in self.slot_names:
            slots = [self.add_variable_from_reference(v, name) for v in var_list]
            setattr(self, f"_{name}", slots)
        self._built = True

    def slots_of(self, variable):
        """Returns the slots of a variable, in the order of `slot_names`."""
        place = self._index_dict[self._var_key(variable)]
        return [getattr(self, f"_{name}")[place] for name in self.slot_names]

    def keep_slots(self, variables):
        """Has slots for `variables` and no others: those there stay, new ones begin at zero.

        Args:
          variables: what is trained from now on, in the model's order.
        """
        places, keys = self._index_dict, [self._var_key(v) for v in variables]
        if set(keys) == set(places):
            return
        before = {id(x) for name in self.slot_names for x in getattr(self, f"_{name}")}
        others, kept = [v for v in self._variables if id(v) not in before], []
        for name in self.slot_names:
            old = getattr(self, f"_{name}")
            slots = [
                old[places[key]] if key in places else self.add_variable_from_reference(v, name)
                for key, v in zip(keys, variables, strict=True)
            ]
            setattr(self, f"_{name}", slots)
            kept += slots
        self._variables = [*others, *kept]  # as `build` would order them, and a checkpoint does
        self._index_dict = {key: place for place, key in enumerate(keys)}
        _forget_children(self)

    def is_decayed(self, variable):
        """Whether weight decay applies to a variable, by `exclude_from_weight_decay`."""
        return self._use_weight_decay(variable)

    def get_config(self):
        return {
            "name": self.name,
            "learning_rate": self._serialize_hyperparameter(self._learning_rate),
            "exclude_from_weight_decay": list(self._exclude_from_weight_decay_names),
        }

    def _apply_weight_decay(self, variables):
        """Nothing: Keras' separate pass over all variables is part of `update_step`."""

    def _deduplicate_sparse_grad(self, grads):
        """Nothing: `update_step` adds up the repeated rows."""
        return grads


def has_slots(optimizer):
    """Whether a Keras optimizer, not of the older kind, has been built."""
    return bool(getattr(optimizer, "_index_dict", None))


def keep_slots(optimizer, variables):
    """Does what `SlotOptimizer.keep_slots` does for any other Keras optimizer that is built.

    Its slots are taken to be those attributes that list one variable for each it was built for.
    """
    places, keys = optimizer._index_dict, [optimizer._var_key(v) for v in variables]
    if set(keys) == set(places):
        return
    before = _slot_lists(optimizer, len(places))
    dropped = {id(slot) for slots in before.values() for slot in slots}
    optimizer._variables = [v for v in optimizer._variables if id(v) not in dropped]
    optimizer._built = False
    optimizer.build(variables)
    after = _slot_lists(optimizer, len(keys))
    old = {
        id(slot): before[name][places[key]]
        for name, slots in after.items()
        for key, slot in zip(keys, slots, strict=True)
        if key in places
    }
    for name, slots in after.items():
        setattr(optimizer, name, [old.get(id(slot), slot) for slot in slots])
    optimizer._variables = [old.get(id(v), v) for v in optimizer._variables]
    _forget_children(optimizer)


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


def _forget_children(optimizer):
    """Makes the next checkpoint look anew at what the optimizer has to save."""
    if hasattr(optimizer, "_coalesced_children"):
        del optimizer._coalesced_children


def create_legacy_slots(optimizer, variables):
    """Creates the variables of an optimizer of the older kind, which its first update would."""
    optimizer._create_all_weights(variables)


def drop_legacy_slots(optimizer, variables):
    """Drops the slots of all but `variables`; this kind makes missing ones itself."""
    from tf_keras.src.optimizers.legacy.optimizer_v2 import _var_key

    keys = {_var_key(v) for v in variables}
    dropped = {
        id(slot)
        for key in set(optimizer._slots) - keys
        for slot in optimizer._slots.pop(key).values()
    }
    optimizer._weights = [w for w in optimizer._weights if id(w) not in dropped]


def parts_of_official_layer(layer):
    """Returns {Google's scope within the layer: Keras layer} of tf-models-official's encoder layer.

    Those of a scope that ends in LayerNorm have gamma and beta, the others kernel and bias.
    """
    attention = layer._attention_layer
    return {
        "attention/self/query": attention._query_dense,
        "attention/self/key": attention._key_dense,
        "attention/self/value": attention._value_dense,
        "attention/output/dense": attention._output_dense,
        "attention/output/LayerNorm": layer._attention_layer_norm,
        "intermediate/dense": layer._intermediate_dense,
        "output/dense": layer._output_dense,
        "output/LayerNorm": layer._output_layer_norm,
    }


def embeddings_of_official_encoder(encoder):
    """Returns ({Google's name within the embeddings: variable}, LayerNorm, projection or None)."""
    variables = {
        "word_embeddings": encoder.get_embedding_table(),
        "token_type_embeddings": encoder._type_embedding_layer.embeddings,
        "position_embeddings": encoder._position_embedding_layer._position_embeddings,
    }
    projection = getattr(encoder, "_embedding_projection", None)  # old encoders have none
    return variables, encoder._embedding_norm_layer, projection
