"""Hugging Face model folders: config.json, weights of PyTorch or TensorFlow classes, vocab.txt."""

import pathlib

from bert_tf import files
from bert_tf.checkpoints import (
    copying,
    finite,
    forms,
    head,
    huggingface_names,
    pruned_heads,
    shapes,
    tensor_files,
    tokenizer_files,
)
from bert_tf.config import BertConfig
from bert_tf.errors import UserError

# Their exact gelu is our gelu_erf; their several spellings of the tanh form are our gelu.
_ACTIVATIONS = {
    "gelu": "gelu_erf",
    "gelu_python": "gelu_erf",
    "gelu_new": "gelu",
    "gelu_pytorch_tanh": "gelu",
    "gelu_fast": "gelu",
    "relu": "relu",
    "tanh": "tanh",
    "linear": "linear",
}
_WRITTEN_ACTIVATIONS = {"gelu_erf": "gelu", "gelu": "gelu_new"}
_SHARED_KEYS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "max_position_embeddings",
    "type_vocab_size",
    "initializer_range",
    "layer_norm_eps",
)
_OWN_KEYS = ("dynabert",)  # of ours, which transformers keeps
# Their defaults where they differ from Google's.
_DEFAULTS = {"vocab_size": 30522, "type_vocab_size": 2}


def read(folder):
    """Reads a Hugging Face BERT folder.

    Args:
      folder: holds config.json and model.safetensors (or model.safetensors.index.json with its
        shards, or pytorch_model.bin, sharded or not, where torch is installed, or tf_model.h5).

    Returns:
      (config, arrays, left): a `BertConfig` (what describes a classifier, and the tokenizer's
      settings, when the folder tells them, in `config.extra`), {Google name: float32 array}, and
      {tensor: reason} of what was not taken: a masked-LM head, too, whose decoder is not tied to
      the word embeddings.

    Raises:
      UserError: a file is missing or damaged, the model is no BERT encoder, or a tensor is missing
        or of another shape than config.json says, or config.json contradicts itself about labels.
    """
    return read_with_remarks(folder)[:3]


def read_with_remarks(folder):
    """As `read`, with a fourth value: a list of str, what a report should say besides."""
    folder = pathlib.Path(folder)
    config = read_config(folder)
    theirs = files.read_json(folder / "config.json", "Hugging Face configuration")
    arrays, left, prefix = huggingface_names.to_google(
        tensor_files.read(folder), config, folder, theirs.get("tie_word_embeddings") is not False
    )
    arrays, heads = pruned_heads.restore(config, arrays, theirs.get("pruned_heads"), folder)
    shapes.check_shapes(config, arrays, folder, left)
    config = head.without_names(config, arrays, None)
    if "output_bias" in arrays:
        head.of_config(config.extra, len(arrays["output_bias"]), folder / "config.json")
    return config, arrays, left, prefix + heads


def read_config(folder):
    """Returns the `BertConfig` of a Hugging Face folder.

    Raises:
      UserError: config.json cannot be read, or describes something our encoder cannot compute.
    """
    path = pathlib.Path(folder) / "config.json"
    theirs = files.read_json(path, "Hugging Face configuration")
    for key, wanted in (
        ("model_type", "bert"),
        ("position_embedding_type", "absolute"),
        ("is_decoder", False),
        ("add_cross_attention", False),
    ):
        if theirs.get(key, wanted) != wanted:
            raise UserError(
                f"{path}: {key} must be {wanted!r}, found {theirs[key]!r}: this program computes"
                " BERT encoders only: name the folder of one"
            )
    if theirs.get("quantization_config"):
        raise UserError(
            f"{path}: quantization_config: the weights are quantised, expected floating-point ones:"
            " save the model unquantised"
        )
    act = theirs.get("hidden_act", "gelu")
    if not isinstance(act, str) or act not in _ACTIVATIONS:
        raise UserError(
            f"{path}: hidden_act must be one of {', '.join(_ACTIVATIONS)}, found {act!r}"
        )
    values = {**_DEFAULTS, **{k: theirs[k] for k in _SHARED_KEYS if k in theirs}}
    # transformers writes null for what is not set.
    keys = (*head.CONFIG_KEYS, *_OWN_KEYS)
    values.update({k: theirs[k] for k in keys if theirs.get(k) is not None})
    values.update(tokenizer_files.read_settings(folder))
    try:
        return BertConfig.from_dict({**values, "hidden_act": _ACTIVATIONS[act]})
    except UserError as e:
        raise UserError(f"{path}: {e}") from e


def write(folder, config, arrays, vocab_file=None, task=None, do_lower_case=None):
    """Writes a folder that transformers' BERT classes load.

    Args:
      folder: made if need be; an earlier output is replaced whole.
      config: `BertConfig`, post-LN.
      arrays: {Google name: array}.
      vocab_file: copied as vocab.txt; None leaves it out.
      task: dict of task.json; its `labels` become id2label (None means regression).
      do_lower_case: written to tokenizer_config.json; when None, `config.extra`'s, else left out.
        The other settings of the tokenizer are `config.extra`'s.

    Returns:
      {name: reason} of the arrays that the format has no place for.

    Raises:
      UserError: the model cannot be represented (factorised kernels, pre-LN, gates, heads that
        hidden_size has no room for) or is not finite, or the folder holds anything else or cannot
        be written; it is then untouched.
    """
    folder = pathlib.Path(folder)
    shapes.check_representable(config, arrays, "a Hugging Face folder")
    shapes.check_shapes(config, arrays, folder)
    finite.check(arrays, folder)
    config, arrays = shapes.with_biases(config, arrays)
    config, arrays, pruned = pruned_heads.described(config, arrays)
    tensors, left = huggingface_names.from_google(arrays)
    theirs = {**_their_config(config, arrays), **head.to_config(config, arrays, task, folder)}
    if pruned:
        theirs["pruned_heads"] = pruned
    tokenizer = {"tokenizer_class": "BertTokenizer"}
    tokenizer["model_max_length"] = config.max_position_embeddings
    settings = {name: config.extra.get(name) for name in tokenizer_files.SETTINGS}
    if do_lower_case is not None:
        settings["do_lower_case"] = do_lower_case
    tokenizer.update({name: value for name, value in settings.items() if value is not None})
    with forms.output(folder, forms.HUGGINGFACE, "output") as new:
        files.write_json(new / "config.json", theirs)
        files.write_json(new / tokenizer_files.CONFIG_FILE, tokenizer)
        if vocab_file:
            copying.copy_file(vocab_file, new / "vocab.txt")
        tensor_files.write(new / "model.safetensors", tensors)
    return left


def _their_config(config, arrays):
    theirs = {k: getattr(config, k) for k in _SHARED_KEYS}
    theirs |= {k: config.extra[k] for k in _OWN_KEYS if k in config.extra}
    act = config.hidden_act
    theirs.update(
        architectures=[_architecture(arrays)],
        hidden_act=_WRITTEN_ACTIVATIONS.get(act, act),
        model_type="bert",
        pad_token_id=0,
        position_embedding_type="absolute",
        torch_dtype="float32",
    )
    return theirs


def _architecture(arrays):
    if "output_weights" in arrays:
        return "BertForSequenceClassification"
    if "cls/squad/output_weights" in arrays:
        return "BertForQuestionAnswering"
    if "cls/predictions/output_bias" not in arrays:
        return "BertModel"
    both = "cls/seq_relationship/output_bias" in arrays
    return "BertForPreTraining" if both else "BertForMaskedLM"
