"""What each encoder kernel is made of, as a model's arrays and configuration say."""

from bert_tf.checkpoints import names
from bert_tf.encoder.dense import Dense
from flop.factorized_dense import FactorizedDense


def factory(config, arrays=None, masked=None, evaluation=None):
    """Returns the `dense_factory` that builds a `BertEncoder` for a model.

    Args:
      config: `BertConfig`.
      arrays: {Google name: array} of the model; None goes by `config.pruned_layers_dim` alone.
      masked: True puts a gate on every rank of every factorised kernel, False on none; None on
        those that have a log_alpha in `arrays`.
      evaluation: `clipped` or `hard`, see `HardConcrete`; None takes what the configuration
        records, else `clipped`.

    Returns:
      Callable with the constructor of `Dense`.
    """
    ranks = factorized_ranks(config, arrays)
    evaluation = evaluation or mask_evaluation(config)

    def build(input_units, units, scope, **kwargs):
        if scope not in ranks:
            return Dense(input_units, units, scope=scope, **kwargs)
        gates = f"{scope}_g/log_alpha" in (arrays or {}) if masked is None else masked
        return FactorizedDense(
            input_units,
            units,
            ranks[scope],
            scope=scope,
            masked=gates,
            evaluation=evaluation,
            **kwargs,
        )

    return build


def factorized_ranks(config, arrays=None):
    """Returns {scope: rank} of the kernels that are factorised, in the order of the layers."""
    ranks = {}
    for scope in names.dense_scopes(config):
        factor = f"{scope}_p/kernel"
        if arrays is not None and factor in arrays:
            ranks[scope] = int(arrays[factor].shape[1])
        elif factor in config.pruned_layers_dim:
            ranks[scope] = config.pruned_layers_dim[factor]
    return ranks


def is_masked(arrays):
    """Whether the arrays hold gates."""
    return any(map(names.is_gate, arrays or ()))


def mask_evaluation(config):
    """How the gates of the model are evaluated: `clipped` or `hard`."""
    return config.extra.get("mask_evaluation", "clipped")
