"""Names and layout of Hugging Face's TensorFlow classes, turned into those of its PyTorch ones."""

import re

import numpy as np

from bert_tf.errors import UserError

# A name after that of the model and of its Keras layers, which may come before it several times.
_VARIABLE = re.compile(
    r"(?:.*?/)??("
    r"embeddings/(?:(?:word|position|token_type)_embeddings|LayerNorm/).*|encoder/layer_.*|"
    r"embeddings_project/(?:kernel|bias)|transformer/layer_.*|pooler/dense/.*|"
    r"(?:mlm___|nsp___)?cls/(?:predictions|seq_relationship)/.*|"
    r"(?:generator_lm_head|vocab_projector)/bias|"
    r"(?:generator_predictions/LayerNorm|vocab_layer_norm)/(?:gamma|beta)|"
    r"(?:pre_classifier|classifier(?:/dense|/out_proj)?|qa_outputs|vocab_transform|"
    r"(?:generator|discriminator)_predictions/dense(?:_prediction)?)/(?:kernel|bias))"
)
_ENCODER = ("embeddings", "embeddings_project", "encoder", "transformer", "pooler")
_LEAVES = {"kernel": "weight", "gamma": "weight", "beta": "bias", "embeddings": "weight"}


def is_tensorflow(names):
    """Whether tensor names are TensorFlow's: `bert/encoder/layer_._0/...`."""
    return any("/" in name for name in names)


def to_pytorch(tensors, source, model="bert"):
    """Renames and transposes the tensors of a TensorFlow class.

    Args:
      tensors: {their name: array}, as `model.safetensors` or `tf_model.h5` has them.
      source: the file, for errors.
      model: the scope of the encoder.

    Returns:
      {PyTorch's name: array}; names that are no part of BERT stay as they are.

    Raises:
      UserError: two different tensors have one place.
    """
    renamed, origins = {}, {}
    for name, value in tensors.items():
        theirs, transposed = _pytorch_name(name, model)
        if theirs in origins:
            if np.array_equal(value, tensors[origins[theirs]]):
                continue  # a tied table, which Keras saves with each layer that has it
            raise UserError(
                f"{source}: holds two tensors for {theirs}, {origins[theirs]} and {name}: expected"
                " one model: save the one to read by itself"
            )
        origins[theirs] = name
        renamed[theirs] = np.transpose(value) if transposed else value
    return renamed


def _pytorch_name(name, model):
    """Returns (PyTorch's name, whether the array is transposed)."""
    found = _VARIABLE.fullmatch(name.removesuffix(":0"))
    if not found:
        return name, False
    path = re.sub(r"^(mlm|nsp)___", "", found.group(1))
    parts = re.sub(r"layer_(?:\._)?(\d+)/", r"layer/\1/", path).split("/")
    leaf = parts[-1]
    if leaf.endswith("_embeddings"):
        parts.append("weight")
    parts[-1] = _LEAVES.get(parts[-1], parts[-1])
    if parts[0] in _ENCODER:
        parts.insert(0, model)
    return ".".join(parts), leaf == "kernel"
