"""Pieces of documents to token ids, in this process or several, in the same order either way."""

import collections
import concurrent.futures
import dataclasses
import multiprocessing.connection
import os
import threading

import numpy as np

from bert_tf.data.pretraining.shards import ids_type
from bert_tf.errors import UserError

# Text that is encoded at once. It does not depend on the number of processes, nor does the result.
_BLOCK_CHARACTERS = 1 << 20
_BLOCK_PIECES = 1 << 14
_AHEAD = 2  # blocks per process that wait for it
_tokenizer = None  # of a worker process


@dataclasses.dataclass(frozen=True)
class EncodedBlock:
    """Token ids of consecutive pieces.

    Attributes:
      documents: int64 [n] number of each piece's document.
      last: bool [n], whether the piece ends its document.
      offsets: int64 [n + 1]; piece i is ids[offsets[i]:offsets[i + 1]], [SEP] included at the end
        of a document.
      ids: [total], of `ids_type`.
    """

    documents: np.ndarray
    last: np.ndarray
    offsets: np.ndarray
    ids: np.ndarray


def blocks(pieces):
    """Yields lists of consecutive `Piece`s, of about a megabyte of text together."""
    block, size = [], 0
    for piece in pieces:
        block.append(piece)
        size += len(piece.text)
        if size >= _BLOCK_CHARACTERS or len(block) == _BLOCK_PIECES:
            yield block
            block, size = [], 0
    if block:
        yield block


def encode_pieces(pieces, tokenizer, num_workers=1):
    """Yields `EncodedBlock`s of an iterable of `Piece`s, in order, a bounded number ahead.

    Args:
      pieces: iterable of `Piece`.
      tokenizer: `BertTokenizer`.
      num_workers: processes that tokenise; 1 does it in this one.

    Raises:
      UserError: a process died (for want of memory, most likely).
    """
    if num_workers == 1:
        for block in blocks(pieces):
            yield _block(block, *_encode(tokenizer, *_texts(block)))
        return
    with concurrent.futures.ProcessPoolExecutor(
        num_workers,
        mp_context=multiprocessing.get_context("spawn"),  # TensorFlow does not survive a fork
        initializer=_start_worker,
        initargs=(tokenizer.vocab, tokenizer.settings),
    ) as pool:
        waiting = collections.deque()
        try:
            for block in blocks(pieces):
                waiting.append((block, pool.submit(_encode_in_worker, *_texts(block))))
                if len(waiting) > _AHEAD * num_workers:
                    yield _result(*waiting.popleft())
            while waiting:
                yield _result(*waiting.popleft())
        finally:
            for _, future in waiting:
                future.cancel()


def _result(block, future):
    try:
        return _block(block, *future.result())
    except concurrent.futures.process.BrokenProcessPool as e:
        raise UserError(
            "a process of --num_workers died, for want of memory most likely: try fewer"
        ) from e


def _texts(block):
    return [piece.text for piece in block], np.array([piece.last for piece in block])


def _block(pieces, ids, offsets):
    documents = np.array([piece.document for piece in pieces], np.int64)
    return EncodedBlock(documents, np.array([piece.last for piece in pieces]), offsets, ids)


def _encode(tokenizer, texts, last):
    """Returns (ids, offsets) of texts, with [SEP] behind those that end a document."""
    ragged = tokenizer.tokenize(texts)
    splits = ragged.row_splits.numpy()
    ids = np.insert(ragged.values.numpy(), splits[1:][last], tokenizer.vocab.sep_id)
    offsets = splits + np.concatenate([[0], np.cumsum(last)])
    return ids.astype(ids_type(len(tokenizer.vocab))), offsets


def _start_worker(vocab, settings):
    """Makes this process's tokenizer; the process ends with its parent, however that ends."""
    global _tokenizer
    threading.Thread(target=_leave_with_parent, daemon=True).start()

    import tensorflow as tf

    from bert_tf.tokenization.tokenizer import BertTokenizer

    tf.config.set_visible_devices([], "GPU")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    _tokenizer = BertTokenizer(vocab, **settings)


def _leave_with_parent():
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _encode_in_worker(texts, last):
    return _encode(_tokenizer, texts, last)
