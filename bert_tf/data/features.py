"""Tokenised examples in flat arrays: built once, memory-mapped, reused while nothing changed."""

import hashlib
import os
import pathlib
import shutil
import tempfile
import zlib

import numpy as np
from absl import logging

from bert_tf import files, locks
from bert_tf.errors import UserError

_FORMAT = 1
_DAMAGE = (OSError, EOFError, ValueError, KeyError)  # what `_load` raises for a damaged store


class FeatureStore:
    """The features of one split, example after example in flat arrays.

    Args:
      ids: int32 [total] token ids of all examples, [CLS] and [SEP] included, without padding.
      offsets: int64 [n + 1]; example i is ids[offsets[i]:offsets[i + 1]].
      first_lengths: int32 [n] tokens of type 0 ([CLS] a [SEP]); the rest is of type 1.
      labels: int32 or float32 [n], or None.
      fingerprint: hex digest of what the features were made of.

    Attributes:
      lengths: int32 [n] tokens of each example.
      label_shape: static shape of a batch's labels.
      (and the arguments)
    """

    label_shape = (None,)

    def __init__(self, ids, offsets, first_lengths, labels, fingerprint):
        self.ids = ids
        self.offsets = np.asarray(offsets)
        self.first_lengths = np.asarray(first_lengths)
        self.labels = None if labels is None else np.asarray(labels)
        self.fingerprint = fingerprint
        self.lengths = np.diff(self.offsets).astype(np.int32)

    def __len__(self):
        return len(self.lengths)

    def padded_length(self, example_ids, pad_to=None, pad_multiple=1):
        """Returns the length to pad a batch to.

        Args:
          example_ids: the examples of the batch.
          pad_to: a fixed length; None takes the longest example's.
          pad_multiple: that length is rounded up to a multiple of this.

        Raises:
          ValueError: an example is longer than pad_to.
        """
        longest = int(self.lengths[example_ids].max(initial=1))
        if pad_to is None:
            return -(-longest // pad_multiple) * pad_multiple
        if longest > pad_to:
            raise ValueError(f"an example of {longest} tokens does not fit pad_to={pad_to}")
        return pad_to

    def batch(self, example_ids, pad_to=None, pad_multiple=1):
        """Returns the padded batch of some examples, in their order.

        Args:
          example_ids: int [b] positions of the examples.
          pad_to, pad_multiple: see `padded_length`.

        Returns:
          ({"input_word_ids", "input_mask", "input_type_ids"}: each int32 [b, t], labels [b] or
          None).
        """
        example_ids = np.asarray(example_ids)
        length = self.padded_length(example_ids, pad_to, pad_multiple)
        positions = np.arange(length, dtype=np.int32)
        mask = positions < self.lengths[example_ids, None]
        word_ids = np.zeros(mask.shape, np.int32)
        word_ids[mask] = self.ids[(self.offsets[example_ids, None] + positions)[mask]]
        types = mask & (positions >= self.first_lengths[example_ids, None])
        inputs = {
            "input_word_ids": word_ids,
            "input_mask": mask.astype(np.int32),
            "input_type_ids": types.astype(np.int32),
        }
        return inputs, self.batch_labels(example_ids, mask)

    def batch_labels(self, example_ids, mask):
        """Returns the labels of a batch, or None; `mask` (bool [b, t]) is of its real tokens."""
        return None if self.labels is None else self.labels[example_ids]

    def taken(self, example_ids):
        """Returns the `FeatureStore` of some examples, in their order; the arrays are copies.

        Args:
          example_ids: int [b], positions of the examples.
        """
        ids = np.asarray(example_ids, np.int64)
        parts = [self.ids[self.offsets[i] : self.offsets[i + 1]] for i in ids]
        return FeatureStore(
            ids=np.concatenate([np.zeros(0, np.int32), *parts]),
            offsets=np.cumsum([0, *self.lengths[ids]]),
            first_lengths=self.first_lengths[ids],
            labels=None if self.labels is None else self.labels[ids],
            fingerprint=fingerprint(self.fingerprint, ids),
        )


def build_features(examples, tokenizer, max_seq_length, cache_dir=None, truncation="head"):
    """Returns the `FeatureStore` of `examples`, from `cache_dir` if it was built before.

    Each store is a folder in cache_dir named after its fingerprint, which covers texts, labels,
    tokenizer, max_seq_length and truncation: another vocabulary or another row gives another store,
    and several processes may build at once. A damaged store is built again, with a warning.

    Args:
      examples: `Examples`.
      tokenizer: object with `encode_flat` and `fingerprint`, such as `BertTokenizer`.
      max_seq_length: longest example in tokens.
      cache_dir: folder; None keeps the features in memory.
      truncation: what stays of longer single texts: `head`, `tail` or `head_tail`, see
        `BertTokenizer.encode`.

    Raises:
      UserError: cache_dir cannot be written, or what `encode_flat` raises.
    """
    key = fingerprint(
        _FORMAT,
        tokenizer.fingerprint,
        max_seq_length,
        examples.text_a,
        examples.text_b,
        examples.labels,
        # Stores older than the choice are cut at the head.
        *(() if truncation == "head" else (truncation,)),
    )
    return stored(key, cache_dir, lambda: _encode(examples, tokenizer, max_seq_length, truncation))


def stored(key, cache_dir, encode, kind=FeatureStore):
    """Returns the store named `key`, from `cache_dir` if it was built before.

    Args:
      key: hex digest of all that the features are made of, see `fingerprint`.
      cache_dir: folder of stores; None keeps the features in memory.
      encode: callable () -> {argument of `kind`: array, or None for none}, which builds them.
      kind: `FeatureStore` or a subclass.

    Raises:
      UserError: cache_dir cannot be written, or what `encode` raises.
    """
    if cache_dir is None:
        return kind(**encode(), fingerprint=key)
    folder = pathlib.Path(cache_dir) / key[:24]
    if folder.is_dir():
        try:
            return kind(**_load(folder), fingerprint=key)
        except _DAMAGE as e:
            # One at a time: what another process has built again since must not be removed.
            with locks.hold(folder.with_name(f".{folder.name}.lock"), wait=True):
                arrays = _load_or_remove(folder, e)
            if arrays:
                return kind(**arrays, fingerprint=key)
    return kind(**_save(folder, encode()), fingerprint=key)


def fingerprint(*parts):
    """Returns a hex digest of text, numbers, arrays, lists of text, and None, order included."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, list):
            # The lengths keep ["ab", "c"] and ["a", "bc"] apart.
            digest.update(np.fromiter(map(len, part), np.int64, len(part)).tobytes())
            part = "".join(part).encode("utf-8", "surrogatepass")
        elif isinstance(part, np.ndarray):
            digest.update(f"{part.dtype}{part.shape}".encode())
            part = np.ascontiguousarray(part)
        else:
            part = repr(part).encode()
        digest.update(str(len(part)).encode() + b":")
        digest.update(part)
    return digest.hexdigest()


def _encode(examples, tokenizer, max_seq_length, truncation):
    """Tokenises all examples; returns the arrays by name."""
    ids, offsets, first_lengths = tokenizer.encode_flat(
        examples.text_a, examples.text_b, max_seq_length, truncation
    )
    return {
        "ids": np.asarray(ids, np.int32),
        "offsets": np.asarray(offsets, np.int64),
        "first_lengths": np.asarray(first_lengths, np.int32),
        "labels": examples.labels,
    }


def _save(folder, arrays):
    """Writes the arrays beside `folder`, renames, and returns them memory-mapped."""
    temporary = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = pathlib.Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        checksums = {}
        for name, array in arrays.items():
            if array is not None:
                np.save(temporary / f"{name}.npy", array)
                checksums[name] = zlib.crc32(np.ascontiguousarray(array))
        files.write_json(temporary / "store.json", {"format": _FORMAT, "crc32": checksums})
        # Mapped before the renaming: what another process then does to the folder is no matter.
        mapped = _load(temporary)
        temporary.chmod(0o755)  # mkdtemp makes private folders
        try:
            os.rename(temporary, folder)
        except OSError:
            if not folder.is_dir():  # else another process was first, with the same content
                raise
        return mapped
    except OSError as e:
        raise UserError(f"{folder}: cannot write the features: {e.strerror or e}") from e
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)


def _load_or_remove(folder, fault):
    """The arrays of a store that was found damaged, if it is sound by now; else it is removed."""
    if not folder.is_dir():
        return None
    try:
        return _load(folder)
    except _DAMAGE:
        logging.warning("%s: damaged features are built again (%s)", folder, fault)
        shutil.rmtree(folder, ignore_errors=True)
    return None


def _load(folder):
    """Maps the arrays of a store; raises one of _DAMAGE."""
    checksums = files.read_json(folder / "store.json", "feature store's index")["crc32"]
    arrays = {"labels": None}
    for name, checksum in checksums.items():
        arrays[name] = files.map_array(folder / f"{name}.npy")
        if zlib.crc32(np.ascontiguousarray(arrays[name])) != checksum:
            raise ValueError(f"checksum of {name}.npy")
    return arrays
