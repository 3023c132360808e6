"""Hugging Face's weight files: safetensors or PyTorch, whole or sharded."""

import pathlib

import safetensors
import safetensors.numpy

from bert_tf import files
from bert_tf.checkpoints import precision
from bert_tf.errors import UserError

# In the order transformers itself prefers them.
_WHOLE = ("model.safetensors", "pytorch_model.bin")


def has_weights(folder):
    """Whether `folder` holds a weight file that `read` knows."""
    folder = pathlib.Path(folder)
    return any((folder / f).exists() for w in _WHOLE for f in (w, f"{w}.index.json"))


def read(folder):
    """Returns {tensor name: array} of a folder's weight file or shards; halves become float32.

    Raises:
      UserError: no weight file, a missing, truncated or damaged one, or a .bin without torch.
    """
    folder = pathlib.Path(folder)
    for whole in _WHOLE:
        if (folder / whole).exists():
            return _read_one(folder / whole)
        if (folder / f"{whole}.index.json").exists():
            return _read_shards(folder / f"{whole}.index.json")
    raise UserError(
        f"{folder}: no weights: looked for {', '.join(_WHOLE)} and their .index.json files"
    )


def write(path, tensors):
    """Writes {name: array} as one safetensors file, marked as PyTorch's layout, atomically.

    Raises:
      UserError: it cannot be written.
    """
    with files.atomic_path(path) as temporary:
        try:
            safetensors.numpy.save_file(tensors, temporary, metadata={"format": "pt"})
        except safetensors.SafetensorError as e:  # hides the OSError of a full disk
            raise UserError(f"{path}: cannot write: {e}") from e


def _read_shards(index):
    weight_map = files.read_json(index, "index of weight shards").get("weight_map")
    if not isinstance(weight_map, dict) or not all(
        isinstance(shard, str) and shard == pathlib.Path(shard).name
        for shard in weight_map.values()
    ):
        raise UserError(f"{index}: weight_map must map tensor names to files of this folder")
    tensors = {}
    for shard in sorted(set(weight_map.values())):
        tensors.update(_read_one(index.parent / shard))
    for name, shard in weight_map.items():
        if name not in tensors:
            raise UserError(f"{index.parent / shard}: tensor {name} of {index.name} is missing")
    return tensors


def _read_one(path):
    if not path.is_file():
        raise UserError(f"{path}: the weight file is missing")
    tensors = _read_torch(path) if path.suffix == ".bin" else _read_safetensors(path)
    return {name: precision.widen(value) for name, value in tensors.items()}


def _read_safetensors(path):
    try:
        return safetensors.numpy.load_file(path)
    except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError) as e:
        raise UserError(f"{path}: truncated or damaged safetensors file: {e}") from e


def _read_torch(path):
    try:
        import torch
    except ImportError as e:
        raise UserError(
            f"{path}: reading PyTorch weights needs torch (pip install torch), or save the model"
            " as model.safetensors"
        ) from e
    try:
        # weights_only: a pickle from the network must not run code.
        state = torch.load(path, map_location="cpu", weights_only=True)
        return {name: tensor.float().numpy() for name, tensor in state.items()}
    except Exception as e:  # torch raises what pickle, zipfile and its own reader raise
        raise UserError(f"{path}: truncated or damaged PyTorch file: {e}") from e
