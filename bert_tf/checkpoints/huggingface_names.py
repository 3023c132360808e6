"""Hugging Face's tensor names and Google's: one rule each way."""

import numpy as np

from bert_tf.checkpoints import names, prefixes, refusals
from bert_tf.checkpoints.families import BERT, FAMILIES
from bert_tf.errors import UserError

# Computed by their code, or copies of tensors that are read elsewhere.
_PARTS = ("embeddings.", "embeddings_project.", "encoder.", "transformer.", "pooler.")
_BUFFERS = ("position_ids", "token_type_ids")
# Parts of names that change what a layer computes: the kernel by itself is not the model's.
_ADAPTERS = ("lora_", "base_layer", "adapter")


def to_google(tensors, config, source, tied=True, family=BERT, of_tokens=False):
    """Renames and transposes Hugging Face tensors.

    Args:
      tensors: {their name: array}, with or without the prefix `bert.` (`distilbert.`, `electra.`),
        LayerNorm as weight/bias or gamma/beta.
      config: `BertConfig`, which says which variables to expect.
      source: the folder, for errors.
      tied: what tie_word_embeddings of config.json says.
      family: `Family` of the model.
      of_tokens: whether its classifier is one of tokens.

    Returns:
      (arrays, left, remarks): {Google name: float32 array}, {their name: reason}, and a list of
      str, what a report should say besides. A masked-LM head is left whose decoder is not tied to
      the word embeddings, or whose activation is not the model's.

    Raises:
      UserError: several models, another kind of model, adapters, or weights that are no
        floating-point numbers.
    """
    _check_whole(tensors, source)
    refusals.check_names(tensors, source)
    _check_family(tensors, family, source)
    renamed, remarks = prefixes.without_prefix(tensors, ".", source, family.model_type)
    tensors = _placed(tensors, renamed, source, family)
    for copy, theirs in family.same_tensors.items():
        if theirs not in tensors and copy in tensors:  # one of two names for one tensor
            tensors[theirs] = tensors.pop(copy)
    arrays, taken = {}, set()
    for google in [*names.encoder_shapes(config), *names.head_shapes(config)]:
        theirs, transposed = family.their_name(google, of_tokens)
        if theirs not in tensors:
            continue
        value = _floats(*tensors[theirs], source)
        arrays[google] = np.ascontiguousarray(value.T) if transposed else value
        taken.add(theirs)
    left = {
        name: _reason(theirs, family)
        for theirs, (name, _) in tensors.items()
        if theirs not in taken and theirs.rsplit(".", 1)[-1] not in _BUFFERS
    }
    other = _other_head({n: value for n, (_, value) in tensors.items()}, tied, config, family)
    if other:
        arrays = {n: array for n, array in arrays.items() if not n.startswith("cls/predictions/")}
        head = (name for n, (name, _) in tensors.items() if n.startswith(family.masked_lm))
        left.update(dict.fromkeys(head, f"masked-LM head, not taken: {other}"))
    return arrays, left, remarks


def from_google(arrays, family=BERT, hidden_act=None, of_tokens=False):
    """Renames and transposes Google arrays.

    Args:
      arrays: {Google name: array}.
      family: `Family` that they become.
      hidden_act: of the model; None does not matter but to a masked-LM head of ELECTRA.
      of_tokens: whether output_weights classifies tokens.

    Returns:
      (tensors, left): {their name: contiguous array} and {Google name: reason}.
    """
    tensors, left = {}, {}
    other_act = family.heads_act not in (None, hidden_act)
    for google, value in arrays.items():
        theirs, transposed = family.their_name(google, of_tokens)
        if theirs is None:
            left[google] = f"no such tensor in Hugging Face's {family.title}"
        elif other_act and google.startswith("cls/predictions/"):
            left[google] = f"{family.title}'s masked-LM head has no activation but gelu"
        else:
            tensors[theirs] = np.ascontiguousarray(value.T if transposed else value)
    return tensors, left


def _placed(tensors, renamed, source, family):
    """Returns {name with `bert.` and LayerNorm's weight and bias: (their name, array)}."""
    # Beside an encoder under `bert.`, a bare `pooler.dense` is a layer of their own.
    bare = not any(new.startswith(f"{family.model_type}.") for new in renamed.values())
    placed = {}
    for name, value in tensors.items():
        place = _normalised(renamed[name], bare, family)
        if place in placed:
            raise UserError(
                f"{source}: holds two tensors for {place}, {placed[place][0]} and {name}: expected"
                " one: save the model again, or remove one of them"
            )
        placed[place] = name, value
    return placed


def _normalised(name, bare, family):
    if bare and name.startswith(_PARTS):
        name = f"{family.model_type}.{name}"
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


def _check_family(tensors, family, source):
    for other in FAMILIES:
        part = f".{other}.embeddings."
        if other != family.model_type and any(part in f".{name}" for name in tensors):
            raise UserError(
                f"{source}: the tensors are those of a {other} model, config.json says"
                f" {family.model_type}: give the folder the config.json that was saved with them"
            )


def _floats(name, value, source):
    if value.dtype.kind != "f":
        raise UserError(
            f"{source}: tensor {name} is of type {value.dtype}, expected floating-point numbers:"
            " save the model unquantised"
        )
    return np.asarray(value, np.float32)


def _other_head(tensors, tied, config, family):
    """Why our masked-LM head would not compute what theirs did; or None."""
    head = any(name.startswith(family.masked_lm) for name in tensors)
    table = f"{family.model_type}.embeddings.word_embeddings.weight"
    if family.decoder in tensors and table in tensors:
        if not np.array_equal(tensors[family.decoder], tensors[table]):
            return "its decoder differs from the word embeddings"
    elif head and not tied:
        return "tie_word_embeddings is false and its decoder is missing"
    for copy, theirs in family.same_tensors.items():
        if copy in tensors and not np.array_equal(tensors[copy], tensors[theirs]):
            return f"its decoder's bias differs from {theirs}"
    if head and family.heads_act not in (None, config.hidden_act):
        return f"its activation is {family.heads_act}, the model's {config.hidden_act}"
    return None


def _reason(theirs, family):
    if theirs == family.decoder:
        return "tied to the word embeddings"
    if theirs in family.same_tensors:
        return f"copy of {family.same_tensors[theirs]}"
    others = (what for start, what in family.others.items() if theirs.startswith(start))
    return next(others, "no such variable in Google's BERT")
