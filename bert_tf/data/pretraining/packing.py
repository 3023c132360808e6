"""Documents packed back to back into full rows, dealt out to splits and shards."""

import heapq

import numpy as np

from bert_tf.data.pretraining import shards
from bert_tf.data.pretraining.bits import below, random_bits, stream_key

_HELD_OUT, _SHARD = 0, 1  # independent streams of random numbers


class Packer:
    """Writes the shards of a data folder out of `EncodedBlock`s, in bounded memory.

    A number drawn for each document, from the seed and the document's number alone, says whether
    it is held out and in which shard it goes; within a shard documents keep their order. What is
    left of a split's shards at the end is packed together; the last row is filled up with tokens
    that the split begins with, so that every token is in a row and every row is full.

    Args:
      folder: where the shards go.
      vocab: `Vocab`.
      fingerprint: of the tokenizer.
      seq_length: tokens per row: [CLS] and seq_length - 1 of the documents'.
      num_shards: of the training split; validation has one. A shard without rows is left out.
      held_out_below: documents whose number, in [0, 2**64), is below this are held out.
      seed: of the documents' numbers.

    Attributes:
      tokens: {split: tokens of its documents, [SEP] included}.
      documents: {split: documents}.
      counts: int64 [vocab] how often each token occurs.
    """

    def __init__(self, folder, vocab, fingerprint, *, seq_length, num_shards, held_out_below, seed):
        self.tokens = dict.fromkeys(shards.SPLITS, 0)
        self.documents = dict.fromkeys(shards.SPLITS, 0)
        self.counts = np.zeros(len(vocab), np.int64)
        self.seq_length = seq_length
        self.spare = _SpareDocuments(seq_length - 1)
        self._held_out_below = held_out_below
        self._keys = [stream_key(seed, stream) for stream in (_HELD_OUT, _SHARD)]
        dtype = shards.ids_type(len(vocab))
        self._first = {split: np.zeros(0, dtype) for split in shards.SPLITS}
        self._writers = {
            split: [
                shards.ShardWriter(
                    folder,
                    shards.shard_name(split, index, count),
                    first_id=vocab.cls_id,
                    seq_length=seq_length,
                    dtype=dtype,
                    fingerprint=fingerprint,
                )
                for index in range(count)
            ]
            for split, count in (("train", num_shards), ("validation", 1))
        }
        self._document_tokens = 0

    @property
    def rows(self):
        """Rows written so far, over all splits."""
        return sum(writer.rows for writers in self._writers.values() for writer in writers)

    def add(self, block):
        """Deals out the pieces of an `EncodedBlock`."""
        self.counts += np.bincount(block.ids, minlength=len(self.counts))
        numbers = block.documents.astype(np.uint64)
        draws = random_bits(self._keys[0], numbers).tolist()
        places = below(random_bits(self._keys[1], numbers), len(self._writers["train"])).tolist()
        bounds = block.offsets.tolist()
        for i, (draw, place, last) in enumerate(
            zip(draws, places, block.last.tolist(), strict=True)
        ):
            held_out = draw < self._held_out_below
            split, place = ("validation", 0) if held_out else ("train", place)
            tokens = block.ids[bounds[i] : bounds[i + 1]]
            self._add(split, place, tokens)
            self._document_tokens += len(tokens)
            if last:
                self.documents[split] += 1
                if not held_out:
                    self.spare.add(draw, self._document_tokens)
                self._document_tokens = 0

    def _add(self, split, place, tokens):
        self._writers[split][place].add(tokens)
        self.tokens[split] += len(tokens)
        missing = self.seq_length - 1 - len(self._first[split])
        if missing > 0:
            self._first[split] = np.concatenate([self._first[split], tokens[:missing]])

    def finish(self):
        """Writes what is left; returns {split: {"documents", "tokens", "rows", "shards"}}."""
        found = {}
        for split, writers in self._writers.items():
            self._pack_rests(split, writers)
            for writer in writers:
                writer.close()
            found[split] = {
                "documents": self.documents[split],
                "tokens": self.tokens[split],
                "rows": sum(writer.rows for writer in writers),
                "shards": [
                    {"name": writer.name, "rows": writer.rows} for writer in writers if writer.rows
                ],
            }
        return found

    def _pack_rests(self, split, writers):
        """Packs the shards' rests into rows of the last shard."""
        for rest in [writer.take_rest() for writer in writers]:
            writers[-1].add(rest)
        rest = writers[-1].take_rest()
        if len(rest) and len(self._first[split]) == self.seq_length - 1:
            writers[-1].add(rest)
            writers[-1].add(self._first[split][: self.seq_length - 1 - len(rest)])
            writers[-1].take_rest()


class _SpareDocuments:
    """The training documents with the smallest numbers that together fill one row.

    Those would be held out next: where validation stays below one row, the caller takes their
    largest number for `held_out_below` and packs once more.

    Args:
      needed: tokens that they have at least, if there are so many.
    """

    def __init__(self, needed):
        self._needed = needed
        self._heap = []  # of (-number, tokens): the largest number first
        self._tokens = 0

    def add(self, number, tokens):
        """Takes a document into account: its number, and its tokens."""
        if self._tokens >= self._needed and number > -self._heap[0][0]:
            return
        heapq.heappush(self._heap, (-number, tokens))
        self._tokens += tokens
        while self._tokens - self._heap[0][1] >= self._needed:
            self._tokens -= heapq.heappop(self._heap)[1]

    @property
    def held_out_below(self):
        """The bound (int) below which all of them are held out; None where they fill no row."""
        return 1 - self._heap[0][0] if self._tokens >= self._needed else None
