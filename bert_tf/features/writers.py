"""What is written of the features of texts: Google's JSON lines, or arrays in an .npz file."""

import json
import pathlib
import shutil
import tempfile
import zipfile

import numpy as np

from bert_tf.features.extractor import POOLED

_DIGITS = 6


class JsonLines:
    """Writes a JSON object a line, as Google's extract_features.py does.

    `{"linex_index": 0, "features": [{"token": "[CLS]", "layers": [{"index": -1, "values":
    [...]}]}]}`, of a pooling `{"linex_index": 0, "layers": [...]}`, of the pooler
    `{"linex_index": 0, "pooled": [...]}`.

    Args:
      output: text file.
      pooling: of the extractor.
    """

    def __init__(self, output, pooling):
        self._output = output
        self._pooling = pooling
        self._count = 0

    def write(self, features):
        """Writes the `TextFeatures` of the next line."""
        found = {"linex_index": self._count, **self._content(features)}
        self._output.write(json.dumps(found) + "\n")
        self._count += 1

    def _content(self, features):
        vectors = {key: _rounded(x) for key, x in features.vectors.items()}
        if self._pooling == POOLED:
            return vectors
        if self._pooling != "none":
            return {"layers": [{"index": key, "values": x} for key, x in vectors.items()]}
        return {
            "features": [
                {
                    "token": token,
                    "layers": [{"index": key, "values": x[i]} for key, x in vectors.items()],
                }
                for i, token in enumerate(features.tokens)
            ]
        }


class Arrays:
    """Writes an .npz file of any length; the values wait on the disk, not in memory.

    `layer_-1` and so on, or `pooled`, are float32 [lines, hidden] of a pooling. Without, they are
    [tokens, hidden] of all lines, one line behind the other, beside `ids` int32 [tokens] and
    `offsets` int64 [lines + 1]: line i is `offsets[i]` to `offsets[i + 1]`.

    Args:
      path: file to write when the context ends well.
      keys: of the vectors.
      hidden_size: their width.
      pooling: of the extractor.
    """

    def __init__(self, path, keys, hidden_size, pooling):
        self._path = pathlib.Path(path)
        self._names = {key: key if key == POOLED else f"layer_{key}" for key in keys}
        self._whole = pooling == "none"
        self._shapes = {name: (np.float32, (hidden_size,)) for name in self._names.values()}
        if self._whole:
            self._shapes |= {"ids": (np.int32, ()), "offsets": (np.int64, ())}

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(dir=self._path.parent, prefix=".features.")
        folder = pathlib.Path(self._folder.name)
        self._files = {name: open(folder / name, "w+b") for name in self._shapes}  # noqa: SIM115
        self._counts = dict.fromkeys(self._shapes, 0)
        if self._whole:
            self._append("offsets", np.zeros([1]))
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self._finish()
        finally:
            for file in self._files.values():
                file.close()
            self._folder.cleanup()

    def write(self, features):
        """Writes the `TextFeatures` of the next line."""
        for key, vectors in features.vectors.items():
            self._append(self._names[key], vectors if self._whole else vectors[None])
        if self._whole:
            self._append("ids", features.ids)
            self._append("offsets", np.array([self._counts["ids"]]))

    def _append(self, name, rows):
        self._files[name].write(np.ascontiguousarray(rows, self._shapes[name][0]))
        self._counts[name] += len(rows)

    def _finish(self):
        with zipfile.ZipFile(self._path, "w", zipfile.ZIP_STORED) as archive:
            for name, (dtype, shape) in self._shapes.items():
                header = {
                    "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
                    "fortran_order": False,
                    "shape": (self._counts[name], *shape),
                }
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array_header_1_0(member, header)
                    self._files[name].seek(0)
                    shutil.copyfileobj(self._files[name], member)


def _rounded(vectors):
    """Nested lists of float, rounded as Python's `round` does: in float64 the product is exact."""
    return np.round(vectors.astype(np.float64), _DIGITS).tolist()
