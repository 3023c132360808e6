"""Hugging Face model folders: config.json, weights of PyTorch or TensorFlow classes, vocab.txt.

BERT, DistilBERT and ELECTRA are read and written; `families` has what tells them apart.
"""

import pathlib

from bert_tf import files
from bert_tf.checkpoints import (
    copying,
    families,
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
_TOKENS = "ForTokenClassification"
_OWN_KEYS = ("dynabert",)  # of ours, which transformers keeps


def read(folder):
    """Reads a Hugging Face folder of a BERT, DistilBERT or ELECTRA.

    Args:
      folder: holds config.json and model.safetensors (or model.safetensors.index.json with its
        shards, or pytorch_model.bin, sharded or not, where torch is installed, or tf_model.h5).

    Returns:
      (config, arrays, left): a `BertConfig` (what describes a classifier, and the tokenizer's
      settings, when the folder tells them, in `config.extra`), {Google name: float32 array}, and
      {tensor: reason} of what was not taken: a masked-LM head, too, whose decoder is not tied to
      the word embeddings.

    Raises:
      UserError: a file is missing or damaged, the model is of another family, or a tensor is
        missing or of another shape than config.json says, or config.json contradicts itself about
        labels.
    """
    return read_with_remarks(folder)[:3]


def read_with_remarks(folder):
    """As `read`, with a fourth value: a list of str, what a report should say besides."""
    folder = pathlib.Path(folder)
    config = read_config(folder)
    theirs = files.read_json(folder / "config.json", "Hugging Face configuration")
    family = families.of_config(theirs, folder / "config.json")
    tensors = tensor_files.read(folder, family.model_type)
    tied = theirs.get("tie_word_embeddings") is not False
    arrays, left, prefix = huggingface_names.to_google(
        tensors, config, folder, tied, family, _TOKENS in _suffixes(theirs)
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
    family = families.of_config(theirs, path)
    for key, wanted in (
        ("position_embedding_type", "absolute"),
        ("is_decoder", False),
        ("add_cross_attention", False),
    ):
        if theirs.get(key, wanted) != wanted:
            raise UserError(
                f"{path}: {key} must be {wanted!r}, found {theirs[key]!r}: this program computes"
                f" {family.title} encoders as they were published: name the folder of one"
            )
    if theirs.get("quantization_config"):
        raise UserError(
            f"{path}: quantization_config: the weights are quantised, expected floating-point ones:"
            " save the model unquantised"
        )
    values = dict(family.defaults)
    values.update({ours: theirs[key] for ours, key in family.keys.items() if key in theirs})
    act = values.get("hidden_act", "gelu")
    if not isinstance(act, str) or act not in _ACTIVATIONS:
        raise UserError(
            f"{path}: {family.keys['hidden_act']} must be one of {', '.join(_ACTIVATIONS)}, found"
            f" {act!r}"
        )
    values.update(family.fixed, hidden_act=_ACTIVATIONS[act])
    # transformers writes null for what is not set.
    keys = (*head.CONFIG_KEYS, *_OWN_KEYS)
    values.update({k: theirs[k] for k in keys if theirs.get(k) is not None})
    values.update(tokenizer_files.read_settings(folder))
    try:
        return BertConfig.from_dict(values)
    except UserError as e:
        raise UserError(f"{path}: {e}") from e


def write(folder, config, arrays, vocab_file=None, task=None, do_lower_case=None):
    """Writes a folder that transformers' BERT classes load, or its DistilBERT's or ELECTRA's.

    The pooler's activation says which, see `families.of_model`.

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
        hidden_size has no room for, no family has its embeddings and pooler) or is not finite, or
        the folder holds anything else or cannot be written; it is then untouched.
    """
    folder = pathlib.Path(folder)
    shapes.check_representable(config, arrays, "a Hugging Face folder")
    shapes.check_shapes(config, arrays, folder)
    finite.check(arrays, folder)
    config, arrays = shapes.with_biases(config, arrays)
    family = families.of_model(config, arrays)
    if "type_vocab_size" in family.keys:
        config, arrays = shapes.with_token_types(config, arrays)
    config, arrays, pruned = pruned_heads.described(config, arrays)
    theirs = {
        **_their_config(config, family),
        "architectures": _architecture(arrays, family),
        **head.to_config(config, arrays, task, folder),
    }
    suffixes = _suffixes(theirs)
    theirs["architectures"] = [family.class_name(suffix) for suffix in suffixes]
    tensors, left = huggingface_names.from_google(
        arrays, family, config.hidden_act, _TOKENS in suffixes
    )
    if pruned:
        theirs["pruned_heads"] = pruned
    tokenizer = {"tokenizer_class": family.class_name("Tokenizer")}
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


def _their_config(config, family):
    act = config.hidden_act
    ours = {**config.to_dict(), "embedding_size": config.embedding_width}
    ours["hidden_act"] = _WRITTEN_ACTIVATIONS.get(act, act)
    theirs = {key: ours[name] for name, key in family.keys.items()}
    theirs |= {k: config.extra[k] for k in _OWN_KEYS if k in config.extra}
    theirs.update(model_type=family.model_type, pad_token_id=0, torch_dtype="float32")
    if "type_vocab_size" in family.keys:
        theirs["position_embedding_type"] = "absolute"
    return theirs


def _suffixes(theirs):
    """Which heads the classes have that the dict of config.json names (list)."""
    names = theirs.get("architectures")
    names = names if isinstance(names, list) else [names]
    return [families.suffix_of(name) for name in names if isinstance(name, str)]


def _architecture(arrays, family):
    """Their class for the heads of a model, without its beginning that names the family."""
    if "output_weights" in arrays:
        return "ForSequenceClassification"
    if "cls/squad/output_weights" in arrays:
        return "ForQuestionAnswering"
    if "cls/predictions/output_bias" not in arrays:
        return "Model"
    both = family is families.BERT and "cls/seq_relationship/output_bias" in arrays
    return "ForPreTraining" if both else "ForMaskedLM"
