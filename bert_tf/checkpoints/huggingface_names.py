"""Hugging Face's tensor names and Google's: one rule each way."""

import numpy as np

from bert_tf.checkpoints import names, prefixes
from bert_tf.errors import UserError

_DECODER = "cls.predictions.decoder.weight"
_DECODER_BIAS = "cls.predictions.decoder.bias"
_BIAS = "cls.predictions.bias"
_TABLE = "bert.embeddings.word_embeddings.weight"
_HEADS = {
    "output_weights": "classifier.weight",
    "output_bias": "classifier.bias",
    "cls/predictions/output_bias": _BIAS,
    "cls/seq_relationship/output_weights": "cls.seq_relationship.weight",
    "cls/seq_relationship/output_bias": "cls.seq_relationship.bias",
    "cls/squad/output_weights": "qa_outputs.weight",
    "cls/squad/output_bias": "qa_outputs.bias",
}
# Computed by their code, or copies of tensors that are read elsewhere.
_BUFFERS = ("position_ids", "token_type_ids")
# Parts of names that change what a layer computes: the kernel by itself is not the model's.
_ADAPTERS = ("lora_", "base_layer", "adapter")


def to_google(tensors, config, source, tied=True):
    """Renames and transposes Hugging Face tensors.

    Args:
      tensors: {their name: array}, with or without the prefix `bert.`, LayerNorm as weight/bias or
        gamma/beta.
      config: `BertConfig`, which says which variables to expect.
      source: the folder, for errors.
      tied: what tie_word_embeddings of config.json says.

    Returns:
      (arrays, left, remarks): {Google name: float32 array}, {their name: reason}, and a list of
      str, what a report should say besides. A masked-LM head whose decoder is not tied to the word
      embeddings is left.

    Raises:
      UserError: several models, adapters, or weights that are no floating-point numbers.
    """
    _check_whole(tensors, source)
    renamed, remarks = prefixes.without_prefix(tensors, ".", source)
    tensors = _placed(tensors, renamed, source)
    if _BIAS not in tensors and _DECODER_BIAS in tensors:  # one of two names for one tensor
        tensors[_BIAS] = tensors.pop(_DECODER_BIAS)
    arrays, taken = {}, set()
    for google in [*names.encoder_shapes(config), *names.head_shapes(config)]:
        theirs, transposed = their_name(google)
        if theirs not in tensors:
            continue
        value = _floats(*tensors[theirs], source)
        arrays[google] = np.ascontiguousarray(value.T) if transposed else value
        taken.add(theirs)
    left = {
        name: _reason(theirs)
        for theirs, (name, _) in tensors.items()
        if theirs not in taken and theirs.rsplit(".", 1)[-1] not in _BUFFERS
    }
    untied = _untied({theirs: value for theirs, (_, value) in tensors.items()}, tied)
    if untied:
        arrays = {n: array for n, array in arrays.items() if not n.startswith("cls/predictions/")}
        head = (name for n, (name, _) in tensors.items() if n.startswith("cls.predictions."))
        left.update(dict.fromkeys(head, f"masked-LM head, not taken: {untied}"))
    return arrays, left, remarks


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


def _placed(tensors, renamed, source):
    """Returns {name with `bert.` and LayerNorm's weight and bias: (their name, array)}."""
    # Beside an encoder under `bert.`, a bare `pooler.dense` is a layer of their own.
    bare = not any(new.startswith("bert.") for new in renamed.values())
    placed = {}
    for name, value in tensors.items():
        place = _normalised(renamed[name], bare)
        if place in placed:
            raise UserError(
                f"{source}: holds two tensors for {place}, {placed[place][0]} and {name}: expected"
                " one: save the model again, or remove one of them"
            )
        placed[place] = name, value
    return placed


def _normalised(name, bare):
    if bare and name.startswith(("embeddings.", "encoder.", "pooler.")):
        name = "bert." + name
    if name.endswith(".LayerNorm.gamma"):
        return name.removesuffix("gamma") + "weight"
    return name.removesuffix("beta") + "bias" if name.endswith(".LayerNorm.beta") else name


def _check_whole(tensors, source):
    adapter = next((n for n in tensors if any(part in n for part in _ADAPTERS)), None)
    if adapter:
        raise UserError(
            f"{source}: {adapter} belongs to an adapter (LoRA or the like), expected a plain BERT:"
            " merge it into the model (merge_and_unload of peft) and save that"
        )
    flax = next((n for n in tensors if n.endswith(".kernel")), None)
    if flax:
        raise UserError(
            f"{source}: {flax} is a name of Flax, expected PyTorch's or TensorFlow's: load the"
            " model with from_flax=True and save it"
        )


def _floats(name, value, source):
    if value.dtype.kind != "f":
        raise UserError(
            f"{source}: tensor {name} is of type {value.dtype}, expected floating-point numbers:"
            " save the model unquantised"
        )
    return np.asarray(value, np.float32)


def _untied(tensors, tied):
    """Why the masked-LM head would not compute with the word embeddings what it did; or None."""
    head = any(name.startswith("cls.predictions.") for name in tensors)
    if _DECODER in tensors and _TABLE in tensors:
        if not np.array_equal(tensors[_DECODER], tensors[_TABLE]):
            return "its decoder differs from the word embeddings"
    elif head and not tied:
        return "tie_word_embeddings is false and its decoder is missing"
    if _DECODER_BIAS in tensors and not np.array_equal(tensors[_DECODER_BIAS], tensors[_BIAS]):
        return "its decoder's bias differs from cls.predictions.bias"
    return None


def _reason(theirs):
    if theirs == _DECODER:
        return "tied to the word embeddings"
    if theirs == _DECODER_BIAS:
        return "copy of cls.predictions.bias"
    return "no such variable in Google's BERT"
