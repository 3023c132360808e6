"""Google BERT's checkpoints: name-based, from TensorFlow 1 or 2."""

import os

import tensorflow as tf

from bert_tf.checkpoints import bundle, names, precision, prefixes, refusals
from bert_tf.errors import UserError

OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def read_checkpoint(prefix):
    """Returns {Google name: array} of a name-based checkpoint, without training state.

    Args:
      prefix: as `bundle.find_prefix` takes it: a prefix, its `.index` file, or a folder.

    Raises:
      UserError: a file is missing, truncated or corrupt (every tensor's checksum is verified), or
        the checkpoint is object-based.
    """
    return read(prefix)[0]


def read(prefix):
    """Like `read_checkpoint`, and says what it dropped.

    Returns:
      (arrays, left): left is {name: reason} of optimizer slots and counters.
    """
    return read_with_remarks(prefix)[:2]


def read_with_remarks(prefix):
    """As `read`, with a third value: a list of str, what a report should say besides."""
    prefix = bundle.find_prefix(prefix)
    reader = Bundle(prefix)
    if OBJECT_GRAPH in reader.names:
        raise UserError(
            f"{prefix}: is an object-based (tf-models-official) checkpoint, not a name-based one:"
            " convert it with convert_checkpoint.py"
        )
    others = set(reader.names)
    left = {n: "training state" for n in reader.names if names.is_training_state(n, others)}
    weights = [n for n in reader.names if n not in left]
    if not weights:
        raise UserError(f"{prefix}: the checkpoint holds no weights")
    refusals.check_names(weights, prefix)
    renamed, remarks = prefixes.without_prefix(weights, "/", prefix)
    bare = not any(n.startswith("bert/") for n in renamed.values())
    places = {n: f"bert/{new}" if bare and _is_bare(new) else new for n, new in renamed.items()}
    return {places[n]: reader.read(n) for n in weights}, left, remarks


def _is_bare(name):
    return name.startswith(("embeddings/", "embeddings_project/", "encoder/layer_", "pooler/"))


def is_object_based(prefix):
    """Whether the checkpoint was written by `tf.train.Checkpoint`.

    Raises:
      UserError: as `read_checkpoint` does for the index.
    """
    return OBJECT_GRAPH in Bundle(bundle.find_prefix(prefix)).names


def write_checkpoint(prefix, arrays):
    """Writes a name-based checkpoint, readable by TensorFlow 1 and 2.

    Args:
      prefix: path without suffix; its folder is made if need be.
      arrays: {Google name: array}.

    Raises:
      UserError: full disk or no permission; an older checkpoint of that name is then untouched.
    """
    with bundle.atomic_prefix(prefix) as temporary:
        save_arrays(temporary, arrays)


def save_arrays(prefix, arrays):
    """Writes the files of `write_checkpoint` in place: for use inside `bundle.atomic_prefix`."""
    if not arrays:
        raise UserError(f"{prefix}: there are no weights to write")
    ordered = sorted(arrays)
    with tf.device("/CPU:0"):
        tf.raw_ops.SaveV2(
            prefix=prefix,
            tensor_names=ordered,
            shape_and_slices=[""] * len(ordered),
            tensors=[tf.convert_to_tensor(arrays[name]) for name in ordered],
        )


class Bundle:
    """An open checkpoint: `names` (sorted), `shapes` {name: list} and `read`, with clear errors."""

    def __init__(self, prefix):
        self.prefix = os.fspath(prefix)
        try:
            self._reader = tf.train.load_checkpoint(self.prefix)
            self.shapes = self._reader.get_variable_to_shape_map()
        except (tf.errors.OpError, LookupError, RuntimeError, ValueError) as e:
            raise UserError(
                f"{self.prefix}.index: the checkpoint's index is truncated or corrupt: {e}"
            ) from e
        self.names = sorted(self.shapes)

    def read(self, name):
        """Returns one array (half-precision floats as float32), or a string tensor's value.

        Raises:
          UserError: its data is missing, truncated or fails its checksum.
        """
        try:
            value = self._reader.get_tensor(name)
        except (tf.errors.OpError, LookupError, RuntimeError, ValueError) as e:
            raise UserError(
                f"{self.prefix}.data-*: the checkpoint's data is missing, truncated or corrupt:"
                f" variable {name}: {e}"
            ) from e
        return precision.widen(value)
