"""Hugging Face's tensor names and Google's: one rule each way."""

import numpy as np

from bert_tf.checkpoints import names
from bert_tf.errors import UserError

_DECODER = "cls.predictions.decoder.weight"
_TABLE = "bert.embeddings.word_embeddings.weight"
_HEADS = {
    "output_weights": "classifier.weight",
    "output_bias": "classifier.bias",
    "cls/predictions/output_bias": "cls.predictions.bias",
    "cls/seq_relationship/output_weights": "cls.seq_relationship.weight",
    "cls/seq_relationship/output_bias": "cls.seq_relationship.bias",
    "cls/squad/output_weights": "qa_outputs.weight",
    "cls/squad/output_bias": "qa_outputs.bias",
}
# Computed by their code, or copies of tensors that are read elsewhere.
_BUFFERS = ("position_ids", "token_type_ids")


def to_google(tensors, config, source):
    """Renames and transposes Hugging Face tensors.

    Args:
      tensors: {their name: array}, with or without the prefix `bert.`, LayerNorm as weight/bias or
        gamma/beta.
      config: `BertConfig`, which says which variables to expect.
      source: the folder, for errors.

    Returns:
      (arrays, left): {Google name: float32 array} and {their name: reason}.

    Raises:
      UserError: a word decoder that is not tied to the word embeddings.
    """
    tensors = {_normalised(name): (name, value) for name, value in tensors.items()}
    arrays, taken = {}, set()
    for google in [*names.encoder_shapes(config), *names.head_shapes(config)]:
        theirs, transposed = their_name(google)
        if theirs not in tensors:
            continue
        value = np.asarray(tensors[theirs][1], np.float32)
        arrays[google] = np.ascontiguousarray(value.T) if transposed else value
        taken.add(theirs)
    _check_tied(tensors, source)
    left = {
        name: _reason(theirs)
        for theirs, (name, _) in tensors.items()
        if theirs not in taken and theirs.rsplit(".", 1)[-1] not in _BUFFERS
    }
    return arrays, left


def from_google(arrays):
    """Renames and transposes Google arrays.

    Args:
      arrays: {Google name: array}.

    Returns:
      (tensors, left): {their name: contiguous array} and {Google name: reason}.
    """
    tensors, left = {}, {}
    for google, value in arrays.items():
        theirs, transposed = their_name(google)
        if theirs is None:
            left[google] = "no such tensor in Hugging Face's BERT"
        else:
            tensors[theirs] = np.ascontiguousarray(value.T if transposed else value)
    return tensors, left


def their_name(google):
    """Returns (their name or None, whether the array is transposed) of a Google name."""
    if google in _HEADS:
        return _HEADS[google], False
    if not google.startswith(("bert/", "cls/predictions/transform/")):
        return None, False
    scope, leaf = google.replace("/layer_", "/layer/").rsplit("/", 1)
    scope = scope.replace("/", ".")
    if leaf.endswith("_embeddings"):
        return f"{scope}.{leaf}.weight", False
    if leaf in ("gamma", "beta"):
        return f"{scope}.{'weight' if leaf == 'gamma' else 'bias'}", False
    return f"{scope}.{'weight' if leaf == 'kernel' else leaf}", leaf == "kernel"


def _normalised(name):
    if name.startswith(("embeddings.", "encoder.", "pooler.")):
        name = "bert." + name
    if name.endswith(".LayerNorm.gamma"):
        return name.removesuffix("gamma") + "weight"
    return name.removesuffix("beta") + "bias" if name.endswith(".LayerNorm.beta") else name


def _check_tied(tensors, source):
    if _DECODER not in tensors or _TABLE not in tensors:
        return
    decoder, table = tensors[_DECODER][1], tensors[_TABLE][1]
    if not np.array_equal(decoder, table):
        raise UserError(
            f"{source}: {_DECODER} differs from {_TABLE}: only a masked-LM decoder tied to the"
            " word embeddings can be represented"
        )


def _reason(theirs):
    if theirs == _DECODER:
        return "tied to the word embeddings"
    if theirs == "cls.predictions.decoder.bias":
        return "copy of cls.predictions.bias"
    return "no such variable in Google's BERT"
