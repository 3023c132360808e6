"""A folder of packed rows as create_pretraining_data.py writes it, read by row number."""

import pathlib

import numpy as np

from bert_tf import files
from bert_tf.checkpoints import tokenizer_files
from bert_tf.data.features import fingerprint
from bert_tf.data.pretraining import shards
from bert_tf.data.pretraining.checked_rows import MAX_CORRUPT, CheckedRows
from bert_tf.errors import UserError
from bert_tf.tokenization.vocab import load_vocab

_COUNTED_TOKENS = 1 << 22
_FIELDS = {
    "fingerprint": str,
    "vocab_size": int,
    "sequence_length": int,
    "do_lower_case": bool,
    "special_ids": dict,
    "splits": dict,
}


class Corpus:
    """Rows of token ids, memory-mapped: what a process holds does not grow with the corpus.

    Use `Corpus.open`.

    Attributes:
      folder: pathlib.Path.
      manifest: dict of manifest.json.
      seq_length: tokens per row; every row is full and begins with [CLS].
      vocab_size: tokens of the vocabulary.
      fingerprint: of the tokenizer that made it, `BertTokenizer.fingerprint`.
      tokenizer_settings: of that tokenizer, `BertTokenizer.settings`.
    """

    def __init__(self, folder, manifest, max_corrupt_rows=MAX_CORRUPT):
        self.folder = pathlib.Path(folder)
        self.manifest = manifest
        self.seq_length = manifest["sequence_length"]
        self.vocab_size = manifest["vocab_size"]
        self.fingerprint = manifest["fingerprint"]
        self.tokenizer_settings = {
            name: manifest[name] for name in tokenizer_files.SETTINGS if name in manifest
        }
        self._shards = {split: self._open_shards(split) for split in shards.SPLITS}
        self._splits = {
            split: CheckedRows(parts, max_corrupt_rows) for split, parts in self._shards.items()
        }

    @classmethod
    def open(cls, folder, fingerprint=None, max_corrupt_rows=MAX_CORRUPT):
        """Opens the data folder `folder`.

        Args:
          folder: what create_pretraining_data.py wrote.
          fingerprint: of the tokenizer that the model needs; None takes any.
          max_corrupt_rows: rows of a split with a wrong checksum to skip before `read` raises.

        Raises:
          UserError: it is no data folder, of another format or vocabulary, a shard is missing, has
            another size, or belongs to another vocabulary.
        """
        path = pathlib.Path(folder) / shards.MANIFEST
        if not path.is_file():
            raise UserError(
                f"{folder}: holds no {shards.MANIFEST}, expected a folder that"
                " create_pretraining_data.py has written to its end"
            )
        manifest = files.read_json(path, "manifest of the pre-training data")
        _check_manifest(path, manifest)
        if fingerprint is not None and manifest["fingerprint"] != fingerprint:
            raise UserError(
                f"{folder}: the rows were made with another vocabulary or lower-casing, or accents"
                f" or ideographs treated otherwise ({manifest['fingerprint']}), than the model's"
                f" ({fingerprint}): make them again with the model's, or train on"
                f" {folder}/vocab.txt"
            )
        return cls(folder, manifest, max_corrupt_rows)

    @property
    def vocab(self):
        """The `Vocab` that the rows were made with."""
        return load_vocab(self.folder / "vocab.txt")

    def rows(self, split):
        """Returns how many rows the split ("train" or "validation") has."""
        return len(self._splits[split])

    def digest(self, split):
        """Returns the hex digest of a split's stored checksums: of what its rows are.

        It reads 4 bytes per row: 0.3 s for 4 billion tokens in rows of 128.
        """
        return fingerprint(*(shard.checksums for shard in self._shards[split]))

    @property
    def corrupt_rows(self):
        """How many different rows were found corrupt so far."""
        return sum(len(rows.corrupt) for rows in self._splits.values())

    @property
    def failure(self):
        """The `UserError` that `read` raised, None before."""
        return next((rows.failure for rows in self._splits.values() if rows.failure), None)

    def read(self, split, row_ids):
        """Returns int32 [n, seq_length]: the rows with these numbers.

        In the place of a row whose checksum is wrong stands the next sound one of the split.

        Args:
          split: "train" or "validation".
          row_ids: int [n], each in [0, rows).

        Raises:
          UserError: more than `max_corrupt_rows` different rows of the split are corrupt, or all.
        """
        return self._splits[split].read(row_ids).astype(np.int32)

    def token_counts(self, split):
        """Returns int64 [vocab_size]: how often each token occurs in a split, or in some of it.

        Of a large split rows all over it are counted, about four million tokens.
        """
        rows = self._splits[split].sample(max(1, _COUNTED_TOKENS // self.seq_length))
        return np.bincount(rows.reshape(-1), minlength=self.vocab_size)

    def _open_shards(self, split):
        found = []
        for entry in self.manifest["splits"].get(split, {}).get("shards", []):
            shard = shards.Shard(
                self.folder,
                entry["name"],
                rows=entry["rows"],
                seq_length=self.seq_length,
                vocab_size=self.vocab_size,
                fingerprint=self.fingerprint,
            )
            shard.check_origin()
            found.append(shard)
        return found


def _check_manifest(path, manifest):
    if manifest.get("format") != shards.FORMAT:
        raise UserError(
            f"{path}: format {manifest.get('format')!r}, expected {shards.FORMAT}: make the data"
            " again with this version's create_pretraining_data.py"
        )
    for name, kind in _FIELDS.items():
        if not isinstance(manifest.get(name), kind):
            raise UserError(f"{path}: {name} is {manifest.get(name)!r}, expected {kind.__name__}")
    tokenizer_files.check_settings(path, manifest)
    for split, content in manifest["splits"].items():
        for entry in content["shards"]:
            if not isinstance(entry.get("name"), str) or not isinstance(entry.get("rows"), int):
                raise UserError(f"{path}: splits: shard {entry} of {split}: expected name and rows")
