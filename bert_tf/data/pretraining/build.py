"""Raw text to a folder of packed rows, all of it or nothing."""

import contextlib
import os
import pathlib
import shutil
import time

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text
from absl import logging

import bert_tf
from bert_tf import files, locks
from bert_tf.data.pretraining import shards
from bert_tf.data.pretraining.encoding import encode_pieces
from bert_tf.data.pretraining.packing import Packer
from bert_tf.data.pretraining.text import TextReader
from bert_tf.data.table import counted
from bert_tf.errors import UserError

_SECONDS_BETWEEN_REPORTS = 10.0
# Tokenising this many bytes takes as long as starting the processes that would share it.
_SMALL_CORPUS = 64 << 20


def build_corpus(
    input_files,
    output_dir,
    tokenizer,
    *,
    input_format="auto",
    seq_length=128,
    num_shards=8,
    validation_fraction=0.005,
    seed=12345,
    num_workers=1,
    overwrite=False,
):
    """Writes a data folder that `Corpus.open` reads; returns its manifest (dict).

    The folder appears under its name when it is complete. Until then it grows beside it as
    `<output_dir>.building`, which the next attempt after an interrupted one starts anew. The bytes
    do not depend on `num_workers`.

    Args:
      input_files: list of paths, see `find_files`.
      output_dir: the folder to write; must not exist, or be empty.
      tokenizer: `BertTokenizer`.
      input_format: see `TextReader`.
      seq_length: tokens per row, [CLS] included.
      num_shards: files that the training rows are spread over.
      validation_fraction: share of the documents that is held out, in [0, 1); more of them where
        that would not fill one row. 0 holds nothing out.
      seed: of which documents are held out and which shard they go in.
      num_workers: processes; small corpora are done in this one.
      overwrite: replace a data folder that is there already.

    Raises:
      UserError: the text cannot be read or is too short for one row of each split; the vocabulary
        has no [MASK]; output_dir is in use or cannot be written.
    """
    output_dir = pathlib.Path(os.path.abspath(output_dir))
    check_output_dir(output_dir, overwrite)
    special_ids = _special_ids(tokenizer.vocab)
    with _building(output_dir, overwrite) as folder:
        passed = _Pass(
            folder, tokenizer, input_files, input_format,
            seq_length=seq_length, num_shards=num_shards, seed=seed, num_workers=num_workers,
        )  # fmt: skip
        packer = passed.run(int(validation_fraction * 2**64))
        if validation_fraction and packer.tokens["validation"] < seq_length - 1:
            packer = _hold_out_a_row(passed, packer)
        splits = packer.finish()
        passed.reader.report()
        _check_rows(input_files, packer, splits, validation_fraction)
        settings = {
            "special_ids": special_ids,
            "seed": seed,
            "validation_fraction": validation_fraction,
            "input": {
                "files": len(input_files),
                "bytes": passed.reader.total_bytes,
                "formats": sorted(set(passed.reader.formats.values())),
            },
        }
        manifest = _manifest(tokenizer, seq_length, splits, packer.counts) | settings
        files.write_text(folder / "vocab.txt", "\n".join(tokenizer.vocab.tokens) + "\n")
        files.write_json(folder / shards.MANIFEST, manifest)
    return manifest


class _Pass:
    """Reads the whole corpus and packs it; may run twice."""

    def __init__(self, folder, tokenizer, input_files, input_format, *, num_workers, **packing):
        self._folder = folder
        self._tokenizer = tokenizer
        self._input = input_files, input_format
        self._packing = packing
        self.reader = TextReader(input_files, input_format)
        small = self.reader.total_bytes < _SMALL_CORPUS
        self._num_workers = 1 if small else num_workers

    def run(self, held_out_below):
        """Returns the `Packer` that has seen all documents."""
        for path in self._folder.glob("*.npy"):
            path.unlink()
        self.reader = TextReader(*self._input)
        tokenizer = self._tokenizer
        packer = Packer(
            self._folder, tokenizer.vocab, tokenizer.fingerprint,
            held_out_below=held_out_below, **self._packing,
        )  # fmt: skip
        progress = _Progress(self.reader, packer)
        for block in encode_pieces(self.reader.pieces(), tokenizer, self._num_workers):
            packer.add(block)
            progress.report()
        return packer


class _Progress:
    """Logs every ten seconds what is done, how fast, and how long it will take."""

    def __init__(self, reader, packer):
        self._reader = reader
        self._packer = packer
        self._started = self._reported = time.monotonic()

    def report(self):
        """Logs if it is time."""
        now = time.monotonic()
        if now - self._reported < _SECONDS_BETWEEN_REPORTS:
            return
        self._reported = now
        elapsed = now - self._started
        share = self._reader.bytes_read / max(1, self._reader.total_bytes)
        logging.info(
            "%.1f %% of the text, %d documents, %d rows, %.0f rows/s, %.0f s left",
            100 * share,
            sum(self._packer.documents.values()),
            self._packer.rows,
            self._packer.rows / elapsed,
            elapsed * (1 - share) / max(share, 1e-9),
        )


def _hold_out_a_row(passed, packer):
    """Packs once more with just so many documents held out that they fill a row."""
    bound = packer.spare.held_out_below
    documents = sum(packer.documents.values())
    if bound is None or documents < 2:
        return packer
    packer.finish()
    logging.info("--validation_fraction holds out less than one row: once more, with more of it")
    return passed.run(bound)


def _check_rows(input_files, packer, splits, validation_fraction):
    documents, tokens = sum(packer.documents.values()), sum(packer.tokens.values())
    where = input_files[0] if len(input_files) == 1 else f"{len(input_files)} files"
    if tokens == documents:  # nothing but [SEP]
        raise UserError(f"{where}: the corpus is empty, expected text")
    needed = [split for split in shards.SPLITS if split == "train" or validation_fraction]
    if not all(splits[split]["rows"] for split in needed):
        hint = "; --validation_fraction=0 holds nothing out" if len(needed) > 1 else ""
        raise UserError(
            f"{where}: the corpus has {counted(documents, 'document', 'documents')} of"
            f" {counted(tokens, 'token', 'tokens')}, too few for a row of {packer.seq_length}"
            f" tokens in {' and one in '.join(needed)}: give more text, or a smaller"
            f" --max_seq_length{hint}"
        )


def _manifest(tokenizer, seq_length, splits, counts):
    vocab = tokenizer.vocab
    return {
        "format": shards.FORMAT,
        "fingerprint": tokenizer.fingerprint,
        "vocab_size": len(vocab),
        **tokenizer.settings,
        "sequence_length": seq_length,
        "splits": splits,
        "documents": sum(split["documents"] for split in splits.values()),
        "tokens": sum(split["tokens"] for split in splits.values()),
        "rows": sum(split["rows"] for split in splits.values()),
        "unigram_entropy": unigram_entropy(counts, vocab.sep_id),
        "versions": {
            "bert_tf": bert_tf.__version__,
            "numpy": np.__version__,
            "tensorflow": tf.__version__,
            "tensorflow_text": tf_text.__version__,
        },
    }


def _special_ids(vocab):
    """Raises `UserError` where the vocabulary has no [MASK]."""
    names = ("pad", "unk", "cls", "sep", "mask")
    return {name: getattr(vocab, f"{name}_id") for name in names}


def unigram_entropy(counts, sep_id):
    """Returns the entropy, in nats per token, of tokens that occur as often as `counts` says.

    What a model reaches that knows only how frequent each token is: -sum(p ln p), Shannon (1948).

    Args:
      counts: int64 [vocab].
      sep_id: token that does not count, because it is never predicted.
    """
    counts = np.delete(counts, sep_id)
    shares = counts[counts > 0] / max(1, counts.sum())
    return float(-(shares * np.log(shares)).sum())


def check_output_dir(output_dir, overwrite):
    """Raises `UserError` if `output_dir` holds anything, but data that `overwrite` lets replace."""
    output_dir = pathlib.Path(output_dir)
    if not output_dir.exists() or (output_dir.is_dir() and not any(output_dir.iterdir())):
        return
    if not (output_dir / shards.MANIFEST).is_file():
        raise UserError(
            f"--output_dir={output_dir}: exists and holds no pre-training data: name another folder"
        )
    if not overwrite:
        raise UserError(
            f"--output_dir={output_dir}: holds pre-training data already: name another folder, or"
            " give --overwrite"
        )


@contextlib.contextmanager
def _building(output_dir, overwrite):
    """Context: yields an empty folder that takes the name `output_dir` on success, else goes."""
    folder = output_dir.with_name(f"{output_dir.name}.building")
    try:
        output_dir.parent.mkdir(parents=True, exist_ok=True)
        with locks.hold(output_dir.with_name(f".{output_dir.name}.lock")) as alone:
            if not alone:
                raise UserError(
                    f"{output_dir}: another process is writing this data folder: wait for its end,"
                    " or name another folder"
                )
            check_output_dir(output_dir, overwrite)  # its end may have come since
            try:
                shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was killed
                folder.mkdir()
                yield folder
                _replace(output_dir, folder)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
    except OSError as e:
        raise UserError(f"{folder}: cannot write: {e.strerror or e}") from e


def _replace(output_dir, folder):
    """Gives `folder` the name `output_dir`; the data that had it goes last."""
    old = output_dir.with_name(f"{output_dir.name}.old")
    if (output_dir / shards.MANIFEST).is_file():
        shutil.rmtree(old, ignore_errors=True)
        output_dir.rename(old)
    folder.rename(output_dir)
    shutil.rmtree(old, ignore_errors=True)
