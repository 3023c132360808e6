"""What a sub-network costs as a model of its own: parameters, bytes and operations."""

import dataclasses

from bert_tf.checkpoints import names
from bert_tf.dynabert.export import export


@dataclasses.dataclass(frozen=True)
class Size:
    """What needs no clock.

    Attributes:
      parameters: numbers of all its arrays, embeddings and heads included.
      megabytes: of its checkpoint, 10^6 bytes.
      flops: operations of its encoder layers for one example, 2 per multiply-add.
    """

    parameters: int
    megabytes: float
    flops: int


def size_of(config, arrays, subnetwork, length):
    """Returns the `Size` of a sub-network.

    Args:
      config, arrays: of the whole model, `BertConfig` and {Google name: array}.
      subnetwork: `Subnetwork`.
      length: tokens of an example.
    """
    config, arrays = export(config, arrays, subnetwork)
    return Size(
        sum(array.size for array in arrays.values()),
        sum(array.nbytes for array in arrays.values()) / 1e6,
        layer_flops(config, arrays, length),
    )


def layer_flops(config, arrays, length, first_token_only=True):
    """Returns the operations of a model's encoder layers for one example: products, attention.

    Args:
      config, arrays: of the model, its kernels dense, factorised or masked.
      length: tokens of the example.
      first_token_only: whether the last layer computes the first token only, as a classifier's
        does; its keys and values are those of all tokens.
    """
    last = f"bert/encoder/layer_{config.num_hidden_layers - 1}/"
    total = 0
    for scope in names.dense_scopes(config):
        one = first_token_only and scope.startswith(last) and not scope.endswith(("/key", "/value"))
        total += 2 * _kernel_parameters(arrays, scope) * (1 if one else length)
    for layer in range(config.num_hidden_layers):
        one = first_token_only and layer == config.num_hidden_layers - 1
        attention = config.units_of(layer)[0] * config.head_size
        total += 4 * attention * length * (1 if one else length)  # scores and context
    return total


def _kernel_parameters(arrays, scope):
    ends = ("/kernel", "_p/kernel", "_q/kernel")
    return sum(arrays[scope + end].size for end in ends if scope + end in arrays)
