"""Hugging Face's weight files: safetensors, PyTorch or TensorFlow, whole or sharded."""

import pathlib

import safetensors
import safetensors.numpy

from bert_tf import files
from bert_tf.checkpoints import precision, tensorflow_names
from bert_tf.errors import UserError

# In the order transformers itself prefers them.
_WHOLE = ("model.safetensors", "pytorch_model.bin", "tf_model.h5")


def has_weights(folder):
    """Whether `folder` holds a weight file that `read` knows."""
    folder = pathlib.Path(folder)
    return any((folder / f).exists() for w in _WHOLE for f in (w, f"{w}.index.json"))


def read(folder, model="bert"):
    """Returns {PyTorch's tensor name: array} of a folder's weight file or shards.

    Halves become float32; what TensorFlow classes have saved is renamed and transposed.

    Args:
      folder: where they are.
      model: the scope of the encoder, for names of TensorFlow classes.

    Raises:
      UserError: no weight file, a missing, truncated or damaged one, one without tensors, or a .bin
        without torch.
    """
    folder = pathlib.Path(folder)
    for whole in _WHOLE:
        path, index = folder / whole, folder / f"{whole}.index.json"
        if path.exists() or index.exists():
            path = path if path.exists() else index
            tensors = _read_one(path) if path.name == whole else _read_shards(index)
            if tensorflow_names.is_tensorflow(tensors):
                return tensorflow_names.to_pytorch(tensors, path, model)
            return tensors
    found = sorted(f.name for f in folder.iterdir()) if folder.is_dir() else []
    raise UserError(
        f"{folder}: no weights: looked for {', '.join(_WHOLE)} and their .index.json files, found"
        f" {', '.join(found[:8]) or 'nothing'}: save the model with save_pretrained() of its"
        " PyTorch class"
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
    if index.name.startswith("tf_model.h5"):
        raise UserError(
            f"{index}: sharded TensorFlow weights, expected one file: save the model with a larger"
            " max_shard_size, or as model.safetensors"
        )
    weight_map = files.read_json(index, "index of weight shards").get("weight_map")
    if not isinstance(weight_map, dict) or not all(
        isinstance(shard, str) and shard == pathlib.Path(shard).name
        for shard in weight_map.values()
    ):
        raise UserError(f"{index}: weight_map must map tensor names to files of this folder")
    shards = sorted(set(weight_map.values()))
    missing = [shard for shard in shards if not (index.parent / shard).is_file()]
    if missing:
        raise UserError(
            f"{index.parent / missing[0]}: the weight file is missing, and in all {len(missing)} of"
            f" the {len(shards)} that {index.name} lists: copy or download them"
        )
    tensors = {}
    for shard in shards:
        tensors.update(_read_one(index.parent / shard))
    for name, shard in weight_map.items():
        if name not in tensors:
            raise UserError(f"{index.parent / shard}: tensor {name} of {index.name} is missing")
    return tensors


def _read_one(path):
    if not path.is_file():
        raise UserError(f"{path}: the weight file is missing")
    files.refuse_pointer(path)
    tensors = _READERS[path.suffix](path) if path.suffix in _READERS else _read_safetensors(path)
    if not tensors:
        raise UserError(f"{path}: holds no tensors, expected the weights of a model: save it again")
    return {name: precision.widen(value) for name, value in tensors.items()}


def _read_safetensors(path):
    try:
        return safetensors.numpy.load_file(path)
    except (AttributeError, KeyError) as e:
        raise UserError(
            f"{path}: holds tensors of a type that numpy does not have ({e}), expected F32, F16 or"
            " BF16: save the model in one of them, unquantised"
        ) from e
    except (safetensors.SafetensorError, OSError, TypeError, ValueError) as e:
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
        tensors = {n: _array(tensor) for n, tensor in state.items() if hasattr(tensor, "numpy")}
    except Exception as e:  # torch raises what pickle, zipfile and its own reader raise
        raise UserError(f"{path}: truncated or damaged PyTorch file: {e}") from e
    other = sorted(map(str, set(state) - set(tensors)))
    if other:
        raise UserError(
            f"{path}: holds {', '.join(other[:5])} that are no tensors, expected the state_dict()"
            " of a model: save that"
        )
    return tensors


def _array(tensor):
    """A PyTorch tensor as floats; whole numbers stay, so that quantised weights are known."""
    return (tensor if "int" in str(getattr(tensor, "dtype", "")) else tensor.float()).numpy()


def _read_hdf5(path):
    import h5py  # which no other kind of file needs

    tensors = {}

    def collect(name, item):
        if isinstance(item, h5py.Dataset):
            tensors[name] = item[()]

    try:
        with h5py.File(path, "r") as file:
            file.visititems(collect)
    except (OSError, RuntimeError, KeyError, ValueError) as e:
        raise UserError(f"{path}: truncated or damaged HDF5 file: {e}") from e
    return tensors


_READERS = {".bin": _read_torch, ".h5": _read_hdf5}
